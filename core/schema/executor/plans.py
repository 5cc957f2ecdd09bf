"""What is to be done for a selection: found once for a document, used by all its requests."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    VariableNode,
    Visitor,
    is_abstract_type,
    is_leaf_type,
    visit,
)
from graphql.execution import Executor as StockExecutor
from graphql.execution.collect_fields import (
    FieldDetailsList,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
)
from strawberry.schema.base import BaseSchema
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from core.schema.executor.arguments import Arguments
from core.schema.executor.compile import Build, Written, build_function, leaf_function
from core.schema.executor.inputs import Inputs
from core.schema.executor.kept import Kept

if TYPE_CHECKING:
    from core.schema.executor.run import Run

OURS = GraphQLCoreConverter.DEFINITION_BACKREF


class Kind(Enum):
    """How values of a type are completed."""

    NON_NULL = "non-null"
    LIST = "list"
    LEAF = "leaf"
    OBJECT = "object"
    ABSTRACT = "abstract"


@dataclass(slots=True, eq=False)
class Place:
    """A field of a selection, as error messages and resolvers' `info` know it."""

    response: str
    definition: GraphQLField
    parent: GraphQLObjectType
    details: FieldDetailsList
    nodes: list[FieldNode]
    name: str
    """As `Customer.orders`."""


@dataclass(slots=True, eq=False)
class Shape:
    """A type of values at a place, down to the selections of its objects."""

    kind: Kind
    place: Place
    type: Any
    inner: "Shape | None" = None
    leaf: Callable[[Any], Any] | None = None
    selection: "Selection | None" = None
    """Of an object; None where only the stock executor knows the way."""
    options: dict[str, "Shape"] = field(default_factory=dict)
    """Of an abstract type, those of its objects that were met."""
    columns: dict[str, frozenset[str] | None] = field(default_factory=dict)
    """What core.schema.rows found out about types in here."""

    @property
    def known(self) -> bool:
        """Whether everything in here can be completed without the stock executor."""
        if self.inner is not None:
            return self.inner.known
        return self.kind is not Kind.OBJECT or self.selection is not None

    @property
    def waits(self) -> bool:
        """Whether completing it may have to wait for something."""
        if self.inner is not None:
            return self.inner.waits
        if self.kind is Kind.OBJECT:
            return self.selection is None or self.selection.waits
        return self.kind is Kind.ABSTRACT


@dataclass(slots=True, eq=False)
class Field:
    """One field of a selection, and where its values come from: one of five sources, or none.

    Without a source the stock executor executes the field, for each object by itself.
    """

    place: Place
    shape: Shape
    constant: str | None = None
    attribute: str | None = None
    """Of the object."""
    column: str | None = None
    """Of the object's row."""
    make: Callable[[Any], Any] | None = None
    """Of the object's row, by this function."""
    written: Written | None = None
    """How the compiled function does the same and completes it at once."""
    call: Callable[..., Any] | None = None
    """The resolver, without the wrappers that only pass arguments on."""
    takes_object: bool = False
    """Whether the resolver is given the object as its first argument."""
    info: str | None = None
    """The name that the resolver has for `info`, if it takes it."""
    arguments: Arguments | None = None
    """Of the resolver, where it has any."""
    prepare: Callable[[Any], Callable[[Any], Any]] | None = None
    """Makes of `info` what makes the resolver's value of a row."""
    ours: StrawberryField | None = None
    pk: str | None = None
    """The column of the object's row in which alone the promises of its resolver differ."""
    inline: bool = False
    """Whether the compiled function of the selection completes it."""
    nested: "Selection | None" = None
    """Of an object that the compiled function completes too."""

    stock: bool = False
    """Whether the stock executor executes it."""
    waits: bool = False
    """Whether completing it may have to wait for something."""

    @property
    def of_row(self) -> bool:
        """Whether the compiled function makes it of the object's row alone."""
        return any(one is not None for one in (self.column, self.make, self.prepare))


@dataclass(slots=True, eq=False)
class Selection:
    """The fields selected of one object type."""

    owner: GraphQLObjectType
    origin: type | None
    """The class whose instances are the type's without further questions."""
    fields: list[Field]
    pending: list[Field]
    """Those that the compiled function leaves open."""
    objects: list[Field]
    """All but leaves: those that are left open the careful way."""
    build: Build
    waits: bool
    columns: frozenset[str] | None
    """Of the objects' rows that are read; None for all."""
    is_serial: bool
    """Whether its fields, one after the other, are done without the stock executor.

    None of them may take the whole object with it.
    """


class Plans:
    """The plans of one operation of a document."""

    def __init__(self, executor: StockExecutor[Any]) -> None:
        self.operation = executor.operation
        self._switches = _switches(executor)
        self._roots: dict[Any, Selection | None] = {}
        self._shapes: dict[Any, Shape] = {}

    def root(self, run: "Run", type_: GraphQLObjectType) -> Selection | None:
        """The selection of the operation itself; None for what only the stock way does."""
        key = self._switched(run)
        if key not in self._roots:
            executor = run.executor
            found = collect_fields(
                executor.schema, executor.fragments, executor.variable_values, type_,
                executor.operation, executor.hide_suggestions,
            )  # fmt: skip
            self._roots[key] = _selection(executor, type_, found.grouped_field_set)
        return self._roots[key]

    def field(self, run: "Run", parent: GraphQLObjectType, details: FieldDetailsList) -> Shape:
        """The shape of a field that the stock executor resolved."""
        key = (parent.name, tuple(id(one.node) for one in details), self._switched(run))
        if key not in self._shapes:
            executor = run.executor
            place = _place(executor, parent, details)
            assert place is not None
            self._shapes[key] = _shape(executor, place, place.definition.type)
        return self._shapes[key]

    def _switched(self, run: "Run") -> tuple[Any, ...]:
        if not self._switches:
            return ()
        given = run.values.coerced
        return tuple(given.get(name) for name in self._switches)


class PlanCache:
    """The plans of the operations used last."""

    def __init__(self) -> None:
        self.kept: Kept[int, Plans] = Kept()
        self._inputs: Inputs | None = None

    def inputs(self, schema: BaseSchema) -> Inputs:
        """How the inputs of the schema are converted, whose plans these are."""
        if self._inputs is None:
            self._inputs = Inputs(schema)
        return self._inputs

    def find(self, executor: StockExecutor[Any]) -> Plans:
        """The plans of an executor's operation."""
        key = id(executor.operation)
        plans = self.kept.find(key)
        if plans is None:
            place = executor.operation.loc
            # plans keep their operation alive, so that no other one can have its id
            plans = self.kept.keep(key, Plans(executor), len(place.source.body) if place else 0)
        return plans


def option(executor: StockExecutor[Any], shape: Shape, type_: GraphQLObjectType) -> Shape:
    """The shape of an abstract type's objects of one type."""
    if type_.name not in shape.options:
        shape.options[type_.name] = _shape(executor, shape.place, type_)
    return shape.options[type_.name]


class _Switches(Visitor):
    """Collects the variables in directives, which are @skip and @include."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: Any, *_: Any) -> None:
        for argument in node.arguments:
            if isinstance(argument.value, VariableNode):
                self.names.add(argument.value.name.value)


def _switches(executor: StockExecutor[Any]) -> list[str]:
    found = _Switches()
    for node in (executor.operation, *(one.definition for one in executor.fragments.values())):
        visit(node, found)
    return sorted(found.names)


def _selection(
    executor: StockExecutor[Any], type_: GraphQLObjectType, grouped: GroupedFieldSet
) -> Selection | None:
    definition = type_.extensions.get(OURS)
    if not isinstance(definition, StrawberryObjectDefinition):
        return None
    fields = []
    for details in grouped.values():
        if any(one.fragment_variable_values for one in details):
            return None
        place = _place(executor, type_, details)
        if place is not None:
            fields.append(_field(executor, place, _shape(executor, place, place.definition.type)))
    return Selection(
        type_, definition.origin, fields, [one for one in fields if not one.inline],
        [one for one in fields if not one.inline or one.nested is not None],
        build_function(fields), any(one.waits for one in fields), _columns(fields),
        all(
            one.constant is not None
            or not (one.stock or one.inline or one.shape.kind is Kind.NON_NULL)
            for one in fields
        ),
    )  # fmt: skip


def _place(
    executor: StockExecutor[Any], parent: GraphQLObjectType, details: FieldDetailsList
) -> Place | None:
    node = details[0].node
    definition = executor.schema.get_field(parent, node.name.value)
    if definition is None:
        return None
    response = node.alias.value if node.alias else node.name.value
    nodes = [one.node for one in details]
    return Place(response, definition, parent, details, nodes, f"{parent.name}.{node.name.value}")


def _field(executor: StockExecutor[Any], place: Place, shape: Shape) -> Field:
    made = Field(place, shape)
    ours = place.definition.extensions.get(OURS)
    if place.nodes[0].name.value == "__typename":
        made.constant = place.parent.name
    elif isinstance(ours, StrawberryField) and not ours.extensions and shape.known:
        made.ours = ours
        if (column := ours.metadata.get("column")) is not None:
            made.column = column
        elif (make := ours.metadata.get("make")) is not None:
            made.make = make
        elif ours.base_resolver is not None:
            made.call = cast("Callable[..., Any]", ours.base_resolver.wrapped_func)
            made.takes_object = ours.base_resolver.self_parameter is not None
            parameter = ours.base_resolver.info_parameter
            made.info = None if parameter is None else parameter.name
            made.prepare = ours.metadata.get("prepare")
            made.pk = ours.metadata.get("pk")
            if place.definition.args:
                schema = executor.schema._strawberry_schema  # type: ignore[attr-defined]
                made.arguments = Arguments(place, ours, schema.plans.inputs(schema))
        else:
            made.attribute = ours.python_name
    made.stock = made.constant is None and made.ours is None
    leaf = shape.inner if shape.kind is Kind.NON_NULL else shape
    assert leaf is not None
    at_once = made.constant is not None or (ours is not None and not ours.is_async)
    if not made.stock and at_once:
        made.nested = leaf.selection if made.call is None and _plain(leaf.selection) else None
        made.inline = leaf.kind is Kind.LEAF or made.nested is not None
    written = ours.metadata.get("written") if made.inline and ours is not None else None
    if written is not None and written.writes(made.nested):
        made.written = written
    made.waits = not made.inline and (made.stock or made.call is not None or shape.waits)
    return made


def _plain(selection: Selection | None) -> bool:
    """Whether an object's fields are all there as soon as it is."""
    return selection is not None and all(
        one.inline and one.call is None for one in selection.fields
    )


def _shape(executor: StockExecutor[Any], place: Place, type_: GraphQLOutputType) -> Shape:
    if isinstance(type_, GraphQLNonNull | GraphQLList):
        kind = Kind.NON_NULL if isinstance(type_, GraphQLNonNull) else Kind.LIST
        return Shape(kind, place, type_, inner=_shape(executor, place, type_.of_type))
    if is_leaf_type(type_):
        return Shape(Kind.LEAF, place, type_, leaf=leaf_function(type_))
    if is_abstract_type(type_):
        return Shape(Kind.ABSTRACT, place, type_)
    assert isinstance(type_, GraphQLObjectType)
    found = collect_subfields(
        executor.schema, executor.fragments, executor.variable_values, executor.operation,
        type_, place.details, executor.hide_suggestions,
    )  # fmt: skip
    selection = _selection(executor, type_, found.grouped_field_set)
    return Shape(Kind.OBJECT, place, type_, selection=selection)


def _columns(fields: list[Field]) -> frozenset[str] | None:
    found: set[str] = set()
    for one in fields:
        if one.constant is not None:
            continue
        needed = one.ours.metadata.get("columns") if one.ours is not None else None
        if needed is None:
            return None
        found.update(needed)
    return frozenset(found)
