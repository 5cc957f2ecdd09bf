"""Query documents that are stored, to be run later: checked as a request's document would be."""

from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    parse,
    validate,
    visit,
)
from graphql import OperationType as Operation

from core.schema.limits import MAX_TOKENS, check_size
from core.schema.scalars import Requires
from core.sdk.errors import InvalidInput

BYTES = 20_000
FAULTS = 3
"""So many faults of a document are told at once."""


def check_query(
    schema: Any, document: str, path: tuple[str, ...]
) -> tuple[DocumentNode, OperationDefinitionNode]:
    """The document and its one query, if it is within the limits and valid. Raises InvalidInput.

    `schema` is the strawberry schema.
    """
    if len(document.encode()) > BYTES:
        raise InvalidInput(f"a document has {BYTES} bytes at most", path)
    try:
        parsed = parse(document, max_tokens=MAX_TOKENS)
    except GraphQLError as error:
        raise InvalidInput(error.message, path) from None
    operations = [one for one in parsed.definitions if isinstance(one, OperationDefinitionNode)]
    if len(operations) != 1 or operations[0].operation != Operation.QUERY:
        raise InvalidInput("give one query, and fragments if needed", path)
    if fault := check_size(parsed):
        raise InvalidInput(fault, path)
    hidden = schema.config.disable_field_suggestions
    if faults := validate(schema._schema, parsed, hide_suggestions=hidden):
        raise InvalidInput("; ".join(one.message for one in faults[:FAULTS]), path)
    return parsed, operations[0]


def permissions_of(schema: Any, document: DocumentNode) -> set[str]:
    """The permissions that the fields of a valid document ask for."""
    found: set[str] = set()
    info = TypeInfo(schema._schema)

    class Fields(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            field = info.get_field_def()
            definition = field.extensions.get("strawberry-definition") if field else None
            for directive in definition.directives if definition else ():
                if isinstance(directive, Requires):
                    found.add(directive.permission)

    visit(document, TypeInfoVisitor(info, Fields()))
    return found
