"""How a field's resolver gets its arguments: found once for a document, used by its requests."""

from typing import TYPE_CHECKING, Any

from graphql import Undefined, is_required_argument
from graphql.execution.values import get_argument_values
from graphql.utilities.coerce_input_value import coerce_default_value
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from core.schema.executor.inputs import Convert, Inputs, Unknown
from core.schema.executor.literals import Odd, Read, constant, reader

if TYPE_CHECKING:
    from core.schema.executor.plans import Place
    from core.schema.executor.run import Run


class Arguments:
    """The arguments of one field: read, and converted to what its resolver takes.

    What cannot be read, and types that only Strawberry knows, go the stock way at each request.
    """

    def __init__(self, place: "Place", ours: StrawberryField, inputs: Inputs) -> None:
        self._place = place
        self._ours = ours
        self._known: list[tuple[str, Read, Convert]] | None
        try:
            self._known = self._found(inputs)
        except (Odd, Unknown):
            self._known = None

    def of(self, run: "Run", info: Info[Any, Any]) -> dict[str, Any]:
        """By the names that the resolver has for them. Raises what the stock executor does."""
        if self._known is not None:
            values = run.values.coerced
            try:
                return {name: convert(read(values)) for name, read, convert in self._known}
            except Odd:
                pass
        schema = info.schema
        given = get_argument_values(
            self._place.definition, self._place.nodes[0], run.values, None,
            run.executor.hide_suggestions,
        )  # fmt: skip
        return convert_arguments(
            given, self._ours.arguments, schema.schema_converter.scalar_registry, schema.config,
            info,
        )  # fmt: skip

    def _found(self, inputs: Inputs) -> list[tuple[str, Read, Convert]]:
        """Of each argument the resolver's name, and how it is read and converted."""
        nodes = {one.name.value: one.value for one in self._place.nodes[0].arguments or ()}
        converters = inputs.arguments(self._ours.arguments)
        found = []
        for name, definition in self._place.definition.args.items():
            if name in nodes:
                read = reader(nodes[name], definition.type)
            elif is_required_argument(definition):
                raise Odd
            elif (default := coerce_default_value(definition)) is not Undefined:
                read = constant(default)
            else:
                continue
            python_name, convert = converters[name]
            found.append((python_name, read, convert))
        return found
