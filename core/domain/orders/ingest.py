"""Taking orders in: sets of normalised records, from files, connectors and the API alike.

The same record twice, records out of order and two writers at once are harmless: what is stored
decides, and events come from the changes of stored states.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from operator import attrgetter
from typing import Any

import orjson

from core.domain.customers.identify import Person, identify, lock_customers, save
from core.domain.orders.content import WHOLE_ORDER, content_hash, content_key, same_person
from core.domain.orders.facts import first_facts, refresh_facts
from core.domain.orders.parcels import ingest_traces, write_parcels
from core.domain.orders.refunds import PAID_OUT, ingest_refunds
from core.domain.orders.reviews import follow_orders, ingest_reviews
from core.domain.orders.waiting import release
from core.sdk.events import OrderCreated, OrderStateChanged
from core.sdk.identities import Identity
from core.sdk.orders import TERMINAL_STATES, LineRecord, OrderRecord, OrderState, ParcelRecord
from core.storage.database import Work

CREATED, UPDATED, UNCHANGED, INCOMPLETE = "created", "updated", "unchanged", "incomplete"

PROGRESS = {
    OrderState.CREATED_UNPAID: 0, OrderState.PAID_ON_HOLD: 1, OrderState.TO_SHIP: 1,
    OrderState.PART_SHIPPED: 2, OrderState.SHIPPED: 3, OrderState.DELIVERED: 4,
    OrderState.COMPLETED: 5, OrderState.CLOSED_UNPAID: 6, OrderState.CLOSED_REFUNDED: 6,
}  # fmt: skip

REQUIRED = attrgetter("begins_as", "currency", "total", "paid", "ordered_at")
"""What a record must tell of an order that is not stored yet."""

ORDER_COLUMNS = (
    "merchant_id", "id", "shop_id", "external_id", "customer_id", "buyer_id", "state",
    "platform_state", "currency", "total", "paid", "refunded", "ordered_at", "paid_at",
    "shipped_at", "delivered_at", "closed_at", "province", "city", "receiver_sealed",
    "modified_at", "in_dispute", "content_hash", "taken_at",
)  # fmt: skip


@dataclass(slots=True)
class Stored:
    """What is stored of an order, as far as a new snapshot is judged by it."""

    id: int
    customer_id: int | None
    buyer_id: str | None
    state: OrderState
    modified_at: datetime | None
    content_hash: bytes
    erased: bool
    currency: str
    paid: int
    refunded: int
    paid_at: datetime | None


@dataclass(slots=True)
class _Taken:
    """A record that is written: its order's id and customer, and what was stored before."""

    record: OrderRecord
    content_hash: bytes
    before: Stored | None
    state: OrderState
    id: int = 0
    customer_id: int | None = None

    @property
    def same_person(self) -> bool:
        """Whether the buyer is known and the record tells nothing new about him."""
        return (
            self.before is not None
            and self.before.customer_id is not None
            and same_person(self.content_hash, self.before.content_hash)
        )


async def ingest_orders(
    w: Work,
    shop: Mapping[str, Any],
    records: Sequence[OrderRecord],
    identity_kind: str,
    events: bool,
    digests: Sequence[bytes] | None = None,
    since: datetime | None = None,
) -> list[str]:
    """Take in a set of snapshots of one shop's orders; returns the outcome of each, in order.

    "created", "updated", "unchanged" (the same content, or an older snapshot than the stored
    one), or "incomplete" (not stored yet, and the record lacks what a new order needs: nothing
    was written, ask the platform for the whole order). A record that repeats an order of the set
    counts as its update. `shop` is the shop's row, `identity_kind` names the records' buyer ids.
    With `events` the changes of stored states are emitted; history is taken in without. What lies
    before `since` is history: orders placed before it that are new here, and changes that their
    platform dates before it. `digests` are the records' content hashes, if the caller has them.
    """
    if not records:
        return []
    folded, places = fold(records)
    if digests is None or len(folded) != len(records):
        hash_key = content_key(w.keyring, w.merchant_id)
        digests = [content_hash(record, hash_key) for record in folded]
    await lock_customers(w)
    stored = await _stored(w, shop["id"], [record.external_id for record in folded])
    taken, outcomes = [], []
    for record, digest in zip(folded, digests, strict=True):
        before = stored.get(record.external_id)
        outcome = judge(record, digest, before)
        outcomes.append(outcome)
        if outcome in (CREATED, UPDATED):
            taken.append(_Taken(record, digest, before, _next_state(record, before)))
    if taken:
        made = await _find_customers(w, shop["id"], taken, identity_kind)
        await _write(w, shop["id"], taken)
        if events:
            _emit(w, shop["id"], taken, since)
        for new in (True, False):
            await write_parcels(w, shop["id"], _parcels_of(taken, new), events, since, new)
        await _refresh_facts(w, taken, made)
        await _take_waiting(w, shop, taken, events, since)
    return _outcome_of_each(places, outcomes)


def fold(records: Sequence[OrderRecord]) -> tuple[list[OrderRecord], list[int]]:
    """The set's orders, each once, and for every record the place of its order among them."""
    orders: list[OrderRecord] = []
    place_of: dict[str, int] = {}
    places = []
    for record in records:
        place = place_of.get(record.external_id)
        if place is None:
            place_of[record.external_id] = place = len(orders)
            orders.append(record)
        else:
            orders[place] = _folded(orders[place], record)
        places.append(place)
    return orders, places


def _folded(first: OrderRecord, second: OrderRecord) -> OrderRecord:
    """Two snapshots of one order as one: the newer speaks, with the lines and parcels of both."""
    older, newer = (
        (second, first) if is_older(second, first.state, first.modified_at) else (first, second)
    )
    told = {
        one.name: value
        for one in fields(OrderRecord)
        if (value := getattr(newer, one.name)) is not None
    }
    lines = {line.external_id: line for line in (*older.lines, *newer.lines)}
    told |= {"lines": list(lines.values()), "parcels": [*older.parcels, *newer.parcels]}
    told["identities"] = [*older.identities, *newer.identities]
    return replace(older, **told)


def is_older(record: OrderRecord, state: OrderState | None, modified_at: datetime | None) -> bool:
    """Whether a snapshot is older than what is known: by the platform's time, else by progress.

    Platforms count in seconds, so that progress decides about two changes of one second. A
    terminal state is never left, whatever the time says.
    """
    if record.state is not None and state in TERMINAL_STATES and record.state != state:
        return True
    told_at = record.modified_at
    if told_at is not None and modified_at is not None and told_at != modified_at:
        return told_at < modified_at
    if record.state is None or state is None:
        return False
    return PROGRESS[record.state] < PROGRESS[state]


def judge(record: OrderRecord, digest: bytes, before: Stored | None) -> str:
    """What a snapshot does to the stored order."""
    if before is None:
        return INCOMPLETE if None in REQUIRED(record) else CREATED
    if digest == before.content_hash or is_older(record, before.state, before.modified_at):
        return UNCHANGED
    return UPDATED


def _next_state(record: OrderRecord, before: Stored | None) -> OrderState:
    """The state that the snapshot leads to; traces know of deliveries that platforms do not."""
    if before is None:
        assert record.begins_as is not None
        return record.begins_as
    if record.state is None or (before.state, record.state) == (
        OrderState.DELIVERED, OrderState.SHIPPED
    ):  # fmt: skip
        return before.state
    return record.state


def _outcome_of_each(places: Sequence[int], outcomes: Sequence[str]) -> list[str]:
    if len(places) == len(outcomes):
        return list(outcomes)
    seen: set[int] = set()
    result = []
    for place in places:
        outcome = outcomes[place]
        result.append(UPDATED if place in seen and outcome == CREATED else outcome)
        seen.add(place)
    return result


async def _stored(w: Work, shop_id: int, external_ids: list[str]) -> dict[str, Stored]:
    rows = await w.sql.fetch(
        """SELECT external_id, id, customer_id, buyer_id, state, modified_at, content_hash,
                  erased_at IS NOT NULL, currency, paid, refunded, paid_at
           FROM orders
           WHERE merchant_id = $1 AND shop_id = $2 AND external_id = ANY($3::text[])""",
        w.merchant_id, shop_id, external_ids,
    )  # fmt: skip
    return {
        row[0]: Stored(row[1], row[2], row[3], OrderState(row[4]), *tuple(row)[5:]) for row in rows
    }


async def _find_customers(
    w: Work, shop_id: int, taken: Sequence[_Taken], identity_kind: str
) -> set[int]:
    """Find or make each order's customer, and tell the customers what their orders say.

    Returns the customers that are made.
    """
    people, told = [], []
    for item in taken:
        r = item.record
        if item.same_person:
            assert item.before is not None
            item.customer_id = item.before.customer_id
            continue
        told.append(item)
        if r.buyer_id is not None and "*" in r.buyer_id:
            r.buyer_id = None  # masked: several people would become one
        if item.before is not None and item.before.erased:
            _forget_person(r)
        people.append(
            Person(
                r.ordered_at or w.now,
                r.buyer_id,
                r.phone,
                r.email,
                r.name,
                r.province,
                r.city,
                r.identities,
            )
        )
    if not people:
        return set()
    await _add_other_ids(w, shop_id, identity_kind, told, people)
    found = await identify(w, shop_id, identity_kind, people)
    for item, customer_id in zip(told, found.ids, strict=True):
        item.customer_id = _customer_of(item, customer_id)
    known = {key for key in found.ids if key is not None and key not in found.new}
    await save(w, found, people, await _latest_orders(w, known), "orders")
    return found.new


async def _add_other_ids(
    w: Work, shop_id: int, identity_kind: str, told: Sequence[_Taken], people: Sequence[Person]
) -> None:
    """What is stored of the orders' buyers under ids of another kind, as a file's nick is.

    So the buyer of a file's order and the one whom the platform names later are one customer.
    """
    pairs = [
        (item.before, person)
        for item, person in zip(told, people, strict=True)
        if item.before is not None and item.before.customer_id is not None
    ]
    if not pairs:
        return
    buyers = {b.buyer_id for b, person in pairs if b.buyer_id not in (None, person.buyer_id)}
    rows = await w.sql.fetch(
        """SELECT customer_id, value, kind FROM customer_identities
           WHERE merchant_id = $1 AND scope = 'shop' AND scope_id = $2 AND kind <> $3
             AND value = ANY($4::text[])""",
        w.merchant_id, shop_id, identity_kind, list(buyers),
    ) if buyers else []  # fmt: skip
    kinds = {(row[0], row[1]): row[2] for row in rows}
    for before, person in pairs:
        kind = kinds.get((before.customer_id, before.buyer_id))
        if before.buyer_id is not None and kind is not None:
            other = Identity("shop", shop_id, kind, before.buyer_id)
            person.identities = [*person.identities, other]
        if None in (before.buyer_id, person.buyer_id):
            person.known = before.customer_id


def _forget_person(record: OrderRecord) -> None:
    """An erased person does not come back with a later snapshot of an old order."""
    record.buyer_id = record.name = record.phone = record.email = None
    record.city = record.address = None
    record.identities = []


def _customer_of(item: _Taken, found: int | None) -> int | None:
    """The order's customer: as stored, unless the platform now names another buyer."""
    before = item.before
    if before is None or before.customer_id is None:
        return found
    moved = item.record.buyer_id is not None and before.buyer_id is not None
    return found if moved and item.record.buyer_id != before.buyer_id else before.customer_id


async def _latest_orders(w: Work, customer_ids: set[int]) -> dict[int, datetime]:
    if not customer_ids:
        return {}
    rows = await w.sql.fetch(
        """SELECT customer_id, max(ordered_at) FROM orders
           WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[]) GROUP BY customer_id""",
        w.merchant_id, list(customer_ids),
    )  # fmt: skip
    return {row[0]: row[1] for row in rows}


async def _write(w: Work, shop_id: int, taken: Sequence[_Taken]) -> None:
    created = [item for item in taken if item.before is None]
    updated = [item for item in taken if item.before is not None]
    if created:
        for item, order_id in zip(created, await w.new_ids("orders", len(created)), strict=True):
            item.id = order_id
        await w.sql.copy_records_to_table(
            "orders", columns=ORDER_COLUMNS, records=[_row(w, shop_id, item) for item in created]
        )
    if updated:
        for item in updated:
            assert item.before is not None
            item.id = item.before.id
        await _update(w, [_row(w, shop_id, item) for item in updated])
    await _write_lines(w, taken)


def _row(w: Work, shop_id: int, item: _Taken) -> tuple[Any, ...]:
    r, new = item.record, item.before is None
    refunded = r.refunded
    if refunded is None and new:
        refunded = r.paid if item.state is OrderState.CLOSED_REFUNDED else 0
    delivered_at = r.delivered_at
    if delivered_at is None and r.state is OrderState.DELIVERED:
        delivered_at = r.modified_at
    return (
        w.merchant_id, item.id, shop_id, r.external_id, item.customer_id, r.buyer_id,
        item.state.value, r.platform_state, r.currency, r.total, r.paid, refunded, r.ordered_at,
        r.paid_at, r.shipped_at, delivered_at, r.closed_at, r.province, r.city,
        None if item.same_person else _receiver(w, item.id, r), r.modified_at,
        bool(r.in_dispute) if new else r.in_dispute, item.content_hash, w.now,
    )  # fmt: skip


def _receiver(w: Work, order_id: int, record: OrderRecord) -> bytes | None:
    """Who gets the parcel, sealed for the order's row: JSON of name, phone and address."""
    if not (record.name or record.phone or record.address):
        return None
    receiver = {"name": record.name, "phone": record.phone, "address": record.address}
    place = f"orders.receiver|{w.merchant_id}|{order_id}"
    return w.keyring.seal_bytes(orjson.dumps(receiver), place)


async def _update(w: Work, rows: Sequence[tuple[Any, ...]]) -> None:
    """Overwrite orders; what the new snapshot does not tell is kept."""
    columns = list(zip(*rows, strict=True))
    await w.sql.execute(
        f"""UPDATE orders o SET
               customer_id = u.customer_id, buyer_id = COALESCE(u.buyer_id, o.buyer_id),
               state = u.state, platform_state = COALESCE(u.platform_state, o.platform_state),
               currency = COALESCE(u.currency, o.currency), total = COALESCE(u.total, o.total),
               paid = COALESCE(u.paid, o.paid),
               refunded = GREATEST(COALESCE(u.refunded, o.refunded), {PAID_OUT}),
               ordered_at = COALESCE(u.ordered_at, o.ordered_at),
               paid_at = COALESCE(u.paid_at, o.paid_at),
               shipped_at = COALESCE(u.shipped_at, o.shipped_at),
               delivered_at = COALESCE(u.delivered_at, o.delivered_at),
               closed_at = COALESCE(u.closed_at, o.closed_at),
               province = COALESCE(u.province, o.province), city = COALESCE(u.city, o.city),
               receiver_sealed = COALESCE(u.receiver_sealed, o.receiver_sealed),
               modified_at = COALESCE(u.modified_at, o.modified_at),
               in_dispute = COALESCE(u.in_dispute, o.in_dispute),
               content_hash = u.content_hash, taken_at = $2
           FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[],
                       $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],
                       $12::timestamptz[], $13::timestamptz[], $14::timestamptz[],
                       $15::timestamptz[], $16::timestamptz[], $17::text[], $18::text[],
                       $19::bytea[], $20::timestamptz[], $21::boolean[], $22::bytea[])
               AS u (id, customer_id, buyer_id, state, platform_state, currency, total, paid,
                     refunded, ordered_at, paid_at, shipped_at, delivered_at, closed_at, province,
                     city, receiver_sealed, modified_at, in_dispute, content_hash)
           WHERE o.merchant_id = $1 AND o.id = u.id""",
        w.merchant_id, w.now, columns[1], *columns[4:23],
    )  # fmt: skip


async def _write_lines(w: Work, taken: Sequence[_Taken]) -> None:
    columns = (
        "merchant_id", "order_id", "external_id", "title", "sku", "quantity", "amount",
        "product_id", "category",
    )  # fmt: skip
    created: list[tuple[Any, ...]] = []
    updated: list[tuple[Any, ...]] = []
    for item in taken:
        rows = created if item.before is None else updated
        for line in _once(item.record.lines):
            rows.append(
                (w.merchant_id, item.id, line.external_id, line.title, line.sku, line.quantity,
                 line.amount, line.product_id, line.category)
            )  # fmt: skip
    if created:
        await w.sql.copy_records_to_table("order_lines", columns=columns, records=created)
    if updated:
        await w.sql.execute(
            # what is there already is left alone: even a conflict that changes nothing is written
            """INSERT INTO order_lines (merchant_id, order_id, external_id, title, sku, quantity,
                                        amount, product_id, category)
               SELECT $1, u.order_id, u.external_id, u.title, u.sku, u.quantity, u.amount,
                      COALESCE(u.product_id, l.product_id), COALESCE(u.category, l.category)
               FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::int[],
                           $7::bigint[], $8::text[], $9::text[])
                   AS u (order_id, external_id, title, sku, quantity, amount, product_id, category)
               LEFT JOIN LATERAL (
                   SELECT * FROM order_lines WHERE merchant_id = $1 AND order_id = u.order_id
                      AND external_id = u.external_id LIMIT 1) l ON TRUE
               WHERE l.id IS NULL
                  OR (l.title, l.sku, l.quantity, l.amount, l.product_id, l.category)
                     IS DISTINCT FROM
                     (u.title, u.sku, u.quantity, u.amount, COALESCE(u.product_id, l.product_id),
                      COALESCE(u.category, l.category))
               ON CONFLICT (merchant_id, order_id, external_id) DO UPDATE SET
                   title = excluded.title, sku = excluded.sku, quantity = excluded.quantity,
                   amount = excluded.amount, product_id = excluded.product_id,
                   category = excluded.category""",
            w.merchant_id, *list(zip(*updated, strict=True))[1:],
        )  # fmt: skip
        await w.sql.execute(
            """DELETE FROM order_lines l
               WHERE l.merchant_id = $1 AND l.order_id = ANY($2::bigint[]) AND l.external_id = $3
                 AND EXISTS (SELECT 1 FROM order_lines k
                             WHERE k.merchant_id = $1 AND k.order_id = l.order_id
                               AND k.external_id <> $3)""",
            w.merchant_id, list({row[1] for row in updated}), WHOLE_ORDER,
        )  # fmt: skip


def _parcels_of(taken: Sequence[_Taken], new: bool) -> list[tuple[int, ParcelRecord]]:
    return [
        (item.id, parcel)
        for item in taken
        if (item.before is None) == new
        for parcel in item.record.parcels
    ]


def _once(lines: Sequence[LineRecord]) -> Sequence[LineRecord]:
    return lines if len(lines) < 2 else list({line.external_id: line for line in lines}.values())


async def _take_waiting(
    w: Work,
    shop: Mapping[str, Any],
    taken: Sequence[_Taken],
    events: bool,
    since: datetime | None,
) -> None:
    """Parcels, refunds and reviews that came before their order."""
    created = [item.record.external_id for item in taken if item.before is None]
    if created:
        traces, refunds, reviews = await release(w, shop["id"], created)
        if traces:
            await ingest_traces(w, shop, traces, events, since)
        if refunds:
            await ingest_refunds(w, shop, refunds, events, since)
        if reviews:
            await ingest_reviews(w, shop["id"], reviews, events, since)
    moved = [
        item.id for item in taken if item.before and item.before.customer_id != item.customer_id
    ]
    if moved:
        await follow_orders(w, moved)


async def _refresh_facts(w: Work, taken: Sequence[_Taken], made: set[int]) -> None:
    await first_facts(w, made)
    customers = {item.customer_id for item in taken if _changes_facts(item)} - made
    before = {item.before.customer_id for item in taken if item.before and _changes_facts(item)}
    changed = [key for key in customers | before if key is not None]
    await refresh_facts(w, changed, shrinking=bool(before))


def _changes_facts(item: _Taken) -> bool:
    """Whether the record changes anything that its customer's figures are made of."""
    r, before = item.record, item.before
    return before is None or (
        item.customer_id != before.customer_id
        or (item.state in TERMINAL_STATES and item.state != before.state)
        or r.currency not in (None, before.currency)
        or r.paid not in (None, before.paid)
        or r.refunded not in (None, before.refunded)
        or r.paid_at not in (None, before.paid_at)
    )


def _emit(w: Work, shop_id: int, taken: Sequence[_Taken], since: datetime | None) -> None:
    for item in taken:
        at = item.record.ordered_at if item.before is None else item.record.modified_at
        if since is not None and at is not None and at < since:
            continue
        if item.before is None:
            w.emit(OrderCreated(item.id, shop_id, item.customer_id, item.state.value))
        elif item.before.state != item.state:
            w.emit(
                OrderStateChanged(
                    item.id, shop_id, item.customer_id, item.before.state.value, item.state.value
                )
            )
