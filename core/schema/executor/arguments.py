"""How a field's resolver gets its arguments: found once for a document, used by its requests."""

from enum import Enum
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLArgument,
    ListValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    is_leaf_type,
    is_non_null_type,
)
from graphql.execution import Executor as StockExecutor
from graphql.execution.values import get_argument_values
from strawberry.relay import GlobalID
from strawberry.schema.name_converter import NameConverter
from strawberry.types.arguments import StrawberryArgument, convert_arguments
from strawberry.types.base import StrawberryMaybe, StrawberryOptional
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from core.schema.executor.compile import PLAIN

if TYPE_CHECKING:
    from core.schema.executor.plans import Place


class Arguments:
    """The arguments of one field.

    Where they are variables for leaves and values that nobody can change, a request only takes
    the variables over. Everything else is done for each request as Strawberry does it.
    """

    def __init__(self, place: "Place", ours: StrawberryField, names: NameConverter) -> None:
        self._place = place
        self._ours = ours
        self._constants: dict[str, Any] | None = None
        self._variables = self._passed_on(names)

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
        return convert_arguments(
            given, self._ours.arguments, schema.schema_converter.scalar_registry, schema.config,
            info,
        )  # fmt: skip

    def _passed_on(self, names: NameConverter) -> list[tuple[str, str, bool]] | None:
        """Of those that are variables: names of argument and variable, and whether null is bad.

        None where more is to be done than to pass them on.
        """
        found = []
        nodes = {one.name.value: one.value for one in self._place.nodes[0].arguments or ()}
        made = {names.from_argument(one): one for one in self._ours.arguments}
        for name, definition in self._place.definition.args.items():
            node = nodes.get(name)
            if isinstance(node, VariableNode):
                ours = made[name]
                if not _is_leaf(definition, ours):
                    return None
                required = is_non_null_type(definition.type)
                found.append((ours.python_name, node.name.value, required))
            elif node is not None and _has_variable(node):
                return None
        return found


def _is_leaf(definition: GraphQLArgument, ours: StrawberryArgument) -> bool:
    type_: Any = definition.type
    kind: Any = ours.type
    if isinstance(kind, StrawberryOptional) and not isinstance(kind, StrawberryMaybe):
        kind = kind.of_type
    return (
        is_leaf_type(type_.of_type if is_non_null_type(type_) else type_)
        and not isinstance(kind, StrawberryMaybe)
        and kind is not GlobalID
    )


def _has_variable(node: ValueNode) -> bool:
    if isinstance(node, ListValueNode):
        return any(map(_has_variable, node.values))
    if isinstance(node, ObjectValueNode):
        return any(_has_variable(one.value) for one in node.fields)
    return isinstance(node, VariableNode)


def _is_constant(value: Any) -> bool:
    return value is None or value.__class__ in PLAIN or isinstance(value, Enum)
