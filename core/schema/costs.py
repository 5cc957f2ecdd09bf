"""What an operation costs at the most, found before it is validated.

The unit is one object of the answer. A list costs its size times what each object asks for; the
size is the argument `first`, or assumed where there is none. A field that works hard for what it
answers says so with @cost, at the field and in the SDL.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    NamedTypeNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from core.schema.known import Known

MUTATION = 10
ASSUMED_SIZE = 5
"""Objects of a list whose size nobody says."""
LARGEST = 10**6
MAX_COSTS = 500
"""So many costs of one document are remembered, by the sizes of pages asked for."""

F = TypeVar("F")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="cost",
    description="What the field itself costs, where that is not 1; see docs/frontend/limits.md.",
)
class Cost:
    weight: int


def costs(weight: int) -> Callable[[F], F]:
    """Declares what a field costs, besides the objects that it answers with."""

    def declare(made: F) -> F:
        assert isinstance(made, StrawberryField)
        made.directives = [*made.directives, Cost(weight=weight)]
        return made

    return declare


@dataclass(frozen=True)
class Price:
    """What one field costs. `size` is the default of `first`, None where there is no such."""

    weight: int
    kind: Any
    many: bool
    size: int | None


class Sizes:
    """The values of one request's variables, and which of them were asked for."""

    def __init__(self, values: Mapping[str, Any], operation: OperationDefinitionNode) -> None:
        self._values = values
        self._defaults = {
            one.variable.name.value: one.default_value
            for one in operation.variable_definitions or ()
        }
        self.asked: dict[str, int | None] = {}

    def of(self, node: FieldNode, default: int) -> int:
        """What a field's argument `first` says, within bounds."""
        for argument in node.arguments or ():
            if argument.name.value == "first":
                value = self._value(argument.value)
                return default if value is None else min(max(value, 0), LARGEST)
        return default

    def _value(self, node: Any) -> int | None:
        if isinstance(node, IntValueNode):
            return int(node.value) if len(node.value) < 10 else LARGEST
        if not isinstance(node, VariableNode):
            return None
        name = node.name.value
        given = self._values.get(name)
        # with the document these decide the cost
        self.asked[name] = given if isinstance(given, int) else None
        if isinstance(given, int):
            return given
        return self._value(self._defaults.get(name))


class Prices:
    """The costs of operations of one schema; each is counted once for its sizes of pages."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._prices: dict[tuple[str, str], Price] = {}

    def cost(self, known: Known, name: str | None, variables: Mapping[str, Any]) -> int:
        """The cost of an operation of a document that is not too much; 0 if it has no such."""
        deciding = known.names.get(name)
        if deciding is not None:
            key = (name, *(_whole(variables.get(one)) for one in deciding))
            if key in known.costs:
                return known.costs[key]
        sizes = Sizes(variables, operation := known.operation(name))
        found = _Walk(self, known.document, sizes).operation(operation)
        known.names[name] = tuple(sizes.asked)
        if len(known.costs) >= MAX_COSTS:
            known.costs.clear()
        known.costs[name, *sizes.asked.values()] = found
        return found

    def root(self, operation: OperationType) -> Any:
        """The type at the top of an operation."""
        return self._schema.get_root_type(operation)

    def type_of(self, node: NamedTypeNode) -> Any:
        return self._schema.get_type(node.name.value)

    def price(self, parent: Any, name: str) -> Price | None:
        """What a field of a type costs; None for an unknown one, which the validation tells."""
        key = (parent.name, name)
        if key not in self._prices:
            field = getattr(parent, "fields", {}).get(name)
            if field is None:
                return None
            self._prices[key] = self._made(parent, field)
        return self._prices[key]

    def _made(self, parent: Any, field: GraphQLField) -> Price:
        kind = get_named_type(field.type)
        weight = 1 if is_composite_type(kind) else 0
        if parent is self._schema.mutation_type:
            weight = MUTATION
        definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        for directive in getattr(definition, "directives", ()):
            if isinstance(directive, Cost):
                weight = directive.weight
        first = field.args.get("first")
        size = first.default_value if first else None
        outer = field.type.of_type if is_non_null_type(field.type) else field.type
        return Price(
            weight,
            kind if is_composite_type(kind) else None,
            is_list_type(outer),
            (size if isinstance(size, int) else ASSUMED_SIZE) if first else None,
        )


class _Walk:
    """One pass over an operation; a fragment is measured once for each size of a page."""

    def __init__(self, prices: Prices, document: DocumentNode, sizes: Sizes) -> None:
        self._prices = prices
        self._sizes = sizes
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._measured: dict[tuple[str, int | None], int] = {}

    def operation(self, node: OperationDefinitionNode) -> int:
        return self._sum(node.selection_set, self._prices.root(node.operation), None)

    def _sum(self, selections: SelectionSetNode, parent: Any, page: int | None) -> int:
        """`page` is the size of the connection that these selections are made of, if any."""
        total = 0
        for node in selections.selections:
            if isinstance(node, FieldNode):
                total += self._field(node, parent, page)
            elif isinstance(node, InlineFragmentNode):
                narrowed = node.type_condition
                inner = self._prices.type_of(narrowed) if narrowed else parent
                total += self._sum(node.selection_set, inner, page)
            elif isinstance(node, FragmentSpreadNode):
                total += self._fragment(node.name.value, page)
        return total

    def _fragment(self, name: str, page: int | None) -> int:
        key = (name, page)
        if key not in self._measured:
            self._measured[key] = 0  # for circles, which the validation tells
            fragment = self._fragments.get(name)
            if fragment is not None:
                kind = self._prices.type_of(fragment.type_condition)
                self._measured[key] = self._sum(fragment.selection_set, kind, page)
        return self._measured[key]

    def _field(self, node: FieldNode, parent: Any, page: int | None) -> int:
        price = self._prices.price(parent, node.name.value) if parent is not None else None
        if price is None or price.kind is None or node.selection_set is None:
            return price.weight if price else 0
        size = None if price.size is None else self._sizes.of(node, price.size)
        if not price.many:
            return price.weight + self._sum(node.selection_set, price.kind, size)
        if size is None:
            size = ASSUMED_SIZE if page is None else page
        return price.weight + size * (1 + self._sum(node.selection_set, price.kind, None))


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None
