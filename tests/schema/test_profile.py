"""Custom fields, notes, tags, timeline and search, as clients use them."""

import pytest

from core.domain.customers.fields import FieldDefinition, define_fields
from core.domain.customers.masking import RIGHTS

SET = """mutation ($id: ID!, $fields: [CustomerFieldInput!]!) {
  customerFieldsSet(id: $id, input: {fields: $fields}) {
    customer { fields { name value version } } errors { code message path } } }"""
CREATE = """mutation ($input: CustomFieldCreateInput!) { customFieldCreate(input: $input) {
  customField { id name type choices } errors { code path } } }"""
WHERE = """query ($where: CustomerWhere) {
  customers(where: $where) { nodes { name } count { value } } }"""


async def set_values(api, world, *given):
    found = await api.data(world.token, SET, id=world.ids["Customer"], fields=list(given))
    return found["customerFieldsSet"]


async def create(api, world, key, kind, **more):
    given = {"key": key, "title": key, "type": kind, **more}
    return (await api.data(world.token, CREATE, input=given))["customFieldCreate"]


async def test_all_that_is_wrong_with_values_is_told_at_once(api, world):
    await create(api, world, "price", "DECIMAL")
    found = await set_values(
        api, world,
        {"field": "custom.size", "value": "L"}, {"field": "custom.gone", "value": 1},
        {"field": "sms.last", "value": 1}, {"field": "custom.price", "value": 9.5},
        {"field": "custom.size", "value": "M"},
    )  # fmt: skip
    assert found["customer"] is None
    assert [(error["code"], error["path"]) for error in found["errors"]] == [
        ("NOT_FOUND", ["input", "fields", "1", "field"]),
        ("FIELD_NOT_YOURS", ["input", "fields", "2", "field"]),
        ("INVALID_INPUT", ["input", "fields", "3", "value"]),
        ("INVALID_INPUT", ["input", "fields", "4", "field"]),
    ]
    assert "float" in found["errors"][2]["message"]
    found = await set_values(api, world, {"field": "custom.size"})
    assert found["errors"][0]["path"] == ["input", "fields", "0", "value"]


async def test_absent_fields_stay_null_clears_and_versions_are_kept(api, world):
    await create(api, world, "price", "DECIMAL")
    found = await set_values(
        api, world, {"field": "custom.size", "value": "L"},
        {"field": "custom.price", "value": "9.90", "ifVersion": 0},
    )  # fmt: skip
    assert found["errors"] == []
    found = await set_values(api, world, {"field": "custom.price", "value": "10", "ifVersion": 1})
    assert found["customer"]["fields"] == [
        {"name": "custom.price", "value": "10", "version": 2},
        {"name": "custom.size", "value": "L", "version": 1},
    ]
    found = await set_values(api, world, {"field": "custom.price", "value": "11", "ifVersion": 1})
    assert [error["code"] for error in found["errors"]] == ["CONFLICT"]
    assert found["errors"][0]["path"] == ["input", "fields", "0", "ifVersion"]
    found = await set_values(api, world, {"field": "custom.size", "value": None})
    assert [one["name"] for one in found["customer"]["fields"]] == ["custom.price"]


async def test_a_plugins_namespace_is_the_plugins(api, world):
    async with world.merchant.work() as w:
        await define_fields(w, "sms", [FieldDefinition("last", "Last", "date")])
    found = await create(api, world, "other", "TEXT", namespace="sms")
    assert [error["code"] for error in found["errors"]] == ["FIELD_NOT_YOURS"]
    found = await api.data(
        world.token, '{ customFields(where: {namespace: {eq: "sms"}}) { nodes { id name } } }'
    )
    (field,) = found["customFields"]["nodes"]
    delete = "mutation ($id: ID!) { customFieldDelete(id: $id) { errors { code } } }"
    found = await api.data(world.token, delete, id=field["id"])
    assert found["customFieldDelete"]["errors"] == [{"code": "FIELD_NOT_YOURS"}]


async def test_a_field_that_a_segment_asks_for_is_not_deleted(api, world):
    rule = {"customField": {"field": "custom.size", "anyOf": ["L"]}}
    query = """mutation ($rule: SegmentRuleInput!) {
        segmentCreate(input: {name: "large", rule: $rule}) {
        segment { rule } errors { code } } }"""
    found = (await api.data(world.token, query, rule=rule))["segmentCreate"]
    assert found == {"segment": {"rule": rule}, "errors": []}
    delete = "mutation ($id: ID!) { customFieldDelete(id: $id) { errors { code message } } }"
    found = await api.data(world.token, delete, id=world.ids["Field"])
    assert found["customFieldDelete"]["errors"][0]["code"] == "WRONG_STATE"
    assert "'large'" in found["customFieldDelete"]["errors"][0]["message"]


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        ({"name": "custom.size", "text": {"eq": "L"}}, True),
        ({"name": "custom.size", "text": {"startsWith": "X"}}, False),
        ({"name": "custom.size", "text": {"in": []}}, False),
        ({"name": "custom.size", "isNull": False}, True),
        ({"name": "custom.size", "isNull": True}, False),
        ({"name": "custom.gone", "isNull": True}, True),
        ({"name": "custom.size", "number": {"gt": "0"}}, False),
        ({"name": "custom.price", "number": {"gte": "9.9", "lt": "10"}}, True),
        ({"name": "custom.price", "number": {"gt": "9.9"}}, False),
        ({"name": "custom.member", "isTrue": True}, True),
        ({"name": "custom.member", "isTrue": False}, False),
        ({"name": "custom.day", "date": {"eq": "2026-06-15"}}, True),
        ({"name": "custom.day", "date": {"gt": "2026-06-15"}}, False),
        ({"name": "custom.called", "dateTime": {"gte": "2026-06-15T12:00:00+08:00"}}, True),
    ],
)
async def test_customers_are_filtered_by_fields(api, world, asked, fits):
    for key, kind in (("price", "DECIMAL"), ("member", "BOOL"), ("day", "DATE"),
                      ("called", "DATETIME")):  # fmt: skip
        await create(api, world, key, kind)
    values = {
        "size": "L", "price": "9.90", "member": True, "day": "2026-06-15",
        "called": "2026-06-15T04:00:00Z",
    }  # fmt: skip
    given = [{"field": f"custom.{key}", "value": value} for key, value in values.items()]
    assert (await set_values(api, world, *given))["errors"] == []
    him = {"id": {"eq": world.ids["Customer"]}}
    where = {"and": [him, {"field": asked}]}
    found = (await api.data(world.token, WHERE, where=where))["customers"]
    assert [one["name"] for one in found["nodes"]] == (["张三"] if fits else [])
    where = {"and": [him, {"not": {"field": asked}}]}
    found = (await api.data(world.token, WHERE, where=where))["customers"]
    assert found["count"]["value"] == (0 if fits else 1)


async def test_birthday_and_country(api, world):
    update = """mutation ($id: ID!, $input: CustomerUpdateInput!) {
        customerUpdate(id: $id, input: $input) {
        customer { birthday country } errors { code path } } }"""
    values = {"id": world.ids["Customer"], "input": {"birthday": "1990-02-28", "country": "CN"}}
    found = (await api.data(world.token, update, **values))["customerUpdate"]
    assert found["customer"] == {"birthday": "1990-02-28", "country": "CN"}
    where = {"birthday": {"lt": "1990-03-01"}, "country": {"in": ["CN", "TH"]}}
    found = (await api.data(world.token, WHERE, where=where))["customers"]
    assert found["count"]["value"] == 1
    values["input"] = {"birthday": "1826-01-01"}
    found = (await api.data(world.token, update, **values))["customerUpdate"]
    assert found["errors"] == [{"code": "INVALID_INPUT", "path": ["input", "birthday"]}]


TAG = """mutation ($input: CustomersTagsAddInput!) { customersTagsAdd(input: $input) {
  changed job { id kind } errors { code path } } }"""


async def test_many_are_tagged_by_ids_or_by_segment(api, world, stranger):
    async def tag(**given):
        found = await api.data(world.token, TAG, input={"tags": ["new"], **given})
        return found["customersTagsAdd"]

    ids = [world.ids["Customer"]]
    assert (await tag(ids=ids))["changed"] == 1
    assert (await tag(ids=ids))["changed"] == 0
    found = await tag(segmentId=world.ids["Segment"])
    assert (found["changed"], found["job"]["kind"]) == (None, "customers.tag")
    for given, paths in (
        ({}, [["input", "ids"]]),
        ({"ids": ids, "segmentId": world.ids["Segment"]}, [["input", "ids"]]),
        ({"ids": []}, [["input", "ids"]]),
        (
            {"ids": [*ids, stranger.ids["Customer"], "x"]},
            [["input", "ids", "1"], ["input", "ids", "2"]],
        ),
        ({"ids": [*ids, stranger.ids["Customer"]]}, [["input", "ids", "1"]]),
        ({"segmentId": stranger.ids["Segment"]}, [["input", "segmentId"]]),
    ):
        assert [error["path"] for error in (await tag(**given))["errors"]] == paths, given
    token = await world.limited("CUSTOMERS_WRITE")
    given = {"tags": ["new"], "segmentId": world.ids["Segment"]}
    answer = await api(token, TAG, input=given)
    assert "SEGMENTS_READ" in answer["errors"][0]["message"]


async def test_tags_are_listed_with_their_counts(api, world):
    query = """query ($first: Int!, $after: String, $sort: [TagSort!]) {
        tags(first: $first, after: $after, sort: $sort) { nodes { name customers }
        pageInfo { hasNextPage endCursor } count { value } } }"""
    given = {"ids": [world.ids["Customer"]], "tags": ["a", "b"]}
    await api.data(world.token, TAG, input=given)
    page = (await api.data(world.token, query, first=2))["tags"]
    assert page["nodes"] == [{"name": "a", "customers": 1}, {"name": "b", "customers": 1}]
    assert page["count"]["value"] == 3
    page = await api.data(world.token, query, first=2, after=page["pageInfo"]["endCursor"])
    assert [one["name"] for one in page["tags"]["nodes"]] == ["first"]
    sort = [{"field": "CUSTOMERS", "direction": "DESC"}, {"field": "NAME", "direction": "DESC"}]
    page = (await api.data(world.token, query, first=9, sort=sort))["tags"]
    assert [one["name"] for one in page["nodes"]] == ["first", "b", "a"]


TIMELINE = """query ($id: ID!, $first: Int!, $after: String, $kinds: [String!]) {
  customer(id: $id) { timeline(first: $first, after: $after, kinds: $kinds) {
    nodes { kind title data node { __typename id } } edges { cursor }
    pageInfo { hasNextPage endCursor } count { value precision } } } }"""


async def timeline(api, world, token=None, **more):
    values = {"id": world.ids["Customer"], "first": 20, **more}
    answer = await api.data(token or world.token, TIMELINE, **values)
    return answer["customer"]["timeline"]


async def test_the_timeline_leads_to_the_objects(api, world):
    page = await timeline(api, world)
    nodes = {one["kind"]: one["node"] for one in page["nodes"]}
    assert nodes["order.placed"] == {"__typename": "Order", "id": world.ids["Order"]}
    assert nodes["message.sent"] == {"__typename": "Delivery", "id": world.ids["Delivery"]}
    assert nodes["note_added"] == {"__typename": "CustomerNote", "id": world.ids["Note"]}
    assert nodes["tag_added"] is None
    assert page["count"] == {"value": len(page["nodes"]), "precision": "EXACT"}


async def test_pages_of_the_timeline(api, world):
    everything = (await timeline(api, world))["nodes"]
    found, after = [], None
    while True:
        page = await timeline(api, world, first=2, after=after)
        found += page["nodes"]
        assert len(page["edges"]) == len(page["nodes"])
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == everything
    values = {"id": world.ids["Customer"], "first": 2, "after": after, "kinds": ["order.paid"]}
    answer = await api(world.token, TIMELINE, **values)
    assert "another sort or filter" in answer["errors"][0]["message"]
    for values in ({"first": 0}, {"first": 101}, {"first": 5, "after": "x"}):
        answer = await api(world.token, TIMELINE, id=world.ids["Customer"], **values)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_the_timeline_shows_what_the_token_may_see(api, world):
    token = await world.limited("CUSTOMERS_READ")
    kinds = {one["kind"] for one in (await timeline(api, world, token))["nodes"]}
    assert kinds == {"tag_added", "note_added"}


async def test_notes_are_paged_newest_first_with_their_author(api, world):
    add = """mutation ($id: ID!, $text: String!) { customerNoteAdd(id: $id, input: {text: $text}) {
        note { author } errors { code path } } }"""
    for text in ("second", "third"):
        await api.data(world.token, add, id=world.ids["Customer"], text=text)
    query = """query ($id: ID!, $after: String) { customer(id: $id) {
        notes(first: 2, after: $after) { nodes { text author }
        pageInfo { endCursor } count { value } } } }"""
    page = (await api.data(world.token, query, id=world.ids["Customer"]))["customer"]["notes"]
    assert [one["text"] for one in page["nodes"]] == ["third", "second"]
    assert page["nodes"][0]["author"].startswith("token:")
    assert page["count"]["value"] == 3
    after = page["pageInfo"]["endCursor"]
    page = await api.data(world.token, query, id=world.ids["Customer"], after=after)
    assert [one["text"] for one in page["customer"]["notes"]["nodes"]] == ["met at the fair"]
    found = await api.data(world.token, add, id=world.ids["Customer"], text=" ")
    assert found["customerNoteAdd"]["errors"][0]["path"] == ["input", "text"]


SEARCH = """query ($text: String!, $first: Int) { customerSearch(query: $text, first: $first) {
  customer { id phone { value redacted } } matchedBy } }"""


@pytest.mark.parametrize(
    ("right", "text", "why"),
    [
        ("PII_PHONE", "13812341234", "PHONE"), ("PII_EMAIL", "ann@example.com", "EMAIL"),
        ("PII_NAME", "张三", "NAME"), ("ORDERS_READ", "E1", "ORDER_NUMBER"),
    ],
)  # fmt: skip
async def test_who_may_not_see_it_does_not_find_by_it(api, world, right, text, why):
    """A masked number leaves ten thousand guesses, which a program has made soon."""
    others = {*RIGHTS, "ORDERS_READ"} - {right}
    token = await world.limited("CUSTOMERS_READ", *others)
    assert (await api.data(token, SEARCH, text=text, first=5))["customerSearch"] == []
    token = await world.limited("CUSTOMERS_READ", right)
    (hit,) = (await api.data(token, SEARCH, text=text, first=5))["customerSearch"]
    assert hit["matchedBy"] == [why]
    assert hit["customer"]["phone"]["redacted"] is (right != "PII_PHONE")


@pytest.mark.parametrize(
    ("text", "first"), [("x" * 10_000, 5), ("x", 0), ("x", 51)], ids=["long", "none", "many"]
)
async def test_what_search_refuses(api, world, text, first):
    answer = await api(world.token, SEARCH, text=text, first=first)
    assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("text", ["", "\x00", "🍵", "%", "x" * 200])
async def test_what_search_does_not_find(api, world, text):
    assert (await api.data(world.token, SEARCH, text=text, first=5))["customerSearch"] == []


async def test_strangers_find_nothing(api, world, stranger):
    for text in ("13812341234", "E1", "n1", "张三", "first"):
        (hit,) = (await api.data(world.token, SEARCH, text=text, first=5))["customerSearch"]
        assert hit["customer"]["id"] == world.ids["Customer"]
    query = "query ($id: ID!) { node(id: $id) { id } }"
    for kind in ("Field", "Note"):
        assert (await api.data(world.token, query, id=stranger.ids[kind]))["node"] is None
