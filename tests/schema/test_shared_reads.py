"""Requests that ask for one object each at the same time share a statement, and nothing else."""

import asyncio

import pytest

from core.domain.shops.setup import set_up_merchant
from core.domain.shops.tokens import create_token
from core.schema.scalars import global_id
from core.storage.connections import Budget, Connection
from tests.customers.kit import add_customers

ONE = "query ($id: ID!) { customer(id: $id) { id name version } }"
UPDATE = """mutation ($id: ID!, $name: String!) {
  customerUpdate(id: $id, input: {name: $name}) { customer { id } } }"""


@pytest.fixture
def statements(monkeypatch):
    """The statements about customers that were fetched."""
    seen = []
    fetch = Connection.fetch

    def counted(self, query, *args, **named):
        if "FROM customers c" in query:
            seen.append(args)
        return fetch(self, query, *args, **named)

    monkeypatch.setattr(Connection, "fetch", counted)
    return seen


async def test_each_request_has_its_own_answer(api, merchant, statements):
    installation = merchant.installation
    other = await set_up_merchant(installation.db, installation.registry, "other")
    async with merchant.work() as w:
        pks = await add_customers(w, 20)
        _, blind = await create_token(w, installation.registry, "blind", ["SHOPS_READ"])
    asked = [
        (token, pk)
        for pk in [*pks, 10**9]
        for token in (merchant.token, other.token, blind)
    ]  # fmt: skip
    answers = await asyncio.gather(
        *(api(token, ONE, id=global_id("Customer", pk)) for token, pk in asked)
    )
    for (token, pk), answer in zip(asked, answers, strict=True):
        if token == blind:
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        elif token == other.token or pk not in pks:
            assert answer["data"] == {"customer": None}
        else:
            assert answer["data"]["customer"]["id"] == global_id("Customer", pk)
    assert len(statements) < len(asked) / 2
    assert {args[0] for args in statements} == {merchant.id, other.merchant_id}


async def test_what_was_written_before_is_read(api, merchant):
    async with merchant.work() as w:
        pks = await add_customers(w, 10)

    async def write_and_read(pk):
        for number in range(5):
            given = {"id": global_id("Customer", pk), "name": f"n{number}"}
            await api.data(merchant.token, UPDATE, **given)
            found = await api.data(merchant.token, ONE, id=given["id"])
            assert found["customer"]["name"] == given["name"]

    await asyncio.gather(*map(write_and_read, pks))


async def test_each_lookup_counts_as_a_statement(api, merchant, monkeypatch):
    monkeypatch.setattr("core.schema.budget.Budget", lambda _: Budget(3))
    async with merchant.work() as w:
        (pk,) = await add_customers(w, 1)
    fields = " ".join(f"a{number}: customer(id: $id) {{ id }}" for number in range(4))
    answer = await api(
        merchant.token, f"query ($id: ID!) {{ {fields} }}", id=global_id("Customer", pk)
    )
    assert answer["errors"][0]["extensions"]["code"] == "COST_EXCEEDED"
