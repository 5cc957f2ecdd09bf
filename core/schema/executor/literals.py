"""Values that are written in a document: read once, so that a request only puts its variables in.

The meaning is that of graphql-core's `coerce_input_literal`.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from graphql import (
    GraphQLInputObjectType,
    GraphQLInputType,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal

from core.schema.executor.compile import PLAIN

Read = Callable[[Mapping[str, Any]], Any]
"""Makes a value of the values of a request's variables. Raises Odd."""


class Odd(Exception):
    """What is left to graphql-core, which tells faults and knows defaults."""


def reader(node: ValueNode, type_: GraphQLInputType) -> Read:
    """What reads this literal. Raises Odd."""
    if isinstance(node, VariableNode):
        return _variable(node.name.value, is_non_null_type(type_))
    if is_non_null_type(type_):
        type_ = type_.of_type
    elif isinstance(node, NullValueNode):
        return constant(None)
    if is_list_type(type_):
        items = node.values if isinstance(node, ListValueNode) else (node,)
        return _list([reader(one, type_.of_type) for one in items])
    if is_input_object_type(type_) and isinstance(node, ObjectValueNode):
        return _object(node, type_)
    if not is_leaf_type(type_):
        raise Odd
    return constant(coerce_input_literal(node, type_))


def constant(value: Any) -> Read:
    """What reads a value that nobody can change. Raises Odd for any other."""
    if not (value is None or value.__class__ in PLAIN or isinstance(value, Enum)):
        raise Odd
    return lambda _: value


def _variable(name: str, required: bool) -> Read:
    def read(values: Mapping[str, Any]) -> Any:
        value = values.get(name, Undefined)
        if value is Undefined or (value is None and required):
            raise Odd
        return value

    return read


def _list(readers: list[Read]) -> Read:
    return lambda values: [read(values) for read in readers]


def _object(node: ObjectValueNode, type_: GraphQLInputObjectType) -> Read:
    nodes = {one.name.value: one.value for one in node.fields}
    if type_.is_one_of or type_.out_type is not GraphQLInputObjectType.out_type:
        raise Odd
    readers = []
    for name, field in type_.fields.items():
        if name in nodes:
            readers.append((field.out_name or name, reader(nodes[name], field.type)))
        elif is_required_input_field(field):
            raise Odd
        elif (default := coerce_default_value(field)) is not Undefined:
            readers.append((field.out_name or name, constant(default)))
    return lambda values: {name: read(values) for name, read in readers}
