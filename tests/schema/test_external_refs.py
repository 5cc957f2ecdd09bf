"""Objects are found by the ids that their platforms know them by, as a list and one at a time."""

from types import SimpleNamespace

import orjson
import pytest
from strawberry import Some

from core.domain.shops.shops import create_shop, shops_by_platform
from core.schema.customers import CUSTOMERS
from core.schema.external_refs import CustomerIdentityFilter, ExternalRefFilter, ExternalRefInput
from core.schema.orders import ORDERS, PARCELS, REFUNDS, OrderSort, OrderSortField
from core.schema.pages import SortDirection, ids_statement
from core.schema.reviews import REVIEWS
from core.schema.scalars import global_id
from tests.plans import scanned
from tests.schema import operations

LISTS = ("orders", "refunds", "reviews", "parcels", "customers")
SINGLE = {"orders": "order", "refunds": "refund", "reviews": "review", "customers": "customer"}


@pytest.fixture
def found(api, merchant):
    """The external ids that a list finds by references, or the errors of the request."""
    shown = {"parcels": "trackingNumber", "customers": "name"}

    async def find(name, **ref_filter):
        kind = name.capitalize()[:-1]
        query = f"""query ($where: {kind}Where!) {{
            {name}(where: $where) {{ nodes {{ {shown.get(name, "externalId")} }} }} }}"""
        answer = await api(merchant.token, query, where={"externalRef": ref_filter})
        if "errors" in answer:
            return [error["message"] for error in answer["errors"]]
        return sorted(next(iter(one.values())) for one in answer["data"][name]["nodes"])

    return find


@pytest.fixture
def single(api, merchant):
    """The id of what a lookup finds, or the errors of the request."""

    async def find(name, **ref):
        field = f"{SINGLE[name]}ByExternalRef"
        query = f"query ($ref: ExternalRefInput!) {{ {field}(ref: $ref) {{ id }} }}"
        answer = await api(merchant.token, query, ref=ref)
        if "errors" in answer:
            return [error["message"] for error in answer["errors"]]
        return answer["data"][field] and answer["data"][field]["id"]

    return find


async def fill(w, shop, ids):
    """An order, refund, review, parcel and customer of each id in a shop."""
    args = w.merchant_id, shop, ids, w.now
    await w.sql.execute(
        """INSERT INTO orders (merchant_id, shop_id, external_id, state, currency, total, paid,
               refunded, ordered_at, content_hash, taken_at)
           SELECT $1, $2, one, 'completed', 'CNY', 1, 1, 0, $4, '', $4
           FROM unnest($3::text[]) one""",
        *args,
    )
    await w.sql.execute(
        """INSERT INTO refunds (merchant_id, shop_id, external_id, order_id, kind, state, amount,
               requested_at, content_hash, taken_at)
           SELECT merchant_id, shop_id, external_id, id, 'return', 'requested', 1, $4, '', $4
           FROM orders WHERE merchant_id = $1 AND shop_id = $2 AND external_id = ANY($3)""",
        *args,
    )
    await w.sql.execute(
        """INSERT INTO reviews (merchant_id, shop_id, external_id, order_external_id, order_id, at,
               content_hash, taken_at)
           SELECT merchant_id, shop_id, external_id, external_id, id, $4, '', $4
           FROM orders WHERE merchant_id = $1 AND shop_id = $2 AND external_id = ANY($3)""",
        *args,
    )
    await w.sql.execute(
        """INSERT INTO parcels (merchant_id, order_id, tracking_number)
           SELECT merchant_id, id, external_id FROM orders
           WHERE merchant_id = $1 AND shop_id = $2 AND external_id = ANY($3)""",
        *args[:3],
    )
    await w.sql.execute(
        """WITH made AS (
               INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
               SELECT $1, one, 1, $4, $4 FROM unnest($3::text[]) one RETURNING id, name)
           INSERT INTO customer_identities (merchant_id, customer_id, scope, scope_id, kind, value,
               source, created_at)
           SELECT $1, id, 'shop', $2, 'nick', name, 'test', $4 FROM made""",
        *args,
    )


@pytest.fixture
def shops(merchant):
    """Two shops of one platform with an object in common, and one of another."""

    async def make():
        async with merchant.work() as w:
            second = await create_shop(w, "second", "taobao")
            other = await create_shop(w, "other", "jd")
            await fill(w, merchant.shop_id, ["a", "b"])
            await fill(w, second, ["b", "c"])
            await fill(w, other, ["a"])
        return merchant.shop_id, second, other

    return make


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_is_filtered_by_references(found, shops, name):
    _, second, _ = await shops()
    taobao = {"platform": "taobao"}
    assert await found(name, eq={**taobao, "id": "a"}) == ["a"]
    assert await found(name, eq={**taobao, "id": "b"}) == ["b", "b"]
    within = {**taobao, "id": "b", "shopId": global_id("Shop", second)}
    assert await found(name, eq=within) == ["b"]
    assert await found(name, eq=within | {"id": "a"}) == []
    assert await found(name, eq={"platform": "jd", "id": "b"}) == []
    several = [{**taobao, "id": "c"}, {"platform": "jd", "id": "a"}, {**taobao, "id": "none"}]
    assert await found(name, **{"in": several}) == ["a", "c"]
    assert await found(name, **{"in": []}) == []
    assert await found(name, eq={**taobao, "id": "b"}, **{"in": several}) == []


@pytest.mark.parametrize("name", LISTS)
async def test_what_a_reference_cannot_mean_is_told(found, shops, name):
    await shops()
    for platform in ("tabao", ""):
        (message,) = await found(name, eq={"platform": platform, "id": "a"})
        assert message == f"there is no shop of a platform {platform!r}; there are: jd, taobao"
    answer = await found(name, eq={"platform": " Taobao ", "id": "a", "kind": "nick"})
    told = "kind is for references to customers: leave it out"
    assert answer == (["a"] if name == "customers" else [told])


@pytest.mark.parametrize("name", SINGLE)
async def test_one_object_is_found_by_its_reference(single, shops, name):
    first, second, _ = await shops()
    assert await single(name, platform="taobao", id="none") is None
    assert await single(name, platform="taobao", id="a") is not None
    assert await single(name, platform="taobao", id="a") != await single(
        name, platform="jd", id="a"
    )
    (message,) = await single(name, platform="taobao", id="b")
    assert f"several {name} have this id: name the shop in shopId" in message
    one, other = [
        await single(name, platform="taobao", id="b", shopId=global_id("Shop", shop))
        for shop in (first, second)
    ]
    assert None not in (one, other)
    assert one != other
    (message,) = await single(name, platform="none", id="b")
    assert "there are: jd, taobao" in message


async def test_references_go_with_other_conditions(api, merchant, shops):
    await shops()
    ref = {"externalRef": {"eq": {"platform": "taobao", "id": "a"}}}
    other = {"externalRef": {"eq": {"platform": "jd", "id": "a"}}}
    query = "query ($where: OrderWhere!) { orders(where: $where) { nodes { externalId } } }"
    for where, count in (
        ({"or": [ref, other]}, 2), ({"and": [ref, other]}, 0), ({"not": ref}, 4),
        ({**ref, "state": {"eq": "SHIPPED"}}, 0), ({**ref, "state": {"eq": "COMPLETED"}}, 1),
    ):  # fmt: skip
        answer = await api.data(merchant.token, query, where=where)
        assert len(answer["orders"]["nodes"]) == count, where
    wrong = {"externalRef": {"eq": {"platform": "none", "id": "a"}}}
    answer = await api(merchant.token, query, where={"not": {"or": [ref, wrong]}})
    assert "no shop of a platform 'none'" in answer["errors"][0]["message"]


IDENTITY = """query ($where: CustomerWhere!) { customers(where: $where) { nodes { name } } }"""


async def test_customers_are_found_by_ids_of_any_scope(api, merchant, shops):
    await shops()
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO customer_identities (merchant_id, customer_id, scope, scope_id, kind,
                   value, source, created_at)
               SELECT merchant_id, id, given.scope, given.scope_id, given.kind, 'M1', 'test', $2
               FROM customers, (VALUES ('merchant', 0, 'card'), ('app', 77, 'union'))
                    given (scope, scope_id, kind)
               WHERE merchant_id = $1 AND name = 'c'""",
            w.merchant_id, w.now,
        )  # fmt: skip

    async def names(**identity):
        answer = await api(merchant.token, IDENTITY, where={"identity": identity})
        if "errors" in answer:
            return [error["message"] for error in answer["errors"]]
        return sorted(one["name"] for one in answer["data"]["customers"]["nodes"])

    assert await names(kind="card", eq="M1") == await names(kind="union", eq="M1") == ["c"]
    assert await names(kind="card", **{"in": ["M1", "M2"]}) == ["c"]
    assert await names(kind="nick", **{"in": ["a", "c", "none"]}) == ["a", "a", "c"]
    assert await names(kind="nick", eq="M1") == await names(kind="none", eq="M1") == []
    assert await names(kind="card") == ["give eq or in, the ids of kind card"]
    told = ["phone and email are found by customerSearch"]
    assert await names(kind="phone", eq="+8613800138000") == told


async def test_another_merchants_objects_are_not_found(api, world, stranger):
    for name in ("customer-by-external-ref", "order-by-external-ref"):
        variables = operations.variables(name, world.ids)
        assert (
            None not in (await api.data(world.token, operations.text(name), **variables)).values()
        )
        answer = await api.data(stranger.token, operations.text(name), **variables)
        assert list(answer.values()) == [None]


async def test_an_export_takes_references(api, world):
    query = """mutation ($where: OrderWhere!, $key: String!) {
        orderExportStart(input: {where: $where, idempotencyKey: $key}) {
            job { progress { total } } errors { message path } } }"""
    for place, (platform, id, total) in enumerate([("taobao", "E1", 1), ("taobao", "E9", 0)]):
        where = {"externalRef": {"eq": {"platform": platform, "id": id}}}
        answer = await api.data(world.token, query, where=where, key=str(place))
        assert answer["orderExportStart"]["errors"] == []
        assert answer["orderExportStart"]["job"]["progress"]["total"] == total
    where = {"externalRef": {"eq": {"platform": "none", "id": "E1"}}}
    answer = await api.data(world.token, query, where=where, key="3")
    (error,) = answer["orderExportStart"]["errors"]
    assert "no shop of a platform 'none'" in error["message"]
    assert error["path"] == ["input", "where"]


# -- speed ---------------------------------------------------------------------------------------

MANY = 100_000
REFS = [ExternalRefInput(platform="taobao", id=str(n)) for n in range(50)]
SEVERAL = SimpleNamespace(external_ref=Some(ExternalRefFilter(eq=None, in_=Some(REFS))))
CARDS = SimpleNamespace(
    identity=Some(CustomerIdentityFilter(kind="nick", eq=Some("7"), in_=Some(["7", "8"])))
)


async def test_references_are_looked_up_in_indexes(merchant):
    async with merchant.work() as w:
        await create_shop(w, "second", "taobao")
        await fill(w, merchant.shop_id, [str(n) for n in range(MANY)])
    tables = {"orders", "refunds", "reviews", "parcels", "customers", "customer_identities"}
    newest = [OrderSort(field=OrderSortField.ORDERED_AT, direction=SortDirection.DESC)]
    async with merchant.read() as session:
        for table in tables:
            await session.sql.execute(f"ANALYZE {table}")
        shops = await shops_by_platform(session)
        # the generic plan too: a statement is prepared once and asked with any references
        for mode in ("force_custom_plan", "force_generic_plan"):
            await session.sql.execute(f"SET plan_cache_mode = {mode}")
            try:
                for listing, where, sort, count in (
                    (ORDERS, SEVERAL, None, 50), (ORDERS, SEVERAL, newest, 50),
                    (REFUNDS, SEVERAL, None, 50), (REVIEWS, SEVERAL, None, 50),
                    (PARCELS, SEVERAL, None, 50), (CUSTOMERS, SEVERAL, None, 50),
                    (CUSTOMERS, CARDS, None, 1),
                ):  # fmt: skip
                    statement, args = ids_statement(
                        listing, merchant.id, where, sort, None, shops=shops
                    )
                    assert len(await session.sql.fetch(statement, *args)) == count
                    plan = await session.sql.fetchval(
                        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement} LIMIT 21", *args
                    )
                    top = orjson.loads(plan)[0]["Plan"]
                    # for each of the 100 keys some steps down an index, not the whole of it
                    pages = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
                    assert pages <= 1000, (mode, listing.name, plan)
                    scans = list(scanned(top))
                    read = [rows for table, _, rows in scans if table in tables]
                    assert read, scans
                    assert max(read) <= 100, (mode, listing.name, scans)
            finally:
                await session.sql.execute("RESET plan_cache_mode")
