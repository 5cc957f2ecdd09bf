"""A merchant's data as segments find it: who buys much and who not, what sells, who agreed.

Orders come in the order of their time; of every customer five on average, of the best ones
hundreds, of one in twelve none. A few products make most of the sales.
"""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from bench.large import CHUNK, ORDERS_EACH, START, Made, load, orders_of
from core.domain.orders.ingest import ORDER_COLUMNS
from core.domain.shops.shops import create_shop
from core.installation import Installation
from core.storage.database import Work

MINUTES = 1_000_000
"""The orders' times reach over so many minutes."""
END = START + timedelta(minutes=MINUTES)
PRODUCTS, CATEGORIES = 3_000, 20
PLACE = {name: place for place, name in enumerate(ORDER_COLUMNS)}
UNPAID, REFUNDED, PARTLY = 0.04, 0.03, 0.06

TAGS = """
    INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
    SELECT $1, c.id, t.tag, 'bench', c.created_at
    FROM customers c
    JOIN (VALUES ('vip', 0, 3), ('loyal', 2, 10), ('live', 8, 15), ('wholesale', 15, 16),
                 ('complained', 16, 20)) t (tag, low, high)
      ON abs(hashint8(c.id)) % 100 BETWEEN t.low AND t.high - 1
    WHERE c.merchant_id = $1
"""
"""On every fifth customer, some with two."""

CONSENTS = """
    INSERT INTO consents (merchant_id, customer_id, shop_id, channel, purpose, status, at)
    SELECT $1, c.id, 0, h.channel, 'marketing',
           CASE WHEN d.draw < h.granted THEN 'granted' WHEN d.draw < h.denied THEN 'denied'
                ELSE 'unproven' END, c.created_at
    FROM customers c
    CROSS JOIN (VALUES ('sms', 40, 52, 60, 11), ('email', 25, 32, 35, 13))
        h (channel, granted, denied, asked, salt)
    CROSS JOIN LATERAL (SELECT abs(hashint8(c.id * h.salt)) % 100 AS draw OFFSET 0) d
    WHERE c.merchant_id = $1 AND d.draw < h.asked
"""

FIELD = """
    INSERT INTO custom_fields (merchant_id, namespace, key, title, type, choices, created_at)
    VALUES ($1, 'custom', $2, $2, $3, $4, $5) RETURNING id
"""
VALUES = """
    INSERT INTO custom_field_values
        (merchant_id, customer_id, field_id, text, number, version, source, updated_at)
    SELECT $1, c.id, $2, CASE WHEN $3 = 'choice' THEN (ARRAY['S', 'M', 'L'])[1 + d.draw % 3] END,
           CASE WHEN $3 = 'int' THEN d.draw * 10 END, 1, 'bench', c.created_at
    FROM customers c
    CROSS JOIN LATERAL (SELECT abs(hashint8(c.id * 17)) % 100 AS draw OFFSET 0) d
    WHERE c.merchant_id = $1 AND d.draw < $4
"""

PARCELS = """
    INSERT INTO parcels (merchant_id, order_id, tracking_number, carrier, state, shipped_at,
                         signed_at, last_event_at)
    SELECT $1, o.id, 'SF' || o.id, CASE WHEN o.id % 3 = 0 THEN 'YTO' ELSE 'SF' END,
           CASE o.state WHEN 'completed' THEN 'signed' ELSE 'in_transit' END, o.shipped_at,
           CASE o.state WHEN 'completed' THEN o.shipped_at + INTERVAL '2 days' END,
           o.shipped_at + INTERVAL '2 days'
    FROM orders o WHERE o.merchant_id = $1 AND o.paid_at IS NOT NULL AND o.id % 10 < 3
"""

REFUNDS = """
    INSERT INTO refunds (merchant_id, shop_id, external_id, order_id, kind, state, reason, amount,
                         requested_at, refunded_at, content_hash, taken_at)
    SELECT $1, o.shop_id, 'R' || o.id, o.id, 'refund_only', 'refunded', '尺码不合适', o.refunded,
           o.paid_at + INTERVAL '3 days', o.paid_at + INTERVAL '5 days', '', o.paid_at
    FROM orders o WHERE o.merchant_id = $1 AND o.refunded > 0
"""

NO_PHONE = """
    UPDATE customers SET phone_sealed = NULL, phone_index = NULL
    WHERE merchant_id = $1 AND id = ANY($2::bigint[]) AND abs(hashint8(id * 3)) % 10 < 3
"""


async def load_segment_data(
    opened: Installation, merchant_id: int, shop_id: int, count: int
) -> None:
    """Fill the tables: `count` customers with ids from 1, five orders for each, in two shops."""
    async with opened.db.work(merchant_id) as w:
        second = await create_shop(w, "second", "jd")
    made = Made(lambda *given: _orders(second, count, *given), _lines)
    await load(opened, merchant_id, shop_id, count, made)
    async with opened.db.work(merchant_id) as w:
        for statement in (TAGS, CONSENTS, PARCELS, REFUNDS):
            await w.sql.execute(statement, merchant_id)
        for key, kind, share in (("size", "choice", 30), ("score", "int", 20)):
            choices = '["S", "M", "L"]' if kind == "choice" else "[]"
            field = await w.sql.fetchval(FIELD, merchant_id, key, kind, choices, w.now)
            await w.sql.execute(VALUES, merchant_id, field, kind, share)
        for first in range(1, count + 1, CHUNK):
            ids = list(range(first, min(first + CHUNK, count + 1)))
            await w.sql.execute(NO_PHONE, merchant_id, ids)
    async with opened.db.read(merchant_id) as session:
        await session.sql.execute("VACUUM (ANALYZE)")


def _orders(
    second: int, count: int, w: Work, shop_id: int, number: int, r: random.Random
) -> Iterator[tuple[Any, ...]]:
    """Orders as large.py makes them, but whose and when is ours; some not paid, or refunded."""
    for made in orders_of(w, shop_id, number, r):
        row = list(made)
        order_id = row[PLACE["id"]]
        at = START + timedelta(minutes=MINUTES * order_id / (count * ORDERS_EACH))
        row[PLACE["customer_id"]] = 1 + int(count * r.random() ** 2)
        row[PLACE["shop_id"]] = second if r.random() < 0.2 else shop_id
        for name in ("ordered_at", "paid_at", "shipped_at", "modified_at", "taken_at"):
            row[PLACE[name]] = at
        draw = r.random()
        if draw < UNPAID:
            row[PLACE["state"]] = "closed_unpaid"
            row[PLACE["paid"]], row[PLACE["paid_at"]] = 0, None
        elif draw < UNPAID + REFUNDED:
            row[PLACE["state"]], row[PLACE["refunded"]] = "closed_refunded", row[PLACE["paid"]]
        elif draw < UNPAID + REFUNDED + PARTLY:
            row[PLACE["refunded"]] = row[PLACE["paid"]] // 3
        yield tuple(row)


def _lines(merchant_id: int, order_id: int) -> Iterator[tuple[Any, ...]]:
    """Eight lines on five orders; the first product has a fifteenth of all, the last hardly any."""
    for n in range(1 + (order_id % 5 < 3)):
        draw = (order_id * 2_654_435_761 + n * 40_503_000_007) % 2**32 / 2**32
        product = int(PRODUCTS * draw**3)
        yield (
            merchant_id, order_id, str(n), f"龙井茶 2026 新茶 {product}", f"S{product}", 1, 4200,
            f"P{product}", f"类目{product % CATEGORIES}",
        )  # fmt: skip
