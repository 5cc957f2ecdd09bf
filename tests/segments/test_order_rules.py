"""What the facets about orders refuse, and how they read."""

import pytest

from core.domain.segments.compile import sentence
from core.domain.segments.facets import ORDERS
from core.domain.segments.facets.states import (
    WORDS,
    AskedOrderState,
    AskedParcelState,
    AskedRefundKind,
    AskedRefundState,
)
from core.domain.segments.rules import read_rule
from core.domain.segments.tree import read_tree, write_rule
from core.registry import Owned
from core.sdk.errors import HuikeError, Several
from core.sdk.facets import Say
from core.sdk.orders import OrderState, ParcelState, RefundKind, RefundState

BY_NAME = {facet.name: Owned("core", facet) for facet in ORDERS}
WITHIN = "input.rule.bought.orders.within"


def tree(rule):
    return read_tree(write_rule(rule, BY_NAME), BY_NAME)


def errors_of(rule):
    with pytest.raises((HuikeError, Several)) as caught:
        tree(rule)
    return {".".join(error.path): error.message for error in caught.value.errors}


def bought(**orders):
    return {"bought": {"orders": orders}}


@pytest.mark.parametrize(
    ("rule", "path", "word"),
    [
        (bought(within={}), WITHIN, "lastDays"),
        (bought(within={"last_days": "3"}), f"{WITHIN}.lastDays", "integer"),
        (bought(within={"last_days": -1}), f"{WITHIN}.lastDays", "from 0"),
        (bought(within={"days_ago_at_least": 10**30}), f"{WITHIN}.daysAgoAtLeast", "from 0"),
        (
            bought(within={"days_ago_at_least": 3, "days_ago_at_most": 2}),
            f"{WITHIN}.daysAgoAtLeast", "no day",
        ),
        (
            bought(within={"from_day": "2026-02-01", "to_day": "2026-01-31"}),
            f"{WITHIN}.fromDay", "after toDay",
        ),
        (bought(within={"from_day": "2026-02-30"}), f"{WITHIN}.fromDay", "date"),
        (bought(within={"from_day": "0001-01-01"}), f"{WITHIN}.fromDay", "years"),
        (bought(within={"last_days": 3, "from_day": "2026-01-01"}), WITHIN, "or"),
        (bought(within={"days_after_at_most": 3}), f"{WITHIN}.event", "which"),
        (bought(within={"event": "FIRST_PURCHASE"}), f"{WITHIN}.event", "daysAfter"),
        (bought(within={"event": "BIRTH", "days_after_at_most": 3}), f"{WITHIN}.event", "FIRST"),
        (
            bought(within={"event": "FIRST_SEEN", "days_after_at_most": 3, "last_days": 3}),
            f"{WITHIN}.event", "together",
        ),
        (
            bought(within={"event": "FIRST_SEEN", "days_after_at_least": 3,
                           "days_after_at_most": 2}),
            f"{WITHIN}.daysAfterAtLeast", "no day",
        ),
        (bought(states=["PAID"]), "input.rule.bought.orders.states.0", "CREATED_UNPAID"),
        (bought(states=["completed"]), "input.rule.bought.orders.states.0", "COMPLETED"),
        (bought(skus=["x"] * 1001), "input.rule.bought.orders.skus", "1000"),
        (bought(title_contains=" "), "input.rule.bought.orders.titleContains", "empty"),
        (
            bought(amount={"currency": "CNY", "at_least": "9.999"}),
            "input.rule.bought.orders.amount.atLeast", "decimals",
        ),
        (bought(amount={"currency": "CNY"}), "input.rule.bought.orders.amount", "atLeast"),
        (bought(amount={"at_least": "1"}), "input.rule.bought.orders.amount.currency", "required"),
        (
            bought(amount={"currency": "CNY", "at_least": "1e999999"}),
            "input.rule.bought.orders.amount.atLeast", "",
        ),
        (bought(amount=9), "input.rule.bought.orders.amount", ""),
        (bought(day=1), "input.rule.bought.orders.day", "within"),
        (
            {"bought_then": {"first": {"skus": "s"}, "then": {}}},
            "input.rule.boughtThen.first.skus", "array",
        ),
        ({"bought_then": {"first": {}}}, "input.rule.boughtThen.then", "required"),
        (
            {"bought_then": {"first": {}, "then": {}, "days_at_least": 2, "days_at_most": 1}},
            "input.rule.boughtThen.daysAtLeast", "no day",
        ),
        ({"ordered": {"at_least": -1}}, "input.rule.ordered.atLeast", "from 0"),
        ({"first_purchase": {}}, "input.rule.firstPurchase", "within"),
        ({"last_purchase": {"orders": {}}}, "input.rule.lastPurchase", "having"),
        ({"nth_purchase": {"n": 0, "having": {}}}, "input.rule.nthPurchase.n", "from 1"),
        ({"nth_purchase": {"n": 10**9, "having": {}}}, "input.rule.nthPurchase.n", "from 1"),
        ({"nth_purchase": {"having": {}}}, "input.rule.nthPurchase.n", "required"),
        (
            {"nth_purchase": {"n": 1, "having": {"within": {"last_days": None}}}},
            "input.rule.nthPurchase.having.within", "lastDays",
        ),
        ({"purchase_gap": {"gap": "LONGEST", "at_least": 1}}, "input.rule.purchaseGap.gap", "LAST"),
        ({"purchase_gap": {}}, "input.rule.purchaseGap", "atLeast"),
        ({"order_average": {"currency": "¥¥¥", "at_least": "1"}},
         "input.rule.orderAverage.currency", "CNY"),
        ({"parcel": {"states": ["LOST"]}}, "input.rule.parcel.states.0", "SIGNED"),
        ({"parcel": {"within": {"last_days": -1}}}, "input.rule.parcel.within.lastDays", "from 0"),
        ({"refund_count": {"kinds": ["GIFT"]}}, "input.rule.refundCount.kinds.0", "EXCHANGE"),
        ({"refund_count": {"at_least": 2, "at_most": 1}}, "input.rule.refundCount.atLeast", ""),
        ({"refund_count": {"title_contains": ""}}, "input.rule.refundCount.titleContains", ""),
        ({"refund_rate": {"currency": "CNY", "at_least": "100.1"}},
         "input.rule.refundRate.atLeast", "100"),
        ({"refund_rate": {"currency": "CNY", "at_most": "1e-9999"}},
         "input.rule.refundRate.atMost", "decimals"),
        ({"refund_rate": {"currency": "CNY"}}, "input.rule.refundRate", "atLeast"),
    ],
)  # fmt: skip
def test_faults_are_refused_with_their_path(rule, path, word):
    found = errors_of(rule)
    assert path in found
    assert word in found[path]


def test_too_many_questions_and_levels_are_refused():
    assert "500" in next(iter(errors_of({"any": [bought(skus=["x"])] * 1000}).values()))
    deep = bought(skus=["x"])
    for _ in range(50):
        deep = {"not": deep}
    assert "20 levels" in next(iter(errors_of(deep).values()))


@pytest.mark.parametrize(
    ("rule", "en", "zh"),
    [
        (
            {"order_count": {"at_least": 3, "orders": {"within": {"last_days": 180}}}},
            "bought at least 3 times in the last 180 days", "近180天购买至少3次",
        ),
        (
            {"order_sum": {"currency": "CNY", "at_least": "99.00", "orders": {
                "shop_ids": [1], "categories": ["鞋", "shoes"], "states": ["COMPLETED"]}}},
            "spent at least 99.00 CNY in “旗舰店” with category 鞋 or shoes in state completed",
            "在店铺「旗舰店」消费至少99.00CNY(类目为鞋或shoes,状态为已完成)",
        ),
        (
            {"order_average": {"currency": "CNY", "at_most": "50"}},
            "spent at most 50 CNY per order on average", "平均每单至多50CNY",
        ),
        (
            {"order_largest": {"currency": "USD", "at_least": "50"}},
            "spent at least 50 USD on the largest single order", "单笔最高消费至少50USD",
        ),
        (
            bought(product_ids=["A1"], provinces=["广东"], title_contains="T恤"),
            "bought with product A1 with a title that has “T恤” sent to 广东",
            "购买过(商品为A1,标题含“T恤”,收货地为广东)",
        ),
        (
            bought(within={"event": "FIRST_PURCHASE", "days_after_at_least": 1,
                           "days_after_at_most": 30}, amount={"currency": "CNY", "at_most": "9"}),
            "bought 1 to 30 days after the first purchase of at most 9 CNY",
            "首次购买后1至30天购买过(金额至多9CNY)",
        ),
        (
            {"bought_then": {"first": {"skus": ["a"]}, "then": {"skus": ["b"]},
                             "days_at_most": 30}},
            "bought with SKU a, and bought with SKU b at most 30 days later",
            "先购买(SKU为a),至多30天后购买(SKU为b)",
        ),
        (
            {"ordered": {"orders": {"within": {"last_days": 5}, "states": ["CREATED_UNPAID"]}}},
            "placed an order in the last 5 days in state unpaid", "近5天下过单(状态为待付款)",
        ),
        (
            {"purchase_count": {"at_least": 2, "at_most": 5}},
            "made 2 to 5 purchases", "按天合并购买2至5次",
        ),
        (
            {"first_purchase": {"within": {"days_ago_at_least": 90}}},
            "made the first purchase at least 90 days ago", "首次购买在至少90天前",
        ),
        (
            {"last_purchase": {"within": {"last_days": 0}, "having": {"in_dispute": True}}},
            "made the last purchase today with an order in dispute",
            "最近一次购买在今天,且含订单(有纠纷)",
        ),
        (
            {"nth_purchase": {"n": 2, "having": {"product_ids": ["A1"]}}},
            "made purchase no. 2 with an order with product A1", "第2次购买含订单(商品为A1)",
        ),
        (
            {"days_since_last_purchase": {"at_least": 90, "at_most": 400}},
            "last bought 90 to 400 days ago", "上次购买在90至400天前",
        ),
        (
            {"purchase_gap": {"at_most": 30}},
            "purchases at most 30 days apart on average", "平均购买间隔至多30天",
        ),
        (
            {"parcel": {"states": ["SIGNED", "FAILED"], "carriers": ["sf"],
                        "within": {"days_ago_at_least": 2}}},
            "has a parcel that is signed for or failed to deliver with sf"
            " last scanned at least 2 days ago",
            "有包裹(状态为已签收或派送失败,承运商为sf,最后更新于至少2天前)",
        ),
        (
            {"refund_count": {"at_least": 2, "reasons": ["too small"], "kinds": ["RETURN"],
                              "within": {"from_day": "2026-01-01"}}},
            "asked for a refund at least 2 times since 2026-01-01 of kind return"
            " for the reason too small",
            "2026-01-01起申请退款至少2次(类型为退货退款,原因为too small)",
        ),
        (
            {"refund_rate": {"currency": "CNY", "at_least": "50"}},
            "got back at least 50 % of what was paid in CNY", "CNY退款率至少50%",
        ),
        (bought(skus=[]), "bought with SKU none of no values (nobody)",
         "购买过(SKU为空列表(无人))"),
    ],
)  # fmt: skip
def test_rules_read_well(rule, en, zh):
    names = {("shop", 1): "旗舰店"}
    assert sentence(tree(rule), Say("en", names)) == en
    assert sentence(tree(rule), Say("zh", names)) == zh


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        (AskedOrderState, OrderState), (AskedParcelState, ParcelState),
        (AskedRefundKind, RefundKind), (AskedRefundState, RefundState),
    ],
)  # fmt: skip
def test_every_state_can_be_asked_for(asked, known):
    assert [one.value for one in asked] == [one.name for one in known]
    assert [one.value.lower() for one in asked] == [one.value for one in known]
    assert set(asked) <= set(WORDS)


async def test_shops_that_are_not_the_merchants_are_refused(installation, merchant):
    from core.domain.shops.setup import set_up_merchant

    other = await set_up_merchant(installation.db, installation.registry, "Other", shop="s")
    rule = {
        "all": [
            {"parcel": {"orders": {"shop_ids": [merchant.shop_id, other.shop_id]}}},
            {"bought_then": {"first": {}, "then": {"shop_ids": [0, 2**70]}}},
            {"nth_purchase": {"n": 2, "having": {"shop_ids": [-1]}}},
        ]
    }
    async with merchant.read() as session:
        with pytest.raises((HuikeError, Several)) as caught:
            await read_rule(session, installation.registry, write_rule(rule, BY_NAME))
    assert {".".join(error.path) for error in caught.value.errors} == {
        "input.rule.all.0.parcel.orders.shopIds",
        "input.rule.all.1.boughtThen.then.shopIds",
        "input.rule.all.2.nthPurchase.having.shopIds",
    }
    assert {error.message for error in caught.value.errors} == {"there is no such shop"}
