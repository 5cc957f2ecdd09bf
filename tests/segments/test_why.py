"""Why a customer is in a segment: every node of the rule, and what was found."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from core.domain.customers.customers import add_tags
from core.domain.segments.rules import FORMS, read_rule, stored_rule
from core.domain.segments.segments import create_segment
from core.domain.segments.why import entered_at, explain_customers
from core.registry import Owned
from core.sdk import Facet, Text
from tests.segments.test_property import RULES, TREES, people, second_zone  # noqa: F401
from tests.segments.test_segments import add_customer, add_order


@dataclass(frozen=True)
class ShownRule:
    """Everybody; shows what SQL makes."""

    sql: str
    currency: str | None = None


class Shown(Facet):
    name = "taobao_shown"
    title = Text("Shown", "显示")
    rule = ShownRule

    def sql(self, rule, q):
        return "NULL::boolean" if rule.sql.startswith("NULL") else "TRUE"

    def explain(self, rule, say):
        return say("shown", "显示")

    def found(self, rule, q):
        return q.money(rule.sql, rule.currency) if rule.currency else rule.sql


async def ask(session, registry, node, *ids):
    rule = await read_rule(session, registry, await stored_rule(session, registry, node))
    found = await explain_customers(session, rule, ids)
    return rule, [found.get(one) for one in ids]


def shape(reasons):
    return [
        (".".join(one.node.path[2:]), one.parent, one.depth, one.holds, one.found)
        for one in reasons
    ]  # fmt: skip


async def test_each_node_says_whether_it_holds(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        one, two = await add_customer(w, "浙江省"), await add_customer(w)
        await add_order(w, one, "a", 10)
        await add_order(w, one, "b", 300)
        await add_tags(w, one, ["vip", "b2b"], "staff")
        node = {
            "all": [
                {"order_count": {"at_least": 2}},
                {"any": [{"province": {"any_of": ["广东"]}}, {"not": {"tag": {"any_of": ["x"]}}}]},
                {"days_since_last_purchase": {"at_least": 90}},
            ]
        }
        _, (mine, other) = await ask(w, registry, node, one, two)
    assert shape(mine) == [
        ("all", None, 0, False, None),
        ("all.0.orderCount", 0, 1, True, 2),
        ("all.1.any", 0, 1, True, None),
        ("all.1.any.0.province", 2, 2, False, "浙江省"),
        ("all.1.any.1.not", 2, 2, True, None),
        ("all.1.any.1.not.tag", 4, 3, False, ["b2b", "vip"]),
        ("all.2.daysSinceLastPurchase", 0, 1, False, 10),
    ]
    assert [one.found for one in other] == [None, 0, None, None, None, None, None]
    assert [one.holds for one in other] == [False, False, True, False, True, False, False]


async def test_another_segments_rule_stands_below_its_node(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        one = await add_customer(w, "浙江省")
        inner = {"all": [{"province": {"any_of": ["浙江"]}}, {"has_email": {}}]}
        segment = await create_segment(w, registry, "inner", await stored_rule(w, registry, inner))
        node = {"not": {"in_segment": {"segment_id": segment}}}
        rule, (reasons,) = await ask(w, registry, node, one)
    assert shape(reasons) == [
        ("not", None, 0, True, None),
        ("not.inSegment", 0, 1, False, None),
        ("not.inSegment.all", 1, 2, False, None),
        ("not.inSegment.all.0.province", 2, 3, True, "浙江省"),
        ("not.inSegment.all.1.hasEmail", 2, 3, False, None),
    ]
    assert [rule.sentence("zh", one.node) for one in reasons] == [
        "不满足：属于人群「inner」", "属于人群「inner」", "所在省份为浙江且有邮箱",
        "所在省份为浙江", "有邮箱",
    ]  # fmt: skip


async def test_kept_members_are_explained_by_their_entry(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        one, two = await add_customer(w), await add_customer(w)
        segment = await create_segment(w, registry, "kept", {"version": 1, "rule": {"all": []}})
        await w.sql.execute(
            "UPDATE segments SET kind = 'list' WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, segment,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO segment_members (merchant_id, segment_id, customer_id, entered_at,
                   left_at)
               SELECT $1, $2, x.id, $5::timestamptz - interval '9 days', x.left_at
               FROM (VALUES ($3::bigint, NULL), ($4, $5::timestamptz)) x (id, left_at)""",
            w.merchant_id, segment, one, two, w.now,
        )  # fmt: skip
        since = (w.now - timedelta(days=9)).isoformat()
        _, (here, gone) = await ask(
            w, registry, {"in_segment": {"segment_id": segment}}, one, two
        )  # fmt: skip
        assert shape(here) == [("inSegment", None, 0, True, since)]
        assert shape(gone) == [("inSegment", None, 0, False, None)]
        members = await entered_at(w, segment, [one, two])
    assert {pk: at.isoformat() for pk, at in members.items()} == {one: since}


@pytest.mark.parametrize(
    ("sql", "currency", "shown"),
    [
        ("NULL::text", None, None),
        ("1234.50::numeric", None, "1234.50"),
        ("true", None, True),
        ("'2026-01-02'::date", None, "2026-01-02"),
        ("""'{"a": [1.10, null]}'::jsonb""", None, {"a": ["1.10", None]}),
        ("9900", "CNY", {"amount": "99.00", "currency": "CNY"}),
        ("-5::bigint", "CNY", {"amount": "-0.05", "currency": "CNY"}),
        ("500", "JPY", {"amount": "500", "currency": "JPY"}),
        ("1000.5::numeric", "KWD", {"amount": "1.001", "currency": "KWD"}),
        (str(2**63 - 1), "CNY", {"amount": "92233720368547758.07", "currency": "CNY"}),
        ("NULL::bigint", "CNY", None),
    ],
)
async def test_what_is_found_is_shown_exactly(merchant, sql, currency, shown):
    registry = merchant.installation.registry
    facets = {**registry.facets, "taobao_shown": Owned("taobao", Shown())}
    node = {"taobao_shown": {"sql": sql, "currency": currency}}
    async with merchant.work() as w:
        one = await add_customer(w)
        _, (reasons,) = await ask(w, replace(registry, facets=facets), node, one)
    assert reasons[0].found == shown
    assert reasons[0].holds is not sql.startswith("NULL")  # a plugin's NULL is false


async def test_other_merchants_customers_are_left_out(installation, merchant):
    from core.domain.shops.setup import set_up_merchant

    other = await set_up_merchant(installation.db, installation.registry, "Other", shop="s")
    async with installation.db.work(other.merchant_id) as w:
        theirs = await add_customer(w)
    async with merchant.work() as w:
        mine = await add_customer(w)
        _, found = await ask(w, installation.registry, {"all": []}, theirs, mine, 2**62)
    assert found[0] is None
    assert found[2] is None
    assert [one.holds for one in found[1]] == [True]


async def test_a_rule_of_the_greatest_size_is_explained(merchant):
    registry = merchant.installation.registry
    node = {"any": [{"tag": {"any_of": [f"t{n}"]}} for n in range(499)]}
    async with merchant.work() as w:
        one = await add_customer(w)
        await add_tags(w, one, ["t498"], "staff")
        _, (reasons,) = await ask(w, registry, node, one)
    assert [one.holds for one in reasons] == [True, *[False] * 498, True]
    assert {tuple(one.found) for one in reasons[1:]} == {("t498",)}


async def test_why_agrees_with_the_count_on_random_rules(merchant, people):  # noqa: F811
    """The root of the explanation is what the rule itself says, for each of many people."""
    from hypothesis import HealthCheck, given, settings

    rules = []

    @settings(
        max_examples=RULES // 5, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(TREES)
    def collect(rule):
        rules.append(rule)

    collect()
    ids = [one["id"] for one in people]
    registry = merchant.installation.registry
    async with merchant.read() as session:
        for node in rules:
            rule, found = await ask(session, registry, node, *ids)
            asked = rule.ask(FORMS[-1])
            rows = await session.sql.fetch(f"SELECT c.id {asked.matching}", *asked.q.args)
            hits = {row["id"] for row in rows}
            assert {pk for pk, one in zip(ids, found, strict=True) if one[0].holds} == hits, node
