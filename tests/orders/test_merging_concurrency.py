"""Merges at once with each other, with undoings and with orders that come in."""

import asyncio

from core.domain.customers.customers import CustomerMerged, add_tags
from core.domain.orders.merging import merge_customers, unmerge_customers
from core.sdk import HuikeError
from core.storage.connections import Budget
from core.storage.together import sharing
from tests.merge_kit import furnish, record, take


async def merge(merchant, into, from_):
    async with merchant.work() as w:
        return await merge_customers(w, merchant.installation.registry, into, from_, "test")


async def unmerge(merchant, merge_id):
    async with merchant.work() as w:
        return await unmerge_customers(w, merchant.installation.registry, merge_id)


async def two(merchant):
    async with merchant.work() as w:
        return [await furnish(w, merchant, name, tags=(name,)) for name in "ab"]


async def at_once(*calls):
    """The results of real transactions at once; expected errors among them."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(not isinstance(one, BaseException) or isinstance(one, HuikeError) for one in found)
    return found


async def count(merchant, table, condition="TRUE"):
    async with merchant.read() as session:
        return await session.sql.fetchval(
            f"SELECT count(*) FROM {table} WHERE merchant_id = $1 AND {condition}", merchant.id
        )


async def orphans(merchant):
    return [
        await count(
            merchant, f"{table} t",
            """t.customer_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM customers c
               WHERE c.merchant_id = t.merchant_id AND c.id = t.customer_id)""",
        )
        for table in ("orders", "customer_identities", "customer_tags", "customer_facts")
    ]  # fmt: skip


async def test_the_same_merge_twice_and_both_ways(merchant):
    for _ in range(5):
        async with merchant.work() as w:
            await w.sql.execute("DELETE FROM orders WHERE merchant_id = $1", merchant.id)
            await w.sql.execute(
                "DELETE FROM customer_identities WHERE merchant_id = $1", merchant.id
            )
        a, b = await two(merchant)
        found = await at_once(
            merge(merchant, a, b),
            merge(merchant, b, a),
            merge(merchant, a, b),
            merge(merchant, b, a),
        )
        assert sum(isinstance(one, int) for one in found) == 1
        assert sum(isinstance(one, CustomerMerged) for one in found) == 3
        assert await count(merchant, "customers", f"id IN ({a}, {b})") == 1
        assert await orphans(merchant) == [0, 0, 0, 0]


async def test_merging_while_orders_of_both_come_in(merchant):
    a, b = await two(merchant)

    async def bring(start):
        for number in range(start, start + 10):
            await take(
                merchant, record(f"{number}a", buyer_id="nick-a"),
                record(f"{number}b", buyer_id="nick-b"),
            )  # fmt: skip

    async def merge_and_back():
        for _ in range(4):
            await unmerge(merchant, await merge(merchant, a, b))
        await merge(merchant, a, b)

    await at_once(bring(0), merge_and_back(), bring(100), bring(200))
    assert await orphans(merchant) == [0, 0, 0, 0]
    assert await count(merchant, "orders", f"customer_id = {a}") == 62


async def test_merging_and_undoing_at_once(merchant):
    a, b = await two(merchant)
    for _ in range(5):
        merge_id = await merge(merchant, a, b)
        found = await at_once(
            unmerge(merchant, merge_id), merge(merchant, a, b), unmerge(merchant, merge_id),
            merge(merchant, b, a),
        )  # fmt: skip
        standing = await count(merchant, "customer_merges", "undone_at IS NULL")
        assert await count(merchant, "customers") == 2 - standing
        assert sum(isinstance(one, tuple) for one in found) == 1
        assert await orphans(merchant) == [0, 0, 0, 0]
        async with merchant.read() as session:
            left = await session.sql.fetchval(
                "SELECT id FROM customer_merges WHERE merchant_id = $1 AND undone_at IS NULL",
                merchant.id,
            )
        if left:
            await unmerge(merchant, left)


async def test_tags_while_merging_are_never_lost(merchant):
    a, b = await two(merchant)

    async def tag(number):
        for target in (b, a):
            try:
                async with merchant.work() as w:
                    await add_tags(w, target, [f"t{number}"], "test")
                return
            except CustomerMerged:
                continue

    await at_once(
        *(tag(n) for n in range(10)), merge(merchant, a, b), *(tag(n) for n in range(10, 20))
    )
    assert await orphans(merchant) == [0, 0, 0, 0]
    assert await count(merchant, "customer_tags", "tag LIKE 't%'") == 20


async def test_a_thousand_orders_take_as_many_statements_as_two(merchant):
    a, b = await two(merchant)
    taken = []
    for orders in (1, 1000):
        async with merchant.work() as w:
            await w.sql.execute(
                """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state,
                       currency, total, paid, refunded, ordered_at, paid_at, content_hash, taken_at)
                   SELECT $1, $2, 'n' || $6::int || n,
                          CASE WHEN n % 2 = 0 THEN $3::bigint ELSE $4::bigint END, 'completed',
                          'CNY', 100, 100, 0, $5, $5::timestamptz - n * INTERVAL '1 hour', '\\x00',
                          $5
                   FROM generate_series(1, $6::int * 2) AS n""",
                merchant.id, merchant.shop_id, a, b, w.now, orders,
            )  # fmt: skip
        counted = Budget(10_000)
        with sharing([counted]):
            await unmerge(merchant, await merge(merchant, a, b))
        taken.append(counted.spent)
    assert taken[0] == taken[1]
