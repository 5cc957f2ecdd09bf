"""Bounds on a document, found in one pass over it before it is validated.

Each fragment is measured once, whatever number of times it is spread, so a small document cannot
cost much time here: neither by fragments that spread each other twice, nor by aliases.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSyntaxError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from graphql import OperationType as Operation
from strawberry.extensions import ParserCache, SchemaExtension
from strawberry.schema.schema import validate_document

from core.schema.errors import COST_EXCEEDED

MAX_TOKENS = 4_000
MAX_DEPTH = 15
MAX_FIELDS = 2_000
MAX_ALIASES = 100
MAX_MUTATIONS = 20
INTROSPECTION_DEPTH = 30
MAX_KNOWN = 500
"""So many documents' outcomes are kept."""


@dataclass(frozen=True)
class Size:
    """How deep a selection goes, and how many fields and aliases it comes to once spread out."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0


def check_size(document: DocumentNode) -> str | None:
    """What is too much in a document, or None."""
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    known: dict[str, Size] = {}
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            size = _size(node.selection_set, fragments, known, 0)
            if (
                node.operation == Operation.MUTATION
                and len(node.selection_set.selections) > MAX_MUTATIONS
            ):
                return f"at most {MAX_MUTATIONS} mutations in one request"
            if fault := _fault(size, _is_introspection(node)):
                return fault
    return None


def _fault(size: Size, introspection: bool) -> str | None:
    deepest = INTROSPECTION_DEPTH if introspection else MAX_DEPTH
    if size.depth > deepest:
        return f"the query goes deeper than {deepest} levels"
    if size.fields > MAX_FIELDS:
        return f"the query asks for more than {MAX_FIELDS} fields"
    if size.aliases > MAX_ALIASES:
        return f"the query has more than {MAX_ALIASES} aliases"
    return None


def _is_introspection(node: OperationDefinitionNode) -> bool:
    return all(
        isinstance(one, FieldNode) and one.name.value.startswith("__")
        for one in node.selection_set.selections
    )


def _size(
    selections: SelectionSetNode | None,
    fragments: dict[str, FragmentDefinitionNode],
    known: dict[str, Size],
    nesting: int,
) -> Size:
    if selections is None or nesting > 200:
        return Size(depth=nesting if selections else 0)
    depth = fields = aliases = 0
    for node in selections.selections:
        if isinstance(node, FieldNode):
            inner = _size(node.selection_set, fragments, known, nesting + 1)
            size = Size(inner.depth + 1, inner.fields + 1, inner.aliases + (1 if node.alias else 0))
        elif isinstance(node, InlineFragmentNode):
            size = _size(node.selection_set, fragments, known, nesting + 1)
        else:
            assert isinstance(node, FragmentSpreadNode)
            size = _fragment_size(node.name.value, fragments, known, nesting + 1)
        depth = max(depth, size.depth)
        fields += size.fields
        aliases += size.aliases
    return Size(depth, fields, aliases)


def _fragment_size(
    name: str,
    fragments: dict[str, FragmentDefinitionNode],
    known: dict[str, Size],
    nesting: int,
) -> Size:
    if name not in known:
        known[name] = Size()  # unknown fragments and circles are told by the validation
        if name in fragments:
            known[name] = _size(fragments[name].selection_set, fragments, known, nesting)
    return known[name]


class LimitTokens(SchemaExtension):
    """Stops the parser at MAX_TOKENS, and at what the specification does not allow."""

    def on_operation(self) -> Iterator[None]:
        self.execution_context.parse_options["max_tokens"] = MAX_TOKENS
        options: dict[str, Any] = self.execution_context.parse_options  # type: ignore[assignment]
        options["allow_empty_selection_sets"] = False
        yield


class RememberParsed(ParserCache):
    """Parses each document once; a malformed one is left to the schema, which reports it."""

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        with suppress(GraphQLSyntaxError):
            context.graphql_document = self.cached_parse_document(
                context.query, **context.parse_options
            )
        yield


class LimitAndValidate(SchemaExtension):
    """Refuses a document that is too large; validates any other, and remembers the outcome."""

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        context.pre_execution_errors = self._outcome(context)
        yield

    @staticmethod
    def _outcome(context: Any) -> list[GraphQLError]:
        document, known = context.graphql_document, context.schema.validated
        found = known.get(id(document))
        # the document is kept with its outcome, so that no other one can have its id
        if found is None:
            fault = check_size(document)
            if fault is None:
                errors = validate_document(
                    context.schema._schema, document, context.validation_rules
                )
            else:
                errors = [GraphQLError(fault, extensions={"code": COST_EXCEEDED})]
            found = known[id(document)] = (document, errors)
            if len(known) > MAX_KNOWN:
                known.pop(next(iter(known)))
        return list(found[1])
