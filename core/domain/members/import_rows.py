"""From a row of a file of members to a record: who it is, membership, tier, and a lot of points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.domain.customers.import_columns import (
    FIELDS,
    Columns,
    check_mapping,
    find_columns,
    header_key,
)
from core.domain.customers.import_rows import CustomerRecord, RowParser
from core.domain.members.membership import MemberSource
from core.domain.members.points import MAX_POINTS
from core.sdk.errors import InvalidInput
from core.sdk.facets import midnight
from core.tabular.bulk import RowError
from core.tabular.cells import FULL_WIDTH, parse_time

OWN: Mapping[str, Sequence[str]] = {
    "joined_at": (
        "入会时间", "入会日期", "加入时间", "注册时间", "joined", "join date", "member since",
    ),
    "join_source": ("入会来源", "会员来源", "来源", "source"),
    "tier": ("会员等级", "会员级别", "等级", "级别", "level", "grade"),
    "tier_until": ("等级有效期", "等级到期时间", "等级到期日", "tier expires"),
    "points": ("积分", "可用积分", "积分余额", "当前积分", "balance", "points balance"),
    "points_until": (
        "积分有效期", "积分到期时间", "积分到期日", "积分过期时间", "points expire", "expires",
    ),
    "lot": ("积分批次", "批次", "batch"),
}  # fmt: skip
"""What a file of members has beside the fields of customers, with the headers it is found by."""

OF_CUSTOMERS = frozenset(FIELDS)
CARD = "member_card"
TEXT_LIMIT = 200


@dataclass(slots=True)
class MemberRecord(CustomerRecord):
    """What one row says; `lot` names a lot of points among several that expire at once."""

    joined_at: datetime | None = None
    join_source: str | None = None
    tier_id: int | None = None
    tier_until: datetime | None = None
    points: int = 0
    points_until: datetime | None = None
    lot: str = ""

    @property
    def card_number(self) -> str | None:
        return next((text for kind, text in self.ids if kind == CARD), None)


def find_member_columns(headers: Sequence[str], mapping: Mapping[str, str]) -> Columns:
    """Find the fields' columns: as mapped, else by header.

    Raises InvalidInput for a mapping that cannot be, NoIdentityColumn.
    """
    own = {field: header for field, header in mapping.items() if field in OWN}
    others = {field: header for field, header in mapping.items() if field not in OWN}
    check_member_mapping(mapping)
    keys = [header_key(header) for header in headers]
    at: dict[str, tuple[int, ...]] = {}
    for field, names in OWN.items():
        wanted = [own[field]] if field in own else [field, *names]
        found = [keys.index(key) for name in wanted if (key := header_key(name)) in keys]
        if field in own and not found:
            raise InvalidInput(
                f"the file has no column {own[field]!r}, to which {field} is mapped; "
                f"its headers are: {', '.join(headers) or 'none'}",
                ("input", "columns"),
            )
        if found:
            at[field] = (found[0],)
    columns = find_columns(headers, others)
    # neither consent nor custom fields are told by a file of members
    known = {
        field: places for field, places in columns.at.items()
        if field in OF_CUSTOMERS or field.startswith("id.")
    }  # fmt: skip
    return replace(columns, at={**known, **at}, guessed=(columns.guessed | set(at)) - set(mapping))


def check_member_mapping(mapping: Mapping[str, str]) -> None:
    """Raises InvalidInput for a field that there cannot be."""
    try:
        check_mapping({field: header for field, header in mapping.items() if field not in OWN})
    except InvalidInput as error:
        raise InvalidInput(f"{error.message}, {', '.join(OWN)}", error.path) from None


class MemberParser(RowParser):
    """Reads rows by the columns found; `tiers` are ids by folded name."""

    def __init__(
        self, columns: Columns, now: datetime, zone: ZoneInfo, tiers: Mapping[str, int]
    ) -> None:
        super().__init__(columns, now.astimezone(zone).date(), {})
        self._now = now
        self._zone = zone
        self._tiers = tiers

    def __call__(self, number: int, row: list[str]) -> MemberRecord:
        """The row's record. Raises RowError."""
        base = super().__call__(number, row)
        return MemberRecord(
            **{one.name: getattr(base, one.name) for one in fields(CustomerRecord)},
            joined_at=self._joined_at(row),
            join_source=self._source(row),
            tier_id=self._tier(row),
            tier_until=self._until(row, "tier_until"),
            points=self._points(row),
            points_until=self._until(row, "points_until"),
            lot=self._text(row, "lot", TEXT_LIMIT) or "",
        )

    def _joined_at(self, row: Sequence[str]) -> datetime | None:
        moment = self._moment(row, "joined_at")
        if moment is not None and moment > self._now:
            raise RowError("BAD_DATE", "joined_at", "nobody has joined in the future")
        return moment

    def _source(self, row: Sequence[str]) -> str | None:
        text = self._text(row, "join_source", TEXT_LIMIT)
        if text is not None and text.casefold() not in list(MemberSource):
            known = ", ".join(MemberSource)
            raise RowError("BAD_SOURCE", "join_source", f"a source is one of {known}")
        return text and text.casefold()

    def _tier(self, row: Sequence[str]) -> int | None:
        text = self._text(row, "tier", TEXT_LIMIT)
        if text is None:
            return None
        found = self._tiers.get(text.casefold())
        if found is None:
            raise RowError("UNKNOWN_TIER", "tier", "the programme has no tier of this name")
        return found

    def _points(self, row: Sequence[str]) -> int:
        text = self._text(row, "points", TEXT_LIMIT)
        if text is None:
            return 0
        plain = text.translate(FULL_WIDTH).replace(",", "").removesuffix(".0").removesuffix(".00")
        if not plain.isascii() or not plain.isdecimal() or int(plain) > MAX_POINTS:
            raise RowError("BAD_POINTS", "points", f"points are from 0 to {MAX_POINTS}, whole ones")
        return int(plain)

    def _until(self, row: Sequence[str], field: str) -> datetime | None:
        """The instant at which something ends; of a day without a time it is the day's end."""
        moment = self._moment(row, field)
        if moment is None:
            return None
        local = moment.astimezone(self._zone)
        if local.time() == time():
            return midnight(local.date() + timedelta(days=1), self._zone)
        return moment

    def _moment(self, row: Sequence[str], field: str) -> datetime | None:
        text = self._text(row, field, TEXT_LIMIT)
        if text is None:
            return None
        try:
            return parse_time(text, self._zone)
        except ValueError as error:
            raise RowError("BAD_DATE", field, str(error)) from None
