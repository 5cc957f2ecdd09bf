from dataclasses import dataclass
from datetime import timedelta

import orjson
import pytest

from core.domain.orders.facts import refresh_facts
from core.domain.segments.compile import Compiler, sentence
from core.domain.segments.facets import FACETS
from core.domain.segments.preview import preview_segment
from core.domain.segments.segments import (
    create_segment,
    delete_segment,
    get_segment,
    update_segment,
)
from core.domain.segments.tree import read_tree, write_rule
from core.registry import Owned
from core.sdk import (
    AlreadyExists,
    Facet,
    InvalidInput,
    NotFound,
    Query,
    Say,
    Several,
    Text,
    WrongState,
)
from core.sdk.errors import HuikeError
from core.testing.fixtures import START

BY_NAME = {facet.name: Owned("core", facet) for facet in FACETS}


def stored(rule):
    return write_rule(rule, BY_NAME) if isinstance(rule, dict) else {"version": 1, "rule": rule}


EVERYBODY = stored({"all": []})


async def add_customer(w, province=None, email=None):
    return await w.sql.fetchval(
        """INSERT INTO customers (merchant_id, province, email_index, version, created_at,
               updated_at) VALUES ($1, $2, $3, 1, $4, $4) RETURNING id""",
        w.merchant_id, province, email, w.now,
    )  # fmt: skip


async def add_order(w, customer_id, number, days_ago, state="completed"):
    await w.sql.execute(
        """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
               total, paid, refunded, ordered_at, paid_at, content_hash, taken_at)
           SELECT $1, min(s.id), $2, $3, $4, 'CNY', 9900, 9900, 0, $5::timestamptz, $5, '', $5
           FROM shops s WHERE s.merchant_id = $1""",
        w.merchant_id, number, customer_id, state, w.now - timedelta(days=days_ago),
    )  # fmt: skip
    await refresh_facts(w, [customer_id])


def errors_of(rule):
    with pytest.raises((HuikeError, Several)) as caught:
        read_tree(stored(rule), BY_NAME)
    assert all(isinstance(error, InvalidInput) for error in caught.value.errors)
    return {".".join(error.path): error.message for error in caught.value.errors}


@pytest.mark.parametrize(
    ("rule", "path", "word"),
    [
        ({}, "input.rule", "each node"),
        ([], "input.rule", "each node"),
        ("all", "input.rule", "each node"),
        (None, "input.rule", "each node"),
        ({"all": [], "any": []}, "input.rule", "each node"),
        ({"all": {}}, "input.rule.all", "list"),
        ({"not": []}, "input.rule.not", "each node"),
        ({"fly": {}}, "input.rule.fly", "order_count"),
        ({"order_count": {}}, "input.rule.orderCount", "atLeast"),
        ({"order_count": {"orders": {}}}, "input.rule.orderCount", "atLeast"),
        ({"order_count": {"at_least": 3, "at_most": 2}}, "input.rule.orderCount.atLeast", "nobody"),
        ({"order_count": {"at_least": "3"}}, "input.rule.orderCount.atLeast", "integer"),
        ({"order_count": {"at_least": True}}, "input.rule.orderCount.atLeast", "integer"),
        ({"order_count": {"at_least": 10**30}}, "input.rule.orderCount.atLeast", "from 0"),
        ({"order_count": {"at_least": -1}}, "input.rule.orderCount.atLeast", "from 0"),
        (
            {"order_count": {"at_least": 1, "orders": {"within": {"last_days": 10**9}}}},
            "input.rule.orderCount.orders.within.lastDays",
            "from 0",
        ),
        (
            {"order_count": {"at_least": 1, "orders": {"within": {"days": 3}}}},
            "input.rule.orderCount.orders.within.days",
            "last_days",
        ),
        ({"order_count": {"atleast": 3}}, "input.rule.orderCount.atleast", "at_least"),
        ({"order_count": [1]}, "input.rule.orderCount", "object"),
        ({"order_sum": {"at_least": "1"}}, "input.rule.orderSum.currency", "required"),
        (
            {"order_sum": {"at_least": "1.001", "currency": "CNY"}},
            "input.rule.orderSum.atLeast",
            "decimals",
        ),
        (
            {"order_sum": {"at_least": "1e999999", "currency": "CNY"}},
            "input.rule.orderSum.atLeast",
            "",
        ),
        ({"order_sum": {"at_least": "NaN", "currency": "CNY"}}, "input.rule.orderSum.atLeast", ""),
        (
            {"order_sum": {"at_least": "1", "currency": "yuan"}},
            "input.rule.orderSum.currency",
            "CNY",
        ),
        ({"province": {"any_of": "广东"}}, "input.rule.province.anyOf", "array"),
        ({"province": {"any_of": [1]}}, "input.rule.province.anyOf.0", "string"),
        ({"province": {"any_of": ["a\x00"]}}, "input.rule.province.anyOf", "stored"),
        ({"province": {"any_of": ["\ud800"]}}, "input.rule.province.anyOf", "stored"),
        ({"tag": {"any_of": ["x"] * 1001}}, "input.rule.tag.anyOf", "1000"),
        ({"tag": {"any_of": ["x" * 1001]}}, "input.rule.tag.anyOf", "1000"),
        ({"province": {}}, "input.rule.province.anyOf", "required"),
        ({"has_phone": {"yes": True}}, "input.rule.hasPhone.yes", "none"),
        ({"opted_in": {"channel": " "}}, "input.rule.optedIn.channel", "empty"),
    ],
)
def test_faults_are_refused_with_their_path(rule, path, word):
    found = errors_of(rule)
    assert path in found
    assert word in found[path]


def test_all_faults_come_at_once():
    found = errors_of({"all": [{"fly": {}}, {"not": {"order_count": {}}}, {"has_email": {}}]})
    assert set(found) == {"input.rule.all.0.fly", "input.rule.all.1.not.orderCount"}


def test_depth_and_size_are_limited():
    rule = {"has_email": {}}
    for _ in range(19):
        rule = {"not": rule}
    read_tree(stored(rule), BY_NAME)
    assert "20 levels" in next(iter(errors_of({"not": rule}).values()))
    read_tree(stored({"any": [{"has_email": {}}] * 499}), BY_NAME)
    assert "500 nodes" in next(iter(errors_of({"any": [{"has_email": {}}] * 500}).values()))
    deep = {"has_email": {}}
    for _ in range(5000):
        deep = {"not": deep}
    assert "20 levels" in next(iter(errors_of(deep).values()))


@pytest.mark.parametrize(
    "bad", [{}, {"rule": {"all": []}}, {"version": 2, "rule": {"all": []}}, {**EVERYBODY, "x": 1}]
)
def test_other_versions_and_shapes_are_refused(bad):
    with pytest.raises((HuikeError, Several)):
        read_tree(bad, BY_NAME)


def test_explanation_reads_as_a_sentence():
    rule = {
        "all": [
            {"order_count": {"at_least": 2, "orders": {"within": {"last_days": 365}}}},
            {"any": [{"province": {"any_of": ["广东", "浙江"]}}, {"tag": {"any_of": ["vip"]}}]},
            {"not": {"order_sum": {"at_least": "99.90", "currency": "CNY"}}},
        ]
    }
    assert sentence(read_tree(stored(rule), BY_NAME), Say()) == (
        "bought at least 2 times in the last 365 days and (lives in 广东 or 浙江, or is tagged vip)"
        " and not (spent at least 99.90 CNY)"
    )


@dataclass(frozen=True)
class SlipRule:
    pass


class Slip(Facet):
    name = "x_slip"
    title = Text("NULL for everybody", "空")
    rule = SlipRule

    def sql(self, rule, q):
        return "NULL::boolean"

    def explain(self, rule, say):
        return "slips"


async def test_a_plugins_null_is_false(merchant):
    q = Query(merchant.id, START, "Asia/Shanghai")
    rule = stored({"not": {"x_slip": {}}})
    expression = Compiler(q).sql(read_tree(rule, {"x_slip": Owned("x", Slip())}))
    async with merchant.read() as session:
        assert await session.sql.fetchval(f"SELECT {expression} AND $1 > 0", *q.args) is True


async def test_preview_counts_and_samples(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        ids = [await add_customer(w, "广东" if n % 2 else None) for n in range(7)]
        await add_order(w, ids[0], "a", 10)
        await add_order(w, ids[0], "b", 100)
        await add_order(w, ids[2], "c", 100)
        await add_order(w, ids[4], "d", 100, state="closed_refunded")
    async with merchant.read() as session:
        every = await preview_segment(session, registry, EVERYBODY, sample=3)
        assert (every.count, every.sample) == (7, [ids[6], ids[5], ids[4]])
        assert every.explanation == "everybody"
        nobody = await preview_segment(session, registry, stored({"any": []}))
        assert (nobody.count, nobody.sample) == (0, [])
        asleep = stored({"days_since_last_purchase": {"at_least": 90, "at_most": 400}})
        assert (await preview_segment(session, registry, asleep)).sample == [ids[2]]
        empty = stored({"province": {"any_of": []}})
        assert (await preview_segment(session, registry, empty)).count == 0
        assert (await preview_segment(session, registry, stored({"not": empty["rule"]}))).count == 7


async def test_a_province_is_found_by_its_short_name_too(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        ids = [await add_customer(w, name) for name in ("广东省", "北京", "California")]
        for asked, hit in (("广东", 0), ("广东省", 0), ("北京市", 1), ("California", 2)):
            rule = stored({"province": {"any_of": [asked]}})
            assert (await preview_segment(w, registry, rule)).sample == [ids[hit]], asked


async def test_merchants_do_not_see_each_other(installation, merchant):
    from core.domain.shops.setup import set_up_merchant

    other = await set_up_merchant(installation.db, installation.registry, "Other", shop="s")
    async with installation.db.work(other.merchant_id) as w:
        stranger = await add_customer(w)
        await add_order(w, stranger, "x", 3)
    async with merchant.work() as w:
        mine = await add_customer(w)
        # an order of another merchant that names my customer's id must not count
        await w.sql.execute(
            "UPDATE orders SET customer_id = $2 WHERE merchant_id = $1", other.merchant_id, mine
        )
    async with merchant.read() as session:
        everybody = await preview_segment(session, installation.registry, EVERYBODY)
        assert everybody.sample == [mine]
        bought = stored({"order_count": {"at_least": 1}})
        assert (await preview_segment(session, installation.registry, bought)).count == 0


async def test_crud(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        one = await create_segment(w, registry, " 老客 ", EVERYBODY)
        two = await create_segment(w, registry, "other", EVERYBODY)
        with pytest.raises(AlreadyExists):
            await create_segment(w, registry, "老客", EVERYBODY)
        with pytest.raises(AlreadyExists):
            await update_segment(w, registry, two, {"name": "老客"})
        with pytest.raises((HuikeError, Several)):
            await create_segment(w, registry, "bad", stored({"fly": {}}))
        with pytest.raises((HuikeError, Several)):
            await update_segment(w, registry, one, {"rule": stored({"fly": {}})})
        with pytest.raises(InvalidInput):
            await update_segment(w, registry, one, {"name": None})
        rule = stored({"order_sum": {"currency": "CNY", "at_least": "9.90"}})
        await update_segment(w, registry, one, {"rule": rule})
    async with merchant.read() as session:
        row = await get_segment(session, one)
    assert (row["name"], row["rule"], row["version"]) == ("老客", rule, 2)
    flow = {"steps": [{"rule": {"in_segment": {"segment_id": one}}}]}
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO campaigns (merchant_id, name, channel, message_class, segment_id,
                   flow, options, state, version, created_at, updated_at)
               VALUES ($1, 'spring', 'email', 'marketing', $2, $3, '{}', 'draft', 1, $4, $4)""",
            w.merchant_id, one, orjson.dumps(flow).decode(), w.now,
        )  # fmt: skip
        with pytest.raises(WrongState, match="spring"):
            await delete_segment(w, one)
        await delete_segment(w, two)
        with pytest.raises(NotFound):
            await get_segment(w, two)
        with pytest.raises(NotFound):
            await delete_segment(w, two)
        with pytest.raises(NotFound):
            await update_segment(w, registry, two, {"name": "x"})


async def test_segments_of_other_merchants_are_not_found(installation, merchant):
    from core.domain.shops.setup import set_up_merchant

    other = await set_up_merchant(installation.db, installation.registry, "Other", shop="s")
    async with installation.db.work(other.merchant_id) as w:
        foreign = await create_segment(w, installation.registry, "theirs", EVERYBODY)
    async with merchant.work() as w:
        with pytest.raises(NotFound):
            await get_segment(w, foreign)
        with pytest.raises(NotFound):
            await update_segment(w, installation.registry, foreign, {"name": "mine"})
        with pytest.raises(NotFound):
            await delete_segment(w, foreign)
