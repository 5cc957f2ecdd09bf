"""Documents that were sent before: parsed, measured and validated once, whoever sends them."""

from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    parse,
    validate,
)
from strawberry.schema.exceptions import CannotGetOperationTypeError

from core.schema.errors import COST_EXCEEDED
from core.schema.executor.kept import Kept
from core.schema.executor.prepared import Prepared
from core.schema.introspection import asks_for_schema
from core.schema.limits import MAX_TOKENS, check_size

PARSING: Any = {"max_tokens": MAX_TOKENS, "allow_empty_selection_sets": False}
"""How documents are parsed."""
AMBIGUOUS = "Must provide operation name if query contains multiple operations."


@dataclass(slots=True)
class Known:
    """What holds of a document for each of its requests."""

    document: DocumentNode
    operations: list[OperationDefinitionNode]
    introspects: bool
    names: dict[str | None, tuple[str, ...]] = field(default_factory=dict)
    """By an operation's name, the variables that decide its cost."""
    costs: dict[tuple[Any, ...], int] = field(default_factory=dict)
    """By an operation's name and the values of these variables."""
    prepared: dict[str | None, Prepared] = field(default_factory=dict)
    """By an operation's name."""
    _invalid: list[GraphQLError] | None = None

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation of this name, or the first. Raises CannotGetOperationTypeError."""
        for one in self.operations:
            if name is None or (one.name is not None and one.name.value == name):
                return one
        raise CannotGetOperationTypeError(name)

    def invalid(self, schema: GraphQLSchema, hide_suggestions: bool) -> list[GraphQLError]:
        """What the specification does not allow in it."""
        if self._invalid is None:
            self._invalid = validate(schema, self.document, hide_suggestions=hide_suggestions)
        return list(self._invalid)


class KnownDocuments:
    """Those that were used last. Of those that are too much only that is kept."""

    def __init__(self) -> None:
        self.kept: Kept[str, Known | str] = Kept()

    def find(self, text: str) -> Known:
        """The document with this text. Raises GraphQLError for what is none, or too much."""
        known = self.kept.find(text)
        if known is None:
            known = self.kept.keep(text, _read(text), len(text))
        if isinstance(known, str):
            raise GraphQLError(known, extensions={"code": COST_EXCEEDED})
        return known


def _read(text: str) -> Known | str:
    try:
        document = parse(text, **PARSING)
    except GraphQLSyntaxError as error:
        if f"more than {MAX_TOKENS} tokens" in error.message:
            return f"the query has more than {MAX_TOKENS} tokens"
        raise
    if fault := check_size(document):
        return fault
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    return Known(document, operations, asks_for_schema(text, document))
