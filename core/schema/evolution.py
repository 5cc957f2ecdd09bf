"""How one schema became another, in classes: what breaks clients, what may, and what cannot.

What was deprecated in the older one may go: a field, an argument, a value, and the types that only
they led to.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    REMOVE,
    GraphQLSchema,
    Visitor,
    build_ast_schema,
    build_schema,
    get_named_type,
    parse,
    visit,
)
from graphql.utilities import BreakingChange, DangerousChange, find_schema_changes

REASON = re.compile(r"Since \d{4}-\d\d-\d\d: \S.*", re.DOTALL)
"""A reason for a deprecation says since when, and then what to use instead."""


@dataclass(frozen=True)
class Changes:
    """One line for each change. `removed` breaks whoever did not heed a deprecation."""

    breaking: list[str]
    removed: list[str]
    dangerous: list[str]
    safe: list[str]


def changes_between(old: str, new: str) -> Changes:
    """How a schema changed, from two texts. Raises GraphQLError for what is no schema."""
    before, after = build_schema(old), build_schema(new)
    found = find_schema_changes(before, after)
    every = [one.description for one in found if isinstance(one, BreakingChange)]
    breaking = _not_announced(old, after) if every else []
    return Changes(
        breaking,
        [one for one in every if one not in breaking],
        [one.description for one in found if isinstance(one, DangerousChange)],
        [one.description for one in found
         if not isinstance(one, BreakingChange | DangerousChange)],
    )  # fmt: skip


def _not_announced(old: str, after: GraphQLSchema) -> list[str]:
    """What breaks even clients that use nothing deprecated."""
    kept = _without_deprecated(old)
    alive = _reachable(kept)
    return [
        one.description
        for one in find_schema_changes(kept, after)
        if isinstance(one, BreakingChange)
        and not (one.type.name == "TYPE_REMOVED" and one.description.split()[0] not in alive)
    ]


def deprecations(schema: GraphQLSchema) -> Iterator[tuple[str, str]]:
    """Every deprecated element, as in `Customer.phone`, with the reason."""
    for kind in schema.type_map.values():
        if kind.name.startswith("__"):
            continue
        members: dict[str, Any] = {**getattr(kind, "fields", {}), **getattr(kind, "values", {})}
        for name, member in members.items():
            if member.deprecation_reason is not None:
                yield f"{kind.name}.{name}", member.deprecation_reason
            for argument, one in getattr(member, "args", {}).items():
                if one.deprecation_reason is not None:
                    yield f"{kind.name}.{name}({argument}:)", one.deprecation_reason


class _Strip(Visitor):
    """Takes what is deprecated out of a document."""

    @staticmethod
    def _strip(node: Any, *_: Any) -> Any:
        gone = any(one.name.value == "deprecated" for one in node.directives or ())
        return REMOVE if gone else None

    enter_field_definition = _strip
    enter_input_value_definition = _strip
    enter_enum_value_definition = _strip


def _without_deprecated(text: str) -> GraphQLSchema:
    return build_ast_schema(visit(parse(text), _Strip()), assume_valid=True)


def _reachable(schema: GraphQLSchema) -> set[str]:
    """The types that an operation can meet."""
    found: set[str] = set()
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    waiting: list[Any] = [root for root in roots if root is not None]
    while waiting:
        kind = get_named_type(waiting.pop())
        if kind.name in found:
            continue
        found.add(kind.name)
        waiting += getattr(kind, "interfaces", ())
        waiting += schema.get_possible_types(kind) if hasattr(kind, "resolve_type") else ()
        for field in getattr(kind, "fields", {}).values():
            waiting.append(field.type)
            waiting += [one.type for one in getattr(field, "args", {}).values()]
    return found
