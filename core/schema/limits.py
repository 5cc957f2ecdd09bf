"""Bounds on a document, found in one pass over it before it is validated.

Each fragment is measured once, whatever number of times it is spread, so a small document cannot
cost much time here: neither by fragments that spread each other twice, nor by aliases.
"""

from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from graphql import OperationType as Operation

from core.schema.overlaps import Overlaps

MAX_TOKENS = 4_000
MAX_DEPTH = 15
MAX_FIELDS = 2_000
MAX_ALIASES = 100
MAX_ROOTS = 50
MAX_MUTATIONS = 20
MAX_FRAGMENTS = 100
INTROSPECTION_DEPTH = 30


@dataclass(frozen=True)
class Size:
    """How deep a selection goes, and how many fields and aliases it comes to once spread out.

    `own` are the fields at its top.
    """

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    own: int = 0


def check_size(document: DocumentNode) -> str | None:
    """What is too much in a document, or None."""
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    if len(fragments) > MAX_FRAGMENTS:
        return f"at most {MAX_FRAGMENTS} fragments in one document"
    known: dict[str, Size] = {}
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            size = _size(node.selection_set, fragments, known, 0)
            if node.operation == Operation.MUTATION and size.own > MAX_MUTATIONS:
                return f"at most {MAX_MUTATIONS} mutations in one request"
            if fault := _fault(size, _is_introspection(node)):
                return fault
            if Overlaps(fragments).too_many(node.selection_set):
                return "the query asks for the same fields too many times"
    return None


def _fault(size: Size, introspection: bool) -> str | None:
    deepest = INTROSPECTION_DEPTH if introspection else MAX_DEPTH
    if size.depth > deepest:
        return f"the query goes deeper than {deepest} levels"
    if size.own > MAX_ROOTS:
        return f"at most {MAX_ROOTS} fields at the top of a request"
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
    depth = fields = aliases = own = 0
    for node in selections.selections:
        if isinstance(node, FieldNode):
            inner = _size(node.selection_set, fragments, known, nesting + 1)
            size = Size(inner.depth + 1, inner.fields + 1, inner.aliases + bool(node.alias), 1)
        elif isinstance(node, InlineFragmentNode):
            size = _size(node.selection_set, fragments, known, nesting + 1)
        else:
            assert isinstance(node, FragmentSpreadNode)
            size = _fragment_size(node.name.value, fragments, known, nesting + 1)
        depth = max(depth, size.depth)
        fields += size.fields
        aliases += size.aliases
        own += size.own
    return Size(depth, fields, aliases, own)


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
