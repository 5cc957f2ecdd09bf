"""A brute-force evaluator over small random data is the oracle of the compiler."""

import random
from dataclasses import replace

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain.customers.fields import create_field
from core.domain.segments.rules import FORMS, read_rule, stored_rule
from core.domain.shops.shops import create_shop
from core.testing.fixtures import START
from tests.segments.oracle import customers, lifecycle, orders

FAMILIES = [customers, orders, lifecycle]
EVALUATE = {name: one for family in FAMILIES for name, one in family.EVALUATE.items()}
TREES = st.recursive(
    st.one_of(*(family.LEAVES for family in FAMILIES)),
    lambda nodes: st.one_of(
        st.lists(nodes, max_size=3).map(lambda some: {"all": some}),
        st.lists(nodes, max_size=3).map(lambda some: {"any": some}),
        nodes.map(lambda one: {"not": one}),
    ),
    max_leaves=8,
)
RULES = 500


def matches(node: dict, one: dict) -> bool:
    """The rule, evaluated naively for one person."""
    ((name, value),) = node.items()
    if name == "all":
        return all(matches(child, one) for child in value)
    if name == "any":
        return any(matches(child, one) for child in value)
    if name == "not":
        return not matches(value, one)
    return EVALUATE[name](value, one)


@pytest_asyncio.fixture(loop_scope="session")
async def people(merchant):
    r = random.Random(7)
    made: list[dict] = [{} for _ in range(60)]
    async with merchant.work() as w:
        await create_shop(w, "second", "aliexpress")
        for key, kind in customers.FIELDS.items():
            choices = ["S", "M"] if kind == "choice" else []
            await create_field(w, "custom", "custom", key, key, kind, choices)
        for one in made:
            one["id"] = await w.sql.fetchval(
                """INSERT INTO customers (merchant_id, version, created_at, updated_at)
                   VALUES ($1, 1, $2, $2) RETURNING id""",
                w.merchant_id, w.now,
            )  # fmt: skip
            for family in FAMILIES:
                family.fill(r, one)
                await family.store(w, one)
    return made


@pytest.mark.parametrize("form", FORMS)
async def test_compiled_rule_agrees_with_brute_force(merchant, people, form):
    rules: list[dict] = []

    @settings(
        max_examples=RULES, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(TREES)
    def collect(rule: dict) -> None:
        rules.append(rule)

    collect()
    assert len(rules) >= RULES * 3 // 5
    mixed = 0
    registry = merchant.installation.registry
    async with merchant.read() as session:
        for rule in rules:
            stored = await stored_rule(session, registry, rule)
            rule_now = replace(await read_rule(session, registry, stored), now=START)
            asked = rule_now.ask(form)
            rows = await session.sql.fetch(
                f"SELECT c.id, {asked.condition} AS hit FROM {asked.q.source} WHERE {asked.q.base}",
                *asked.q.args,
            )
            hits = {row["id"]: row["hit"] for row in rows}
            expected = {one["id"]: matches(rule, one) for one in people}
            assert hits == expected, rule  # also refuses NULL
            mixed += 0 < sum(expected.values()) < len(people)
    assert mixed >= 100, "the data hardly tells rules apart"
