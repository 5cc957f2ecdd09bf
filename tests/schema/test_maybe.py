"""What an update leaves out stays as it is, and null clears what can be empty."""

from collections import defaultdict

import pytest
from graphql import get_named_type, is_leaf_type, is_object_type, is_required_argument
from strawberry.types.base import StrawberryMaybe, StrawberryOptional

from core.schema.build import build_schema
from tests.schema.conftest import new_world
from tests.schema.operations import CONTENT


@pytest.fixture(scope="module")
def schema(installation):
    return build_schema(installation.registry)._schema


def values(ids):
    """By mutation: the object's id, and for each field a value that it does not have already."""
    since, until = "2026-07-01T00:00:00+00:00", "2027-07-01T00:00:00+00:00"
    return {
        "shopUpdate": (ids["Shop"], {
            "name": "Other", "externalId": "77", "timeZone": "Asia/Tokyo", "currency": "JPY",
        }),
        "customerUpdate": (ids["Customer"], {
            "name": "Other", "birthday": "1990-02-03", "country": "TH", "province": "P",
            "city": "C", "phone": "+8613911112222", "email": "other@example.com",
        }),
        "segmentUpdate": (ids["Unused"], {
            "name": "Other", "description": "new", "rule": {"hasPhone": True},
        }),
        "campaignUpdate": (ids["Campaign"], {
            "name": "Other", "segmentId": ids["Unused"], "content": CONTENT,
            "messageClass": "SERVICE", "options": {"priority": 3}, "shopId": ids["Shop"],
        }),
        "customFieldUpdate": (ids["Field"], {"title": "Other"}),
        "rewardUpdate": (ids["Reward"], {
            "name": "Other", "cost": 7, "stock": 5, "perCustomer": 2, "tierIds": [ids["Tier"]],
            "validFrom": since, "validUntil": until,
        }),
        "tierUpdate": (ids["Tier"], {
            "name": "Gold", "threshold": "200", "keepThreshold": "100",
            "benefits": [{"kind": "free_shipping"}],
        }),
        "staffUpdate": (ids["Colleague"], {"name": "Other", "role": "owner", "disabled": True}),
        "taskUpdate": (ids["Task"], {
            "title": "Other", "text": "new", "dueAt": since, "assignee": "Ann",
        }),
        "webhookUpdate": (ids["Webhook"], {
            "name": "Other", "url": "https://other.example/", "topics": ["order.state_changed"],
            "filter": {"state": "paid"}, "permissions": ["ORDERS_READ"],
            "document": "query ($orderId: ID!) { order(id: $orderId) { externalId } }",
        }),
        "couponsTemplateUpdate": (ids["CouponTemplate"], {
            "name": "Other", "state": "PAUSED", "validFrom": since, "validUntil": until,
            "validDays": 9, "perCustomer": 3, "total": 1000, "daily": 100, "budget": "500",
            "claimable": False, "transfers": 3, "lowStock": 4,
        }),
        "packagesRuleUpdate": (ids["PackagesRule"], {
            "name": "Other", "priority": 5, "exclusive": "gifts", "perCustomer": 3, "perDays": 9,
            "budget": "500", "startsAt": since, "endsAt": until,
        }),
    }  # fmt: skip


ELSEWHERE = {
    "staffOidcSet": "the secret is never shown: test_staff_oidc.py",
}
OTHER_FIELDS = {
    ("campaignUpdate", "flow"): "excludes the fields of one message: test_campaign_flows.py",
    ("customFieldUpdate", "choices"): "of fields of the type choice only: customers/test_fields.py",
}
SHOWN = {
    "segmentId": "segment",
    "shopId": "shop",
    "tierIds": "tiers",
    "disabled": "state",
}
"""Under which name the object has what an input names otherwise."""


TOGETHER = {("tierUpdate", "threshold"): ("keepThreshold",)}
"""What cannot be there without the field."""


def maybes(schema, name):
    """The fields of a mutation's input that may be left out, and whether null clears each."""
    given = schema.mutation_type.fields[name].args.get("input")
    if given is None:
        return {}
    kind = get_named_type(given.type)
    found = kind.extensions["strawberry-definition"].fields
    return {
        shown: isinstance(one.type.of_type, StrawberryOptional)
        for shown, field in kind.fields.items()
        for one in found
        if (field.extensions["strawberry-definition"] is one)
        and isinstance(one.type, StrawberryMaybe)
    }


def shape(kind, depth=0):
    """A selection of what needs no arguments, and one level below it."""
    kind, parts = get_named_type(kind), []
    for name, field in kind.fields.items():
        inner = get_named_type(field.type)
        if any(map(is_required_argument, field.args.values())):
            continue
        if is_leaf_type(inner):
            parts.append(name)
        elif depth == 0 and is_object_type(inner) and not inner.name.endswith("Connection"):
            below = [
                one for one, of in inner.fields.items()
                if is_leaf_type(get_named_type(of.type))
                and not any(map(is_required_argument, of.args.values()))
            ]  # fmt: skip
            parts.append(f"{name} {{ {' '.join(below) or '__typename'} }}")
    return f"{{ {' '.join(parts)} }}"


def test_every_update_is_here(schema):
    updates = {name for name in schema.mutation_type.fields if maybes(schema, name)}
    table = values(defaultdict(str))
    assert updates == set(table) | set(ELSEWHERE)
    for name, (_, given) in table.items():
        others = {field for mutation, field in OTHER_FIELDS if mutation == name}
        assert set(given) | others == set(maybes(schema, name)), name
    for name in table:
        given = get_named_type(schema.mutation_type.fields[name].args["input"].type)
        assert "absent" in given.description.lower(), given.name
        for field, clears in maybes(schema, name).items():
            if clears:
                assert "null" in given.fields[field].description.lower(), (given.name, field)
    # an update whose fields are all needed could clear nothing and would overwrite everything
    whole = {"customerNoteUpdate", "roleUpdate"}
    assert {name for name in schema.mutation_type.fields if name.endswith("Update")} == (
        set(table) | whole
    )


@pytest.mark.parametrize("name", sorted(values(defaultdict(str))))
async def test_absent_keeps_and_null_clears(api, installation, schema, name):
    world = await new_world(installation, "Maybe")
    mutation = schema.mutation_type.fields[name]
    (shown,) = (field for field in mutation.type.fields if field != "errors")
    kind = mutation.args["input"].type
    query = f"""mutation ($id: ID!, $input: {kind}) {{ {name}(id: $id, input: $input) {{
        {shown} {shape(mutation.type.fields[shown].type)} errors {{ message path }} }} }}"""
    pk, given = values(world.ids)[name]
    passing = (
        "version",
        "updatedAt",
        "refreshedAt",
        "size",
        "sentence",
        "nextOccurrences",
        "spent",
    )

    async def update(**changed):
        answer = await api(world.token, query, id=pk, input=changed)
        if "errors" in answer:
            assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST", answer
            return None
        told = answer["data"][name]
        assert not told["errors"] or told["errors"][0]["path"][:1] == ["input"], told
        found = told[shown]
        return found and {key: one for key, one in found.items() if key not in passing}

    before = await update()
    everything = await update(**given)
    for field in given:
        key = SHOWN.get(field, field)
        assert everything[key] != before[key] or given[field] == CONTENT, field
    assert await update() == everything
    for field, clears in maybes(schema, name).items():
        if field not in given:
            continue
        key = SHOWN.get(field, field)
        along = TOGETHER.get((name, field), ())
        cleared = await update(**dict.fromkeys((field, *along)))
        if clears:
            gone = {key, *along}
            assert cleared == {**everything, **{one: cleared[one] for one in gone}}, field
            assert all(cleared[one] in (None, [], {}) for one in gone), field
            assert await update(**{one: given[one] for one in (field, *along)}) == everything, field
        else:
            assert cleared is None, field
            assert await update() == everything, field
