"""Values of variables for a group of messages: one statement for each kind of data named."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.domain.campaigns.content.variables import FIELDS, wants
from core.domain.customers.field_values import read_fields
from core.sdk.money import from_minor
from core.storage.database import Session

JOINED = "、"


class Moment(datetime):
    """A time that shows itself as people write it."""

    def __str__(self) -> str:
        return self.strftime("%Y-%m-%d %H:%M")


class Amount(float):
    """An amount that can be compared and reckoned with, and shows all its decimals."""

    def __new__(cls, minor: int, currency: str) -> "Amount":
        made = super().__new__(cls, from_minor(minor, currency))
        made._shown = str(from_minor(minor, currency))
        return made

    def __str__(self) -> str:
        return self._shown

    _shown: str


@dataclass(frozen=True, slots=True)
class Occasion:
    """Whom one message goes to, and what it is about; `key` tells it from the others."""

    key: int
    customer_id: int
    order_id: int | None = None
    parcel_id: int | None = None


async def fetch_values(
    session: Session, names: Collection[str], zone: str, occasions: Iterable[Occasion]
) -> dict[int, dict[str, Any]]:
    """The values of the named variables by the occasions' keys; what has no value is left out.

    What the ledger's row itself brings (name, place, links) is not fetched here.
    """
    asked = list(occasions)
    if not asked:
        return {}
    found: dict[int, dict[str, Any]] = {one.key: {} for one in asked}
    if "now" in names or "today" in names:
        now = _moment(session.now, zone)
        for values in found.values():
            values |= {"now": now, "today": now.date().isoformat()}
    fields = sorted(name[len(FIELDS) :] for name in names if name.startswith(FIELDS))
    if fields:
        _spread(found, await _fields(session, fields, [one.customer_id for one in asked]),
                {one.key: one.customer_id for one in asked})  # fmt: skip
    orders = {one.key: one.order_id for one in asked if one.order_id is not None}
    if orders and wants(names, "order"):
        _spread(found, await _orders(session, names, sorted(set(orders.values()))), orders)
    parcels = {one.key: one.parcel_id for one in asked if one.parcel_id is not None}
    if parcels and wants(names, "parcel"):
        _spread(found, await _parcels(session, sorted(set(parcels.values()))), parcels)
    return found


def _spread(
    found: dict[int, dict[str, Any]],
    values: Mapping[int, Mapping[str, Any]],
    owners: Mapping[int, int],
) -> None:
    """Give each occasion the values of the row that it is about."""
    for key, owner in owners.items():
        for name, value in values.get(owner, {}).items():
            if value is not None and value != "":
                found[key][name] = value


async def _fields(
    session: Session, fields: list[str], customer_ids: list[int]
) -> dict[int, dict[str, Any]]:
    found = await read_fields(session, customer_ids, fields)
    return {
        customer_id: {FIELDS + name: _field_text(one.value) for name, one in values.items()}
        for customer_id, values in found.items()
    }


def _field_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


async def _orders(
    session: Session, names: Collection[str], order_ids: list[int]
) -> dict[int, dict[str, Any]]:
    rows = await session.sql.fetch(
        """SELECT o.id, o.external_id, o.total, o.paid, o.currency, o.ordered_at, o.paid_at,
                  s.name AS shop, s.time_zone,
                  (SELECT count(*) FROM parcels p
                   WHERE p.merchant_id = $1 AND p.order_id = o.id) AS parcels
           FROM orders o JOIN shops s ON s.merchant_id = o.merchant_id AND s.id = o.shop_id
           WHERE o.merchant_id = $1 AND o.id = ANY($2::bigint[])""",
        session.merchant_id, order_ids,
    )  # fmt: skip
    found = {row["id"]: _order(row) for row in rows}
    if any(name.startswith("order.item") for name in names):
        for order_id, items in (await _items(session, order_ids)).items():
            if order_id in found:
                currency = found[order_id]["order.currency"]
                found[order_id] |= _listed(items, currency)
    return found


def _order(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "order.number": row["external_id"],
        "order.shop": row["shop"],
        "order.total": Amount(row["total"], row["currency"]),
        "order.paid": Amount(row["paid"], row["currency"]),
        "order.currency": row["currency"],
        "order.ordered_at": _moment(row["ordered_at"], row["time_zone"]),
        "order.paid_at": row["paid_at"] and _moment(row["paid_at"], row["time_zone"]),
        "order.parcel_count": row["parcels"],
    }


async def _items(session: Session, order_ids: list[int]) -> dict[int, list[Mapping[str, Any]]]:
    rows = await session.sql.fetch(
        """SELECT order_id, title, sku, quantity, amount FROM order_lines
           WHERE merchant_id = $1 AND order_id = ANY($2::bigint[]) ORDER BY order_id, id""",
        session.merchant_id, order_ids,
    )  # fmt: skip
    found: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["order_id"], []).append(row)
    return found


def _listed(rows: list[Mapping[str, Any]], currency: str) -> dict[str, Any]:
    items = [
        {
            "title": row["title"],
            "quantity": row["quantity"],
            **({} if row["sku"] is None else {"sku": row["sku"]}),
            **({} if row["amount"] is None else {"amount": Amount(row["amount"], currency)}),
        }
        for row in rows
    ]
    return {
        "order.items": items,
        "order.item_titles": JOINED.join(row["title"] for row in rows),
        "order.item_count": sum(row["quantity"] for row in rows),
    }


async def _parcels(session: Session, parcel_ids: list[int]) -> dict[int, dict[str, Any]]:
    rows = await session.sql.fetch(
        """SELECT * FROM (
               SELECT id, tracking_number, carrier,
                      row_number() OVER (PARTITION BY order_id ORDER BY shipped_at, id) AS number,
                      count(*) OVER (PARTITION BY order_id) AS count
               FROM parcels WHERE merchant_id = $1 AND order_id IN (
                   SELECT order_id FROM parcels
                   WHERE merchant_id = $1 AND id = ANY($2::bigint[]))) p
           WHERE id = ANY($2::bigint[])""",
        session.merchant_id, parcel_ids,
    )  # fmt: skip
    return {
        row["id"]: {
            "parcel.tracking_number": row["tracking_number"],
            "parcel.carrier": row["carrier"],
            "parcel.number": row["number"],
            "parcel.count": row["count"],
        }
        for row in rows
    }


def _moment(at: datetime, zone: str) -> Moment:
    local = at.astimezone(ZoneInfo(zone))
    return Moment(
        local.year, local.month, local.day, local.hour, local.minute, local.second,
        local.microsecond, local.tzinfo, fold=local.fold,
    )  # fmt: skip
