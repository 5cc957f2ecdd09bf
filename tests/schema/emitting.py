"""What mutations declare in @emits, and what came into the outbox."""

from core.registry import Owned
from core.schema.build import Mutation
from core.schema.scalars import Emits, camel
from core.sdk.events import CUSTOM_PREFIX, event_types


def declared(registry):
    """By mutation, the types of events that it declares; it need not declare any."""
    found = {}
    for field in Mutation.__strawberry_definition__.fields:
        events = [one.events for one in field.directives if isinstance(one, Emits)]
        found[camel(field.python_name)] = {event for given in events for event in given}
    for owned in registry.schema_fields.values():
        if owned.value.owner == "Mutation":
            found[owned.value.name] = {one.type for one in owned.value.emits}
    return found


async def last_event(world):
    """The number of the merchant's last event."""
    async with world.merchant.read() as session:
        return await session.sql.fetchval(
            "SELECT COALESCE(max(id), 0) FROM outbox_events WHERE merchant_id = $1",
            world.merchant.id,
        )


async def emitted_since(world, last, field):
    """The types of the events after that one, as `field` would declare them.

    What another plugin tells of what it was asked to do is that plugin's affair.
    """
    registry = world.merchant.installation.registry
    mine = registry.schema_fields.get(f"Mutation.{field}", Owned("core", None)).plugin
    of = {one.type: registry.plugin_of(one.__module__) for one in event_types()}
    async with world.merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT DISTINCT type FROM outbox_events WHERE merchant_id = $1 AND id > $2",
            world.merchant.id, last,
        )  # fmt: skip
    types = {row["type"] for row in rows}
    custom = {one for one in types if one.startswith(CUSTOM_PREFIX)}
    found = {one for one in types - custom if of[one] in (None, mine)}
    return found | ({f"{CUSTOM_PREFIX}*"} if custom else set())
