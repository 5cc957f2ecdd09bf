"""Scalars and small value types that all nouns share, and ids as clients see them."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NewType, TypeVar

import strawberry
from strawberry.schema_directive import Location

from core.sdk.errors import NotFound
from core.sdk.events import CUSTOM_PREFIX, CustomEvent, Event
from core.sdk.ids import join_id, split_id
from core.sdk.money import from_minor
from core.sdk.naming import camel as camel

ErrorCode = NewType("ErrorCode", str)
PermissionName = NewType("PermissionName", str)
SegmentRule = NewType("SegmentRule", dict)  # type: ignore[type-arg]  # NewType takes no parameters
JSON = NewType("JSON", object)
PhoneNumber = NewType("PhoneNumber", str)
"""As somebody wrote it; see exact.py."""


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="requires",
    description="The right that a token needs.",
)
class Requires:
    permission: str


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="authenticated",
    description="Any valid token will do.",
)
class Authenticated:
    pass


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="loggedIn",
    description="For a member of staff who has logged in, not for a program's token.",
)
class LoggedIn:
    pass


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="public",
    description="Needs no token; failed tries are followed by growing pauses.",
)
class Public:
    pass


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="plugin",
    description="The plugin that brings the field, and its version that brought it first.",
)
class FromPlugin:
    name: str
    since: str


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="emits",
    description="The events that it may cause before it answers; what a job does later may cause "
    "others. `custom.*` is the type that the caller names.",
)
class Emits:
    events: list[str]


def emitted(kinds: Sequence[type[Event]]) -> list[Emits]:
    """The directive that shows which events a mutation puts in the outbox; none for no events."""
    names = [f"{CUSTOM_PREFIX}*" if one is CustomEvent else one.type for one in kinds]
    return [Emits(events=names)] if names else []


@strawberry.interface(description="Everything with an id.")
class Node:
    id: strawberry.ID


N = TypeVar("N", bound=Node)


@strawberry.type(description="An amount with its currency (ISO 4217).")
class Money:
    amount: Decimal
    currency: str


def money(minor: int, currency: str) -> Money:
    """Money of so many minor units."""
    return Money(amount=from_minor(minor, currency), currency=currency)


def global_id(type_name: str, pk: int) -> strawberry.ID:
    """The opaque id that clients see."""
    return strawberry.ID(join_id(type_name, pk))


def read_id(type_name: str, text: str) -> int | None:
    """The number in a global id of this type, None for any other."""
    found = split_id(text)
    return found[1] if found and found[0] == type_name else None


def need_id(type_name: str, text: str, path: tuple[str, ...] = ("id",)) -> int:
    """The number in a global id of this type. Raises NotFound."""
    number = read_id(type_name, text)
    if number is None:
        raise NotFound(f"there is no {type_name.lower()} with this id", path)
    return number


def by_pk(nodes: Iterable[N]) -> dict[int, N]:
    """Objects by the numbers in their global ids."""
    return {found[1]: node for node in nodes if (found := split_id(node.id))}


NOTHING = -1
"""The number of nothing: no object has it."""


def sought_id(type_name: str, text: str) -> int:
    """The number in a global id that an input holds, or NOTHING.

    Whoever looks it up says that there is no such object, and where, with all else that is wrong.
    """
    number = read_id(type_name, text)
    return NOTHING if number is None else number


def sought(type_name: str, text: str | None) -> int | None:
    """`sought_id` of an id that may be left out."""
    return None if text is None else sought_id(type_name, text)


def version_seen() -> Any:
    """The field with which an update holds only for the object as its author saw it."""
    return strawberry.field(
        default=None,
        description="Change it only if it still has this `version`, else the error is `CONFLICT`.",
    )


def changes(given: Any) -> dict[str, Any]:
    """The values of an input that were given, null included; absent ones are left out."""
    return {
        name: maybe.value
        for name, maybe in vars(given).items()
        if isinstance(maybe, strawberry.Some)
    }
