"""Ids of another merchant, one at a time, wherever the API takes an id: nothing is shown or done.

The published operations are sent with what they are tried with elsewhere, all of it the caller's
own but for one id. Arguments and fields of inputs that they leave out are put in.
"""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from graphql import (
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    OperationType,
    VariableNode,
    build_schema,
    is_required_input_field,
    parse,
    print_ast,
)

from tests.schema import operations
from tests.schema.conftest import new_world
from tests.schema.test_operations import send, snapshot, token_for

SCHEMA = Path(__file__).parents[2] / "schema.graphql"
NAMES = [
    name
    for name in operations.NAMES
    if name not in operations.SUBSCRIPTIONS | operations.ELSEWHERE | {"staff-login", "nodes"}
]
OPEN_RULES = {"segment-explain", "segment-create"}
"""Where all facets are tried; elsewhere a rule is one that asks for another segment."""
EMPTY = {
    "coupons-release": "nothing is reserved there", "packages-wave-create": "nothing is to pack",
    "campaign-delivery-export-start": "no rows", "customer-export-start": "no rows",
    "order-export-start": "no rows", "refunds-export-start": "no rows",
}  # fmt: skip
"""What says which rows are meant, and then finds none: there is no error."""
KINDS = {
    "customer": "Customer", "from": "Second", "other": "Second", "keep": "Second",
    "referrer": "Customer", "referred": "Friend", "shop": "Shop", "order": "Order",
    "segment": "Segment", "campaign": "Sent", "run": "CampaignRun", "tier": "Tier",
    "reward": "Reward", "template": "CouponTemplate", "insert": "PackagesInsert",
    "rule": "PackagesRule", "wave": "PackagesWave", "job": "Job", "entry": "PointsEntry",
    "identity": "CustomerIdentity", "task": "Task", "webhook": "Webhook",
}  # fmt: skip
"""By the name of an argument or field without Id and Ids: whose id it takes."""
VALUES = {
    "String": "x", "Int": 1, "Float": 1, "Boolean": True, "ID": "x", "Decimal": "1",
    "Date": "2026-06-01", "DateTime": "2026-06-01T10:00:00+08:00", "Time": "10:00", "JSON": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def schema():
    return build_schema(SCHEMA.read_text("utf-8"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def caller(installation):
    return await new_world(installation, "Caller")


def bare(kind):
    return kind.of_type if isinstance(kind, GraphQLNonNull) else kind


def ways(kind, all_facets, inside=()):
    """The paths to ids in a value of an input type, None standing for the items of a list."""
    kind = bare(kind)
    if isinstance(kind, GraphQLList):
        yield from ((None, *way) for way in ways(kind.of_type, all_facets, inside))
    elif kind.name == "ID":
        yield ()
    elif isinstance(kind, GraphQLInputObjectType) and kind.name not in inside:
        for name, field in kind.fields.items():
            if kind.name == "SegmentRuleInput" and not all_facets and name != "inSegment":
                continue
            yield from ((name, *way) for way in ways(field.type, all_facets, (*inside, kind.name)))


def least(kind):
    """A value of an input type with what it cannot do without."""
    kind = bare(kind)
    if isinstance(kind, GraphQLList):
        return [least(kind.of_type)]
    if isinstance(kind, GraphQLInputObjectType):
        fields = kind.fields.items()
        needed = [one for one in fields if is_required_input_field(one[1])]
        return {name: least(one.type) for name, one in needed or list(fields)[: kind.is_one_of]}
    return VALUES.get(kind.name) or next(iter(getattr(kind, "values", [None])))


def put(kind, value, way, id_):
    """The value with an id at the end of a way; lists have it in their first item."""
    kind = bare(kind)
    if not way:
        return id_
    step, *rest = way
    if step is None:
        first, *others = value or [None]
        return [put(kind.of_type, first, rest, id_), *(others if rest else [])]
    inner = kind.fields[step].type
    if kind.is_one_of:
        return {step: put(inner, (value or {}).get(step), rest, id_)}
    base = least(kind) if value is None else value
    return {**base, step: put(inner, base.get(step), rest, id_)}


def at(value, way):
    for step in way:
        if not value:
            return None
        value = value[0] if step is None else value.get(step)
    return value


def kind_of(world, argument, way, value, name):
    """The name, in the world's ids, of an object such as the value or the place asks for."""
    for kind, id_ in world.ids.items():
        if value == id_:
            return kind
    names = [one for one in (argument, *way) if one not in (None, "eq", "in")]
    word = names[-1].removesuffix("Ids").removesuffix("Id")
    found = [kind for end, kind in KINDS.items() if word.lower().endswith(end)]
    if found:
        return found[0]
    listed = name.removesuffix("-export-start").removesuffix("s").title().replace("-", "")
    known = {"Campaign": "Sent", "CampaignDelivery": "Delivery", "Deliverie": "Delivery"}
    return known.get(listed, listed if listed in world.ids else "Customer")


def tries(schema, name, world):
    """(document, variables, argument, way, kind) for each place where an operation takes an id."""
    document = parse(operations.text(name))
    (operation,) = document.definitions
    (root, *_) = operation.selection_set.selections
    roots = {
        OperationType.QUERY: schema.query_type, OperationType.MUTATION: schema.mutation_type,
    }  # fmt: skip
    field = roots[operation.operation].fields[root.name.value]
    given = {one.name.value: one.value for one in root.arguments or ()}
    for argument, taken in field.args.items():
        asked = given.get(argument)
        if asked is not None and not isinstance(asked, VariableNode):
            continue  # written out in the document, with a variable inside
        variable = asked.name.value if asked else f"other_{argument}"
        text = document if asked else with_argument(name, argument, variable, taken.type)
        for way in ways(taken.type, name in OPEN_RULES):
            values = copy.deepcopy(operations.variables(name, world.ids))
            kind = kind_of(world, argument, way, at(values.get(variable), way), name)
            yield print_ast(text), values, variable, taken.type, way, kind


def with_argument(name, argument, variable, kind):
    """The document of an operation whose field is given one more argument, a variable."""
    document = parse(operations.text(name))
    (operation,) = document.definitions
    (root, *_) = operation.selection_set.selections
    more = parse(f"query (${variable}: {kind}) {{ x({argument}: ${variable}) }}")
    (donor,) = more.definitions
    (given,) = donor.selection_set.selections
    root = replace(root, arguments=(*(root.arguments or ()), *given.arguments))
    operation = replace(
        operation,
        variable_definitions=(*(operation.variable_definitions or ()), *donor.variable_definitions),
        selection_set=replace(operation.selection_set, selections=(root,)),
    )
    return replace(document, definitions=(operation,))


def found_by(value):
    """Every text in an answer."""
    if isinstance(value, dict):
        return {text for one in value.values() for text in found_by(one)}
    if isinstance(value, list):
        return {text for one in value for text in found_by(one)}
    return {value} if isinstance(value, str) else set()


@pytest.mark.parametrize("name", NAMES)
async def test_an_id_of_another_merchant_leads_nowhere(
    api, schema, caller, stranger, name, monkeypatch
):
    theirs = {one for one in stranger.ids.values() if isinstance(one, str)}
    before = await snapshot(stranger)
    tried = 0
    for document, values, variable, kind, way, whose in tries(schema, name, caller):
        foreign = stranger.ids[whose]
        values[variable] = put(kind, values.get(variable), way, foreign)
        if "idempotencyKey" in values.get("input", {}):
            values["input"]["idempotencyKey"] = f"{name} {tried}"
        monkeypatch.setattr(operations, "text", lambda _, text=document: text)
        answer = await send(api, token_for(caller, name), name, values)
        monkeypatch.undo()
        place = (name, variable, *way, whose)
        tried += 1
        for error in answer.get("errors", ()):
            # with a path: the request was well formed, and the field did not find the id
            assert error["extensions"]["code"] == "BAD_REQUEST", (place, error)
            assert error.get("path"), (place, error)
        ((field, found),) = (answer.get("data") or {"none": None}).items()
        assert not found_by(found) & (theirs - {foreign}), (place, found)
        mutation = field in schema.mutation_type.fields
        if mutation and name not in EMPTY:
            assert found is None or found["errors"], (place, found)
    if not tried:
        pytest.skip("takes no id")
    assert await snapshot(stranger) == before


def test_places_for_ids_are_found_at_any_depth(schema):
    """So that nothing is tried in vain because a type is passed over."""
    rule = schema.mutation_type.fields["segmentCreate"].args["input"].type
    found = {".".join(step for step in way if step) for way in ways(rule, True)}
    assert {"rule.inSegment.segmentId", "rule.received.messages.campaignIds"} <= found
