"""Packing: what is in a parcel, and that it was packed, confirmed by its barcode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.sdk import InvalidInput, NotFound, WrongState
from plugins.packages import codes
from plugins.packages.events import PackagesParcelPacked
from plugins.packages.outcomes import Outcome

PREFIX = "HP"
"""What barcodes of parcels begin with, so that no other code is taken for one."""

LATE = "p.late IS NOT NULL AND p.packed_at IS NULL"
"""A condition on parcel `p`: its order changed since it was decided, and it is not packed."""

PARCELS = """(SELECT p.*, o.external_id, s.name AS shop, c.name AS customer
   FROM packages_parcels p
   JOIN orders o ON o.merchant_id = p.merchant_id AND o.id = p.order_id
   JOIN shops s ON s.merchant_id = p.merchant_id AND s.id = o.shop_id
   LEFT JOIN customers c ON c.merchant_id = p.merchant_id AND c.id = p.customer_id) p"""
"""The FROM clause of rows for `parcel_of`."""


@dataclass(frozen=True)
class Item:
    """An insert that goes into a parcel."""

    name: str
    kind: str
    sku: str | None
    text: str | None
    coupon_code: str | None


@dataclass(frozen=True)
class Parcel:
    """A parcel of a wave. `late` is "closed" or "refund" if that has happened since."""

    id: int
    wave_id: int
    order_id: int
    order_number: str
    shop: str
    customer_id: int | None
    customer_name: str | None
    number: int
    count: int
    packed_at: datetime | None
    late: str | None
    remark: str | None
    remark_reason: str | None
    items: Sequence[Item]

    @property
    def code(self) -> str:
        """What its barcode says."""
        return code_of(self.id)


@dataclass(frozen=True)
class Card:
    """A parcel and its inserts, each with what it says to the customer."""

    parcel: Parcel
    items: Sequence[tuple[Item, str | None]]


def code_of(parcel_id: int) -> str:
    """A parcel's barcode: its number with a check digit (ISO/IEC 7812, Luhn)."""
    return f"{PREFIX}{parcel_id}{_check_digit(str(parcel_id))}"


def read_code(code: str, path: tuple[str, ...] = ("input", "code")) -> int:
    """The parcel's id in a barcode. Raises InvalidInput for one that was misread."""
    digits = code.strip().upper().removeprefix(PREFIX)
    sound = digits.isascii() and digits.isdecimal() and 2 <= len(digits) <= 19
    if (
        not sound
        or not code.strip().upper().startswith(PREFIX)
        or _check_digit(digits[:-1]) != int(digits[-1])
    ):
        raise InvalidInput("this is not the barcode of a parcel: scan it again", path)
    return int(digits[:-1])


def _check_digit(digits: str) -> int:
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits))]
    return -sum(value // 10 + value % 10 for value in doubled) % 10


async def parcels_of(
    session: Any, *, wave_id: int | None = None, parcel_id: int | None = None
) -> list[Parcel]:
    """The parcels of a wave in the order of their packing, or one."""
    rows = await session.sql.fetch(
        f"""SELECT * FROM {PARCELS}
           WHERE p.merchant_id = $1 AND ($2::bigint IS NULL OR p.wave_id = $2)
             AND ($3::bigint IS NULL OR p.id = $3) ORDER BY p.id""",
        session.merchant_id, wave_id, parcel_id,
    )  # fmt: skip
    items = await items_by_parcel(session, [row["id"] for row in rows])
    return [parcel_of(row, items.get(row["id"], [])) for row in rows]


def parcel_of(row: Any, items: Sequence[Item] = ()) -> Parcel:
    return Parcel(
        row["id"], row["wave_id"], row["order_id"], row["external_id"], row["shop"],
        row["customer_id"], row["customer"], row["number"], row["count"], row["packed_at"],
        row["late"], row["remark"], row["remark_reason"], items,
    )  # fmt: skip


async def items_by_parcel(session: Any, parcel_ids: Sequence[int]) -> dict[int, list[Item]]:
    rows: Sequence[Mapping[str, Any]] = await session.sql.fetch(
        """SELECT c.parcel_id, i.name, i.kind, i.sku, i.text,
                  COALESCE(c.code, i.coupon_code) AS coupon_code
           FROM packages_choices c
           JOIN packages_inserts i ON i.merchant_id = $1 AND i.id = c.insert_id
           WHERE c.merchant_id = $1 AND c.parcel_id = ANY($2::bigint[]) AND c.outcome = $3
           ORDER BY c.parcel_id, i.kind, i.name""",
        session.merchant_id, parcel_ids, int(Outcome.GIVEN),
    )  # fmt: skip
    found: dict[int, list[Item]] = {}
    for row in rows:
        item = Item(row["name"], row["kind"], row["sku"], row["text"], row["coupon_code"])
        found.setdefault(row["parcel_id"], []).append(item)
    return found


async def need_wave(session: Any, wave_id: int, path: tuple[str, ...] = ("id",)) -> Any:
    """A wave's row. Raises NotFound."""
    row = await session.sql.fetchrow(
        "SELECT * FROM packages_waves WHERE merchant_id = $1 AND id = $2",
        session.merchant_id, wave_id,
    )  # fmt: skip
    if row is None:
        raise NotFound(f"there is no wave {wave_id}", path)
    return row


async def hold_parcel(w: Any, code: str) -> Mapping[str, Any]:
    """The row that a code names, locked. Raises InvalidInput for a code misread, NotFound."""
    row = await w.sql.fetchrow(
        "SELECT * FROM packages_parcels WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, read_code(code),
    )  # fmt: skip
    if row is None:
        raise NotFound("there is no parcel of this code", ("input", "code"))
    return row  # type: ignore[no-any-return]


async def confirm_parcel(w: Any, registry: Any, code: str) -> Parcel:
    """It is packed: what was reserved leaves the stock, and its coupons are the customer's. Again,
    nothing happens.

    Raises InvalidInput for a code misread, NotFound, and WrongState for a parcel whose order was
    closed meanwhile: its inserts are back in the stock.
    """
    row = await hold_parcel(w, code)
    parcel_id = row["id"]
    if row["packed_at"] is None:
        if row["late"] == "closed":
            raise WrongState("the order was closed: do not send this parcel", ("input", "code"))
        await _pack(w, parcel_id)
        await codes.give(w, registry, parcel_id)
    (parcel,) = await parcels_of(w, parcel_id=parcel_id)
    return parcel


async def _pack(w: Any, parcel_id: int) -> None:
    packed = await w.sql.fetchrow(
        # a remark that says that it is not packed will be written over
        """UPDATE packages_parcels SET packed_at = $3, packed_by = $4,
                  remark = NULLIF(remark, 'stale')
           WHERE merchant_id = $1 AND id = $2 RETURNING order_id, customer_id""",
        w.merchant_id, parcel_id, w.now, w.actor,
    )  # fmt: skip
    await move_stock(w, parcel_id, -1)
    w.emit(PackagesParcelPacked(parcel_id, packed["order_id"], packed["customer_id"]))


async def move_stock(w: Any, parcel_id: int, sign: int) -> None:
    """What was reserved for a parcel leaves the stock (-1), or comes back to be reserved (1)."""
    await w.sql.execute(
        """UPDATE packages_stock s SET on_hand = GREATEST(s.on_hand + $4 * n.n, 0),
                  reserved = GREATEST(s.reserved + $4 * n.n, 0)
           FROM (SELECT c.insert_id, v.warehouse, count(*)::int AS n
                 FROM packages_choices c
                 JOIN packages_parcels p ON p.merchant_id = $1 AND p.id = c.parcel_id
                 JOIN packages_waves v ON v.merchant_id = $1 AND v.id = p.wave_id
                 WHERE c.merchant_id = $1 AND c.parcel_id = $2 AND c.outcome = $3
                 GROUP BY 1, 2) n
           WHERE s.merchant_id = $1 AND s.insert_id = n.insert_id
             AND s.warehouse = n.warehouse""",
        w.merchant_id, parcel_id, int(Outcome.GIVEN), sign,
    )  # fmt: skip
