"""The lifecycle, RFM and their facets over the API."""

import pytest

from core.domain.segments.facets import FACETS
from core.sdk.facets import Say

SET = """mutation ($input: LifecycleThresholdsSetInput!) {
  lifecycleThresholdsSet(input: $input) {
    lifecycle {
      inForce { days { active silent sleeping } source reason ofAllShops validFrom }
      history { days { active } reason }
    }
    errors { code message path }
  }
}"""
MODEL = """query ($shopId: ID) {
  lifecycle(shopId: $shopId) {
    inForce { days { active } source validFrom ofAllShops }
    proposal { days { active silent sleeping } enough sample note noteZh effect { to } }
  }
}"""


async def test_thresholds_of_all_shops_hold_in_a_shop_until_it_has_its_own(api, world):
    shop = world.ids["Shop"]
    found = await api.data(world.token, MODEL, shopId=shop)
    default = {"days": {"active": 30}, "source": "DEFAULT", "validFrom": None, "ofAllShops": True}
    assert found["lifecycle"]["inForce"] == default
    proposal = found["lifecycle"]["proposal"]
    assert (proposal["enough"], proposal["sample"]) == (False, 0)
    assert "Only 0 customers came back" in proposal["note"]
    assert "默认设置" in proposal["noteZh"]
    days = {"active": 50, "silent": 60, "sleeping": 90}
    everywhere = {"input": {**days, "reason": "tea lasts"}}
    await api.data(world.token, SET, **everywhere)
    found = (await api.data(world.token, MODEL, shopId=shop))["lifecycle"]
    assert (found["inForce"]["days"]["active"], found["inForce"]["ofAllShops"]) == (50, True)
    assert found["proposal"]["days"] == days
    own = {"input": {**days, "active": 20, "reason": "oil does not", "shopId": shop}}
    found = (await api.data(world.token, SET, **own))["lifecycleThresholdsSet"]["lifecycle"]
    assert found["inForce"]["source"] == "MANUAL"
    assert (found["inForce"]["days"]["active"], found["inForce"]["ofAllShops"]) == (20, False)
    assert [one["reason"] for one in found["history"]] == ["oil does not"]


@pytest.mark.parametrize(
    ("wrong", "path"),
    [({"silent": 50}, ["input", "silent"]), ({"reason": " "}, ["input", "reason"]),
     ({"from": "2020-01-01"}, ["input", "from"])],
)  # fmt: skip
async def test_wrong_thresholds_are_refused(api, world, wrong, path):
    given = {"active": 50, "silent": 60, "sleeping": 90, "reason": "x", **wrong}
    (error,) = (await api.data(world.token, SET, input=given))["lifecycleThresholdsSet"]["errors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", path)


async def test_a_report_of_days_to_come_is_refused(api, world):
    query = '{ lifecycleReport(from: "2026-01-01", to: "2099-01-01", step: MONTH) { day } }'
    answer = await api(world.token, query)
    assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_rfm_boundaries_are_given_all_or_none(api, world):
    query = """mutation ($input: RfmThresholdsSetInput!) { rfmThresholdsSet(input: $input) {
        rfm { fixed m { amount } } errors { path message } } }"""
    given = {"shopId": world.ids["Shop"], "r": [1, 2, 3, 4]}
    found = (await api.data(world.token, query, input=given))["rfmThresholdsSet"]
    assert found["errors"][0]["path"] == ["input", "f"]
    given |= {"f": [1, 2, 3, 4], "m": ["1.00", "2.00", "3.00", "4.999"]}
    found = (await api.data(world.token, query, input=given))["rfmThresholdsSet"]
    assert found["errors"][0]["path"] == ["input", "m"]
    given |= {"m": ["1.00", "2.00", "3.00", "4.50"]}
    found = (await api.data(world.token, query, input=given))["rfmThresholdsSet"]
    assert found["rfm"]["fixed"] is True
    assert [one["amount"] for one in found["rfm"]["m"]] == ["1.00", "2.00", "3.00", "4.50"]


RULE = {"all": [
    {"lifecycleStage": {"anyOf": ["SLEEPING", "CHURNED"]}},
    {"rfmGroup": {"anyOf": ["IMPORTANT_WIN_BACK"]}},
    {"rfmScore": {"mAtLeast": 4}}, {"valuePercentile": {"top": 10}},
    {"daysToNextPurchase": {"atMost": -1}},
    {"replenishmentDue": {"atLeast": 0, "atMost": 7, "productIds": ["tea"]}},
]}  # fmt: skip


async def test_a_rule_of_these_facets_is_shown_as_it_was_given(api, world):
    query = """mutation ($input: SegmentCreateInput!) { segmentCreate(input: $input) {
        segment { rule preview { preview { count explanation } } } errors { message path } } }"""
    given = {"name": "win back", "rule": RULE}
    found = (await api.data(world.token, query, input=given))["segmentCreate"]
    assert found["errors"] == []
    assert found["segment"]["rule"] == RULE
    assert found["segment"]["preview"]["preview"]["explanation"] == (
        "is sleeping or churned and is in the RFM group important, to win back and scores M at "
        "least 4 and is among the best 10% by net sales and is expected to buy again in at most "
        "-1 days and is due to buy product tea again in 0 to 7 days"
    )


@pytest.mark.parametrize(
    ("name", "rule", "chinese"),
    [
        ("lifecycle_stage", {"any_of": ["ACTIVE"]}, "生命周期为活跃"),
        ("rfm_group", {"any_of": ["IMPORTANT_KEEP"]}, "RFM分组为重要保持"),
        ("rfm_score", {"r_at_least": 4, "f_at_most": 2}, "RFM评分R 至少4分、F 至多2分"),
        ("value_percentile", {"top": 20, "currency": "USD"}, "净消费额 (USD)排名前20%"),
        ("days_to_next_purchase", {"at_least": 3}, "预计至少3天后再次购买"),
        ("replenishment_due", {"at_most": 7}, "商品至多7天后需要补货"),
    ],
)
def test_facets_are_said_in_chinese(name, rule, chinese):
    from pydantic import TypeAdapter

    facet = next(one for one in FACETS if one.name == name)
    assert facet.explain(TypeAdapter(facet.rule).validate_python(rule), Say("zh")) == chinese
