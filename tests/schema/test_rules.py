"""The schema keeps the conventions of this API, whichever plugins are installed."""

import re
from dataclasses import dataclass, replace

import pytest
import strawberry
from graphql import get_named_type, is_non_null_type, is_object_type

from core.registry import Owned, RegistryError
from core.schema.build import Mutation, Query, Subscription, build_schema
from core.schema.context import Info
from core.schema.costs import Cost
from core.schema.scalars import Authenticated, LoggedIn, Public, Requires, camel
from core.sdk import SchemaField, Text

ROOTS = [(root, field) for root in (Query, Mutation, Subscription)
         for field in root.__strawberry_definition__.fields]  # fmt: skip
ANY_TOKEN = {"viewer", "node", "nodes", "staffMe", "staffSessions"}
PERSONS = {
    "staffLogout", "staffSessionEnd", "staffPasswordChange", "staffTotpEnrol", "staffTotpConfirm",
    "staffTotpDisable",
}  # fmt: skip
PUBLIC = {"staffLogin", "staffRefresh", "staffInviteAccept", "staffOidcStart", "staffOidcFinish"}
DECISIONS = {
    **dict.fromkeys(ANY_TOKEN, Authenticated),
    **dict.fromkeys(PERSONS, LoggedIn),
    **dict.fromkeys(PUBLIC, Public),
}


@pytest.fixture(scope="module")
def schema(installation):
    return build_schema(installation.registry)


@pytest.mark.parametrize(("root", "field"), ROOTS, ids=lambda x: getattr(x, "python_name", ""))
def test_every_root_field_asks_for_a_permission(schema, root, field):
    (directive,) = [one for one in field.directives if not isinstance(one, Cost)]
    name = camel(field.python_name)
    assert isinstance(directive, DECISIONS.get(name, Requires))
    if name not in DECISIONS:
        assert directive.permission in schema._schema.type_map["Permission"].values


NOUNS = (
    "customers?", "orders?", "parcels", "refunds", "segment", "campaign", "job", "shop", "token",
    "plugin", "audit", "retention", "tags?", "customField", "mergeSuggestions?", "suppressions?",
    "consent(Policy|Request)", "lifecycle", "rfm", "programme", "tier", "member", "points",
    "reward", "redemption", "referral",
    "customEvent",
    "deadLetter", "platformDeed",
    "sending",
    "recipe",
    "attribution",
    "deliveries", "optOutWords", "task",
    "reviews", "reviewWords",
    "staff", "role", "webhook", "bulkExport", "failedEvents",
    "packages",
    "sms",
    "coupons",
)  # fmt: skip


def test_mutations_keep_one_shape(schema):
    for name, field in schema._schema.mutation_type.fields.items():
        assert re.fullmatch(rf"({'|'.join(NOUNS)})[A-Z]\w+", name), name
        payload = field.type
        assert payload.name == f"{name[0].upper()}{name[1:]}Payload"
        assert str(payload.fields["errors"].type) == "[UserError!]!"
        assert all(not is_non_null_type(f.type) for n, f in payload.fields.items() if n != "errors")
        assert set(field.args) <= {"id", "name", "input"}
        if "input" in field.args:
            assert (
                get_named_type(field.args["input"].type).name == f"{name[0].upper()}{name[1:]}Input"
            )


def test_batches_say_what_becomes_of_the_others(schema):
    found = 0
    for name, field in schema._schema.mutation_type.fields.items():
        if name.endswith("sUpsert"):
            found += 1
            policy = get_named_type(field.args["input"].type).fields["onError"]
            assert str(policy.type) == "OnError!"
            kind = str(field.type.fields["results"].type)
            assert re.fullmatch(r"\[\w+\]", kind), f"{name}: a result is null where it went wrong"
    assert found >= 5
    for name in ("CustomersTagsAdd", "CustomersTagsRemove", "CustomersConsentSet"):
        policy = schema._schema.type_map[f"{name}Input"].fields["onError"]
        assert str(policy.type) == "OnError!"


ONCE = r".+(Start|Run|Grant|Claim|Earn|Spend|Hold|Transfer|Adjust|Export|TestSend|[a-z]Erase)"
BY_NATURE = {
    "shopConnectStart",
    "staffOidcStart",
    "lifecycleRefreshStart",
    "segmentTraitsStart",
    "packagesRuleStart",
    "couponsTransfer",
}
"""A second call changes nothing more, or only looks; a file is known again by its content."""


def test_what_sends_and_grants_takes_a_key(schema):
    for name, field in schema._schema.mutation_type.fields.items():
        if re.fullmatch(ONCE, name) and name not in BY_NATURE and "Import" not in name:
            given = get_named_type(field.args["input"].type).fields.get("idempotencyKey")
            assert given is not None, name
            assert str(given.type) == "String!", name


def test_updates_take_the_version_that_their_author_saw(schema):
    for name, field in schema._schema.mutation_type.fields.items():
        if not name.endswith("Update") and name != "programmeSet":
            continue
        objects = [get_named_type(f.type) for n, f in field.type.fields.items() if n != "errors"]
        versioned = any("version" in getattr(one, "fields", {}) for one in objects)
        assert versioned, f"{name}: give its object a version"
        given = get_named_type(field.args["input"].type).fields.get("ifVersion")
        assert given is not None, name
        assert str(given.type) == "Int", name


def test_every_connection_has_the_same_fields(schema):
    found = [t for n, t in schema._schema.type_map.items() if n.endswith("Connection")]
    assert len(found) >= 7
    for connection in found:
        assert set(connection.fields) == {"edges", "nodes", "pageInfo", "count"}


def test_every_filter_has_one_grammar(schema):
    for name, kind in schema._schema.type_map.items():
        if name.endswith("Where"):
            found = {field: str(kind.fields[field].type) for field in ("and", "or", "not")}
            assert found == {"and": f"[{name}!]", "or": f"[{name}!]", "not": name}, name


def test_every_node_can_be_found_again(schema):
    from core.schema.nodes import NODES

    implementers = schema._schema.get_possible_types(schema._schema.type_map["Node"])
    assert {kind.name for kind in implementers} == set(NODES)


def test_no_money_is_a_float(schema):
    for kind in schema._schema.type_map.values():
        if is_object_type(kind) and not kind.name.startswith("__"):
            assert all(get_named_type(f.type).name != "Float" for f in kind.fields.values())


def test_error_codes_are_the_registered_ones(installation, schema):
    assert set(schema._schema.type_map["ErrorCode"].values) == set(
        installation.registry.error_codes
    )


def test_the_printed_schema_is_the_committed_one(installation):
    from pathlib import Path

    printed = build_schema(installation.registry).as_str()
    assert printed == build_schema(installation.registry).as_str()
    committed = (Path(__file__).parents[2] / "schema.graphql").read_text(encoding="utf-8")
    assert committed.strip() == printed.strip(), "run `huike schema > schema.graphql`"


# -- plugin fields -------------------------------------------------------------------------------


def with_field(registry, owner, name, resolver, permission="SHOPS_READ", plugin="taobao"):
    made = SchemaField(owner, name, strawberry.field(resolver=resolver), permission)
    return replace(registry, schema_fields={f"{owner}.{name}": Owned(plugin, made)})


async def motto(self, info: Info) -> str | None:
    return "hello"


async def strict(self, info: Info) -> str:
    return "hello"


async def broken(self, info: Info) -> str | None:
    raise RuntimeError("password=hunter2")


def test_plugin_field_must_be_nullable(installation):
    with pytest.raises(RegistryError, match=r"taobao.*Customer.taobaoMotto.*nullable"):
        build_schema(with_field(installation.registry, "Customer", "taobaoMotto", strict))


def test_plugin_field_cannot_replace_core(installation):
    with pytest.raises(Exception, match=r"taobao.*Customer.*phone"):
        build_schema(with_field(installation.registry, "Customer", "phone", motto))


def test_plugin_field_needs_a_known_permission(installation):
    with pytest.raises(RegistryError, match="FLY"):
        build_schema(with_field(installation.registry, "Query", "taobaoMotto", motto, "FLY"))


def test_plugin_field_shows_in_its_schema_only(installation):
    more = build_schema(
        with_field(installation.registry, "Customer", "taobaoMotto", motto)
    ).as_str()
    assert 'taobaoMotto: String @requires(permission: "SHOPS_READ") @plugin(name: "taobao")' in more
    assert "taobaoMotto" not in build_schema(installation.registry).as_str()


async def ask(world, registry, query, **variables):
    from core.domain.shops.tokens import authenticate
    from core.schema.context import Context

    installation = replace(world.merchant.installation, registry=registry)
    caller = await authenticate(installation.db, world.token)
    context = Context(installation, caller, "r1")
    schema = build_schema(registry)
    return await schema.execute(query, variable_values=variables, context_value=context)


QUERY = "query ($id: ID!) { customer(id: $id) { name taobaoMotto } }"


async def test_plugin_field_answers(installation, world):
    registry = with_field(installation.registry, "Customer", "taobaoMotto", motto)
    answer = await ask(world, registry, QUERY, id=world.ids["Customer"])
    assert answer.errors is None
    assert answer.data == {"customer": {"name": "张三", "taobaoMotto": "hello"}}


async def test_broken_plugin_blanks_its_own_field(installation, world):
    registry = with_field(installation.registry, "Customer", "taobaoMotto", broken)
    answer = await ask(world, registry, QUERY, id=world.ids["Customer"])
    assert answer.data == {"customer": {"name": "张三", "taobaoMotto": None}}
    assert answer.errors[0].extensions == {"code": "INTERNAL", "requestId": "r1"}
    assert "hunter2" not in str(answer.errors)


async def test_plugin_that_is_off_blanks_its_field(installation, world):
    from core.domain.shops.plugins import disable_plugin

    async with world.merchant.work() as w:
        await disable_plugin(w, installation.registry, "taobao")
    registry = with_field(installation.registry, "Customer", "taobaoMotto", motto)
    answer = await ask(world, registry, QUERY, id=world.ids["Customer"])
    assert answer.data["customer"]["taobaoMotto"] is None
    assert "not switched on" in answer.errors[0].message


# -- plugin facets -------------------------------------------------------------------------------


@dataclass(frozen=True)
class WeatherRule:
    """Who lives where it rains."""

    millimetres: int
    shop_id: int | None = None


class Weather:
    name = "taobao_weather"
    title = Text("Weather", "天气")
    rule = WeatherRule


def test_plugin_facet_becomes_an_input(installation):
    facets = {**installation.registry.facets, "taobao_weather": Owned("taobao", Weather())}
    printed = build_schema(replace(installation.registry, facets=facets)).as_str()
    assert "taobaoWeather: TaobaoWeatherRuleInput" in printed
    assert "input TaobaoWeatherRuleInput {\n  millimetres: Int!\n  shopId: ID\n}" in printed
