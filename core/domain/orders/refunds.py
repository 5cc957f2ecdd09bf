"""Refunds and returns: guarded snapshots, and what they change of their orders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

import orjson

from core.domain.customers.identify import lock_customers
from core.domain.orders.facts import refresh_facts
from core.domain.orders.parcels import order_ids
from core.domain.orders.waiting import hold
from core.sdk.events import RefundStateChanged
from core.sdk.orders import TERMINAL_REFUND_STATES, RefundRecord, RefundState
from core.storage.database import Work

CREATED, UPDATED, UNCHANGED, WAITING = "created", "updated", "unchanged", "waiting"

PROGRESS = {
    RefundState.REQUESTED: 0, RefundState.REFUSED: 1, RefundState.AWAIT_RETURN: 1,
    RefundState.RETURN_IN_TRANSIT: 2, RefundState.REFUNDED: 3, RefundState.CANCELLED: 3,
    RefundState.RESOLVED: 3,
}  # fmt: skip

COLUMNS = (
    "external_id", "order_id", "line_id", "kind", "state", "platform_state", "reason", "amount",
    "quantity", "tracking_number", "carrier", "requested_at", "refunded_at", "closed_at",
    "modified_at", "content_hash",
)  # fmt: skip
KEPT = (
    "line_id", "platform_state", "reason", "quantity", "tracking_number", "carrier",
    "refunded_at", "closed_at", "modified_at",
)  # fmt: skip
"""Columns that a newer snapshot keeps where it tells nothing."""


@dataclass(slots=True)
class _Stored:
    id: int
    state: RefundState
    modified_at: datetime | None
    content_hash: bytes


async def ingest_refunds(
    w: Work,
    shop: Mapping[str, Any],
    records: Sequence[RefundRecord],
    events: bool,
    since: datetime | None = None,
) -> list[str]:
    """Take in snapshots of a shop's refunds; returns the outcome of each, in order.

    "created", "updated", "unchanged" (the same content, or an older snapshot), or "waiting" where
    the order is not known yet: such a refund is kept, and taken in with the order. An order's
    `refunded` is at least the sum of its refunds that were paid out. With `events` the changes of
    stored states are emitted, but for those that their platform dates before `since`.
    """
    if not records:
        return []
    await lock_customers(w)
    newest: dict[str, RefundRecord] = {}
    for record in records:
        before = newest.get(record.external_id)
        if before is None or not is_older(record, before.state, before.modified_at):
            newest[record.external_id] = record
    orders = await order_ids(w, shop["id"], [r.order_external_id for r in newest.values()])
    known = [record for record in newest.values() if record.order_external_id in orders]
    early = [record for record in newest.values() if record.order_external_id not in orders]
    await hold(w, shop["id"], "refund", early)
    stored = await _stored(w, shop["id"], [record.external_id for record in known])
    outcomes = {record.external_id: WAITING for record in newest.values()}
    taken = []
    for record in known:
        digest = blake2b(orjson.dumps(record), digest_size=16).digest()
        outcome = _judge(record, digest, stored.get(record.external_id))
        outcomes[record.external_id] = outcome
        if outcome != UNCHANGED:
            taken.append((record, digest))
    if taken:
        await _write(w, shop["id"], taken, orders, stored, events, since)
    return [outcomes[record.external_id] for record in records]


def is_older(record: RefundRecord, state: RefundState, modified_at: datetime | None) -> bool:
    """Whether a snapshot is older than what is known; a terminal state is never left."""
    if state in TERMINAL_REFUND_STATES and record.state != state:
        return True
    if record.modified_at is not None and modified_at is not None:
        return record.modified_at < modified_at
    return PROGRESS[record.state] < PROGRESS[state]


def _judge(record: RefundRecord, digest: bytes, before: _Stored | None) -> str:
    if before is None:
        return CREATED
    if digest == before.content_hash or is_older(record, before.state, before.modified_at):
        return UNCHANGED
    return UPDATED


async def _stored(w: Work, shop_id: int, external_ids: list[str]) -> dict[str, _Stored]:
    rows = await w.sql.fetch(
        """SELECT external_id, id, state, modified_at, content_hash FROM refunds
           WHERE merchant_id = $1 AND shop_id = $2 AND external_id = ANY($3::text[])""",
        w.merchant_id, shop_id, external_ids,
    )  # fmt: skip
    return {r[0]: _Stored(r[1], RefundState(r[2]), r[3], r[4]) for r in rows}


async def _write(
    w: Work,
    shop_id: int,
    taken: Sequence[tuple[RefundRecord, bytes]],
    orders: Mapping[str, int],
    stored: Mapping[str, _Stored],
    events: bool,
    since: datetime | None,
) -> None:
    lines = await _line_ids(w, [orders[r.order_external_id] for r, _ in taken])
    rows = [_row(record, digest, orders, lines) for record, digest in taken]
    sets = [
        f"{name} = COALESCE(excluded.{name}, refunds.{name})" if name in KEPT
        else f"{name} = excluded.{name}"
        for name in COLUMNS if name not in ("external_id", "order_id")
    ]  # fmt: skip
    ids = await w.sql.fetch(
        f"""INSERT INTO refunds (merchant_id, shop_id, taken_at, {", ".join(COLUMNS)})
            SELECT $1, $2, $3, u.* FROM unnest(
                $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[],
                $10::text[], $11::bigint[], $12::int[], $13::text[], $14::text[],
                $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::timestamptz[],
                $19::bytea[]) AS u
            ON CONFLICT (merchant_id, shop_id, external_id)
                DO UPDATE SET taken_at = excluded.taken_at, {", ".join(sets)}
            RETURNING external_id, id""",
        w.merchant_id, shop_id, w.now, *zip(*rows, strict=True),
    )  # fmt: skip
    customers = await _update_orders(w, {row[1] for row in rows})
    await refresh_facts(w, [found for found in customers.values() if found is not None])
    if events:
        news = [
            record
            for record, _ in taken
            if since is None or (record.modified_at or record.requested_at) >= since
        ]
        _emit(w, shop_id, news, orders, stored, {row[0]: row[1] for row in ids}, customers)


async def _line_ids(w: Work, order_ids: Sequence[int]) -> dict[tuple[int, str], int]:
    rows = await w.sql.fetch(
        """SELECT order_id, external_id, id FROM order_lines
           WHERE merchant_id = $1 AND order_id = ANY($2::bigint[])""",
        w.merchant_id, list(order_ids),
    )  # fmt: skip
    return {(row[0], row[1]): row[2] for row in rows}


def _row(
    record: RefundRecord,
    digest: bytes,
    orders: Mapping[str, int],
    lines: Mapping[tuple[int, str], int],
) -> tuple[Any, ...]:
    order_id = orders[record.order_external_id]
    line = record.line_external_id
    return (
        record.external_id, order_id, lines.get((order_id, line)) if line else None,
        record.kind.value, record.state.value, record.platform_state, record.reason,
        record.amount, record.quantity, record.tracking_number, record.carrier,
        record.requested_at, record.refunded_at, record.closed_at, record.modified_at, digest,
    )  # fmt: skip


async def _update_orders(w: Work, order_ids: set[int]) -> dict[int, int | None]:
    """Raise the orders' refunded amounts to what was paid out; returns the orders' customers."""
    await w.sql.execute(
        f"""UPDATE orders o SET refunded = GREATEST(o.refunded, {PAID_OUT})
            WHERE o.merchant_id = $1 AND o.id = ANY($2::bigint[]) AND o.refunded < {PAID_OUT}""",
        w.merchant_id, list(order_ids),
    )  # fmt: skip
    rows = await w.sql.fetch(
        "SELECT id, customer_id FROM orders WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        w.merchant_id, list(order_ids),
    )  # fmt: skip
    return {row[0]: row[1] for row in rows}


PAID_OUT = """(SELECT COALESCE(sum(r.amount), 0) FROM refunds r
    WHERE r.merchant_id = o.merchant_id AND r.order_id = o.id AND r.state = 'refunded')"""
"""The sum of the refunds of order `o` that were paid out."""


def _emit(
    w: Work,
    shop_id: int,
    records: Sequence[RefundRecord],
    orders: Mapping[str, int],
    stored: Mapping[str, _Stored],
    ids: Mapping[str, int],
    customers: Mapping[int, int | None],
) -> None:
    for record in records:
        before = stored.get(record.external_id)
        if before is None or before.state != record.state:
            order_id = orders[record.order_external_id]
            w.emit(
                RefundStateChanged(
                    ids[record.external_id],
                    order_id,
                    shop_id,
                    customers[order_id],
                    record.kind.value,
                    None if before is None else before.state.value,
                    record.state.value,
                )
            )
