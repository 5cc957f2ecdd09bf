"""Every published operation works for who may, and for nobody else."""

import asyncio
import importlib.util
from pathlib import Path

import orjson
import pytest
from graphql import OperationDefinitionNode, OperationType, parse
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from core.builtin import CorePlugin
from core.registry import load
from core.schema.build import Mutation, Query, Subscription
from core.schema.known import KnownDocuments
from core.schema.scalars import Public, Requires, camel, global_id
from tests.schema.conftest import new_world
from tests.schema.emitting import declared, emitted_since, last_event

spec = importlib.util.spec_from_file_location(
    "operations", Path(__file__).with_name("operations.py")
)
operations = importlib.util.module_from_spec(spec)
spec.loader.exec_module(operations)

NAMES = [
    name for name in operations.NAMES if name not in operations.SUBSCRIPTIONS | operations.ELSEWHERE
]
REGISTRY = load(CorePlugin())
PLUGIN_FIELDS = {
    owned.value.name: Requires(permission=owned.value.permission)
    for owned in REGISTRY.schema_fields.values()
}
EMITTED = declared(REGISTRY)
FIRST = {
    "campaign-resume": "campaign-pause", "campaign-approve": "campaign-submit",
    "campaign-reject": "campaign-submit",
    "role-update": "role-create", "role-delete": "role-create",
    "refund-by-external-ref": "refunds-upsert", "review-by-external-ref": "reviews-upsert",
    "staff-oidc": "staff-oidc-set", "staff-oidc-remove": "staff-oidc-set",
}  # fmt: skip
"""What has to happen before an operation can be tried."""
READING = [
    name for name in NAMES
    if name not in FIRST
    and parse(operations.text(name)).definitions[0].operation is OperationType.QUERY
]  # fmt: skip
CHANGING = [name for name in NAMES if name not in READING]
LOGGED_IN = {"viewer", "node", "nodes", "staffMe", "staffSessions"}


def root_fields(name):
    (definition,) = parse(operations.text(name)).definitions
    assert isinstance(definition, OperationDefinitionNode)
    return [field.name.value for field in definition.selection_set.selections]


async def upload(
    api, token, name, values, content=b"phone,b\n13800138000,2\n", query=None, **headers
):
    body = {"query": query or operations.text(name), "variables": values}
    return await api.client.post(
        "/graphql",
        data={"operations": orjson.dumps(body).decode(), "map": '{"0": ["variables.input.file"]}'},
        files={"0": ("orders.csv", content)},
        headers={"authorization": f"Bearer {token}", **headers} if token else headers,
    )


async def send(api, token, name, values):
    if name in operations.UPLOADS:
        return (await upload(api, token, name, values)).json()
    return await api(token, operations.text(name), **values)


async def run(api, token, name, ids):
    return await send(api, token, name, operations.variables(name, ids))


async def run_as_may(api, world, name):
    return await run(api, token_for(world, name), name, world.ids)


def token_for(world, name):
    return world.person if name in operations.PERSONS else world.token


def test_every_root_field_has_an_operation():
    published = {field for name in operations.NAMES for field in root_fields(name)}
    wanted = {
        camel(field.python_name)
        for root in (Query, Mutation, Subscription)
        for field in root.__strawberry_definition__.fields
    } | {
        owned.value.name
        for owned in REGISTRY.schema_fields.values()
        if owned.value.owner in ("Query", "Mutation")
    }
    assert wanted <= published, wanted - published


@pytest.mark.parametrize("name", operations.NAMES)
def test_operation_says_its_use_case(name):
    first = operations.text(name).splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 5


def test_each_operation_states_what_it_costs(app):
    prices = app.state.schema.prices
    for name in operations.NAMES:
        known = KnownDocuments().find(operations.text(name))
        cost, statements = operations.stated(name)
        assert prices.cost(known, None, operations.variables(name, Ids())) == cost, name
        assert (statements is None) is (name not in NAMES), name


@pytest.mark.parametrize("name", READING)
async def test_query_works_and_is_answered_as_the_stock_executor_would(
    api, app, kept, name, budgets, monkeypatch
):
    answer = await works(api, kept, name, budgets)
    assert [one.spent for one in budgets] == [operations.stated(name)[1]]
    stock = StrawberryGraphQLCoreExecutionContext
    monkeypatch.setattr(app.state.schema, "execution_context_class", stock)
    again = await run(api, token_for(kept, name), name, kept.ids)
    assert {**again, "extensions": None} == {**answer, "extensions": None}


@pytest.fixture(scope="session")
def in_use():
    """The world that mutations change, or none yet."""
    return []


@pytest.mark.parametrize("name", CHANGING)
async def test_mutation_works(api, installation, in_use, name, budgets):
    for world in in_use:
        try:
            await is_right(api, world, name, budgets)
            return
        except (AssertionError, KeyError):
            pass  # another mutation may have left nothing to do: a new world decides
    in_use[:] = [await new_world(installation)]
    await is_right(api, in_use[0], name, budgets)


async def is_right(api, world, name, budgets):
    answer = await works(api, world, name, budgets)
    assert max(one.spent for one in budgets) <= operations.stated(name)[1]
    if name in KEYED:
        await is_done_once(api, world, name, answer)


KEYED = {
    "audit-verify": {"head": "ab" * 32},
    "bulk-export-run": {"variables": {"name": "another"}},
    "campaign-delivery-export-start": {"format": "CSV"},
    "campaign-start": "Sent",
    "campaign-test-send": {"to": "you@example.com"},
    "consent-request-start": {"textVersion": "2"},
    "coupons-claim": {"customerId": "Second"},
    "coupons-codes-make": {"count": 11},
    "coupons-grant": {"customerIds": ["Second"]},
    "coupons-transfer": {"customerId": "Customer"},
    "custom-event-record": {"data": {"page": "coffee"}},
    "customer-data-export": "Second",
    "customer-erase": {"reason": "UNLAWFUL"},
    "customer-export-start": {"format": "JSONL"},
    "customer-import-start": {"tags": ["market"]},
    "customer-merge": {"reason": "another"},
    "customer-unmerge": global_id("CustomerMerge", 10**9),
    "member-import-start": {"dryRun": False},
    "merge-suggestion-accept": {"keep": "Second"},
    "order-export-start": {"format": "CSV"},
    "order-import-start": {"format": "another"},
    "points-adjust": {"points": -6},
    "points-earn": {"rule": "another"},
    "points-hold": {"points": 6},
    "points-hold-settle": {"spend": False},
    "points-return": {"points": 3},
    "points-spend": {"points": 6},
    "points-transfer": {"points": 6},
    "recipe-switch-on": {"start": False},
    "refunds-export-start": {"format": "JSONL"},
    "reward-redeem": {"customerId": "Second"},
    "segment-list-import-start": {"dryRun": False},
}  # fmt: skip
"""Operations with an idempotency key, and other input: some of it, or the object that it is of."""


def test_everything_with_a_key_is_tried():
    assert set(KEYED) == {
        name for name in CHANGING if "idempotencyKey" in str(operations.variables(name, Ids()))
    }


class Ids(dict):
    def __missing__(self, key):
        return key


async def twice(api, world, name):
    """The answer to two calls with the same key at once, which must be the same."""
    first, second = await asyncio.gather(
        *(run(api, token_for(world, name), name, world.ids) for _ in range(2))
    )
    if name == "campaign-test-send":  # who comes second is not shown what is sent
        return second if first["data"]["campaignTestSend"]["content"] is None else first
    assert {**first, "extensions": None} == {**second, "extensions": None}
    return first


async def is_done_once(api, world, name, answer):
    (field,) = root_fields(name)
    before = await snapshot(world)
    again = await run(api, world.token, name, world.ids)
    if name != "campaign-test-send":
        assert again["data"] == answer["data"]
    assert await snapshot(world) == before
    other, values = KEYED[name], operations.variables(name, world.ids)
    if isinstance(other, str):
        values["id"] = known(world, other)
    else:
        values["input"] |= {key: known(world, value) for key, value in other.items()}
    found = await send(api, world.token, name, values)
    codes = [(error["code"], error["path"]) for error in found["data"][field]["errors"]]
    assert codes == [("IDEMPOTENCY_KEY_REUSED", ["input", "idempotencyKey"])]
    assert await snapshot(world) == before
    if name in operations.UPLOADS:
        values = operations.variables(name, world.ids)
        found = (await upload(api, world.token, name, values, b"phone\n13800138009\n")).json()
        assert [error["code"] for error in found["data"][field]["errors"]] == [codes[0][0]]


def known(world, value):
    """The id of an object of the world where the value names one."""
    if isinstance(value, list):
        return [known(world, one) for one in value]
    return world.ids.get(value, value) if isinstance(value, str) else value


async def works(api, world, name, budgets):
    if name in FIRST:
        await run(api, token_for(world, FIRST[name]), FIRST[name], world.ids)
    call = twice if name in KEYED else run_as_may
    last = await last_event(world)
    budgets.clear()
    answer = await call(api, world, name)
    assert "errors" not in answer, answer
    assert answer["extensions"]["cost"]["requested"] == operations.stated(name)[0]
    for field in root_fields(name):
        found = answer["data"][field]
        assert found is not None
        assert not (isinstance(found, dict) and found.get("errors")), found
        told = await emitted_since(world, last, field)
        assert told <= EMITTED.get(field, set()), "declare it: emits=(...)"
    return answer


@pytest.mark.parametrize("name", NAMES)
async def test_other_merchants_ids_are_never_found(api, kept, stranger, name):
    values = operations.variables(name, stranger.ids)
    if stranger.ids["Shop"] not in str(values) and not any(
        i in str(values) for i in stranger.ids.values()
    ):
        pytest.skip("takes no id")
    if isinstance(directive_of(*root_fields(name)), Public):
        pytest.skip("a password, a link or a refresh token says whose it is")
    before = await snapshot(stranger)
    answer = await run(api, token_for(kept, name), name, stranger.ids)
    assert "errors" not in answer, answer
    for field in root_fields(name):
        found = answer["data"][field]
        if isinstance(found, dict) and "nodes" in found:
            assert found["nodes"] == []
        elif isinstance(found, list):
            assert all(one is None for one in found)
        elif field.endswith("ExportStart"):
            assert found["job"]["progress"]["total"] == 0
        elif found is not None:
            assert {error["code"] for error in found["errors"]} == {"NOT_FOUND"}, found
    assert await snapshot(stranger) == before


TABLES = ("shops", "customers", "customer_identities", "customer_merges", "merge_suggestions",
          "customer_tags", "consents", "orders", "segments", "segment_members", "campaigns",
          "campaign_runs", "deliveries", "delivery_receipts", "inbound_messages",
          "custom_fields", "custom_field_values", "customer_notes",
          "customer_log", "jobs", "programmes", "tiers", "memberships", "tier_intervals",
          "points_entries", "points_uses", "points_holds", "suppressions",
          "consent_requests", "consent_policies", "sending_caps", "sending_holidays",
          "staff", "staff_sessions", "roles", "oidc_providers",
          "shop_connections", "dead_letters", "push_inbox", "sync_slices",
          "webhooks", "webhook_messages",
          "api_tokens", "plugin_states")  # fmt: skip


SNAPSHOT = " UNION ALL ".join(
    f"""SELECT '{table}' AS name, md5(string_agg(t::text, ',' ORDER BY t.id)) AS rows
        FROM {table} t WHERE t.merchant_id = $1"""
    for table in TABLES
)


async def snapshot(world):
    """Everything that the merchant has, a fingerprint for each table."""
    async with world.merchant.read() as session:
        return dict(await session.sql.fetch(SNAPSHOT, world.merchant.id))


@pytest.mark.parametrize("name", NAMES)
async def test_without_the_permission_it_is_forbidden(api, kept, name):
    """Every permission that the operation's root fields name is really asked for."""
    (field,) = root_fields(name)
    if field in LOGGED_IN:
        pytest.skip("any token may")
    if not isinstance(directive_of(field), Requires):
        pytest.skip("asks for a login, or is one")
    from core.domain.shops.permissions import CORE_PERMISSIONS

    needed = directive_of(field).permission
    others = [one.name for one in CORE_PERMISSIONS if one.name != needed]
    token = await kept.limited(*others)
    before = await snapshot(kept)
    answer = await run(api, token, name, kept.ids)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"], answer
    assert needed in answer["errors"][0]["message"]
    assert {**await snapshot(kept), "api_tokens": before["api_tokens"]} == before


def directive_of(name):
    for root in (Query, Mutation, Subscription):
        for field in root.__strawberry_definition__.fields:
            if camel(field.python_name) == name:
                return field.directives[0]
    return PLUGIN_FIELDS[name]


@pytest.mark.parametrize("name", NAMES)
async def test_without_a_token_nobody_gets_in(api, kept, name):
    if isinstance(directive_of(*root_fields(name)), Public):
        pytest.skip("is a way to get in")
    if name in operations.UPLOADS:
        answer = await upload(api, None, name, operations.variables(name, kept.ids),
                              **{"graphql-require-preflight": "1"})  # fmt: skip
        answer = answer.json()
    else:
        answer = await run(api, None, name, kept.ids)
    codes = {error["extensions"]["code"] for error in answer["errors"]}
    assert codes == {"UNAUTHENTICATED"}, answer


async def test_children_need_their_own_permission(api, world):
    token = await world.limited("CUSTOMERS_READ")
    query = "query ($id: ID!) { customer(id: $id) { name orders { id } } }"
    answer = await api(token, query, id=world.ids["Customer"])
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    token = await world.limited("CAMPAIGNS_READ")
    answer = await api(token, operations.text("node"), id=world.ids["Customer"])
    assert answer["data"] == {"node": None}
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_form_of_another_site_is_refused(api, world):
    values = operations.variables("order-import-start", world.ids)
    answer = await upload(api, None, "order-import-start", values)
    assert answer.status_code == 400
    assert "Preflight" in answer.json()["errors"][0]["message"]
