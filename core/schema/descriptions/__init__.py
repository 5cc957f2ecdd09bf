"""Descriptions for what the code leaves without one: by its shape, by its name, or by itself.

A description beside the code wins. What every list, payload and filter has in common is said once,
in `shapes`; the words of single types stand by topic in the other files.
"""

from collections.abc import Iterator
from typing import Any

from graphql import GraphQLSchema
from strawberry.types.base import StrawberryMaybe, StrawberryOptional

from core.schema.descriptions.campaigns import CAMPAIGNS
from core.schema.descriptions.consent import CONSENT
from core.schema.descriptions.customers import CUSTOMERS
from core.schema.descriptions.flows import FLOWS
from core.schema.descriptions.intake import INTAKE
from core.schema.descriptions.lifecycle import LIFECYCLE
from core.schema.descriptions.membership import MEMBERSHIP
from core.schema.descriptions.mutations import MUTATIONS
from core.schema.descriptions.orders import ORDERS
from core.schema.descriptions.people import PEOPLE
from core.schema.descriptions.points import POINTS
from core.schema.descriptions.queries import QUERIES
from core.schema.descriptions.results import RESULTS
from core.schema.descriptions.rewards import REWARDS
from core.schema.descriptions.segments import SEGMENTS
from core.schema.descriptions.sending import SENDING
from core.schema.descriptions.shapes import MEMBERS, TYPES
from core.schema.descriptions.shops import SHOPS
from core.schema.descriptions.staff import STAFF
from core.schema.descriptions.tasks import TASKS
from core.schema.descriptions.webhooks import WEBHOOKS
from core.schema.descriptions.work import WORK


def _together(*topics: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The words of all topics; a type may have some in each."""
    found: dict[str, dict[str, str]] = {}
    for topic in topics:
        for names, words in topic.items():
            found[names] = found.get(names, {}) | words
    return found


WORDS = _together(
    QUERIES, MUTATIONS, WORK, CUSTOMERS, SEGMENTS, ORDERS, INTAKE, CAMPAIGNS, FLOWS, RESULTS,
    SENDING, MEMBERSHIP, POINTS, REWARDS, CONSENT, LIFECYCLE, PEOPLE, SHOPS, STAFF, TASKS, WEBHOOKS,
)  # fmt: skip
"""By type, or types with the same members: "" is the type, "field(argument)" an argument."""


def elements(schema: GraphQLSchema) -> Iterator[tuple[str, str, str, Any]]:
    """Everything that can have a description: its kind, its type, its member or "", and itself."""
    for name, kind in schema.type_map.items():
        if name.startswith("__"):
            continue
        yield "type", name, "", kind
        for member, value in getattr(kind, "values", {}).items():
            yield "enum value", name, member, value
        inputs = not hasattr(kind, "interfaces")
        for member, field in getattr(kind, "fields", {}).items():
            yield "input field" if inputs else "field", name, member, field
            for argument, one in getattr(field, "args", {}).items():
                yield "argument", name, f"{member}({argument})", one


def describe(schema: GraphQLSchema) -> None:
    """Give a description to every element that has none and that the words here fit."""
    own: dict[str, dict[str, str]] = {}
    for names, words in WORDS.items():
        for name in names.split():
            own.setdefault(name, {}).update(words)
    for kind, name, member, element in elements(schema):
        if not element.description:
            element.description = own.get(name, {}).get(member) or _by_shape(kind, name, member)
        if kind == "input field" and name.endswith(CHANGING) and _can_be_cleared(element):
            element.description = f"{element.description or ''}{CLEARS}".lstrip()


CLEARS = " Null clears it."
CHANGING = ("UpdateInput", "SetInput")
"""Inputs of which an absent field keeps its value."""


def _can_be_cleared(field: Any) -> bool:
    """Whether null says something else than leaving the field out, and is not told of yet."""
    kind = getattr(field.extensions.get("strawberry-definition"), "type", None)
    clears = isinstance(kind, StrawberryMaybe) and isinstance(kind.of_type, StrawberryOptional)
    return clears and "null" not in (field.description or "").lower()


def _by_shape(kind: str, name: str, member: str) -> str | None:
    if kind == "type":
        return next(
            (text.format(name=_lower(name.removesuffix(end))) for end, text in TYPES.items()
             if name.endswith(end) and name != end),
            None,
        )  # fmt: skip
    for pattern, names in MEMBERS.get(kind, ()):
        if pattern.fullmatch(name):
            last = member.rpartition("(")[2].removesuffix(")")
            if text := names.get(last):
                return text
    return None


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]
