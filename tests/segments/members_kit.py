"""Segments whose members are written down, and what became of them."""

import orjson

from core.domain.orders.facts import refresh_facts
from core.domain.segments.changes import follow_changes
from core.domain.segments.refresh import refresh_due
from core.domain.segments.segments import create_segment
from core.domain.segments.tree import write_rule


def stored(installation, node):
    return write_rule(node, installation.registry.facets)


async def make(merchant, name, node):
    """A dynamic segment, filled; returns its id."""
    installation = merchant.installation
    async with merchant.work() as w:
        made = await create_segment(w, installation.registry, name, stored(installation, node))
    await refresh(merchant)
    return made


async def refresh(merchant):
    installation = merchant.installation
    return await refresh_due(installation.db, installation.registry, merchant.id)


async def follow(merchant):
    installation = merchant.installation
    return await follow_changes(installation.db, installation.registry, merchant.id)


async def add_customers(w, count=1, province=None):
    rows = await w.sql.fetch(
        """INSERT INTO customers (merchant_id, province, version, created_at, updated_at)
           SELECT $1, $2, 1, $3, $3 FROM generate_series(1, $4) RETURNING id""",
        w.merchant_id, province, w.now, count,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def add_order(w, customer_id, number, at=None):
    order_id = await w.sql.fetchval(
        """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
               total, paid, refunded, ordered_at, paid_at, content_hash, taken_at)
           SELECT $1, min(s.id), $2, $3, 'completed', 'CNY', 9900, 9900, 0, $4::timestamptz, $4,
                  '', $4 FROM shops s WHERE s.merchant_id = $1 RETURNING id""",
        w.merchant_id, number, customer_id, at or w.now,
    )  # fmt: skip
    await refresh_facts(w, [customer_id])
    return order_id


async def tag(w, customer_id, name="vip"):
    await w.sql.execute(
        """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
           VALUES ($1, $2, $3, 'staff', $4)""",
        w.merchant_id, customer_id, name, w.now,
    )  # fmt: skip


async def segment_row(merchant, segment_id):
    async with merchant.read() as session:
        return dict(
            await session.sql.fetchrow(
                "SELECT * FROM segments WHERE merchant_id = $1 AND id = $2",
                merchant.id, segment_id,
            )
        )  # fmt: skip


async def members(merchant, segment_id):
    """Who is in it now; the size kept beside it must say the same."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT customer_id FROM segment_members
               WHERE merchant_id = $1 AND segment_id = $2 AND left_at IS NULL
               ORDER BY customer_id""",
            merchant.id, segment_id,
        )  # fmt: skip
    assert (await segment_row(merchant, segment_id))["size"] == len(rows)
    return [row["customer_id"] for row in rows]


async def intervals(merchant, segment_id):
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT customer_id, entered_at, left_at FROM segment_members
               WHERE merchant_id = $1 AND segment_id = $2 ORDER BY customer_id, id""",
            merchant.id, segment_id,
        )  # fmt: skip
    return [tuple(row) for row in rows]


async def events(merchant, segment_id):
    """(type, cause, ids) of what was told about a segment."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT type, payload FROM outbox_events
               WHERE merchant_id = $1 AND type LIKE 'segment.%' ORDER BY id""",
            merchant.id,
        )
    found = [(row["type"], orjson.loads(row["payload"])) for row in rows]
    return [
        (kind.removeprefix("segment."), told["cause"], told["customer_ids"])
        for kind, told in found
        if told["segment_id"] == segment_id
    ]


async def logged(merchant):
    """The customers on the log of changes."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT DISTINCT customer_id FROM customer_changes WHERE merchant_id = $1",
            merchant.id,
        )
    return {row["customer_id"] for row in rows}
