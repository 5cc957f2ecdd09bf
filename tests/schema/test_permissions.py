"""Every field has a decision who may see it, and every role may do what it should and no more."""

import io
import zipfile

import orjson
import pytest
import pytest_asyncio
from graphql import get_named_type, is_interface_type, is_object_type, is_union_type

from core.domain.customers.masking import RIGHTS
from core.domain.shops.permissions import CORE_PERMISSIONS
from core.domain.shops.roles import predefined_roles
from core.installation import job_kinds
from core.schema.build import Mutation, Query, build_schema
from core.schema.nodes import NODES
from core.schema.scalars import Authenticated, LoggedIn, Public, Requires, camel, read_id
from core.storage import jobs
from tests.schema import operations
from tests.schema.test_operations import root_fields, run

DECISIONS = (Requires, Authenticated, LoggedIn, Public)


# -- every field ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema(installation):
    return build_schema(installation.registry)._schema


def decision_of(field):
    """What a field asks for itself: a permission or a kind of login; None: what its owner did."""
    definition = field.extensions.get("strawberry-definition")
    found = [one for one in (definition.directives if definition else ())
             if isinstance(one, DECISIONS)]  # fmt: skip
    if not found:
        return None
    (directive,) = found
    return directive.permission if isinstance(directive, Requires) else type(directive).__name__


def reached(schema):
    """Each object type with each decision under which its fields are seen, and by which way."""
    found = {}
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    waiting = [(root, None, root.name) for root in roots]
    while waiting:
        kind, decision, way = waiting.pop()
        if (kind.name, decision) in found:
            continue
        found[kind.name, decision] = way
        for name, field in kind.fields.items():
            own = decision_of(field)
            assert own or decision, f"{kind.name}.{name} has no decision"
            target = get_named_type(field.type)
            if target.name == "Node":
                continue  # each type asks for its own permission: core.schema.nodes.find
            kinds = [target] if is_object_type(target) else []
            if is_interface_type(target) or is_union_type(target):
                kinds = schema.get_possible_types(target)
            waiting += [(one, own or decision, f"{kind.name}.{name}") for one in kinds]
    return found


SEEN_BY_CHANGING = {
    "CUSTOMERS_WRITE": {"Customer", "ConsentRequest", "Suppression", "CustomerNote"},
    "CUSTOMERS_MERGE": {"Customer", "CustomerMerge", "MergeSuggestion"},
    "FIELDS_WRITE": {"CustomField"},
    "SHOPS_WRITE": {"Shop"},
    "SHOPS_CONNECT": {"Shop", "DeadLetter", "PlatformDeed"},
    "TASKS_WRITE": {"Task"},
    "STAFF_WRITE": {"Staff"},
    "MEMBERS_WRITE": {"Tier", "Reward", "Referral"},
    "POINTS_WRITE": {"PointsEntry", "PointsRequest", "Redemption"},
    "POINTS_APPROVE": {"PointsEntry", "PointsRequest"},
    "SEGMENTS_WRITE": {"Segment"},
    "CAMPAIGNS_WRITE": {"Campaign"},
    "CAMPAIGNS_SEND": {"Campaign", "CampaignRun", "Delivery", "WebhookCall"},
    "WEBHOOKS_WRITE": {"Webhook", "WebhookMessage"},
    "SENDING_POLICY_WRITE": {"SendingCap", "SendingHoliday"},
    "CONSENT_POLICY_WRITE": {"ConsentPolicy"},
    "COUPONS_WRITE": {"CouponTemplate"},
    "PACKAGES_WRITE": {"PackagesInsert", "PackagesRule"},
    "PACKAGES_PACK": {"PackagesInsert", "PackagesWave"},
    "Authenticated": {"Merchant", "Staff"},  # the caller's own
}
"""Who may change an object is shown what became of it. Whoever starts a job may watch it."""


def test_every_field_has_a_decision(schema, installation):
    found = reached(schema)
    types = installation.registry.node_types
    rights = {name: right for name, (right, _) in NODES.items()} | {
        name: owned.value.permission for name, owned in types.items()
    }
    assert {kind for kind, _ in found} >= set(rights)
    loose = [
        (kind, decision, way)
        for (kind, decision), way in found.items()
        if kind in rights and decision != rights[kind] and kind != "Job"
        and kind not in SEEN_BY_CHANGING.get(decision, ())
    ]  # fmt: skip
    assert loose == []


def test_a_field_without_a_decision_is_found(schema, monkeypatch):
    field = schema.query_type.fields["staff"]
    monkeypatch.setitem(field.extensions, "strawberry-definition", None)
    with pytest.raises(AssertionError, match=r"Query.staff has no decision"):
        reached(schema)


# -- every role ----------------------------------------------------------------------------------

NESTED = {
    "PII_NAME", "PII_PHONE", "PII_EMAIL", "PII_ADDRESS", "CONSENT_EVIDENCE", "POINTS_APPROVE",
    "REPLIES_READ", "JOBS_CANCEL",
}  # fmt: skip
"""Permissions that no root field asks for: they show or allow more of what a field does."""


def tried():
    """For each permission an operation that asks for it: a query if there is one."""
    published = {
        root_fields(name)[0]: name
        for name in operations.NAMES
        if name not in operations.SUBSCRIPTIONS | operations.UPLOADS
    }
    found = {}
    for root in (Mutation, Query):
        for field in root.__strawberry_definition__.fields:
            (directive,) = [one for one in field.directives if isinstance(one, DECISIONS)]
            name = published.get(camel(field.python_name))
            if isinstance(directive, Requires) and name is not None:
                found[directive.permission] = name
    return found


async def test_each_role_does_what_it_may_and_nothing_else(api, world):
    asked = tried()
    assert set(asked) | NESTED == {one.name for one in CORE_PERMISSIONS}
    for role in predefined_roles(world.merchant.installation.registry).values():
        token = await world.logged_in(role.name)
        for permission, name in asked.items():
            answer = await run(api, token, name, world.ids)
            lacking = f"the token lacks the permission {permission}"
            refused = any(
                error["message"] == lacking and len(error["path"]) == 1
                for error in answer.get("errors", ())
            )
            assert refused is (permission not in role.permissions), (role.name, name, answer)


# -- masks ---------------------------------------------------------------------------------------

PERSON = {
    "PII_NAME": ["欧阳晓峰", "司马明珠"],
    "PII_PHONE": ["13812341234", "13877775555"],
    "PII_EMAIL": ["ann@example.com"],
    "PII_ADDRESS": ["文三路 90 号"],
}
"""The world's customer, and the receiver of an order, as nobody without the right sees them."""
ALL = {one.name for one in CORE_PERMISSIONS}
QUERIES = {camel(field.python_name) for field in Query.__strawberry_definition__.fields}
EXPORTS = ("customer-export-start", "order-export-start", "campaign-delivery-export-start")


@pytest_asyncio.fixture(loop_scope="session")
async def known(api, world):
    """The world, in which the customer has a name of his own and an order with a receiver."""
    await api.data(
        world.token, operations.text("customer-update"), id=world.ids["Customer"],
        input={"name": "欧阳晓峰"},
    )  # fmt: skip
    order = operations.variables("orders-upsert", world.ids)
    (given,) = order["input"]["orders"]
    given |= {"buyerId": "n1", "name": "司马明珠", "phone": "13877775555",
              "address": "杭州市西湖区文三路 90 号"}  # fmt: skip
    await api.data(world.token, operations.text("orders-upsert"), **order)
    return world


async def exported(api, world, token, name):
    variables = operations.variables(name, world.ids)
    variables["input"]["idempotencyKey"] = token[-20:]
    answer = await api(token, operations.text(name), **variables)
    (payload,) = answer["data"].values()
    assert payload["errors"] == []
    opened = world.merchant.installation
    job = await jobs.claim(opened.db, world.merchant.id, read_id("Job", payload["job"]["id"]))
    await jobs.perform(opened.db, job, job_kinds(opened.registry))
    pieces = jobs.file_pieces(opened.db, world.merchant.id, job.id, "output")
    data = b"".join([piece async for piece in pieces])
    if data[:2] == b"PK":  # Excel
        archive = zipfile.ZipFile(io.BytesIO(data))
        data = b"".join(map(archive.read, archive.namelist()))
    return data.decode()


ORDERS = "{ orders(first: 20) { nodes { receiver { name phone address } customer { name } } } }"


def ways(known):
    """Every published query, a search by each contact, some orders, and the exports."""
    found = {}
    for name in operations.NAMES:
        if root_fields(name)[0] in QUERIES:
            found[name] = {
                "query": operations.text(name),
                "variables": operations.variables(name, known.ids),
            }
    for text in ("欧阳晓峰", "13812341234", "ann@example.com"):
        query = operations.text("customer-search")
        found[f"search {text}"] = {"query": query, "variables": {"text": text}}
    return {**found, "receivers": {"query": ORDERS}, **dict.fromkeys(EXPORTS)}


async def shown(api, known, missing, asked):
    """By right, the ways by which a token without the `missing` rights sees contact data."""
    token = await known.limited(*(ALL - missing))
    found = {right: set() for right in PERSON}
    for name, body in asked.items():
        if body is None:
            text = await exported(api, known, token, name)
        else:
            answer = (await api.raw(body, token)).json()
            # what was searched for is no secret to who searched
            text = orjson.dumps(answer["data"]).decode()
        for right, values in PERSON.items():
            if any(one in text for one in values):
                found[right].add(name)
    return found


async def test_contact_data_is_masked_wherever_it_is_shown(api, known):
    asked = ways(known)
    open_ = await shown(api, known, set(), asked)
    assert all(len(names) >= 2 for names in open_.values()), open_  # else nothing is tried
    hidden = await shown(api, known, set(RIGHTS), asked)
    assert hidden == {right: set() for right in PERSON}
    telling = {name: asked[name] for name in set().union(*open_.values()) - set(EXPORTS)}
    for right in RIGHTS:
        found = await shown(api, known, {right}, telling)
        assert found[right] == set()
        for other in set(RIGHTS) - {right}:
            assert found[other], (right, other)


async def test_who_began_a_job_may_cancel_it_and_others_need_a_right_of_their_own(api, world):
    export = """mutation ($key: String!) { customerExportStart(input: {idempotencyKey: $key}) {
        job { id actor } errors { code } } }"""
    cancel = """mutation ($id: ID!) { jobCancel(id: $id) {
        job { state } errors { code message } } }"""
    author = await world.limited("JOBS_READ", "CUSTOMERS_READ")
    reader = await world.limited("JOBS_READ", "CUSTOMERS_READ")
    helper = await world.limited("JOBS_READ", "JOBS_CANCEL")
    for key, who in (("1", author), ("2", helper)):
        started = await api.data(author, export, key=key)
        job = started["customerExportStart"]["job"]
        assert job["actor"].startswith("token:")
        refused = await api(reader, cancel, id=job["id"])
        assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert "JOBS_CANCEL" in refused["errors"][0]["message"]
        done = await api.data(who, cancel, id=job["id"])
        assert done["jobCancel"] == {"job": {"state": "CANCELLED"}, "errors": []}
    log = await api.data(world.token, "{ auditLog(first: 2) { nodes { action } } }")
    assert "job.cancelled" in [one["action"] for one in log["auditLog"]["nodes"]]
