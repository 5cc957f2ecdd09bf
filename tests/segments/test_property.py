"""A brute-force evaluator over small random data is the oracle of the compiler."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain.customers.fields import create_field
from core.domain.segments.compile import Compiler
from core.domain.segments.facets.filters import OrderFilter, OrderWindow
from core.domain.segments.rules import FORMS, read_rule, stored_rule
from core.domain.segments.tree import raw_leaves
from core.domain.shops.shops import create_shop
from core.testing.fixtures import START
from tests.segments.oracle import (
    after_sales,
    campaigns,
    customers,
    lifecycle,
    members,
    orders,
    platforms,
    purchases,
)
from tests.segments.oracle.kit import within

FAMILIES = [customers, orders, purchases, after_sales, campaigns, lifecycle, members, platforms]
EVALUATE = {name: one for family in FAMILIES for name, one in family.EVALUATE.items()}
LEAVES = st.one_of(*(family.LEAVES for family in FAMILIES))
TREES = st.recursive(
    LEAVES,
    lambda nodes: st.one_of(
        st.lists(nodes, max_size=3).map(lambda some: {"all": some}),
        st.lists(nodes, max_size=3).map(lambda some: {"any": some}),
        nodes.map(lambda one: {"not": one}),
    ),
    max_leaves=8,
)
GATHERED = st.one_of(orders.LEAVES, purchases.LEAVES, campaigns.LEAVES)
LEADING = st.one_of(
    GATHERED,
    st.tuples(orders.LEAVES, purchases.LEAVES).map(lambda both: {"any": list(both)}),
    st.tuples(GATHERED, TREES).map(lambda both: {"all": list(both)}),
)
RULES = 3_000
AT_ONCE = 20
"""Rules asked in one statement."""


class Oracle:
    """Evaluates rules naively, each question once."""

    def __init__(self, people: list[dict]) -> None:
        self.people = {one["id"]: one for one in people}
        self.known: dict[str, frozenset[int]] = {}

    def matching(self, node: dict) -> frozenset[int]:
        """The ids of those who match."""
        ((name, value),) = node.items()
        everybody = frozenset(self.people)
        if name == "all":
            return everybody.intersection(*map(self.matching, value))
        if name == "any":
            return frozenset().union(*map(self.matching, value))
        if name == "not":
            return everybody - self.matching(value)
        key = repr(node)
        if key not in self.known:
            hits = (number for number, one in self.people.items() if EVALUATE[name](value, one))
            self.known[key] = frozenset(hits)
        return self.known[key]

    def tells_apart(self, node: dict) -> bool:
        """Whether some match, and others do not."""
        return 0 < len(self.matching(node)) < len(self.people)


@pytest.fixture
def second_zone(monkeypatch, request):
    """The time zone of the second shop: another one than the merchant's, unless told otherwise."""
    zone = getattr(request, "param", orders.ZONES[1])
    monkeypatch.setitem(orders.ZONES, 1, zone)
    return zone


@pytest_asyncio.fixture(loop_scope="session")
async def people(merchant, second_zone):
    r = random.Random(7)
    made: list[dict] = [{} for _ in range(80)]
    async with merchant.work() as w:
        await create_shop(w, "second", "aliexpress", time_zone=second_zone)
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
        # the ledger of messages outlives customers
        gone = dict(made[0], id=made[-1]["id"] + 1, email=None, suppressed=[])
        gone["messages"] = [message for one in made for message in one["messages"]]
        await campaigns.store(w, gone)
        await w.sql.execute("ANALYZE")  # taken for empty, tables are joined row by row
    return made


def drawn(strategy: st.SearchStrategy[dict], number: int) -> list[dict]:
    """So many examples, the same ones each time."""
    made: list[dict] = []

    @settings(
        max_examples=number, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def collect(rule: dict) -> None:
        made.append(rule)

    collect()
    return made


async def asked_of_all(session, registry, rules: list[dict], form: str) -> list[dict]:
    """What each rule says of each customer, all asked in one statement."""
    stored = await stored_rule(session, registry, {"all": rules})
    together = replace(await read_rule(session, registry, stored), now=START)
    compiler = Compiler(together.query(form))
    hits = ", ".join(compiler.sql(node) for node in together.root.children)
    rows = await session.sql.fetch(
        f"SELECT c.id, ARRAY[{hits}] AS hits FROM {compiler.q.source} WHERE {compiler.q.base}",
        *compiler.q.args,
    )
    return [{row["id"]: row["hits"][n] for row in rows} for n in range(len(rules))]


async def compare(merchant, oracle: Oracle, rules: list[dict]) -> None:
    """Each rule in each form against the oracle."""
    registry = merchant.installation.registry
    async with merchant.read() as session:
        for start in range(0, len(rules), AT_ONCE):
            some = rules[start : start + AT_ONCE]
            expected = [
                {number: number in hits for number in oracle.people}
                for hits in map(oracle.matching, some)
            ]
            for form in FORMS:
                found = await asked_of_all(session, registry, some, form)
                for rule, is_, should in zip(some, found, expected, strict=True):
                    assert is_ == should, (form, rule)  # also refuses NULL


@pytest.mark.parametrize("second_zone", ["Asia/Shanghai"], indirect=True)
async def test_figures_of_all_shops_answer_where_all_have_the_same_days(merchant, people):
    rules = [*drawn(TREES, RULES // 10), *drawn(purchases.LEAVES, RULES // 10)]
    await compare(merchant, Oracle(people), rules)


async def test_compiled_rules_agree_with_brute_force(merchant, people):
    oracle = Oracle(people)
    # what became of messages is rare among so many questions
    rules = [*drawn(TREES, RULES // 2), *drawn(LEAVES, RULES // 2), *drawn(campaigns.LEAVES, 200)]
    assert len(rules) >= RULES * 3 // 5
    await compare(merchant, oracle, rules)
    telling = [rule for rule in rules if oracle.tells_apart(rule)]
    assert len(telling) >= RULES // 4, "the data hardly tells rules apart"
    seen = [
        (name, params)
        for rule in rules
        for name, params, _ in raw_leaves(rule)
        if oracle.tells_apart({name: params})
    ]
    facets = Counter(name for name, _ in seen)
    # one without parameters is drawn once by itself, and else only within trees
    plain = {name for name in EVALUATE if not any(params for n, params in seen if n == name)}
    assert min(facets[name] for name in EVALUATE if name not in plain) >= 8, facets
    assert min(facets[name] for name in plain) >= 3, facets
    parameters = Counter(key for _, params in seen for key in set(keys(params)))
    shared = [*OrderFilter.__dataclass_fields__, *OrderWindow.__dataclass_fields__]
    assert min(parameters[key] for key in shared) >= 10, parameters


async def test_a_rule_alone_starts_from_what_it_asks(merchant, people):
    """Statements that leave the customers out, or read several kinds of rows, find the same."""
    oracle = Oracle(people)
    starts, sorting = Counter(), 0
    async with merchant.read() as session:
        for rule in drawn(LEADING, RULES // 6):
            stored = await stored_rule(session, merchant.installation.registry, rule)
            read = replace(
                await read_rule(session, merchant.installation.registry, stored), now=START
            )
            for within in (None, (people[10]["id"], people[60]["id"])):
                low, high = within or (0, people[-1]["id"])
                expected = {one for one in oracle.matching(rule) if low <= one <= high}
                asked = read.ask("joined", within)
                rows = await session.sql.fetch(f"SELECT c.id {asked.matching}", *asked.q.args)
                assert sorted(row["id"] for row in rows) == sorted(expected), rule
                count = await session.figures(asked.count, *asked.q.args)
                assert count[0] == len(expected), rule
                sorting += "DISTINCT" in asked.count
                starts[len(asked.q.led_by)] += 1
    assert min(starts[0], starts[1], sum(starts.values()) - starts[0] - starts[1]) >= 20, starts
    assert sorting >= 10


COUNTED = {"order_count", "purchase_count", "days_since_last_purchase"}
"""Facets that show the number that is asked about."""


async def test_what_is_found_explains_the_answer(merchant, people):
    oracle = Oracle(people)
    rules = [*drawn(LEAVES, RULES // 10), *drawn(st.one_of(orders.LEAVES, purchases.LEAVES), 150)]
    compared = 0
    async with merchant.read() as session:
        stored = await stored_rule(session, merchant.installation.registry, {"all": rules})
        together = replace(
            await read_rule(session, merchant.installation.registry, stored), now=START
        )
        for rule, leaf in zip(rules, together.root.children, strict=True):
            q = together.query()
            found = leaf.owned.value.found(leaf.rule, q)
            if found is None:
                continue
            rows = await session.sql.fetch(
                f"SELECT c.id, to_jsonb({found}) #>> '{{}}' FROM {q.source} WHERE {q.base}", *q.args
            )
            ((name, params),) = rule.items()
            if name in COUNTED:
                hits = {
                    row[0] for row in rows if row[1] is not None and within(params, int(row[1]))
                }
                assert hits == oracle.matching(rule), rule
                compared += 1
    assert compared >= 20


def keys(params: dict) -> Iterator[str]:
    """The names of parameters, nested ones too."""
    for key, value in params.items():
        yield key
        if isinstance(value, dict):
            yield from keys(value)
