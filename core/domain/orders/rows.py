"""From a row of a file to an order's record. No I/O."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from core.domain.customers.contacts import normalise_email, normalise_phone
from core.domain.customers.places import place_of, province_of
from core.domain.orders.content import WHOLE_ORDER
from core.sdk.orders import LineRecord, OrderFormat, OrderRecord, OrderState, ParcelRecord
from core.tabular.bulk import RowError
from core.tabular.cells import (
    BLANK,
    clean,
    parse_amount,
    parse_quantity,
    parse_time,
)

CACHED = 50_000
TITLE_LIMIT = 1000
LIMITS = {
    "order_id": 64, "buyer_id": 200, "name": 200, "province": 100, "city": 100, "address": 2000,
    "line_id": 100, "sku": 200, "tracking_numbers": 1000, "carrier": 100, "state": 100,
    "phone": 200, "email": 320,
}  # fmt: skip
PARCEL_LIMIT = 100
BETWEEN_PARCELS = re.compile(r"[,;、，；\s]+")
PARCEL_PREFIX = re.compile(r"^(?:No|单号)\s*[:：.]\s*", re.IGNORECASE)
LOST_DIGITS = re.compile(r"[0-9](?:\.[0-9]+)?E\+?[0-9]+", re.IGNORECASE)
ZERO_DATES = frozenset({"0000-00-00 00:00:00", "0000-00-00", "0"})


@dataclass(frozen=True)
class Plan:
    """How the rows of one file are read. `columns` as of `find_columns`."""

    format: OrderFormat
    columns: Mapping[str, tuple[int, ...]]
    headers: Sequence[str]
    zone: ZoneInfo
    currency: str

    def header_of(self, field: str | None) -> str | None:
        """The header of the column that carries a field."""
        if field is None or field not in self.columns:
            return field
        return self.headers[self.columns[field][0]]


class RowParser:
    """Reads rows after a plan. Remembers what repeats from row to row: states, amounts, places."""

    def __init__(self, plan: Plan) -> None:
        self.width = len(plan.headers)
        self.zone = plan.zone
        self.currency = plan.currency
        self._states = {_state_key(key): state for key, state in plan.format.states.items()}
        self._at = {field: columns[0] for field, columns in plan.columns.items()}
        self._phones = plan.columns.get("phone", ())
        self._emails = plan.columns.get("email", ())
        self._amounts: dict[tuple[str, str], int] = {}
        self._seen_states: dict[str, OrderState] = {}
        self._times = {
            field: self._at[field]
            for field in ("paid_at", "shipped_at", "closed_at", "modified_at")
            if field in self._at
        }
        self._has_place = "province" in self._at or "city" in self._at

    def order_id(self, row: Sequence[str]) -> str:
        """The order's number in a row, as far as there is one."""
        position = self._at["order_id"]
        return clean(row[position]) if position < len(row) else ""

    def __call__(self, row: list[str]) -> OrderRecord:
        """The row's record. Raises RowError."""
        if len(row) != self.width:
            self._fit(row)
        currency = self.currency
        if "currency" in self._at:
            currency = self._currency(row)
        order_id = self._order_id(row)
        shown_state, state = self._state(row)
        times = {field: self._optional_time(row, field, at) for field, at in self._times.items()}
        paid_at = times.get("paid_at")
        paid, total = self._paid_and_total(row, currency, state, paid_at)
        if state is OrderState.CLOSED_UNPAID and (paid_at is not None or paid > 0):
            state = OrderState.CLOSED_REFUNDED  # platforms call both "closed"
        refunded = self._amount(row, "refunded", currency)
        if refunded is None:
            refunded = paid if state is OrderState.CLOSED_REFUNDED else 0
        address = self._text(row, "address")
        province, city = self._place(row, address)
        return OrderRecord(
            external_id=order_id,
            state=state,
            currency=currency,
            total=total,
            paid=paid,
            ordered_at=self._time(row),
            refunded=refunded,
            platform_state=shown_state,
            paid_at=paid_at,
            shipped_at=times.get("shipped_at"),
            closed_at=times.get("closed_at"),
            modified_at=times.get("modified_at"),
            buyer_id=self._buyer_id(row),
            name=self._text(row, "name"),
            phone=self._phone(row),
            email=self._email(row),
            province=province,
            city=city,
            address=address,
            lines=self._lines(row, currency),
            parcels=self._parcels(row),
        )

    def _fit(self, row: list[str]) -> None:
        if any(cell.strip() for cell in row[self.width :]):
            raise RowError("COLUMN_COUNT", None, "the row has more cells than there are headers")
        del row[self.width :]
        row.extend([""] * (self.width - len(row)))

    def _text(self, row: Sequence[str], field: str) -> str | None:
        position = self._at.get(field)
        if position is None:
            return None
        text = clean(row[position])
        if text in BLANK:
            return None
        if len(text) > LIMITS[field]:
            raise RowError("TOO_LONG", field, f"longer than {LIMITS[field]} characters")
        return text

    def _order_id(self, row: Sequence[str]) -> str:
        text = self._text(row, "order_id")
        if text is None:
            raise RowError("REQUIRED", "order_id", "the order has no number")
        if not text.isdecimal():
            if text[0] == "=":
                raise RowError("FORMULA", "order_id", "a formula is no order number")
            if LOST_DIGITS.fullmatch(text):
                raise RowError(
                    "LOST_DIGITS", "order_id",
                    "a spreadsheet has rounded the number: export it anew and do not save it there",
                )  # fmt: skip
        return text

    def _buyer_id(self, row: Sequence[str]) -> str | None:
        text = self._text(row, "buyer_id")
        return None if text is None or "*" in text else text

    def _state(self, row: Sequence[str]) -> tuple[str, OrderState]:
        text = self._text(row, "state")
        if text is None:
            raise RowError("REQUIRED", "state", "the order has no state")
        state = self._seen_states.get(text)
        if state is None:
            state = self._states.get(_state_key(text))
            if state is None:
                raise RowError("BAD_STATE", "state", "the format knows no such state")
            self._seen_states[text] = state
        return text, state

    def _currency(self, row: Sequence[str]) -> str:
        text = clean(row[self._at["currency"]]).upper()
        if text in BLANK:
            return self.currency
        if len(text) != 3 or not text.isascii() or not text.isalpha():
            raise RowError("BAD_CURRENCY", "currency", "not a currency code; write it as CNY")
        return text

    def _time(self, row: Sequence[str]) -> datetime:
        moment = self._optional_time(row, "ordered_at", self._at["ordered_at"])
        if moment is None:
            raise RowError("REQUIRED", "ordered_at", "the order has no date")
        return moment

    def _optional_time(self, row: Sequence[str], field: str, position: int) -> datetime | None:
        text = clean(row[position])
        if text in BLANK or text in ZERO_DATES:
            return None
        try:
            return parse_time(text, self.zone)
        except (ValueError, OverflowError) as error:
            raise RowError("BAD_DATE", field, str(error)) from None

    def _amount(self, row: Sequence[str], field: str, currency: str) -> int | None:
        position = self._at.get(field)
        if position is None:
            return None
        text = clean(row[position])
        if text in BLANK:
            return None
        amount = self._amounts.get((text, currency))
        if amount is None:
            try:
                amount = parse_amount(text, currency)
            except ValueError as error:
                # the sdk's own words would quote the cell
                reason = str(error) if "not" in str(error)[:18] else "not an amount of the currency"
                raise RowError("BAD_AMOUNT", field, reason) from None
            if len(self._amounts) >= CACHED:
                self._amounts.clear()
            self._amounts[text, currency] = amount
        return amount

    def _paid_and_total(
        self, row: Sequence[str], currency: str, state: OrderState, paid_at: datetime | None
    ) -> tuple[int, int]:
        total, paid = self._amount(row, "total", currency), self._amount(row, "paid", currency)
        if total is None and paid is None:
            raise RowError("REQUIRED", "paid", "the order has no amount")
        if paid is None:
            unpaid = state is OrderState.CREATED_UNPAID or (
                state is OrderState.CLOSED_UNPAID and paid_at is None
            )
            paid = 0 if unpaid else total
        assert paid is not None
        return paid, paid if total is None else total

    def _phone(self, row: Sequence[str]) -> str | None:
        for position in self._phones:
            text = clean(row[position])
            if text not in BLANK and (phone := normalise_phone(text)):
                return phone
        return None

    def _email(self, row: Sequence[str]) -> str | None:
        for position in self._emails:
            text = clean(row[position])
            if "@" in text and (email := normalise_email(text)):
                return email
        return None

    def _place(self, row: Sequence[str], address: str | None) -> tuple[str | None, str | None]:
        if self._has_place:
            province, city = self._text(row, "province"), self._text(row, "city")
            if province is not None:
                return province_of(province), city
            if city is not None:
                return None, city
        return (None, None) if address is None else place_of(address)

    def _lines(self, row: Sequence[str], currency: str) -> list[LineRecord]:
        if "title" not in self._at:
            return []
        title = clean(row[self._at["title"]])
        if title in BLANK:
            return []
        sku = self._text(row, "sku")
        line_id = self._text(row, "line_id") or (sku[:100] if sku else WHOLE_ORDER)
        amount = self._amount(row, "amount", currency)
        return [LineRecord(line_id, title[:TITLE_LIMIT], self._quantity(row), sku, amount)]

    def _quantity(self, row: Sequence[str]) -> int:
        position = self._at.get("quantity")
        text = "" if position is None else clean(row[position])
        if text == "1" or text in BLANK:
            return 1
        try:
            return parse_quantity(text)
        except ValueError as error:
            raise RowError("BAD_NUMBER", "quantity", str(error)) from None

    def _parcels(self, row: Sequence[str]) -> list[ParcelRecord]:
        text = self._text(row, "tracking_numbers")
        if text is None:
            return []
        carrier = self._text(row, "carrier")
        parcels = []
        for part in BETWEEN_PARCELS.split(PARCEL_PREFIX.sub("", text)):
            number = PARCEL_PREFIX.sub("", part)
            if number in BLANK or number in ("No:", "No："):
                continue
            if len(number) > PARCEL_LIMIT:
                raise RowError("TOO_LONG", "tracking_numbers", "a parcel's number is too long")
            parcels.append(ParcelRecord(number, carrier))
        return parcels


def _state_key(text: str) -> str:
    return text.replace("，", ",").replace(" ", "").casefold()
