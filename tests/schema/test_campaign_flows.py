"""A flow that is written comes back as it was given."""

import pytest

from core.domain.campaigns.audience import plan_run
from core.sdk import ConsentGranted
from tests.journey_kit import emit, enrolments
from tests.schema.operations import text

CREATE = """mutation ($input: CampaignCreateInput!) {
  campaignCreate(input: $input) { campaign { id } errors { code message path } } }"""
UPDATE = """mutation ($id: ID!, $input: CampaignUpdateInput!) {
  campaignUpdate(id: $id, input: $input) { campaign { id state } errors { code message path } } }"""
START = """mutation ($id: ID!) {
  campaignStart(id: $id, input: {idempotencyKey: "k"}) { run { id } errors { message } } }"""
JOURNEY = """query ($id: ID!) { campaign(id: $id) { state journey {
  version entered done inside { step count } versions { version open entered } } } }"""
MOVE = """mutation ($id: ID!) { campaignVersionMove(id: $id, input: {fromVersion: 1}) {
  moved stayed errors { code message path } } }"""
TRIGGER = """query ($id: ID!) { campaign(id: $id) {
  options { startLateness { days hours } }
  flow { trigger {
    ... on SegmentTrigger { segmentId present }
    ... on AudienceTrigger { segmentId schedule { cron holidays weekends } } } } } }"""
FLOW = """query ($id: ID!) { campaign(id: $id) { flow {
  trigger { ... on EventTrigger { type where { field values } } }
  entry { again rule } exit { orderStates bought rule }
  steps { __typename key next
    ... on WaitStep { span { days hours minutes } at weekday }
    ... on ConditionStep { rule otherwise order { totalAtLeast shopIds states } }
    ... on SplitStep { branches { next share } }
    ... on ChangeListStep { segmentId change } } } } }"""


def pause(key, **span):
    return {"wait": {"key": key, "span": span}}


async def create(api, world, **flow):
    given = {"trigger": {"event": {"type": "consent.granted"}}, "name": "j"} | flow
    name = given.pop("name")
    answer = await api(world.token, CREATE, input={"name": name, "flow": given})
    assert "errors" not in answer, answer
    return answer["data"]["campaignCreate"]


async def test_a_flow_comes_back_as_it_was_given(api, world):
    rule = {"any": [{"province": {"anyOf": ["浙江省"]}}, {"hasPhone": True}]}
    shop = world.ids["Shop"]
    made = await create(
        api, world,
        trigger={"event": {"type": "order.created", "where": [
            {"field": "shop_id", "values": [shop]}]}},
        entry={"again": "EVERY", "days": 7, "rule": rule},
        exit={"orderStates": ["TO_SHIP"], "bought": True, "rule": rule},
        steps=[
            {"wait": {"key": "a", "span": {"hours": 2}, "at": "09:30:00", "weekday": 3}},
            {"condition": {"key": "b", "rule": rule, "otherwise": "d",
                           "order": {"totalAtLeast": 5, "shopIds": [shop], "states": ["TO_SHIP"]}}},
            {"split": {"key": "c", "branches": [{"share": 2}, {"next": "end"}]}},
            {"changeList": {"key": "d", "segmentId": world.ids["List"], "change": "REMOVE"}},
        ],
    )  # fmt: skip
    assert made["errors"] == []
    answer = await api(world.token, FLOW, id=made["campaign"]["id"])
    assert answer["data"]["campaign"]["flow"] == {
        "trigger": {"type": "order.created", "where": [{"field": "shop_id", "values": [shop]}]},
        "entry": {"again": "EVERY", "rule": rule},
        "exit": {"orderStates": ["TO_SHIP"], "bought": True, "rule": rule},
        "steps": [
            {"__typename": "WaitStep", "key": "a", "next": None, "at": "09:30:00", "weekday": 3,
             "span": {"days": 0, "hours": 2, "minutes": 0}},
            {"__typename": "ConditionStep", "key": "b", "next": None, "rule": rule,
             "otherwise": "d",
             "order": {"totalAtLeast": 5, "shopIds": [shop], "states": ["TO_SHIP"]}},
            {"__typename": "SplitStep", "key": "c", "next": None,
             "branches": [{"next": None, "share": 2}, {"next": "end", "share": 1}]},
            {"__typename": "ChangeListStep", "key": "d", "next": None,
             "segmentId": world.ids["List"], "change": "REMOVE"},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("step", "path", "words"),
    [
        ({"waitFor": {"key": "a", "type": "order.paid", "timeout": {}}},
         ["input", "flow", "steps", "0"], "there is no event"),
        ({"waitFor": {"key": "a", "type": "order.created", "timeout": {},
                      "where": [{"field": "colour", "values": ["red"]}]}},
         ["input", "flow", "steps", "0"], "has no colour"),
        ({"tag": {"key": "a"}}, ["input", "flow", "steps", "0"], "give tags"),
        ({"tag": {"key": "a", "add": ["x" * 65]}}, ["input", "flow", "steps", "0", "add"], "64"),
        ({"setField": {"key": "a", "field": "custom.none", "value": 1}},
         ["input", "flow", "steps", "0", "field"], "there is no field"),
        ({"webhook": {"key": "a", "url": "ftp://x"}},
         ["input", "flow", "steps", "0", "url"], "https"),
        ({"action": {"key": "a", "action": "points.give"}},
         ["input", "flow", "steps", "0", "action"], "there is no action"),
        ({"condition": {"key": "a", "otherwise": "end", "rule": {"orderCount": {}}}},
         ["input", "flow", "steps", "0", "rule", "orderCount"], "atLeast"),
        ({"condition": {"key": "a", "otherwise": "end",
                        "order": {"shopIds": ["U2hvcDo5OTk5OTk="]}}},
         ["input", "flow", "steps", "0", "order", "shopIds"], "no shop with"),
        ({"condition": {"key": "a", "otherwise": "nowhere"}},
         ["input", "flow"], "nowhere"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_refused(api, world, step, path, words):
    made = await create(api, world, steps=[step])
    assert made["campaign"] is None
    (error,) = made["errors"]
    assert error["path"] == path
    assert words in error["message"]


async def test_one_message_needs_what_a_flow_says_otherwise(api, world):
    answer = await api(world.token, CREATE, input={"name": "j", "channel": "email"})
    errors = answer["data"]["campaignCreate"]["errors"]
    assert [error["path"] for error in errors] == [["input", "segmentId"], ["input", "content"]]


async def test_a_running_journey_gets_a_new_version(api, world):
    merchant = world.merchant
    made = await create(api, world, steps=[pause("one", days=1), pause("two", days=1)])
    pk = made["campaign"]["id"]
    await api(world.token, START, id=pk)
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE campaign_runs SET state = 'running'
               WHERE merchant_id = $1 AND state = 'planning'""",
            merchant.id,
        )
        customer = await w.sql.fetchval(
            "SELECT min(id) FROM customers WHERE merchant_id = $1", merchant.id
        )
    await emit(merchant, ConsentGranted(customer, 0, "email", "marketing", "test"))
    flow = {"trigger": {"event": {"type": "consent.granted"}},
            "steps": [pause("zero", hours=1), pause("one", hours=1)]}  # fmt: skip
    answer = await api(world.token, UPDATE, id=pk, input={"flow": flow})
    assert answer["data"]["campaignUpdate"]["errors"] == []
    journey = (await api(world.token, JOURNEY, id=pk))["data"]["campaign"]["journey"]
    assert journey == {
        "version": 2, "entered": 1, "done": 0, "inside": [{"step": "one", "count": 1}],
        "versions": [{"version": 2, "open": True, "entered": 0},
                     {"version": 1, "open": False, "entered": 1}],
    }  # fmt: skip
    answer = await api(world.token, MOVE, id=pk)
    assert answer["data"]["campaignVersionMove"] == {"moved": 1, "stayed": 0, "errors": []}
    rows = [row for row in await enrolments(merchant) if row["customer_id"] == customer]
    assert [row["step"] for row in rows if row["reason"] is None][-1] == 1


async def test_who_is_in_a_segment_holidays_and_lateness_come_back(api, world):
    segment = world.ids["Segment"]
    steps = [pause("a", days=1)]
    options = {"startLateness": {"hours": 3}}
    for trigger in (
        {"segment": {"segmentId": segment, "present": True}},
        {"audience": {"segmentId": segment, "schedule": {
            "cron": "0 10 * * *", "holidays": "NEXT", "weekends": True}}},
    ):  # fmt: skip
        (kind,) = trigger
        given = {"name": kind, "flow": {"trigger": trigger, "steps": steps}, "options": options}
        made = (await api(world.token, CREATE, input=given))["data"]["campaignCreate"]
        assert made["errors"] == []
        answer = await api(world.token, TRIGGER, id=made["campaign"]["id"])
        found = answer["data"]["campaign"]
        assert found["flow"]["trigger"] == trigger[kind]
        assert found["options"]["startLateness"] == {"days": 0, "hours": 3}
    wrong = {"segment": {"segmentId": segment, "moment": "LEFT", "present": True}}
    made = await create(api, world, name="wrong", trigger=wrong, steps=steps)
    assert made["errors"][0]["path"][:3] == ["input", "flow", "trigger"]


async def test_a_change_is_proposed_reviewed_and_made(api, world):
    made = await create(api, world, steps=[pause("a", days=1)])
    campaign = made["campaign"]["id"]
    await api(world.token, START, id=campaign)
    merchant = world.merchant
    await plan_run(merchant.installation.db, merchant.installation.registry, merchant.id,
                   await newest_run(merchant))  # fmt: skip
    await api(world.token, text("campaign-approval-set"), input={"required": True})
    flow = {"trigger": {"event": {"type": "consent.granted"}}, "steps": [pause("b", days=2)]}
    answer = await api(world.token, UPDATE, id=campaign, input={"flow": flow})
    assert answer["data"]["campaignUpdate"]["errors"] == []
    assert await proposal(api, world, campaign) == ("DRAFT", 1, ["b"], None)
    await api(world.token, text("campaign-submit"), id=campaign)
    answer = await api(world.token, text("campaign-approve"), id=campaign)
    assert "somebody else" in answer["data"]["campaignApprove"]["errors"][0]["message"]
    reviewer = await world.limited("CAMPAIGNS_READ", "CAMPAIGNS_SEND")
    reason = {"reason": "longer"}
    await api(reviewer, text("campaign-reject"), id=campaign, input=reason)
    assert await proposal(api, world, campaign) == ("DRAFT", 1, ["b"], "longer")
    await api(world.token, text("campaign-submit"), id=campaign)
    answer = await api(reviewer, text("campaign-approve"), id=campaign)
    assert answer["data"]["campaignApprove"] == {
        "campaign": {"id": campaign, "state": "RUNNING"}, "errors": []
    }  # fmt: skip
    assert await proposal(api, world, campaign) is None
    answer = await api(world.token, JOURNEY, id=campaign)
    assert answer["data"]["campaign"]["journey"]["version"] == 2


async def newest_run(merchant):
    async with merchant.read() as session:
        return await session.sql.fetchval(
            "SELECT max(id) FROM campaign_runs WHERE merchant_id = $1", merchant.id
        )


async def proposal(api, world, campaign):
    answer = await api(world.token, text("campaign-proposal"), id=campaign)
    found = answer["data"]["campaign"]["proposal"]
    return found and (
        found["state"], found["version"], [one["key"] for one in found["flow"]["steps"]],
        found["rejectedReason"],
    )  # fmt: skip
