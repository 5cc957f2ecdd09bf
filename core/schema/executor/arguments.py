"""How a field's resolver gets its arguments: found once for a document, used by its requests."""

from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

from graphql import (
    ListValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    is_non_null_type,
)
from graphql.execution import Executor as StockExecutor
from graphql.execution.values import get_argument_values
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from core.schema.executor.compile import PLAIN
from core.schema.executor.inputs import Convert, Inputs, Unknown, as_it_is

if TYPE_CHECKING:
    from core.schema.executor.plans import Place


class Arguments:
    """The arguments of one field.

    Where they are variables for leaves and values that nobody can change, a request only takes
    the variables over; else it converts what is given. Strawberry does it for types that it alone
    knows.
    """

    def __init__(self, place: "Place", ours: StrawberryField, inputs: Inputs) -> None:
        self._place = place
        self._ours = ours
        self._converters: dict[str, tuple[str, Convert]] | None = None
        with suppress(Unknown):
            self._converters = inputs.arguments(ours.arguments)
        self._constants: dict[str, Any] | None = None
        self._variables = self._passed_on(self._converters or {})

    def of(self, executor: StockExecutor[Any], info: Info[Any, Any]) -> dict[str, Any]:
        """By the names that the resolver has for them. Raises what the stock executor does."""
        if self._variables is None:
            return self._converted(executor, info)
        if self._constants is None:
            self._constants = found = self._converted(executor, info)
            for name, *_ in self._variables:
                found.pop(name, None)
            if not all(_is_constant(value) for value in found.values()):
                self._variables = None
            return self.of(executor, info)
        values = executor.variable_values.coerced
        call = dict(self._constants)
        for name, variable, required in self._variables:
            value = values.get(variable, Undefined)
            if value is Undefined or (value is None and required):
                return self._converted(executor, info)
            call[name] = value
        return call

    def _converted(self, executor: StockExecutor[Any], info: Info[Any, Any]) -> dict[str, Any]:
        place, schema = self._place, info.schema
        given = get_argument_values(
            place.definition, place.nodes[0], executor.variable_values, None,
            executor.hide_suggestions,
        )  # fmt: skip
        if self._converters is None:
            return convert_arguments(
                given, self._ours.arguments, schema.schema_converter.scalar_registry,
                schema.config, info,
            )  # fmt: skip
        call = {}
        for name, value in given.items():
            python_name, convert = self._converters[name]
            call[python_name] = convert(value)
        return call

    def _passed_on(
        self, converters: Mapping[str, tuple[str, Convert]]
    ) -> list[tuple[str, str, bool]] | None:
        """Of those that are variables: names of argument and variable, and whether null is bad.

        None where more is to be done than to pass them on.
        """
        found = []
        nodes = {one.name.value: one.value for one in self._place.nodes[0].arguments or ()}
        for name, definition in self._place.definition.args.items():
            node = nodes.get(name)
            if isinstance(node, VariableNode):
                python_name, convert = converters.get(name, (name, None))
                if convert is not as_it_is:
                    return None
                found.append((python_name, node.name.value, is_non_null_type(definition.type)))
            elif node is not None and _has_variable(node):
                return None
        return found


def _has_variable(node: ValueNode) -> bool:
    if isinstance(node, ListValueNode):
        return any(map(_has_variable, node.values))
    if isinstance(node, ObjectValueNode):
        return any(_has_variable(one.value) for one in node.fields)
    return isinstance(node, VariableNode)


def _is_constant(value: Any) -> bool:
    return value is None or value.__class__ in PLAIN or isinstance(value, Enum)
