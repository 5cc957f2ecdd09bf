"""What a merge of two customers would do, without doing it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.domain.customers.customers import get_customer
from core.domain.customers.merge import kept_by
from core.domain.customers.merge_consent import Key, Words, consents_of, fold
from core.domain.customers.merge_profile import gaps, kept_addresses
from core.domain.customers.merge_rows import has_same, tables_to_move
from core.domain.customers.suggestions import rejected_pairs
from core.registry import Registry
from core.sdk.errors import InvalidInput
from core.sdk.personal import PersonalTable
from core.storage.database import Session

FIELDS = ("name", "country", "province", "city", "birthday", "phone", "email")

WARNINGS = {
    "told_apart": "These two, or customers merged into them, were told apart before.",
    "two_accounts": "Both have an id of the same kind in the same shop: two accounts there.",
    "consent_narrowed": "A consent of one of the two is lost, since merging never widens consent.",
}


@dataclass(frozen=True)
class TableCount:
    """How many of the other customer's rows move, and how many stay out as repetitions."""

    name: str
    title: str
    moved: int
    left_out: int


@dataclass(frozen=True)
class FieldChoice:
    """Whose value the merged customer has; `conflict` if both have different ones."""

    field: str
    kept: Literal["id", "other", "none"]
    conflict: bool


@dataclass(frozen=True)
class MergePreview:
    """`into` and `other` are rows of `customers`; `consents` are those of the merged customer."""

    into: Mapping[str, Any]
    other: Mapping[str, Any]
    tables: list[TableCount]
    fields: list[FieldChoice]
    consents: dict[Key, str]
    lost_consents: list[Key]
    warnings: list[str]


async def merge_preview(
    session: Session, registry: Registry, into: int, from_: int
) -> MergePreview:
    """What merging `from_` into `into` would do. Raises NotFound, CustomerMerged, InvalidInput."""
    if into == from_:
        raise InvalidInput("a customer cannot be merged into itself", ("other",))
    kept, lost = await get_customer(session, into), await get_customer(session, from_)
    words = await consents_of(session, [into, from_])
    after = fold(words[into], words[from_], kept_by(registry)({**kept_addresses(kept, lost)}))
    narrowed = _narrowed(words[into], words[from_], after)
    warnings = await _warnings(session, into, from_)
    if narrowed:
        warnings.append("consent_narrowed")
    counts = await _counts(session, registry, into, from_)
    return MergePreview(kept, lost, counts, _fields(kept, lost), after, narrowed, warnings)


def _narrowed(into: Words, from_: Words, after: Words) -> list[Key]:
    """Where one of the two had agreed, and the merged customer has not."""
    return [
        key for key in sorted({*into, *from_})
        if "granted" in (into.get(key), from_.get(key)) and after.get(key) != "granted"
    ]  # fmt: skip


def _fields(kept: Mapping[str, Any], lost: Mapping[str, Any]) -> list[FieldChoice]:
    filled = gaps(kept, lost)
    choices = []
    for name in FIELDS:
        column = f"{name}_index" if name in ("phone", "email") else name
        own, other = kept[column], lost[column]
        choice: Literal["id", "other", "none"] = "none" if own is None else "id"
        if column in filled:
            choice = "other"
        choices.append(
            FieldChoice(name, choice, own is not None and other is not None and own != other)
        )
    return choices


async def _counts(session: Session, registry: Registry, into: int, from_: int) -> list[TableCount]:
    tables = tables_to_move(registry)
    rows = await session.sql.fetch(
        " UNION ALL ".join(_count_sql(number, table) for number, table in enumerate(tables)),
        session.merchant_id, into, from_,
    )  # fmt: skip
    found = {row["number"]: row for row in rows}
    return [
        TableCount(table.name, table.title, found[n]["total"] - found[n]["same"], found[n]["same"])
        for n, table in enumerate(tables)
        if found[n]["total"]
    ]


def _count_sql(number: int, table: PersonalTable) -> str:
    same = has_same(table, "r", "$2") if table.unique else "FALSE"
    return f"""SELECT {number} AS number, count(*) AS total, count(*) FILTER (WHERE {same}) AS same
        FROM {table.table} r
        WHERE r.merchant_id = $1 AND r.{table.customer} = $3 AND $2::bigint IS NOT NULL"""


async def _warnings(session: Session, into: int, from_: int) -> list[str]:
    warnings = []
    if await rejected_pairs(session, [into, from_]):
        warnings.append("told_apart")
    if await session.sql.fetchval(
        """SELECT EXISTS (
               SELECT 1 FROM customer_identities a JOIN customer_identities b
                 ON b.merchant_id = a.merchant_id AND b.scope = a.scope
                AND b.scope_id = a.scope_id AND b.kind = a.kind
               WHERE a.merchant_id = $1 AND a.customer_id = $2 AND b.customer_id = $3
                 AND a.scope = 'shop')""",
        session.merchant_id, into, from_,
    ):  # fmt: skip
        warnings.append("two_accounts")
    return warnings
