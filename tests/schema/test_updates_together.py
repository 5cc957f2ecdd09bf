"""Customers changed by many callers at the same time: each has its own answer and its own log."""

import asyncio
from collections import Counter

import asyncpg
import pytest
import pytest_asyncio

from core.domain.orders.merging import merge_customers
from core.domain.shops.setup import set_up_merchant
from core.schema import budget
from core.schema.scalars import global_id
from core.storage import connections
from core.storage.database import credentials
from tests.customers.kit import add_customers

UPDATE = """mutation ($id: ID!, $input: CustomerUpdateInput!) {
  customerUpdate(id: $id, input: $input) {
  customer { id name city version } errors { code path ... on CustomerError { customerId } } } }"""


@pytest.fixture
def update(api, merchant):
    async def ask(pk, **given):
        values = {"id": global_id("Customer", pk), "input": given}
        return (await api.data(merchant.token, UPDATE, **values))["customerUpdate"]

    return ask


@pytest_asyncio.fixture(loop_scope="session")
async def pks(merchant):
    async with merchant.work() as w:
        return await add_customers(w, 24)


async def stored(merchant, pks):
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT * FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])
               ORDER BY id""",
            merchant.id, pks,
        )  # fmt: skip
    return [dict(row) for row in rows]


async def logged(merchant):
    """Of whom there are entries and of what, and how many transactions wrote them."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT customer_id, data->>'columns' AS columns, actor, xmin::text
               FROM customer_log WHERE merchant_id = $1 AND kind = 'changed'""",
            merchant.id,
        )  # fmt: skip
    assert {row["actor"].split(":")[0] for row in rows} <= {"token"}
    return (
        Counter((row["customer_id"], row["columns"]) for row in rows),
        len({row["xmin"] for row in rows}),
    )


def codes(answers):
    return [[error["code"] for error in answer["errors"]] for answer in answers]


async def test_each_has_its_own_answer(merchant, update, pks):
    *plain, contact, seen, bad, clashing, gone, kept = pks
    other = await set_up_merchant(merchant.installation.db, merchant.installation.registry, "B")
    async with merchant.installation.db.work(other.merchant_id) as w:
        (foreign,) = await add_customers(w, 1)
    async with merchant.work() as w:
        await merge_customers(w, merchant.installation.registry, kept, gone, "same")
    before = await stored(merchant, [bad, clashing, kept])
    answers = await asyncio.gather(
        *(update(pk, city=f"City {pk}", name=None) for pk in plain),
        update(contact, email="new@example.com", city="x"), update(seen, ifVersion=1, city="y"),
        update(bad, city=" ", name="fine"), update(bad, city="fine", birthday="2999-01-01"),
        update(clashing, ifVersion=7, city="z"), update(10**12, city="z"),
        update(foreign, city="z"), update(gone, city="z"), update(bad, name="\x00"),
    )  # fmt: skip
    good, wrong = answers[: len(plain) + 2], answers[len(plain) + 2 :]
    assert codes(good) == [[]] * len(good)
    cities = [*(f"City {pk}" for pk in plain), "x", "y"]
    assert [answer["customer"]["city"] for answer in good] == cities
    assert [(row["city"], row["version"]) for row in await stored(merchant, pks[: len(good)])] == [
        (city, 2) for city in cities
    ]
    assert codes(wrong) == [
        ["INVALID_INPUT"], ["INVALID_INPUT"], ["CONFLICT"], ["NOT_FOUND"], ["NOT_FOUND"],
        ["CUSTOMER_MERGED"], ["INVALID_INPUT"],
    ]  # fmt: skip
    assert [answer["errors"][0]["path"] for answer in wrong[:3]] == [
        ["input", "city"], ["input", "birthday"], ["input", "ifVersion"],
    ]  # fmt: skip
    assert wrong[5]["errors"][0]["customerId"] == global_id("Customer", kept)
    assert await stored(merchant, [bad, clashing, kept]) == before
    entries, transactions = await logged(merchant)
    assert entries == {
        **{(pk, '["city", "name"]'): 1 for pk in plain},
        (contact, '["city", "email"]'): 1, (seen, '["city"]'): 1,
    }  # fmt: skip
    assert transactions < len(plain)


async def test_a_row_that_cannot_be_stored_spoils_nothing_for_the_others(api, merchant, pks):
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE customers SET version = 2147483647 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, pks[9],
        )  # fmt: skip

    def ask(pk):
        values = {"id": global_id("Customer", pk), "input": {"city": "x"}}
        return api(merchant.token, UPDATE, **values)

    answers = await asyncio.gather(*(ask(pk) for pk in pks))
    assert ["errors" in answer for answer in answers] == [pk == pks[9] for pk in pks]
    assert [row["city"] for row in await stored(merchant, pks)] == [
        None if pk == pks[9] else "x" for pk in pks
    ]


async def test_one_customer_is_changed_by_many_one_after_the_other(merchant, update, pks):
    pk, other = pks[:2]
    answers = await asyncio.gather(
        *(update(pk, city=f"{n}") for n in range(10)),
        *(update(other, ifVersion=1, city=f"{n}") for n in range(10)),
    )
    customers = [answer["customer"] for answer in answers[:10]]
    versions = {found["version"]: found["city"] for found in customers}
    assert sorted(versions) == list(range(2, 12))
    first, second = await stored(merchant, [pk, other])
    assert (first["version"], first["city"]) == (11, versions[11])
    # of all who saw its first version one changes it
    assert sorted(codes(answers[10:])) == [[], *[["CONFLICT"]] * 9]
    assert second["version"] == 2
    entries, _ = await logged(merchant)
    assert entries == {(pk, '["city"]'): 10, (other, '["city"]'): 1}


async def test_nobody_waits_for_a_row_that_another_wants(merchant, update, pks):
    held, *others = pks
    sql = await asyncpg.connect(**credentials(merchant.installation.database_url))
    try:
        async with sql.transaction(), asyncio.timeout(30):
            await sql.execute(
                "UPDATE customers SET name = 'merging' WHERE merchant_id = $1 AND id = $2",
                merchant.id, held,
            )  # fmt: skip
            waiting = asyncio.create_task(update(held, city="late"))
            answers = await asyncio.gather(*(update(pk, city="soon") for pk in others))
            assert codes(answers) == [[]] * len(others)
            assert not waiting.done()
    finally:
        await sql.close()
    found = (await waiting)["customer"]
    assert (found["name"], found["city"], found["version"]) == ("merging", "late", 2)


async def test_statements_are_bounded_for_each_request(api, merchant, pks, monkeypatch):
    monkeypatch.setattr(budget, "Budget", lambda _: connections.Budget(2))
    fields = " ".join(
        f'a{pk}: customerUpdate(id: "{global_id("Customer", pk)}", input: {{city: "x"}}) '
        "{ customer { city } }"
        for pk in pks[:3]
    )  # fmt: skip
    answer = await api(merchant.token, f"mutation {{ {fields} }}")
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == ([f"a{pks[2]}"], "COST_EXCEEDED")
    assert [row["city"] for row in await stored(merchant, pks[:3])] == ["x", "x", None]
    # who shares a transaction takes no more than alone
    one = UPDATE.replace("customerUpdate(", "a: customerUpdate(id: $id, input: $input) "
                         "{ errors { code } } customerUpdate(")  # fmt: skip
    answers = await asyncio.gather(*(
        api.data(merchant.token, one, id=global_id("Customer", pk), input={"city": "y"})
        for pk in pks
    ))  # fmt: skip
    assert codes(answer["customerUpdate"] for answer in answers) == [[]] * len(pks)
