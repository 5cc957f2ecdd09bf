"""Previews over GraphQL: only what is asked for, at once or by a job, with typed errors."""

from contextlib import contextmanager
from dataclasses import dataclass, replace

import orjson
import pytest

from core.domain.segments.segments import create_segment
from core.domain.shops.plugins import disable_plugin
from core.installation import job_kinds
from core.registry import Owned
from core.schema import segment_preview
from core.schema.build import build_schema
from core.schema.scalars import global_id, split_id
from core.sdk import Facet, Text
from core.storage import jobs
from tests.schema.conftest import ask_of

RULE = {"all": [{"province": {"anyOf": ["浙江"]}}, {"not": {"hasPhone": True}}]}
PREVIEW = """query ($rule: SegmentRuleInput!, $sample: Int! = 5) {
  segmentPreview(rule: $rule, sample: $sample) {
    preview { ...figures } job { id kind state progress { done total } }
    errors { code message path } } }
fragment figures on SegmentPreview {
  at count customers explanation zh: explanation(language: ZH) sample { name }
  funnel { path sentence zh: sentence(language: ZH) alone remaining excluded costliest }
  reach { channel title reached skipped { reason count } } }"""
RESULT = """query ($id: ID!) { segmentPreviewResult(jobId: $id) {
  preview { count customers sample { name } funnel { remaining } reach { channel reached } }
  job { state } errors { code path } } }"""
COUNT = """query ($rule: SegmentRuleInput!) {
  segmentPreview(rule: $rule) { preview { count } job { id } errors { code message path } } }"""
STORED = """query ($id: ID!) { segment(id: $id) { name rule sentence zh: sentence(language: ZH)
  preview { preview { count } job { id } errors { code message path } } } }"""


CHANNELS = ["aliexpress_message", "email", "sms", "taobao_sms"]
"""Those that are on without settings, and those that the world has settings of."""
EMAIL = {"channel": "email", "title": "Email", "reached": 0, "skipped": []}


async def test_everything_about_a_rule(api, world):
    found = (await api.data(world.token, PREVIEW, rule=RULE))["segmentPreview"]
    assert found["errors"] == []
    assert found["job"] is None
    preview = found["preview"]
    assert preview.pop("at").startswith("20")
    assert [one["channel"] for one in preview["reach"]] == CHANNELS
    assert EMAIL in preview.pop("reach")
    assert preview == {
        "count": 0,
        "customers": 3,
        "explanation": "lives in 浙江 and not (has a phone number)",
        "zh": "所在省份为浙江且不满足（有手机号）",
        "sample": [],
        "funnel": [
            {"path": ["all", "0", "province"], "sentence": "lives in 浙江",
             "zh": "所在省份为浙江", "alone": 1, "remaining": 1, "excluded": 2, "costliest": True},
            {"path": ["all", "1", "not"], "sentence": "not: has a phone number",
             "zh": "不满足：有手机号", "alone": 2, "remaining": 0, "excluded": 1,
             "costliest": False},
        ],
    }  # fmt: skip
    everybody = (await api.data(world.token, PREVIEW, rule={"all": []}))["segmentPreview"]
    preview = everybody["preview"]
    assert [one["name"] for one in preview["sample"]][-2:] == ["李四", "张三"]
    assert len(preview["sample"]) == 3
    assert preview["funnel"] == []
    (email,) = [one for one in preview["reach"] if one["channel"] == "email"]
    assert email["skipped"] == [
        {"reason": "no_address", "count": 2}, {"reason": "no_consent", "count": 1},
    ]  # fmt: skip


@contextmanager
def counted(monkeypatch):
    """The names of the measures and samples that are asked for."""
    asked = []

    def watched(name, measure):
        async def count(*arguments):
            asked.append(name)
            return await measure(*arguments)

        return count

    async def newest(*arguments):
        asked.append("sample")
        return await original(*arguments)

    original = segment_preview.domain.newest_matching
    with monkeypatch.context() as patched:
        watching = {name: watched(name, one) for name, one in segment_preview.PREVIEW.items()}
        patched.setattr(segment_preview, "PREVIEW", watching)
        patched.setattr(segment_preview.domain, "newest_matching", newest)
        yield asked


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        ("preview { explanation }", []),
        ("errors { code }", []),
        ("preview { count }", ["count"]),
        ("preview { n: count customers }", ["customers", "count"]),
        ("preview { ... on SegmentPreview { funnel { alone } } count customers }", ["funnel"]),
        ("preview { reach { reached } }", ["reach"]),
        ("... on SegmentPreviewResult { preview { sample { id } } }", ["sample"]),
        ("preview { count } p2: preview { sample { id } }", ["count", "sample"]),
    ],
)
async def test_only_what_is_selected_is_asked(api, world, monkeypatch, selection, wanted):
    with counted(monkeypatch) as asked:
        query = f"{{ segmentPreview(rule: {{hasEmail: true}}) {{ {selection} }} }}"
        await api.data(world.token, query)
    assert asked == wanted


async def run(merchant, job):
    opened = merchant.installation
    _, pk = split_id(job["id"])
    claimed = await jobs.claim(opened.db, merchant.id, pk)
    await jobs.perform(opened.db, claimed, job_kinds(opened.registry))


async def test_what_takes_too_long_is_left_to_a_job(api, world, monkeypatch):
    direct = (await api.data(world.token, PREVIEW, rule=RULE))["segmentPreview"]["preview"]
    monkeypatch.setattr(segment_preview, "DIRECT_SECONDS", 0)
    first = (await api.data(world.token, PREVIEW, rule=RULE))["segmentPreview"]
    assert (first["preview"], first["errors"]) == (None, [])
    job = first["job"]
    assert (job["kind"], job["state"]) == ("segment.preview", "QUEUED")
    again = (await api.data(world.token, PREVIEW, rule=RULE))["segmentPreview"]
    assert again["job"]["id"] == job["id"]
    waiting = (await api.data(world.token, RESULT, id=job["id"]))["segmentPreviewResult"]
    assert waiting == {"preview": None, "job": {"state": "QUEUED"}, "errors": []}
    other = (await api.data(world.token, COUNT, rule={"hasPhone": True}))["segmentPreview"]
    assert other["job"]["id"] != job["id"]
    await run(world.merchant, job)
    found = (await api.data(world.token, RESULT, id=job["id"]))["segmentPreviewResult"]
    assert found["job"] == {"state": "SUCCEEDED"}
    assert found["preview"]["customers"] == direct["customers"]
    assert [one["remaining"] for one in found["preview"]["funnel"]] == [1, 0]
    assert found["preview"]["reach"] == [{"channel": name, "reached": 0} for name in CHANNELS]
    # the same rule asked again is answered by what was counted
    done = (await api.data(world.token, PREVIEW, rule=RULE))["segmentPreview"]
    assert done["job"] is None
    assert {**done["preview"], "at": direct["at"]} == direct


async def test_a_stored_segments_preview_is_left_to_a_job_too(api, world, monkeypatch):
    monkeypatch.setattr(segment_preview, "DIRECT_SECONDS", 0)
    found = (await api.data(world.token, STORED, id=world.ids["Segment"]))["segment"]
    assert found["preview"]["preview"] is None
    await run(world.merchant, found["preview"]["job"])
    again = (await api.data(world.token, STORED, id=world.ids["Segment"]))["segment"]
    assert again["preview"] == {"preview": {"count": 3}, "job": None, "errors": []}


async def test_the_job_of_a_preview_counts_what_was_found_of_it(api, world, stranger):
    for job_id in (stranger.ids["Counting"], world.ids["Job"], world.ids["Customer"], "x"):
        found = (await api.data(world.token, RESULT, id=job_id))["segmentPreviewResult"]
        assert found["preview"] is found["job"] is None
        assert [error["code"] for error in found["errors"]] == ["NOT_FOUND"]


async def test_the_sample_needs_the_right_to_read_customers(api, world):
    token = await world.limited("SEGMENTS_READ")
    answer = await api(token, PREVIEW, rule=RULE)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    found = (await api.data(token, COUNT, rule=RULE))["segmentPreview"]
    assert found["preview"] == {"count": 0}


async def test_a_sample_is_bounded(api, world):
    for sample in (-1, 101):
        found = (await api.data(world.token, PREVIEW, rule=RULE, sample=sample))["segmentPreview"]
        assert [e["path"] for e in found["errors"]] == [["sample"]]


# -- bad input -----------------------------------------------------------------------------------


def nested(depth):
    rule = {"hasPhone": True}
    for _ in range(depth - 1):
        rule = {"not": rule}
    return rule


@pytest.mark.parametrize(
    ("rule", "path", "word"),
    [
        ({"orderCount": {"atLeast": 3, "atMost": 2}}, "orderCount.atLeast", "greater"),
        ({"all": [{"orderCount": {}}]}, "all.0.orderCount", "atLeast"),
        (
            {"any": [{"not": {"orderCount": {"atLeast": 1, "orders": {
                "within": {"fromDay": "2026-02-01", "toDay": "2026-01-01"}}}}}]},
            "any.0.not.orderCount.orders.within.fromDay", "after",
        ),
        ({"any": [{"hasPhone": True}] * 1000}, "any.499", "500 nodes"),
        (nested(50), ".".join(["not"] * 20), "20 levels"),
        (nested(150), ".".join(["not"] * 20), "20 levels"),
        ({"inSegment": {"segmentId": "garbage"}}, "inSegment.segmentId", "no such segment"),
        ({"orderCount": {"atLeast": 1, "orders": {"shopIds": ["x"]}}},
         "orderCount.orders.shopIds", "no such shop"),
        ({"customField": {"field": "custom.none", "isSet": True}}, "customField.field", "no field"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("query", ["preview", "explain", "why"])
async def test_a_wrong_rule_is_answered_with_the_path_to_its_fault(
    api, world, query, rule, path, word
):
    asked = {
        "preview": COUNT,
        "explain": """query ($rule: SegmentRuleInput!) {
            segmentExplain(rule: $rule) { sentence errors { code message path } } }""",
        "why": f"""query ($rule: SegmentRuleInput!) {{
            segmentWhy(rule: $rule, customerId: "{world.ids["Customer"]}") {{
            isMember sentence why {{ holds }} errors {{ code message path }} }} }}""",
    }[query]
    (found,) = (await api.data(world.token, asked, rule=rule)).values()
    (error,) = found.pop("errors")
    assert error["code"] == "INVALID_INPUT"
    assert error["path"][:2] == ["input", "rule"]
    assert ".".join(error["path"][2:]).startswith(path)
    assert word in error["message"]
    assert not any(found.values())


@pytest.mark.parametrize("depth", [300, 500, 1000, 5000])
async def test_absurd_depth_is_refused_and_not_masked(api, world, depth):
    text = orjson.dumps({"query": COUNT, "variables": {"rule": "RULE"}}).decode()
    rule = '{"not":' * depth + '{"hasPhone":true}' + "}" * depth
    answer = await api.client.post(
        "/graphql",
        content=text.replace('"RULE"', rule),
        headers={"authorization": f"Bearer {world.token}", "content-type": "application/json"},
    )
    found = answer.json()
    if found.get("data"):
        (error,) = found["data"]["segmentPreview"]["errors"]
        assert error["code"] == "INVALID_INPUT"
        assert "20 levels" in error["message"]
    else:
        # the reader of JSON ends at 1,024 levels
        code = "BAD_REQUEST" if depth > 1024 else "COST_EXCEEDED"
        assert found["errors"][0]["extensions"]["code"] == code, found


async def test_a_rule_written_into_the_document_meets_its_limits(api, world):
    for rule, word in (
        ("{any: [" + "{hasPhone: true} " * 1000 + "]}", "tokens"),
        ("{not: " * 50 + "{hasPhone: true}" + "}" * 50, "20 levels"),
    ):
        answer = await api(world.token, COUNT.replace("($rule: SegmentRuleInput!)", "").replace(
            "$rule", rule))  # fmt: skip
        if answer.get("data"):
            (error,) = answer["data"]["segmentPreview"]["errors"]
        else:
            (error,) = answer["errors"]
            assert error["extensions"]["code"] in ("BAD_REQUEST", "COST_EXCEEDED")
        assert word in error["message"], error


# -- stored rules that no longer can be asked --------------------------------------------------


async def store(world, rule):
    """A segment with this rule, whatever it is."""
    async with world.merchant.work() as w:
        pk = await create_segment(
            w, world.merchant.installation.registry, "broken", {"version": 1, "rule": {"all": []}}
        )
        await w.sql.execute(
            "UPDATE segments SET rule = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, pk, orjson.dumps(rule).decode(),
        )  # fmt: skip
    return global_id("Segment", pk)


@pytest.mark.parametrize(
    ("stored", "shown", "path"),
    [
        ({"version": 1, "rule": {"all": [{"x_gone": {"a_b": 1}}]}}, {"all": [{"xGone": {"aB": 1}}]},
         ["input", "rule", "all", "0", "xGone"]),
        ({"version": 1, "rule": {"all": [{"not": {"order_count": {"at_least": 3, "at_most": 2}}}]}},
         {"all": [{"not": {"orderCount": {"atLeast": 3, "atMost": 2}}}]},
         ["input", "rule", "all", "0", "not", "orderCount", "atLeast"]),
        ({"version": 1, "rule": {"any": [{"has_phone": {}, "has_email": {}}, 7, None]}},
         {"any": [{"has_phone": {}, "has_email": {}}, 7, None]},
         ["input", "rule", "any", "0"]),
        ({"version": 1, "rule": [1]}, [1], ["input", "rule"]),
        ({"version": 9, "rule": {"all": []}}, {"all": []}, ["input", "rule"]),
        ({"version": 1, "rule": {"all": {"a": 1}}}, {"all": {"a": 1}}, ["input", "rule", "all"]),
        ({"version": 1, "rule": {"order_count": 3}}, {"orderCount": 3},
         ["input", "rule", "orderCount"]),
        ({"version": 1, "rule": {"order_count": {"at_least": 1}}, "facets": {"order_count": "x"}},
         {"orderCount": {"atLeast": 1}}, ["input", "rule"]),
        ({"version": 1, "rule": {"order_count": {"at_least": 1}}, "facets": {"order_count": 99}},
         {"orderCount": {"atLeast": 1}}, ["input", "rule", "orderCount"]),
        ({}, {}, ["input", "rule"]),
        ([], [], ["input", "rule"]),
        ("all", "all", ["input", "rule"]),
    ],
)  # fmt: skip
async def test_a_broken_stored_rule_is_shown_with_what_is_wrong(api, world, stored, shown, path):
    broken = await store(world, stored)
    found = (await api.data(world.token, STORED, id=broken))["segment"]
    assert (found["name"], found["rule"]) == ("broken", shown)
    assert found["sentence"] is found["zh"] is found["preview"]["preview"] is None
    assert found["preview"]["errors"][0]["code"] == "INVALID_INPUT"
    assert found["preview"]["errors"][0]["path"] == path
    listed = await api.data(
        world.token, "{ segments { nodes { name rule preview { preview { count } } } } }"
    )
    assert [one["name"] for one in listed["segments"]["nodes"]] == [
        "broken",
        "list",
        "unused",
        "all",
    ]
    query = """query ($id: ID!, $segment: ID!) { customer(id: $id) { inSegment(id: $segment) {
        segment { name } isMember since sentence why { holds } errors { code path } } } }"""
    seen = await api.data(world.token, query, id=world.ids["Customer"], segment=broken)
    assert seen["customer"]["inSegment"] == {
        "segment": {"name": "broken"}, "isMember": None, "since": None, "sentence": None,
        "why": [], "errors": [
            {"code": one["code"], "path": one["path"]} for one in found["preview"]["errors"]
        ],
    }  # fmt: skip


async def test_a_rule_that_refers_to_a_broken_one_says_so(api, world):
    broken = await store(world, {"version": 1, "rule": [1]})
    rule = {"all": [{"hasPhone": True}, {"inSegment": {"segmentId": broken}}]}
    (error,) = (await api.data(world.token, COUNT, rule=rule))["segmentPreview"]["errors"]
    assert error["path"] == ["input", "rule", "all", "1", "inSegment", "segmentId"]
    assert "the segment 'broken' cannot be asked" in error["message"]


async def test_an_older_rule_is_shown_as_todays_facets_write_it(api, world):
    _, shop = split_id(world.ids["Shop"])
    old = {"order_count": {"at_least": 2, "within_days": 30, "shop_id": shop}}
    segment = await store(world, {"version": 1, "rule": {"not": old}})
    found = (await api.data(world.token, STORED, id=segment))["segment"]
    orders = {"within": {"lastDays": 30}, "shopIds": [world.ids["Shop"]]}
    assert found["rule"] == {"not": {"orderCount": {"atLeast": 2, "orders": orders}}}
    assert found["preview"] == {"preview": {"count": 3}, "job": None, "errors": []}
    again = (await api.data(world.token, COUNT, rule=found["rule"]))["segmentPreview"]
    assert again["preview"] == {"count": 3}


@dataclass(frozen=True)
class RainRule:
    """Who lives where it rains."""


class Rain(Facet):
    name = "taobao_rain"
    title = Text("Rain", "雨")
    rule = RainRule

    def sql(self, rule, q):
        return "TRUE"

    def explain(self, rule, say):
        return say("lives where it rains", "住在下雨的地方")


async def test_a_facet_of_a_plugin_that_is_off_is_named(installation, world):
    facets = {**installation.registry.facets, "taobao_rain": Owned("taobao", Rain())}
    registry = replace(installation.registry, facets=facets)
    assert "taobaoRain" in build_schema(registry).as_str()
    query = """{ segmentPreview(rule: {all: [{taobaoRain: true}]}) {
        preview { count explanation } errors { code message path } } }"""
    on = await ask_of(world, registry, query)
    assert on.data["segmentPreview"]["preview"] == {
        "count": 3, "explanation": "lives where it rains",
    }  # fmt: skip
    async with world.merchant.work() as w:
        await disable_plugin(w, installation.registry, "taobao")
    off = await ask_of(world, registry, query)
    assert off.data["segmentPreview"] == {
        "preview": None,
        "errors": [{
            "code": "INVALID_INPUT", "message": "the plugin taobao is not switched on",
            "path": ["input", "rule", "all", "0", "taobaoRain"],
        }],
    }  # fmt: skip
