"""Whatever has an id is found by it, one statement for each type, by those who may see it."""

from dataclasses import replace

import pytest
import strawberry

from core.domain.shops.plugins import disable_plugin
from core.registry import Owned, RegistryError
from core.schema.build import build_schema
from core.schema.context import Info
from core.schema.nodes import NO_NODES, NODES, OF_CALLERS
from core.schema.scalars import Node, global_id
from core.sdk import NodeType, SchemaField
from core.testing import NodeFault, check_nodes
from tests.schema.conftest import ask_of


def test_whatever_has_an_id_is_a_node_and_is_found(installation):
    check_nodes(installation.registry)
    types = build_schema(installation.registry)._schema.type_map
    assert {*NODES, *OF_CALLERS, *NO_NODES} <= set(types)


async def one_of_each(world):
    """The id of an object of each type that `node` finds."""
    ids = dict(world.ids)
    ids |= {"CustomField": ids["Field"], "CustomerNote": ids["Note"], "SendingCap": ids["Cap"],
            "SendingHoliday": ids["Holiday"]}  # fmt: skip
    return ids | await more_rows(world)


ROWS = {
    "Parcel": """INSERT INTO parcels (merchant_id, order_id, tracking_number)
        SELECT merchant_id, id, 'SF99' FROM orders WHERE merchant_id = $1 LIMIT 1""",
    "Refund": """INSERT INTO refunds (merchant_id, shop_id, external_id, order_id, kind, state,
            amount, requested_at, content_hash, taken_at)
        SELECT merchant_id, shop_id, 'R1', id, 'return', 'requested', 1, now(), '', now()
        FROM orders WHERE merchant_id = $1 LIMIT 1""",
    "Review": """INSERT INTO reviews (merchant_id, shop_id, external_id, order_external_id, at,
            content_hash, taken_at)
        SELECT merchant_id, shop_id, 'V1', 'E1', now(), '', now()
        FROM orders WHERE merchant_id = $1 LIMIT 1""",
    "ConsentEvent": """INSERT INTO consent_events (merchant_id, customer_id, shop_id, channel,
            purpose, status, source, actor, at)
        SELECT merchant_id, id, 0, 'sms', 'marketing', 'granted', 'form', 'test', now()
        FROM customers WHERE merchant_id = $1 LIMIT 1""",
    "ConsentPolicy": """INSERT INTO consent_policies (merchant_id, channel, allow_unproven, reason,
            actor, at)
        SELECT id, 'sms', TRUE, 'asked', 'test', now() FROM merchants WHERE id = $1""",
    "JobReject": """INSERT INTO job_rejects (merchant_id, job_id, row, code, message)
        SELECT merchant_id, id, 1, 'INVALID_INPUT', 'wrong' FROM jobs
        WHERE merchant_id = $1 LIMIT 1""",
    "WebhookAttempt": """INSERT INTO webhook_attempts (merchant_id, message_id, at, status,
            milliseconds)
        SELECT merchant_id, id, now(), 200, 5 FROM webhook_messages
        WHERE merchant_id = $1 LIMIT 1""",
}
"""What the world has no id of."""


async def more_rows(world):
    """Ids of rows made for the purpose, and of the order's line."""
    async with world.merchant.work() as w:
        found = {}
        for name, insert in ROWS.items():
            found[name] = await w.sql.fetchval(f"{insert} RETURNING id", w.merchant_id)
        found["OrderLine"] = await w.sql.fetchval(
            "SELECT id FROM order_lines WHERE merchant_id = $1", w.merchant_id
        )
    return {name: global_id(name, pk) for name, pk in found.items()}


FIND = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"


async def test_an_object_of_each_type_is_found(api, world, installation):
    ids = await one_of_each(world)
    names = [*NODES, *OF_CALLERS, *installation.registry.node_types]
    found = await api.data(world.person, FIND, ids=[ids[name] for name in names])
    assert found["nodes"] == [{"__typename": name, "id": ids[name]} for name in names]


@pytest.mark.parametrize("kind", ["Coupon", "CouponTemplate", "PackagesWave", "ConsentEvent"])
async def test_many_ids_of_a_type_take_one_statement(api, world, budgets, kind):
    id = (await one_of_each(world))[kind]
    for ids in ([id], [id] * 50 + [global_id(kind, pk) for pk in range(10**9, 10**9 + 50)]):
        found = await api.data(world.token, FIND, ids=ids)
        assert sum(node is not None for node in found["nodes"]) == max(1, len(ids) - 50)
    one, many = [each.spent for each in budgets[-2:]]
    assert one == many


async def test_each_type_needs_its_own_right(api, world, installation):
    ids = await one_of_each(world)
    rights = {name: right for name, (right, _) in NODES.items()} | {
        name: owned.value.permission for name, owned in installation.registry.node_types.items()
    }
    everything = set(rights.values())
    for right in sorted(everything):
        token = await world.limited(*everything - {right})
        answer = await api(token, FIND, ids=[ids[name] for name in rights])
        hidden = [name for name, node in zip(rights, answer["data"]["nodes"], strict=True)
                  if node is None]  # fmt: skip
        assert hidden == [name for name in rights if rights[name] == right]
        for error, name in zip(answer["errors"], hidden, strict=True):
            assert error["path"] == ["nodes", list(rights).index(name)]
            assert error["extensions"]["code"] == "FORBIDDEN"
            assert right in error["message"]


async def test_another_merchants_objects_are_not_found(api, world, stranger):
    ids = await one_of_each(world)
    found = await api.data(stranger.person, FIND, ids=list(ids.values())[:100])
    assert not any(found["nodes"])


async def test_nobody_finds_the_session_of_another(api, world):
    session = world.ids["StaffSession"]
    assert (await api.data(world.person, FIND, ids=[session]))["nodes"] != [None]
    for token in (world.token, await world.logged_in("owner")):
        assert await api.data(token, FIND, ids=[session]) == {"nodes": [None]}


async def test_a_phone_number_is_no_identity_to_be_found(api, world):
    async with world.merchant.work() as w:
        pk = await w.sql.fetchval(
            """INSERT INTO customer_identities (merchant_id, customer_id, scope, scope_id, kind,
                   value, source, created_at)
               SELECT merchant_id, id, 'merchant', 0, 'phone', 'abc', 'test', now()
               FROM customers WHERE merchant_id = $1 LIMIT 1 RETURNING id""",
            w.merchant_id,
        )
    found = await api.data(world.token, FIND, ids=[global_id("CustomerIdentity", pk)])
    assert found == {"nodes": [None]}


# -- types of plugins ----------------------------------------------------------------------------


@strawberry.type
class Lamp(Node):
    colour: str


async def lamps(info, session, pks):
    return {pk: Lamp(id=global_id("Lamp", pk), colour="red") for pk in pks if pk < 10}


async def broken(info, session, pks):
    raise RuntimeError("password=hunter2")


def with_type(registry, name="Lamp", kind=Lamp, permission="SHOPS_READ", load=lamps):
    more = Owned("taobao", NodeType(name, kind, permission, load))
    return replace(registry, node_types={**registry.node_types, name: more})


LAMPS = "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Lamp { colour } } }"


async def test_a_plugin_registers_a_type(installation, world):
    ids = [global_id("Lamp", 1), global_id("Lamp", 11), world.ids["Shop"]]
    answer = await ask_of(world, with_type(installation.registry), LAMPS, ids=ids)
    assert answer.errors is None
    assert answer.data["nodes"] == [{"id": ids[0], "colour": "red"}, None, {"id": ids[2]}]


async def test_a_broken_plugin_blanks_its_own_objects(installation, world):
    registry = with_type(installation.registry, load=broken)
    ids = [world.ids["Shop"], global_id("Lamp", 1)]
    answer = await ask_of(world, registry, LAMPS, ids=ids)
    assert answer.data["nodes"] == [{"id": ids[0]}, None]
    (error,) = answer.errors
    assert error.path == ["nodes", 1]
    assert error.extensions["code"] == "INTERNAL"
    assert "hunter2" not in str(error)


async def test_objects_of_a_plugin_that_is_off_are_not_shown(installation, world):
    async with world.merchant.work() as w:
        await disable_plugin(w, installation.registry, "taobao")
    ids = [global_id("Lamp", 1)]
    answer = await ask_of(world, with_type(installation.registry), LAMPS, ids=ids)
    assert answer.data["nodes"] == [None]
    assert "not switched on" in answer.errors[0].message


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"name": "Customer"}, "the node type Customer is a type of core's already"),
        ({"name": "Candle"}, "the node type Candle is not the name of a strawberry type"),
        ({"kind": str}, "the node type Lamp is not the name of a strawberry type"),
        ({"permission": "FLY"}, "the node type Lamp needs the unknown permission FLY"),
    ],
)
def test_a_type_that_cannot_be_found_stops_the_start(installation, given, fault):
    with pytest.raises(RegistryError, match=f"plugin taobao: {fault}.*SKIP_PLUGINS=taobao"):
        build_schema(with_type(installation.registry, **given))


@strawberry.type
class Bulb:
    id: strawberry.ID


async def bulb(self, info: Info) -> Bulb | None:
    return None


def test_a_type_that_a_plugin_forgets_is_told(installation):
    field = SchemaField("Shop", "bulb", strawberry.field(resolver=bulb), "SHOPS_READ", "0.2.0")
    fields = {**installation.registry.schema_fields, "Shop.bulb": Owned("taobao", field)}
    registry = replace(installation.registry, schema_fields=fields)
    with pytest.raises(NodeFault, match="Bulb has an id by which nobody finds it"):
        check_nodes(registry)
    check_nodes(registry, {"Bulb"})
