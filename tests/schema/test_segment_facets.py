"""The facets as an editor of rules sees them, and rules that come back as they were sent."""

from graphql import parse_type
from graphql.utilities import type_from_ast

from core.schema.build import build_schema
from core.schema.scalars import global_id
from tests.schema.conftest import OPERATIONS
from tests.segments.oracle.campaigns import make_run


async def test_facets_describe_their_parameters(api, merchant):
    query = (OPERATIONS / "facets.graphql").read_text()
    found = {one["name"]: one for one in (await api.data(merchant.token, query))["facets"]}
    assert found["hasEmail"]["parameters"] == []
    assert (found["tag"]["title"], found["tag"]["titleZh"]) == ("Tag", "标签")
    assert "\n    " not in found["tag"]["description"]
    assert found["orderCount"]["version"] == 2
    assert all(one["usable"] for one in found.values())
    assert {one["plugin"] for one in found.values()} == {"core", "coupons", "packages"}
    share = {one["name"]: one for one in found["randomShare"]["parameters"]}
    assert {name: (one["type"], one["required"]) for name, one in share.items()} == {
        "toPercent": ("Decimal!", True), "fromPercent": ("Decimal", False), "seed": ("Int", False),
    }  # fmt: skip
    assert share["toPercent"]["description"] == "The share's end."
    unused = {one["name"]: one["description"] for one in found["couponsUnused"]["parameters"]}
    assert unused["template"].startswith("The handle of a template")
    received = {one["name"]: one for one in found["received"]["parameters"]}
    assert received["messages"]["description"].startswith("Which messages are meant")
    inner = {one["name"]: one["type"] for one in received["messages"]["parameters"]}
    assert inner == {"campaignIds": "[ID!]", "channels": "[String!]", "within": "WindowInput"}


async def test_every_parameters_type_is_one_of_the_schema(api, merchant):
    query = (OPERATIONS / "facets.graphql").read_text()
    schema = build_schema(merchant.installation.registry)._schema
    waiting = [one for facet in (await api.data(merchant.token, query))["facets"]
               for one in facet["parameters"]]  # fmt: skip
    while waiting:
        one = waiting.pop()
        assert type_from_ast(schema, parse_type(one["type"])) is not None, one
        waiting += one.get("parameters", [])


CREATE = """mutation ($input: SegmentCreateInput!) { segmentCreate(input: $input) {
    segment { rule preview { preview { count } } } errors { message path } } }"""


async def test_a_rule_comes_back_in_the_form_in_which_it_was_sent(api, merchant):
    rule = {"all": [
        {"tag": {}}, {"hasName": True}, {"not": {"hasPhone": True}},
        {"received": {"messages": {"within": {"lastDays": 3}}}},
        {"randomShare": {"toPercent": "12.50", "seed": 4}}, {"reachable": {"channel": "email"}},
    ]}  # fmt: skip
    for name in ("first", "again"):
        made = await api.data(merchant.token, CREATE, input={"name": name, "rule": rule})
        assert made["segmentCreate"]["errors"] == []
        assert made["segmentCreate"]["segment"]["rule"] == rule
        rule = made["segmentCreate"]["segment"]["rule"]


async def test_campaigns_and_shops_are_named_by_global_ids(api, merchant):
    async with merchant.work() as w:
        run = await make_run(w, "spring")
    messages = {"campaignIds": [global_id("Campaign", run["campaign_id"])]}
    account = {"knownIn": {"shopIds": [global_id("Shop", merchant.shop_id)]}}
    rule = {"any": [{"received": {"messages": messages}}, account]}
    made = await api.data(merchant.token, CREATE, input={"name": "spring", "rule": rule})
    assert made["segmentCreate"]["errors"] == []
    assert made["segmentCreate"]["segment"]["rule"] == rule


async def test_faults_come_with_the_path_of_the_input(api, merchant):
    order = global_id("Order", 1)
    rule = {"any": [
        {"reachable": {"channel": "pigeon"}},
        {"not": {"birthday": {"nextDays": 365}}},
        {"all": [{"tag": {"within": {"lastDays": -1}}}]},
    ]}  # fmt: skip
    made = await api.data(merchant.token, CREATE, input={"name": "bad", "rule": rule})
    assert [error["path"] for error in made["segmentCreate"]["errors"]] == [
        ["input", "rule", "any", "0", "reachable", "channel"],
        ["input", "rule", "any", "1", "not", "birthday", "nextDays"],
        ["input", "rule", "any", "2", "all", "0", "tag", "within", "lastDays"],
    ]
    rule = {"received": {"messages": {"campaignIds": [order]}}}
    made = await api.data(merchant.token, CREATE, input={"name": "bad", "rule": rule})
    (error,) = made["segmentCreate"]["errors"]
    assert error["path"] == ["input", "rule", "received", "messages", "campaignIds"]


async def test_clients_see_that_a_rule_has_exactly_one_field(api, world, app):
    """Generated types then are a union, and a rule of two questions does not compile."""
    asked = await api.data(world.token, """{ __type(name: "SegmentRuleInput") { isOneOf } }""")
    assert asked["__type"]["isOneOf"] is True
    assert "input SegmentRuleInput @oneOf {" in app.state.schema.as_str()
    two = "{ segmentExplain(rule: {hasPhone: true, hasEmail: true}) { sentence } }"
    (error,) = (await api(world.token, two))["errors"]
    assert "exactly one" in error["message"]
