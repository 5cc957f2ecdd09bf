"""Queries of one whole list, made ready to be asked page by page."""

from dataclasses import dataclass
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    IntValueNode,
    NamedTypeNode,
    NameNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    parse,
    print_ast,
)

from core.schema.pages import MAX_PAGE
from core.schema.stored_queries import check_query, permissions_of
from core.sdk.errors import InvalidInput

PATH = ("input", "query")
AFTER = "bulkExportAfter"
PAGED = frozenset({"first", "after"})
PAGE_INFO = "{ bulkExportPage: pageInfo { hasNextPage endCursor } }"
COUNT = "{ bulkExportCount: count(limit: 1000000) { value precision } }"


@dataclass(frozen=True)
class BulkQuery:
    """A query of one connection. `field` is its key in the answer; the documents ask for a page.

    Both take the variable AFTER, a cursor; the `first` one counts the list as well.
    """

    field: str
    first: str
    next: str
    permissions: frozenset[str]


def bulk_query(schema: Any, text: str) -> BulkQuery:
    """The query of a bulk export, checked against the strawberry schema. Raises InvalidInput."""
    document, query = check_query(schema, text, PATH)
    (root, *others) = query.selection_set.selections
    if others or not isinstance(root, FieldNode) or root.directives:
        raise InvalidInput("ask for one list and nothing beside it", PATH)
    field = schema._schema.query_type.fields.get(root.name.value)
    kind = get_named_type(field.type).name if field else ""
    if field is None or not kind.endswith("Connection") or not set(field.args) >= PAGED:
        raise InvalidInput(f"{root.name.value} is no list with pages", PATH)
    assert root.selection_set is not None
    chosen = root.selection_set.selections
    if [one.name.value for one in chosen if isinstance(one, FieldNode)] != ["nodes"] or len(
        chosen
    ) != 1:
        raise InvalidInput("ask for the list's nodes and nothing beside them", PATH)
    (nodes,) = chosen
    if isinstance(nodes, FieldNode) and (nodes.alias or nodes.directives):
        raise InvalidInput("`nodes` takes no alias and no directive here", PATH)
    if PAGED & {one.name.value for one in root.arguments or ()}:
        raise InvalidInput("leave `first` and `after` out: all of the list is exported", PATH)
    first = _paged(document, query, root, _selected(PAGE_INFO) + _selected(COUNT))
    check_query(schema, first, PATH)  # the limits hold for what is added as well
    return BulkQuery(
        (root.alias or root.name).value,
        first,
        _paged(document, query, root, _selected(PAGE_INFO)),
        frozenset(permissions_of(schema, document)),
    )


def _selected(text: str) -> tuple[SelectionNode, ...]:
    (query,) = parse(text).definitions
    assert isinstance(query, OperationDefinitionNode)
    return tuple(query.selection_set.selections)


def _paged(
    document: DocumentNode,
    query: OperationDefinitionNode,
    root: FieldNode,
    more: tuple[SelectionNode, ...],
) -> str:
    """The document with a page of the list, and what tells of the next one."""
    assert root.selection_set is not None
    after = VariableNode(name=NameNode(value=AFTER))
    field = FieldNode(
        alias=root.alias,
        name=root.name,
        arguments=(
            *(root.arguments or ()),
            ArgumentNode(name=NameNode(value="first"), value=IntValueNode(value=str(MAX_PAGE))),
            ArgumentNode(name=NameNode(value="after"), value=after),
        ),
        directives=(),
        selection_set=SelectionSetNode(selections=(*root.selection_set.selections, *more)),
    )
    variable = VariableDefinitionNode(
        variable=after, type=NamedTypeNode(name=NameNode(value="String")), directives=()
    )
    paged = OperationDefinitionNode(
        operation=query.operation,
        name=query.name,
        variable_definitions=(*(query.variable_definitions or ()), variable),
        directives=query.directives,
        selection_set=SelectionSetNode(selections=(field,)),
    )
    rest = [one for one in document.definitions if one is not query]
    return print_ast(DocumentNode(definitions=(paged, *rest)))
