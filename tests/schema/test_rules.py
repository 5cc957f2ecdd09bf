"""The schema keeps the conventions of this API, whichever plugins are installed."""

import importlib
import pkgutil
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from graphql import build_schema as build_sdl
from graphql import (
    get_named_type,
    is_input_object_type,
    is_object_type,
    is_scalar_type,
    is_specified_scalar_type,
)

import core
import plugins
import worker
from core.registry import Owned
from core.schema.build import Mutation, Query, Subscription, build_schema
from core.schema.costs import Cost
from core.schema.error_page import error_page
from core.schema.lint import faults
from core.schema.scalars import Authenticated, Emits, LoggedIn, Public, Requires, camel
from core.sdk import HuikeError, Text

DOCS = Path(__file__).parents[2] / "docs"
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
    (directive,) = [one for one in field.directives if not isinstance(one, Cost | Emits)]
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


def test_everything_keeps_the_shapes_of_the_api(schema):
    assert list(faults(schema._schema)) == []
    assert len(schema._schema.mutation_type.fields) > 150
    connections = [name for name in schema._schema.type_map if name.endswith("Connection")]
    assert len(connections) >= 7


def test_mutations_are_called_by_known_nouns(schema):
    for name in schema._schema.mutation_type.fields:
        assert re.fullmatch(rf"({'|'.join(NOUNS)})[A-Z]\w+", name), name


SOUND = """
"A."
interface UserError { "A." code: String }
"A."
type OtherError implements UserError { "A." code: String }
"A."
type Tea { "A." name: String }
"A."
type TeaMakePayload { "A." tea: Tea "A." errors: [UserError!]! }
"A."
input TeaMakeInput { "A." name: String }
"A."
type Mutation { "A." teaMake("A." id: ID!, "A." input: TeaMakeInput!): TeaMakePayload }
"A."
type TeaConnection { "A." edges: Int "A." nodes: [Tea] "A." pageInfo: Int "A." count: Int }
"A."
input TeaWhere { "A." and: [TeaWhere!] "A." or: [TeaWhere!] "A." not: TeaWhere }
"A."
type Query { "A." teas("A." where: TeaWhere): TeaConnection }
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("eaMake", "eamake", "Mutation.teamake: is called by a noun"),
        ('"A." id: ID!', '"A." tea: ID!', "but no tea"),
        ("TeaMakeInput", "TeaInput", "Mutation.teaMake: takes an input of the type TeaMakeInput"),
        ("TeaMakePayload", "TeaPayload", "Mutation.teaMake: answers with a TeaMakePayload"),
        (": TeaMakePayload }", ": TeaMakePayload! }", "that may be null"),
        ("[UserError!]!", "[UserError]", "errors: [UserError!]!"),
        ("tea: Tea ", "tea: Tea! ", "whose `tea` is null when nothing was done"),
        ('"A." count: Int', "", "TeaConnection: a connection has the fields count, edges"),
        ("type Tea {", 'type Tea { "A." price: Float', "Tea: `price` is a Float"),
        ("or: [TeaWhere!]", "or: [TeaWhere]", "TeaWhere: a filter has"),
        ('"A."\ntype Tea {', "type Tea {", "Tea: the type has no description"),
        ('type Tea { "A." name', "type Tea { name", "Tea.name: the field has no description"),
        ('("A." where', "(where", "Query.teas(where): the argument has no description"),
    ],
)
def test_other_shapes_are_told(old, new, told):
    assert list(faults(build_sdl(SOUND))) == []
    assert old in SOUND
    found = list(faults(build_sdl(SOUND.replace(old, new))))
    assert len(found) == 1
    assert told in found[0]


ONE_OBJECT = "the lists are parts of one object, which is right or is not"
ONE_BY_ONE = "each item has an outcome of its own, and the others go on in any case"
WITHOUT_POLICY = {
    **dict.fromkeys(
        ("campaignCreate", "campaignUpdate", "couponsTemplateCreate", "customFieldCreate",
         "customFieldUpdate", "optOutWordsSet", "packagesRuleCreate", "reviewWordsSet",
         "rewardCreate", "rewardUpdate", "rfmThresholdsSet", "roleCreate", "roleUpdate",
         "sendingHolidaysSet", "sendingHoursSet", "staffOidcSet", "tokenCreate", "webhookCreate",
         "webhookUpdate"), ONE_OBJECT),
    **dict.fromkeys(("customerTagsAdd", "customerTagsRemove", "customerFieldsSet"),
                    "the values of one customer, who has all of them or none"),
    **dict.fromkeys(
        ("campaignDeliveryExportStart", "customerExportStart", "customerImportPreview",
         "memberImportStart", "orderExportStart", "orderImportStart", "refundsExportStart",
         "segmentListImportStart", "shopResync", "webhookRedeliver"),
        "the lists choose columns and kinds; of a file each row that is wrong is in the rejects"),
    **dict.fromkeys(("couponsRedeem", "failedEventsRetry", "suppressionsImport"), ONE_BY_ONE),
    "packagesWaveCreate": "a wave of orders that cannot be packed would be printed incomplete",
}  # fmt: skip


def test_batches_say_what_becomes_of_the_others(schema):
    fields = schema._schema.mutation_type.fields
    listed, with_policy = set(), set()
    for name, field in fields.items():
        given = get_named_type(field.args["input"].type).fields if "input" in field.args else {}
        if any("[" in str(one.type) for one in given.values()):
            listed.add(name)
        if "onError" in given and name != "customerImportStart":
            with_policy.add(name)
            assert str(given["onError"].type) == "OnError!", name
    with_policy.add("customerImportStart")  # what becomes of a file's other rows
    assert listed - with_policy == set(WITHOUT_POLICY), "take onError, or say why it has no meaning"
    for name in with_policy:
        for shown, field in fields[name].type.fields.items():
            if shown != "errors" and "[" in str(field.type):
                kind = str(field.type)
                assert re.fullmatch(r"\[\w+\]", kind), f"{name}: null where an item went wrong"
    assert len(with_policy) >= 15


CHANGING = re.compile(r"(Update|Set|Apply|Enable|Rename|Schedule)$")
"""What changes something that is there already, so that somebody may have changed it meanwhile."""
LAST_ONE_WINS = {
    "customerConsentSet": "what a customer said is added to a log, nothing is overwritten",
    "customersConsentSet": "what customers said is added to a log, nothing is overwritten",
    "sendingHolidaysSet": "says what the days named are, and leaves all others",
    "memberTierSet": "sets one value, which is given as a whole",
    "campaignApprovalSet": "a switch: nothing of the former value is in the new one",
    "staffSecondFactorSet": "a switch: nothing of the former value is in the new one",
    "tagRename": "names the tag by what it was",
}


def inside(kind, depth=2):
    """The names of a type's fields, and of those within them."""
    fields = getattr(get_named_type(kind), "fields", {})
    deeper = [name for one in fields.values() if depth > 1 for name in inside(one.type, depth - 1)]
    return {*fields, *deeper}


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
    fields = schema._schema.mutation_type.fields
    changing = {name for name in fields if CHANGING.search(name)}
    assert len(changing) > 35
    assert changing > set(LAST_ONE_WINS), "no such mutation"
    for name in changing - set(LAST_ONE_WINS):
        objects = [f.type for n, f in fields[name].type.fields.items() if n != "errors"]
        versions = {"version", "settingsVersion"} & {n for one in objects for n in inside(one)}
        assert versions, f"{name}: give its object a version"
        given = fields[name].args["input"].type
        assert "ifVersion" in inside(given), f"{name}: take ifVersion, or say why the last one wins"
        for one in (given, *(f.type for f in get_named_type(given).fields.values())):
            found = getattr(get_named_type(one), "fields", {}).get("ifVersion")
            assert found is None or str(found.type) == "Int", name
    for name in LAST_ONE_WINS:
        assert "ifVersion" not in inside(fields[name].args["input"].type), f"{name}: has it now"


DOING = re.compile(
    r"(Start|Send|Test|Grant|Claim|Make|Import|Upsert|Earn|Spend|Hold|Return|Transfer|Redeem|Fulfil"
    r"|Adjust|Approve|Resume|Schedule|Submit|Settle|Retry|Redeliver|Record|Join|Enter|SwitchOn"
    r"|Merge|Accept|Erase|Export|Run|Reserve|Release|Revoke)$"
)
"""What sends, grants, charges, takes in or starts something."""
BY_NUMBER = "known by the number that the caller's system gave it: again it changes nothing"
BY_STATE = "its state allows it once: a second call is WRONG_STATE, or finds nothing to do"
WITHOUT_KEY = {
    **dict.fromkeys(("customersUpsert", "ordersUpsert", "parcelsUpsert", "refundsUpsert",
                     "reviewsUpsert"), BY_NUMBER),
    **dict.fromkeys(("couponsReserve", "couponsRedeem", "couponsRelease"), BY_NUMBER),
    **dict.fromkeys(("couponsCodesImport", "suppressionsImport"), BY_NUMBER),
    **dict.fromkeys(("memberJoin", "referralEnter", "referralCodeMake"),
                    "a customer has one of it: again it is the same"),
    **dict.fromkeys(("campaignApprove", "campaignResume", "campaignSchedule", "campaignSubmit",
                     "couponsRevoke", "deadLetterRetry", "deliveriesSettle", "failedEventsRetry",
                     "platformDeedSettle", "pointsRequestApprove", "redemptionFulfil",
                     "shopResume", "webhookResume", "packagesRuleStart", "webhookCallRetry",
                     "staffInviteAccept", "tokenRevoke"),
                    BY_STATE),
    **dict.fromkeys(("lifecycleRefreshStart", "segmentTraitsStart"), "only measures and counts"),
    **dict.fromkeys(("shopConnectStart", "staffOidcStart"), "a link; nothing is done by it yet"),
    **dict.fromkeys(("webhookTest", "webhookRedeliver", "webhookMessageRedeliver"),
                    "a message bears its id, by which its receiver knows it again"),
}  # fmt: skip


def test_what_sends_grants_charges_or_takes_in_has_a_key(schema):
    fields = schema._schema.mutation_type.fields
    keys = {
        name: get_named_type(field.args["input"].type).fields.get("idempotencyKey")
        for name, field in fields.items() if "input" in field.args
    }  # fmt: skip
    keyed = {name for name, key in keys.items() if key is not None}
    assert all(str(keys[name].type) == "String!" for name in keyed)
    assert len(keyed) >= 33
    doing = {name for name in fields if DOING.search(name)}
    assert doing - keyed == set(WITHOUT_KEY), "give it an idempotencyKey, or say why it needs none"


def test_no_number_is_a_float(schema):
    """Money least of all; and so it is with arguments and inputs."""
    assert "Float" not in schema._schema.type_map
    assert str(schema._schema.type_map["Money"].fields["amount"].type) == "Decimal!"


def test_each_scalar_says_where_its_format_is_specified(schema):
    found = {
        name: kind.specified_by_url
        for name, kind in schema._schema.type_map.items()
        if is_scalar_type(kind) and not is_specified_scalar_type(kind)
    }
    assert set(found) == {
        "Date", "DateTime", "Decimal", "JSON", "PhoneNumber", "Time", "Upload",
    }  # fmt: skip
    assert all(str(url).startswith("https://") for url in found.values()), found


def test_phone_numbers_are_taken_as_such_and_shown_as_text(schema):
    taken = {
        f"{kind.name}.{name}": get_named_type(field.type).name
        for kind in schema._schema.type_map.values()
        if is_input_object_type(kind) or is_object_type(kind)
        for name, field in kind.fields.items()
        if name == "phone"
    }
    assert {name for name, of in taken.items() if of == "PhoneNumber"} == {
        "CustomerInput.phone", "CustomerUpdateInput.phone", "OrderInput.phone",
    }  # fmt: skip
    assert {of for name, of in taken.items() if not name.split(".")[0].endswith("Input")} == {
        "Contact", "String",
    }  # fmt: skip


def test_error_codes_are_the_registered_ones(installation, schema):
    assert set(schema._schema.type_map["ErrorCode"].values) == set(
        installation.registry.error_codes
    )


def classes(of):
    for one in of.__subclasses__():
        yield one
        yield from classes(one)


def test_every_error_there_is_has_its_code_cause_and_cure(installation):
    for package in (core, plugins, worker):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations." not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    registered = {owned.value for owned in installation.registry.error_codes.values()}
    parts = ("core.", "plugins.", "worker.")
    found = {one for one in classes(HuikeError) if one.__module__.startswith(parts)}
    assert len(found) >= 37
    assert found - registered == set(), "add it to the hook error_codes of core or of the plugin"
    for one in found:
        for text in (one.cause, one.cure):
            assert text[0].isupper(), one
            assert text.endswith("."), one
        assert one.retryable or not re.match(r"Wait|Try again (later|on)", one.cure), one


def test_the_page_of_error_codes_is_the_committed_one(installation):
    committed = (DOCS / "frontend" / "errors.md").read_text(encoding="utf-8")
    assert committed == error_page(installation.registry), "run `huike error-codes`"


def test_the_printed_schema_is_the_committed_one(installation):
    printed = build_schema(installation.registry).as_str()
    assert printed == build_schema(installation.registry).as_str()
    committed = (DOCS.parent / "schema.graphql").read_text(encoding="utf-8")
    assert committed.strip() == printed.strip(), "run `huike schema > schema.graphql`"


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
