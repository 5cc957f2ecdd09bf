"""The shapes that everything in the schema keeps, whoever brings it: what does not is told.

docs/frontend/conventions.md says the same to those who use them.
"""

import re
from collections.abc import Iterator

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLSchema,
    get_named_type,
    is_non_null_type,
    is_object_type,
)

from core.schema.descriptions import elements

MUTATION = re.compile(r"[a-z]+[A-Z]\w+")
ARGUMENTS = {"id", "name", "input"}
CONNECTION = {"edges", "nodes", "pageInfo", "count"}


def faults(schema: GraphQLSchema) -> Iterator[str]:
    """Every place that breaks a convention, as `Type.field: what is wrong`."""
    for name, field in (schema.mutation_type.fields if schema.mutation_type else {}).items():
        yield from (f"Mutation.{name}: {fault}" for fault in _of_mutation(name, field))
    for name, kind in schema.type_map.items():
        if not name.startswith("__"):
            yield from (f"{name}: {fault}" for fault in _of_type(name, kind))
    for sort, name, member, element in elements(schema):
        if not element.description:
            yield f"{name}.{member}: the {sort} has no description".replace(".:", ":")


def _of_mutation(name: str, field: GraphQLField) -> Iterator[str]:
    stem = f"{name[0].upper()}{name[1:]}"
    if not MUTATION.fullmatch(name):
        yield "is called by a noun and a verb, as customerUpdate"
    if more := sorted(field.args.keys() - ARGUMENTS):
        yield f"takes `input`, and `id` or `name` of its object, but no {', '.join(more)}"
    if "input" in field.args and get_named_type(field.args["input"].type).name != f"{stem}Input":
        yield f"takes an input of the type {stem}Input"
    if str(field.type) != f"{stem}Payload":
        yield f"answers with a {stem}Payload that may be null"
        return
    shown = dict(field.type.fields)  # type: ignore[union-attr]  # an object, by its name
    errors = shown.pop("errors", None)
    if errors is None or str(errors.type) != "[UserError!]!":
        yield "has a payload with `errors: [UserError!]!`"
    for member, one in shown.items():
        if is_non_null_type(one.type):
            yield f"has a payload whose `{member}` is null when nothing was done"


def _of_type(name: str, kind: GraphQLNamedType) -> Iterator[str]:
    if is_object_type(kind):
        if name.endswith("Connection") and set(kind.fields) != CONNECTION:
            yield f"a connection has the fields {', '.join(sorted(CONNECTION))}"
        for member, field in kind.fields.items():
            if get_named_type(field.type).name == "Float":
                yield f"`{member}` is a Float; numbers that are no integers are Decimals"
    if isinstance(kind, GraphQLInputObjectType) and name.endswith("Where"):
        wanted = {"and": f"[{name}!]", "or": f"[{name}!]", "not": name}
        if {one: str(kind.fields[one].type) for one in wanted if one in kind.fields} != wanted:
            yield "a filter has `and`, `or` and `not` of its own type"
