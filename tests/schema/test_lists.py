"""Pages, filters, counts, and how many statements a query takes."""

import pytest

from core.schema import budget
from core.storage import connections
from core.storage.database import Database

PAGE = """query ($first: Int!, $after: String, $where: CustomerWhere, $sort: [CustomerSort!]) {
  customers(first: $first, after: $after, where: $where, sort: $sort) {
    nodes { id name } edges { cursor node { id } } pageInfo { hasNextPage endCursor }
    count(limit: 5) { value precision }
  } }"""


async def add(merchant, number):
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO customers (merchant_id, name, province, version, created_at, updated_at)
               SELECT $1, 'c' || n, CASE WHEN n % 2 = 0 THEN '浙江省' END, 1,
                      $2::timestamptz + (n / 3) * INTERVAL '1 s', $2
               FROM generate_series(1, $3) n""",
            w.merchant_id, w.now, number,
        )  # fmt: skip


@pytest.mark.parametrize(
    "sort",
    [
        None,
        [{"field": "CREATED_AT"}],
        [{"field": "CREATED_AT", "direction": "DESC"}],
        [{"field": "UPDATED_AT"}, {"field": "CREATED_AT", "direction": "DESC"}],
        [{"field": "CREATED_AT", "direction": "DESC"}, {"field": "UPDATED_AT"}],
    ],
)
async def test_pages_give_everyone_once(api, merchant, sort):
    await add(merchant, 23)
    everybody = await api.data(merchant.token, PAGE, first=100, sort=sort)
    wanted = [node["id"] for node in everybody["customers"]["nodes"]]
    assert len(wanted) == 23
    found, after = [], None
    while True:
        answer = (await api.data(merchant.token, PAGE, first=4, after=after, sort=sort))[
            "customers"
        ]
        found += [node["id"] for node in answer["nodes"]]
        assert [edge["node"]["id"] for edge in answer["edges"]] == [
            n["id"] for n in answer["nodes"]
        ]
        if not answer["pageInfo"]["hasNextPage"]:
            break
        after = answer["pageInfo"]["endCursor"]
    assert found == wanted
    assert answer["count"] == {"value": 5, "precision": "AT_LEAST"}


async def test_foreign_cursor_is_refused(api, merchant):
    await add(merchant, 5)
    first = await api.data(merchant.token, PAGE, first=2)
    cursor = first["customers"]["pageInfo"]["endCursor"]
    for change in ({"sort": [{"field": "CREATED_AT"}]}, {"where": {"name": {"eq": "c1"}}}):
        answer = await api(merchant.token, PAGE, first=2, after=cursor, **change)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
        assert "another sort or filter" in answer["errors"][0]["message"]
    for garbage in ("x", "", "e30=", "W10=", "WyJ4Il0="):
        answer = await api(merchant.token, PAGE, first=2, after=garbage)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("first", [0, -1, 101])
async def test_page_size_is_bounded(api, merchant, first):
    answer = await api(merchant.token, PAGE, first=first)
    assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({"name": {"in": []}}, []),
        ({"or": []}, []),
        ({"and": []}, []),
        ({"id": {"in": ["garbage"]}}, []),
        ({"id": {"eq": "garbage"}}, []),
        ({"name": {"in": ["c1", "c2"]}}, ["c1", "c2"]),
        ({"not": {"name": {"in": ["c1", "c2"]}}}, ["c3", "c4"]),
        ({"or": [{"name": {"eq": "c1"}}, {"name": {"eq": "c4"}}]}, ["c1", "c4"]),
        ({"and": [{"name": {"startsWith": "c"}}, {"province": {"isNull": True}}]}, ["c1", "c3"]),
        ({"not": {"province": {"eq": "浙江省"}}}, ["c1", "c3"]),
        ({"tag": {"eq": "vip"}}, ["c2"]),
        ({"name": {"startsWith": "%"}}, []),
        ({"createdAt": {"gte": "2099-01-01T00:00:00Z"}}, []),
        ({}, ["c1", "c2", "c3", "c4"]),
    ],
)
async def test_where(api, merchant, where, names):
    await add(merchant, 4)
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
               SELECT merchant_id, id, 'vip', 't', $2 FROM customers
               WHERE merchant_id = $1 AND name = 'c2'""",
            w.merchant_id, w.now,
        )  # fmt: skip
    answer = await api.data(merchant.token, PAGE, first=50, where=where)
    assert sorted(node["name"] for node in answer["customers"]["nodes"]) == names


async def test_null_in_a_filter_is_refused(api, merchant):
    answer = await api(merchant.token, PAGE, first=5, where={"name": {"eq": None}})
    assert "errors" in answer


async def test_children_take_one_statement_per_level(api, world, monkeypatch):
    await add(world.merchant, 30)
    reads = []
    read = Database.read

    def counted(self, merchant_id, actor="system"):
        reads.append(merchant_id)
        return read(self, merchant_id, actor)

    monkeypatch.setattr(Database, "read", counted)
    query = """{ customers(first: 100) { nodes { tags { tag } consents { status }
        orders { lines { title } shop { name } customer { name } } } } }"""
    answer = await api.data(world.token, query)
    assert len(answer["customers"]["nodes"]) == 33
    # token, page, tags, consents, orders, lines, shops, customers
    assert len(reads) == 8


async def test_contact_data_is_masked(api, world):
    query = """query ($id: ID!) { customer(id: $id) {
        phone { value redacted } email { value redacted } } }"""
    seen = await api.data(world.token, query, id=world.ids["Customer"])
    assert seen["customer"]["phone"] == {"value": "+8613812341234", "redacted": False}
    token = await world.limited("CUSTOMERS_READ")
    masked = await api.data(token, query, id=world.ids["Customer"])
    assert masked["customer"] == {
        "phone": {"value": "138****1234", "redacted": True},
        "email": {"value": "a***@example.com", "redacted": True},
    }


async def test_a_query_over_its_budget_of_statements_ends(api, world, monkeypatch):
    monkeypatch.setattr(budget, "Budget", lambda _: connections.Budget(2))
    query = "{ customers { nodes { id %s } } }"
    assert "errors" not in await api(world.token, query % "tags { tag }")
    answer = await api(world.token, query % "tags { tag } consents { status } identities { kind }")
    assert answer.get("data") is None
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "COST_EXCEEDED"
    assert "more than 2 SQL statements" in error["message"]
