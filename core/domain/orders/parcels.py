"""Parcels and their traces: scans are only added, and a parcel's state is their fold."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core.domain.customers.identify import lock_customers
from core.domain.orders.waiting import hold
from core.sdk.events import OrderStateChanged, ParcelStateChanged
from core.sdk.orders import OrderState, ParcelRecord, ParcelTrace
from core.storage.database import Work

TAKEN, WAITING = "taken", "waiting"


async def ingest_traces(
    w: Work,
    shop: Mapping[str, Any],
    traces: Sequence[ParcelTrace],
    events: bool,
    since: datetime | None = None,
) -> list[str]:
    """Take in news of a shop's parcels; returns what became of each, in order.

    "taken", or "waiting" where the order is not known yet: such news is kept, and taken in with
    the order. With `events` the changes of stored states are emitted, but for those that happened
    before `since`.
    """
    if not traces:
        return []
    await lock_customers(w)
    orders = await order_ids(w, shop["id"], [trace.order_external_id for trace in traces])
    known = [
        (orders[t.order_external_id], t.parcel) for t in traces if t.order_external_id in orders
    ]
    await hold(w, shop["id"], "parcel", [t for t in traces if t.order_external_id not in orders])
    await write_parcels(w, shop["id"], known, events, since)
    return [TAKEN if t.order_external_id in orders else WAITING for t in traces]


async def order_ids(w: Work, shop_id: int, external_ids: Sequence[str]) -> dict[str, int]:
    """The ids of a shop's orders by their platform's numbers, as far as they are stored."""
    rows = await w.sql.fetch(
        """SELECT external_id, id FROM orders
           WHERE merchant_id = $1 AND shop_id = $2 AND external_id = ANY($3::text[])""",
        w.merchant_id, shop_id, list(external_ids),
    )  # fmt: skip
    return {row[0]: row[1] for row in rows}


async def write_parcels(
    w: Work,
    shop_id: int,
    parcels: Sequence[tuple[int, ParcelRecord]],
    events: bool,
    since: datetime | None = None,
    new: bool = False,
) -> None:
    """Store parcels of orders (by id) and their scans, and what follows for parcels and orders.

    `new` says that the orders were made in this transaction, so that no parcel can be there yet.
    """
    if not parcels:
        return
    carriers: dict[tuple[int, str], str | None] = {}
    for order_id, parcel in parcels:
        key = (order_id, parcel.tracking_number)
        carriers[key] = parcel.carrier or carriers.get(key)
    orders, numbers = zip(*carriers, strict=True)
    if new:
        await w.sql.copy_records_to_table(
            "parcels",
            columns=("merchant_id", "order_id", "tracking_number", "carrier"),
            records=[(w.merchant_id, *key, carrier) for key, carrier in carriers.items()],
        )
    else:
        await _upsert(w, orders, numbers, list(carriers.values()))
    scans = [
        (order_id, parcel.tracking_number, e.kind.value, e.at, e.place, e.text)
        for order_id, parcel in parcels
        for e in parcel.events
    ]
    if scans:
        await _write_scans(w, scans)
        changed = await _fold_traces(w, orders, numbers)
        delivered = await _deliver_orders(w, [row["order_id"] for row in changed])
        if events:
            _emit(w, shop_id, _news(changed, since), _news(delivered, since))


def _news(rows: Sequence[Mapping[str, Any]], since: datetime | None) -> list[Mapping[str, Any]]:
    return [row for row in rows if since is None or row["at"] >= since]


async def _upsert(
    w: Work, orders: Sequence[int], numbers: Sequence[str], carriers: Sequence[str | None]
) -> None:
    await w.sql.execute(
        """INSERT INTO parcels (merchant_id, order_id, tracking_number, carrier)
           SELECT $1, u.* FROM unnest($2::bigint[], $3::text[], $4::text[]) AS u
           ON CONFLICT (merchant_id, order_id, tracking_number)
               DO UPDATE SET carrier = excluded.carrier
               WHERE parcels.carrier IS DISTINCT FROM excluded.carrier
                 AND excluded.carrier IS NOT NULL""",
        w.merchant_id, orders, numbers, carriers,
    )  # fmt: skip


async def _write_scans(w: Work, scans: Sequence[tuple[Any, ...]]) -> None:
    await w.sql.execute(
        """INSERT INTO parcel_events (merchant_id, parcel_id, kind, at, place, text)
           SELECT p.merchant_id, p.id, u.kind, u.at, u.place, u.text
           FROM unnest($2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::text[],
                       $7::text[]) AS u (order_id, number, kind, at, place, text)
           JOIN parcels p ON p.merchant_id = $1 AND p.order_id = u.order_id
                         AND p.tracking_number = u.number
           ON CONFLICT (merchant_id, parcel_id, kind, at) DO NOTHING""",
        w.merchant_id, *zip(*scans, strict=True),
    )  # fmt: skip


async def _fold_traces(
    w: Work, orders: Sequence[int], numbers: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Set the parcels' states by their scans; returns those whose state changed.

    Returned outweighs signed, and signed every other scan, since scans come late and in disorder;
    else the latest counts, and of several at one instant the furthest.
    """
    rows = await w.sql.fetch(
        """WITH touched AS MATERIALIZED (
               SELECT p.id, p.order_id, p.state AS old_state
               FROM unnest($2::bigint[], $3::text[]) AS u (order_id, number)
               JOIN parcels p ON p.merchant_id = $1 AND p.order_id = u.order_id
                             AND p.tracking_number = u.number),
           folded AS (
               SELECT t.id,
                   (array_agg(e.kind ORDER BY
                        array_position('{returned,signed}'::text[], e.kind) NULLS LAST,
                        e.at DESC,
                        array_position('{failed,out_for_delivery,arrived_city,in_transit}'::text[],
                                       e.kind) NULLS LAST))[1] AS state,
                   min(e.at) FILTER (WHERE e.kind = 'shipped') AS shipped_at,
                   min(e.at) FILTER (WHERE e.kind = 'signed') AS signed_at,
                   max(e.at) AS last_event_at
               FROM touched t
               JOIN parcel_events e ON e.merchant_id = $1 AND e.parcel_id = t.id
               GROUP BY t.id),
           updated AS (
               UPDATE parcels p SET state = f.state, shipped_at = f.shipped_at,
                      signed_at = f.signed_at, last_event_at = f.last_event_at
               FROM folded f WHERE p.merchant_id = $1 AND p.id = f.id
               RETURNING p.id, p.state, p.last_event_at)
           SELECT t.id, t.order_id, t.old_state, u.state, o.customer_id, u.last_event_at AS at
           FROM updated u JOIN touched t USING (id)
           JOIN orders o ON o.merchant_id = $1 AND o.id = t.order_id
           WHERE u.state IS DISTINCT FROM t.old_state ORDER BY t.id""",
        w.merchant_id, orders, numbers,
    )  # fmt: skip
    return [dict(row) for row in rows]


async def _deliver_orders(w: Work, order_ids: Sequence[int]) -> list[Mapping[str, Any]]:
    """An order all of whose parcels were signed is delivered, though no platform may say so."""
    rows: list[Mapping[str, Any]] = await w.sql.fetch(
        """UPDATE orders o SET state = 'delivered', delivered_at = signed.at
           FROM (SELECT order_id, max(signed_at) AS at FROM parcels
                 WHERE merchant_id = $1 AND order_id = ANY($2::bigint[])
                 GROUP BY order_id HAVING bool_and(state IS NOT DISTINCT FROM 'signed')) signed
           WHERE o.merchant_id = $1 AND o.id = signed.order_id AND o.state = 'shipped'
           RETURNING o.id, o.customer_id, o.delivered_at AS at""",
        w.merchant_id, list(order_ids),
    )  # fmt: skip
    return rows


def _emit(
    w: Work,
    shop_id: int,
    changed: Sequence[Mapping[str, Any]],
    delivered: Sequence[Mapping[str, Any]],
) -> None:
    for row in delivered:
        w.emit(
            OrderStateChanged(
                row["id"],
                shop_id,
                row["customer_id"],
                OrderState.SHIPPED.value,
                OrderState.DELIVERED.value,
            )
        )
    for row in changed:
        w.emit(
            ParcelStateChanged(
                row["id"],
                row["order_id"],
                shop_id,
                row["customer_id"],
                row["old_state"],
                row["state"],
            )
        )
