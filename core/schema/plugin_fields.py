"""The fields that plugins bring: checked at the start, guarded when somebody asks for them."""

import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import wraps
from inspect import isawaitable
from typing import Any

import strawberry
from packaging.version import InvalidVersion, Version
from strawberry.exceptions import DuplicatedTypeName
from strawberry.types.base import (
    StrawberryList,
    StrawberryObjectDefinition,
    StrawberryOptional,
    get_object_definition,
)
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from core.domain.shops.permissions import all_permissions
from core.domain.shops.plugins import enabled_plugins
from core.guard import guarded
from core.registry import Owned, Registry, RegistryError
from core.schema.context import Info
from core.schema.costs import Cost
from core.schema.errors import OF_THE_REQUEST
from core.schema.pages import Connection
from core.schema.scalars import FromPlugin, Requires, camel, emitted
from core.sdk.errors import PluginDisabled
from core.sdk.events import Event
from core.sdk.plugin import SchemaField
from core.storage.database import SYSTEM, Session

NAME = re.compile(r"[a-z][A-Za-z0-9]*")


class PluginFields:
    """What the plugins of a registry add to the types in `owners`, which are core's by name.

    Raises RegistryError for a field that breaks the rules; it names the plugin and the field.
    """

    def __init__(self, registry: Registry, owners: Mapping[str, type]) -> None:
        self._registry = registry
        self._added: dict[str, list[StrawberryField]] = {}
        for owned in registry.schema_fields.values():
            given, plugin = owned.value, owned.plugin
            if fault := _fault(registry, owners, owned):
                raise RegistryError(
                    f"plugin {plugin}: the field {given.owner}.{given.name} {fault}: correct it, "
                    f"or skip the plugin with HUIKE_SKIP_PLUGINS={plugin}"
                )
            self._added.setdefault(given.owner, []).append(self._made(owned))

    def of(self, definition: StrawberryObjectDefinition) -> list[StrawberryField]:
        """The fields of a type: core's with those that were added, or a plugin's own, guarded."""
        plugin = self._registry.plugin_of(definition.origin.__module__)
        if plugin is None:
            return [*definition.fields, *self._added.get(definition.name, ())]
        return [self._guarded(plugin, one) for one in definition.fields]

    def _made(self, owned: Owned[SchemaField]) -> StrawberryField:
        """A copy of a plugin's field that is blank where the plugin is not switched on."""
        given, plugin = owned.value, owned.plugin
        limited = self._limited(plugin, given.field.base_resolver.wrapped_func)

        @wraps(limited)
        async def checked(*arguments: Any, **named: Any) -> Any:
            info: Info = named["info"]
            info.context.need(given.permission)
            if not await info.context.load("plugins.enabled", plugin, _enabled):
                raise PluginDisabled(f"the plugin {plugin} is not switched on")
            return await limited(*arguments, **named)

        made: StrawberryField = strawberry.field(
            resolver=checked,
            name=given.name,
            description=given.field.description,
            deprecation_reason=given.field.deprecation_reason,
            directives=[
                Requires(permission=given.permission),
                FromPlugin(name=plugin, since=given.since),
                *emitted(given.emits),
                *([] if given.cost is None else [Cost(weight=given.cost)]),
            ],
        )
        made.python_name = f"{plugin}_{given.name}"
        return made

    def _guarded(self, plugin: str, field: StrawberryField) -> StrawberryField:
        """A copy of a field of a plugin's own type whose resolver, if it waits, is guarded."""
        if not field.is_async or field.base_resolver is None:
            return field
        made = copy(field)
        made.base_resolver = StrawberryResolver(
            self._limited(plugin, field.base_resolver.wrapped_func)
        )
        return made

    def _limited(self, plugin: str, resolver: Any) -> Callable[..., Any]:
        """The resolver with the plugin's time limit and breaker."""
        timeout = self._registry.manifests[plugin].timeout

        @wraps(resolver)
        async def limited(*arguments: Any, **named: Any) -> Any:
            merchant = named["info"].context.merchant_id if "info" in named else SYSTEM
            call = _awaited(resolver, arguments, named)
            return await guarded(plugin, merchant, timeout, call, OF_THE_REQUEST)

        return limited


def type_collision(registry: Registry, error: DuplicatedTypeName) -> RegistryError:
    """What is wrong where two bring a type of one name, and what to do; it names both."""
    kinds = [one for one in (error.first_cls, error.second_cls) if one is not None]
    plugins = sorted(registry.plugin_of(one.__module__) or "" for one in kinds)
    both = " and ".join(f"plugin {one}" if one else "core" for one in plugins)
    return RegistryError(
        f"{error.message}, by {both}: rename the plugin's, or skip it with "
        f"HUIKE_SKIP_PLUGINS={plugins[-1]}"
    )


async def _enabled(session: Session, plugins: list[str]) -> dict[str, bool]:
    found = await enabled_plugins(session)
    return {one: one in found for one in plugins}


async def _awaited(resolver: Any, arguments: Any, named: Any) -> Any:
    result = resolver(*arguments, **named)
    return await result if isawaitable(result) else result


def _fault(registry: Registry, owners: Mapping[str, type], owned: Owned[SchemaField]) -> str | None:
    """The first rule that a plugin's field breaks, to be read after its name."""
    given, field = owned.value, owned.value.field
    owner = get_object_definition(owners.get(given.owner))
    if owner is None:
        return f"cannot be added: fields are added to {', '.join(owners)}"
    if not NAME.fullmatch(given.name):
        return "has a name that is not written likeThis"
    if given.name in {one.graphql_name or camel(one.python_name) for one in owner.fields}:
        return "is one that core has already, and core's cannot be replaced"
    if not isinstance(field, StrawberryField) or field.base_resolver is None:
        return "is not a strawberry field with a resolver"
    if given.permission not in all_permissions(registry):
        return f"needs the unknown permission {given.permission}"
    if not isinstance(field.type, StrawberryOptional):
        return "must have a nullable type"
    arguments = {one.name for one in field.base_resolver.signature.parameters.values()}
    if "info" not in arguments:
        return "has a resolver that does not take `info`, which it must"
    return (
        _fault_of_size(given, field.type.of_type, arguments)
        or _fault_of_events(given)
        or _fault_of_version(given, registry.manifests[owned.plugin].version)
    )


def _fault_of_size(given: SchemaField, kind: Any, arguments: set[str]) -> str | None:
    if given.cost is not None and given.cost < 0:
        return "has a cost below 0"
    connection = isinstance(kind, type) and (
        issubclass(kind, Connection) or kind.__name__.endswith("Connection")
    )
    if not connection and not isinstance(kind, StrawberryList):
        return None
    if given.cost is None:
        return (
            "answers with many objects and declares no cost; SchemaField(..., cost=1), or more, "
            "is what it costs besides them"
        )
    if connection and "first" not in arguments:
        return "is a connection whose resolver does not take `first`, by which it costs"
    return None


def _fault_of_events(given: SchemaField) -> str | None:
    if given.emits and given.owner != "Mutation":
        return "declares events, which only mutations emit"
    emits: Sequence[Any] = given.emits
    if not all(isinstance(one, type) and issubclass(one, Event) for one in emits):
        return "declares events that are no subclasses of core.sdk.Event"
    return None


def _fault_of_version(given: SchemaField, version: str) -> str | None:
    try:
        later = Version(given.since) > Version(version)
    except InvalidVersion as error:
        return f"cannot say since when it is there ({error})"
    return f"is there since {given.since}, but the plugin is {version}" if later else None
