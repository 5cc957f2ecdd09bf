"""The manifest, and the typed things that a plugin contributes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from core.sdk.events import Event, Occurrence

OwnerType = Literal["Query", "Mutation", "Customer", "Order", "Shop"]


class NoSettings(BaseModel, extra="forbid"):
    """For a plugin, or a reward, that needs nothing from the merchant."""


@dataclass(frozen=True)
class Manifest:
    """A plugin's business card.

    `core` is the range of core versions it works with (">=0.1,<0.2"). `settings` is a pydantic
    model of what a merchant fills in, secrets as SecretStr. `models` names the module with its
    tables, which are called `<name>_...`; the package `migrations` beside it makes them. `timeout`
    limits each call into the plugin, in seconds.
    """

    name: str
    title: str
    version: str
    core: str
    settings: type[BaseModel] = NoSettings
    permissions: tuple["Permission", ...] = ()
    models: str | None = None
    timeout: float = 30.0


def migrations_beside(models: str) -> str:
    """The package with the migrations of a module of tables, both as dotted names."""
    return f"{models.rpartition('.')[0]}.migrations"


@dataclass(frozen=True)
class Permission:
    """A right that a token or a role can have; a plugin's starts with the plugin's name.

    `roles` are the predefined roles that have it besides the owner: "manager", "marketer",
    "analyst", "service_agent", "warehouse", "finance". Sub-accounts can be given it only if
    "service_agent" or "warehouse" is among them.
    """

    name: str
    description: str
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class PluginContext:
    """What a plugin's code is given when it acts for a merchant.

    `settings` is the merchant's validated settings. `database` is for the use cases of
    core.domain, which take it or a unit of work made from it; `registry` is for those of them that
    call other plugins, such as core.domain.connections.acting.act.
    """

    merchant_id: int
    settings: BaseModel
    database: Any
    registry: Any


@dataclass(frozen=True)
class Subscriber:
    """Code to run on domain events. It must be idempotent: an event may come twice."""

    name: str
    events: frozenset[str]
    handle: Callable[[PluginContext, Occurrence], Awaitable[None]]


@dataclass(frozen=True)
class SchemaField:
    """A GraphQL field added to a type of core's.

    `field` is a strawberry field; its type must be nullable, so that a failing plugin blanks its
    own field only. A field of Query or Mutation is named after the plugin (`smsTemplates`).
    `permission` names the right that it needs, `since` the version of the plugin that brought it
    first. `cost` is what the field costs besides the objects that it answers with
    (docs/frontend/limits.md); a list or a connection has to say so, another one costs 1, a
    mutation 10. `emits` are the events that a mutation may put in the outbox before it answers.
    """

    owner: OwnerType
    name: str
    field: Any
    permission: str
    since: str
    cost: int | None = None
    emits: Sequence[type[Event]] = ()


@dataclass(frozen=True)
class NodeType:
    """A GraphQL type of the plugin's with `id: ID!`, whose objects `node` and `nodes` find.

    `type` is a strawberry type that implements core.schema.scalars.Node, `name` its name, with
    which its ids are made (`global_id(name, pk)`). `permission` names the right that it needs.
    `load(info, session, pks)` answers for all ids of the type in a request with one statement, as
    a mapping by the numbers in the ids; ids that it leaves out are not found.
    """

    name: str
    type: type
    permission: str
    load: Callable[[Any, Any, list[int]], Awaitable[Mapping[int, Any]]]


@dataclass(frozen=True)
class HealthCheck:
    """A check for `huike doctor`: returns nothing, or raises an OutsideError with the reason."""

    name: str
    check: Callable[[PluginContext], Awaitable[None]]


@dataclass(frozen=True)
class SettingsCheck:
    """A real call that tries a merchant's new settings before they are stored."""

    name: str
    check: Callable[[BaseModel], Awaitable[None]]
