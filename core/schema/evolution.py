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
    specified_scalar_types,
    value_from_ast_untyped,
    visit,
)
from graphql.utilities import BreakingChange, DangerousChange, find_schema_changes

from core.schema.descriptions import elements

REASON = re.compile(r"Since \d{4}-\d\d-\d\d: \S.*", re.DOTALL)
"""A reason for a deprecation says since when, and then what to use instead."""


@dataclass(frozen=True)
class Changes:
    """One line for each change. `removed` breaks whoever did not heed a deprecation.

    `dangerous` may break a client, such as one whose token lacks a right that is asked for now;
    what is `deprecated` goes in a later version.
    """

    breaking: list[str]
    removed: list[str]
    dangerous: list[str]
    deprecated: list[str]
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
        [*(one.description for one in found if isinstance(one, DangerousChange)),
         *_other_rights(before, after)],
        [f"{name} is deprecated. {reason}" for name, reason in deprecations(after)
         if name not in dict(deprecations(before))],
        [one.description for one in found
         if not isinstance(one, BreakingChange | DangerousChange)],
    )  # fmt: skip


def changelog(changes: Changes) -> str:
    """The changes as a section of the changelog, in Markdown."""
    parts = {
        "Removed": changes.breaking + changes.removed,
        "Changed": changes.dangerous,
        "Deprecated": changes.deprecated,
        "Added": changes.safe,
    }
    written = ["### API\n"]
    for title, lines in parts.items():
        if lines:
            written.append(f"#### {title}\n")
            written += [*(f"- {line}" for line in lines), ""]
    return "\n".join(written) if any(parts.values()) else ""


def unmarked(old: str, new: str, version: str) -> list[str]:
    """What is new since an older schema, and does not say so: "Since 0.2." ends its description.

    `version` is the minor version that brings it. What belongs to something new need not say it
    again, and fields of plugins have it in @plugin. Raises GraphQLError for what is no schema.
    """
    known = {(kind, name, member) for kind, name, member, _ in elements(build_schema(old))}
    found = []
    for kind, name, member, element in elements(build_schema(new)):
        owners = [("type", name, "")] if member else []
        if kind == "argument":
            owners.append(("field", name, member.partition("(")[0]))
        new_by_itself = (kind, name, member) not in known and known.issuperset(owners)
        if name in specified_scalar_types:
            continue  # the language's own
        if new_by_itself and not _of_plugin(element) and not _says(element, version):
            found.append(f"{name}.{member}".removesuffix("."))
    return found


def _says(element: Any, version: str) -> bool:
    return (element.description or "").endswith(f"Since {version}.")


def _of_plugin(element: Any) -> bool:
    return "plugin" in _directives(element)


def _directives(element: Any) -> dict[str, dict[str, Any]]:
    """The directives that stand at an element of a schema, with their arguments."""
    node = element.ast_node
    return {
        one.name.value: {
            argument.name.value: value_from_ast_untyped(argument.value)
            for argument in one.arguments or ()
        }
        for one in (node.directives or () if node else ())
    }


def _other_rights(before: GraphQLSchema, after: GraphQLSchema) -> Iterator[str]:
    """Fields that ask for a right which they did not ask for."""
    rights = [
        {
            (name, member): _directives(element).get("requires", {}).get("permission")
            for kind, name, member, element in elements(schema)
            if kind == "field"
        }
        for schema in (before, after)
    ]
    for field, right in rights[1].items():
        if field in rights[0] and right not in (None, rights[0][field]):
            yield f"{'.'.join(field)} requires {right} now, not {rights[0][field] or 'nothing'}."


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
