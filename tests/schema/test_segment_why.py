"""Why a customer is in a segment, over GraphQL."""

import orjson
import pytest

from core.domain.segments.segments import create_segment
from core.schema.scalars import global_id, split_id

REASONS = "why { path parent depth operator facet sentence zh: sentence(language: ZH) holds found }"
IN_SEGMENT = f"""query ($id: ID!, $segment: ID!) {{ customer(id: $id) {{ inSegment(id: $segment) {{
  segment {{ name }} isMember since sentence {REASONS} errors {{ code message path }} }} }} }}"""
WHY = f"""query ($rule: SegmentRuleInput!, $id: ID!) {{ segmentWhy(rule: $rule, customerId: $id) {{
  isMember sentence(language: ZH) {REASONS} errors {{ code message path }} }} }}"""
RULE = {"all": [{"province": {"any_of": ["浙江"]}}, {"not": {"has_phone": {}}}]}


async def store(merchant, rule, name="south"):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        pk = await create_segment(w, registry, name, {"version": 1, "rule": rule})
    return global_id("Segment", pk)


async def test_a_customer_is_explained_by_a_segment(api, world):
    segment = await store(world.merchant, RULE)
    found = await api.data(world.token, IN_SEGMENT, id=world.ids["Customer"], segment=segment)
    assert found["customer"]["inSegment"] == {
        "segment": {"name": "south"},
        "isMember": False,
        "since": None,
        "sentence": "lives in 浙江 and not (has a phone number)",
        "why": [
            {"path": ["all"], "parent": None, "depth": 0, "operator": "ALL", "facet": None,
             "sentence": "lives in 浙江 and not (has a phone number)",
             "zh": "所在省份为浙江且不满足（有手机号）", "holds": False, "found": None},
            {"path": ["all", "0", "province"], "parent": 0, "depth": 1, "operator": "FACET",
             "facet": "province", "sentence": "lives in 浙江", "zh": "所在省份为浙江",
             "holds": True, "found": "浙江省"},
            {"path": ["all", "1", "not"], "parent": 0, "depth": 1, "operator": "NOT",
             "facet": None, "sentence": "not: has a phone number", "zh": "不满足：有手机号",
             "holds": False, "found": None},
            {"path": ["all", "1", "not", "hasPhone"], "parent": 2, "depth": 2,
             "operator": "FACET", "facet": "hasPhone", "sentence": "has a phone number",
             "zh": "有手机号", "holds": True, "found": None},
        ],
        "errors": [],
    }  # fmt: skip


async def test_a_segment_inside_is_explained_by_its_own_rule(api, world):
    inner = await store(world.merchant, {"any": [RULE, {"tag": {"any_of": ["first"]}}]})
    rule = {"inSegment": {"segmentId": inner}}
    found = (await api.data(world.token, WHY, rule=rule, id=world.ids["Customer"]))["segmentWhy"]
    assert (found["isMember"], found["sentence"]) == (True, "属于人群「south」")
    assert [(one["operator"], one["parent"], one["holds"]) for one in found["why"]] == [
        ("SEGMENT", None, True), ("ANY", 0, True), ("ALL", 1, False), ("FACET", 2, True),
        ("NOT", 2, False), ("FACET", 4, True), ("FACET", 1, True),
    ]  # fmt: skip
    assert found["why"][1]["path"] == ["inSegment", "any"]
    assert found["why"][-1]["found"] == ["first"]


async def test_since_is_when_the_member_was_written_down(api, world):
    segment = await store(world.merchant, {"all": []})
    _, pk = split_id(segment)
    _, customer = split_id(world.ids["Customer"])
    async with world.merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO segment_members
                   (merchant_id, segment_id, customer_id, entered_at, left_at)
               VALUES ($1, $2, $3, '2026-01-01T00:00Z', '2026-02-01T00:00Z'),
                      ($1, $2, $3, '2026-03-01T00:00Z', NULL)""",
            w.merchant_id, pk, customer,
        )  # fmt: skip
    query = """query ($segment: ID!) { customers { nodes {
        inSegment(id: $segment) { isMember since } } } }"""
    found = await api.data(world.token, query, segment=segment)
    *others, first = [one["inSegment"] for one in found["customers"]["nodes"]]
    assert first == {"isMember": True, "since": "2026-03-01T00:00:00+00:00"}
    assert others == [{"isMember": True, "since": None}] * 2


async def test_a_page_of_customers_is_explained_by_one_statement(api, world, monkeypatch):
    from core.schema import segment_why

    asked = []
    original = segment_why.explain_customers

    async def watched(session, rule, ids):
        asked.append(len(ids))
        return await original(session, rule, ids)

    monkeypatch.setattr(segment_why, "explain_customers", watched)
    segment = await store(world.merchant, RULE)
    query = """query ($segment: ID!) { customers { nodes {
        inSegment(id: $segment) { isMember why { holds found } } } } }"""
    await api.data(world.token, query, segment=segment)
    assert asked == [3]


async def test_foreign_customers_and_segments_are_not_found(api, world, stranger):
    ids = {"id": world.ids["Customer"], "segment": stranger.ids["Segment"]}
    assert (await api.data(world.token, IN_SEGMENT, **ids))["customer"] == {"inSegment": None}
    ids["segment"] = world.ids["Customer"]
    assert (await api.data(world.token, IN_SEGMENT, **ids))["customer"] == {"inSegment": None}
    rule = {"hasPhone": True}
    for foreign in (stranger.ids["Customer"], world.ids["Segment"], "x"):
        found = (await api.data(world.token, WHY, rule=rule, id=foreign))["segmentWhy"]
        assert (found["isMember"], found["why"]) == (None, [])
        assert [(one["code"], one["path"]) for one in found["errors"]] == [
            ("NOT_FOUND", ["customerId"])
        ]
    inside = {"inSegment": {"segmentId": stranger.ids["Segment"]}}
    found = (await api.data(world.token, WHY, rule=inside, id=world.ids["Customer"]))["segmentWhy"]
    assert "no such segment" in found["errors"][0]["message"]


async def test_a_merged_customer_is_the_one_that_it_became(api, world):
    query = "query ($id: ID!) { customer(id: $id) { merges { nodes { mergedId } } } }"
    merges = (await api.data(world.token, query, id=world.ids["Second"]))["customer"]["merges"]
    gone = merges["nodes"][0]["mergedId"]
    found = (await api.data(world.token, WHY, rule={"all": []}, id=gone))["segmentWhy"]
    assert (found["isMember"], found["errors"]) == (True, [])


@pytest.mark.parametrize("missing", ["SEGMENTS_READ", "CUSTOMERS_READ"])
async def test_both_rights_are_needed(api, world, missing):
    have = {"SEGMENTS_READ", "CUSTOMERS_READ"} - {missing}
    token = await world.limited(*have)
    ids = {"id": world.ids["Customer"], "segment": world.ids["Segment"]}
    for query, values in (
        (WHY, {"rule": {"all": []}, "id": ids["id"]}), (IN_SEGMENT, ids),
    ):  # fmt: skip
        answer = await api(token, query, **values)
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", orjson.dumps(answer)
        assert missing in answer["errors"][0]["message"]


async def test_words_alone(api, world):
    query = """query ($rule: SegmentRuleInput!, $language: Language!) {
        segmentExplain(rule: $rule, language: $language) { sentence errors { path } } }"""
    rule = {"any": [{"hasPhone": True}, {"hasEmail": False}]}
    for language, sentence in (
        ("EN", "has a phone number, or not (has an email address)"),
        ("ZH", "有手机号，或不满足（有邮箱）"),
    ):
        found = await api.data(world.token, query, rule=rule, language=language)
        assert found["segmentExplain"] == {"sentence": sentence, "errors": []}
