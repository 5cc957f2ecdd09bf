"""Search finds by each way, says why, and never walks through a table."""

import orjson
import pytest

from core.domain.customers.customers import update_customer
from core.domain.customers.search import SEARCH, search_customers
from core.domain.customers.tags import tag_customers
from core.sdk import InvalidInput
from core.testing.fixtures import START
from tests.customers.kit import add_customer, add_order, add_parcel
from tests.plans import scanned


async def add_identity(w, customer_id, kind, value, scope="shop", scope_id=1):
    await w.sql.execute(
        """INSERT INTO customer_identities
               (merchant_id, customer_id, scope, scope_id, kind, value, source, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, 'test', $7)""",
        w.merchant_id, customer_id, scope, scope_id, kind, value, w.now,
    )  # fmt: skip


async def find(merchant, query, first=20, orders=True):
    """{customer: what matched}, in the order of the hits."""
    async with merchant.read() as session:
        hits = await search_customers(session, query, first, orders)
    return {hit.customer_id: hit.matched_by for hit in hits}


@pytest.fixture
async def people(merchant):
    """Li Lei, known in every way, and some whose data only looks alike."""
    async with merchant.work() as w:
        lei = await add_customer(w, "Li Lei", "+8613800138000", "lei@example.com")
        other = await add_customer(w, "李雷", "+8613800138001", "lei@example.com.cn")
        await add_identity(w, lei, "nick", "lei_2020")
        await add_identity(w, lei, "openid", "oABC", "app", 77)
        order = await add_order(w, lei, "TB-1001", START, merchant.shop_id)
        await add_parcel(w, order, "SF1234567890", [("shipped", START)])
        await tag_customers(w, [lei], ["VIP gold"], "staff")
        await tag_customers(w, [other], ["vip"], "staff")
    return lei, other, order


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("13800138000", "phone"), ("+86 138-0013-8000", "phone"),
        ("1３８００１３８０００", "phone"),
        (" LEI@Example.com ", "email"), ("lei＠example.com", "email"),
        ("lei_2020", "platform_id"), ("oABC", "platform_id"),
        ("TB-1001", "order_number"), ("SF1234567890", "tracking_number"),
        ("li l", "name"), ("ＬＩ　lei", "name"), ("vip g", "tag"),
    ],
)  # fmt: skip
async def test_each_way_leads_to_the_customer(merchant, people, query, why):
    lei, *_ = people
    assert await find(merchant, query) == {lei: [why]}


@pytest.mark.parametrize(
    "query",
    ["", " ", "\x00", "a\x00", "\ud800", "TB-100", "tb-1001", "OABC", "i lei", "%", "_", "li%",
     "🍵", "138****8000", "1380013800", "lei@", "9" * 200, "' OR 1=1 --"],
)  # fmt: skip
async def test_what_fits_nobody_finds_nobody(merchant, people, query):
    assert await find(merchant, query) == {}


async def test_exact_matches_come_first(merchant, people):
    lei, other, _ = people
    assert await find(merchant, "vip") == {other: ["tag"], lei: ["tag"]}
    async with merchant.work() as w:
        longer = await add_customer(w, "李雷雷")
        nick = await add_customer(w, None)
        await add_identity(w, nick, "nick", "李雷")
    assert list(await find(merchant, "李雷")) == [nick, other, longer]
    assert list(await find(merchant, "李")) == [longer, other]
    assert await find(merchant, "李雷", 1) == {nick: ["platform_id"]}


async def test_several_ways_are_all_told_and_the_order_too(merchant, people):
    lei, _, order = people
    async with merchant.work() as w:
        await update_customer(w, lei, {"name": "TB-1001", "phone": "13800138000"})
        hits = await search_customers(w, "tb-1001")
        assert [hit.matched_by for hit in hits] == [["name"]]
        (hit,) = await search_customers(w, "TB-1001")
        assert (hit.matched_by, hit.order_id) == (["order_number", "name"], order)
        assert [h.matched_by for h in await search_customers(w, "13800138000")] == [["phone"]]


async def test_metacharacters_and_emoji_are_text(merchant):
    async with merchant.work() as w:
        odd = await add_customer(w, "100%_sure\\ 🍵")
        await add_customer(w, "100 sure")
    for query in ("100%", "100%_", "100%_SURE\\", "100%_sure\\ 🍵"):
        assert list(await find(merchant, query)) == [odd]


async def test_orders_are_looked_at_only_when_allowed(merchant, people):
    for query in ("TB-1001", "SF1234567890"):
        assert await find(merchant, query, orders=False) == {}


async def test_an_order_without_customer_finds_nobody(merchant):
    async with merchant.work() as w:
        await add_order(w, None, "X1", START, merchant.shop_id)
    assert await find(merchant, "X1") == {}


async def test_limits_are_checked(merchant):
    for query, first, path in (("x" * 10_000, 20, "query"), ("x", 0, "first"), ("x", 51, "first")):
        with pytest.raises(InvalidInput) as caught:
            await find(merchant, query, first)
        assert caught.value.path == (path,)
    assert await find(merchant, " " * 10_000) == {}


async def test_other_merchants_customers_are_not_found(merchant, people, installation):
    from core.domain.shops.setup import set_up_merchant

    made = await set_up_merchant(installation.db, installation.registry, "Other", shop="shop")
    async with installation.db.read(made.merchant_id) as session:
        for query in ("13800138000", "lei@example.com", "lei_2020", "TB-1001", "SF1234567890",
                      "Li", "vip"):  # fmt: skip
            assert await search_customers(session, query) == []


async def test_no_way_walks_through_a_table(merchant):
    """With 50,000 customers, each branch is a range of an index with a limit."""
    async with merchant.work() as w:
        first = await add_customer(w, "head")
        await w.sql.execute(
            """INSERT INTO customers (merchant_id, name, phone_index, email_index, version,
                   created_at, updated_at)
               SELECT $1, (ARRAY['张三', 'Wang', '李', 'Zoe'])[n % 4 + 1] || n,
                      decode(md5('p' || n), 'hex'), decode(md5('e' || n), 'hex'), 1, $2, $2
               FROM generate_series(1, 50000) n""",
            w.merchant_id, w.now,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO customer_identities (merchant_id, customer_id, scope, scope_id, kind,
                   value, source, created_at)
               SELECT $1, $3 + n, 'shop', n % 5, 'nick', 'nick' || n, 'test', $2
               FROM generate_series(1, 50000) n""",
            w.merchant_id, w.now, first,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
               SELECT $1, $3 + n, 'tag' || n % 20, 'test', $2 FROM generate_series(1, 50000) n""",
            w.merchant_id, w.now, first,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                   total, paid, refunded, ordered_at, content_hash, taken_at)
               SELECT $1, $3, 'N' || n, $4 + n, 'completed', 'CNY', 1, 1, 0, $2, '', $2
               FROM generate_series(1, 50000) n""",
            w.merchant_id, w.now, merchant.shop_id, first,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO parcels (merchant_id, order_id, tracking_number)
               SELECT merchant_id, id, 'SF' || id FROM orders WHERE merchant_id = $1""",
            w.merchant_id,
        )  # fmt: skip
    tables = {"customers", "customer_identities", "customer_tags", "orders", "parcels"}
    async with merchant.read() as session:
        for table in tables:
            await session.sql.execute(f"ANALYZE {table}")
        # the generic plan too: the statement is prepared once and asked with any text
        for mode in ("force_custom_plan", "force_generic_plan"):
            await session.sql.execute(f"SET plan_cache_mode = {mode}")
            try:
                for query in ("张", "zoe12", "nick77", "N4711", "tag1", "t", "13800138000"):
                    plan = await session.sql.fetchval(
                        f"EXPLAIN (ANALYZE, FORMAT JSON) {SEARCH}", merchant.id, query, b"p", b"e",
                        50, True, True,
                    )  # fmt: skip
                    scans = list(scanned(orjson.loads(plan)[0]["Plan"]))
                    assert {table for table, _, _ in scans} >= tables
                    assert not [scan for scan in scans if scan[1] == "Seq Scan"
                                and scan[0] in tables], (mode, query, scans)  # fmt: skip
                    read = [rows for table, _, rows in scans if table in tables]
                    assert max(read) <= 51, (mode, query, scans)
            finally:
                await session.sql.execute("RESET plan_cache_mode")
    assert len(await find(merchant, "张", 50)) == 50
    assert await find(merchant, "nick77") == {first + 77: ["platform_id"]}
    assert await find(merchant, "N4711") == {first + 4711: ["order_number"]}
