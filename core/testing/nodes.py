"""Checks that whatever a plugin shows with an id is found by it."""

from collections.abc import Collection

from graphql import GraphQLID, GraphQLNonNull, is_object_type

from core.registry import Registry
from core.schema.build import build_schema
from core.schema.nodes import NO_NODES, NODES, OF_CALLERS


class NodeFault(AssertionError):
    """A type whose objects have ids that find nothing; the message says what to change."""


def check_nodes(registry: Registry, besides: Collection[str] = ()) -> None:
    """Raises NodeFault for an object type with `id: ID!` whose objects `node` does not find.

    `besides` names types that may be so, because their id is that of another object.
    """
    types = build_schema(registry)._schema.type_map
    found = {*NODES, *OF_CALLERS, *registry.node_types}
    for name, kind in types.items():
        if not is_object_type(kind) or "id" not in kind.fields:
            continue
        id = kind.fields["id"].type
        if not isinstance(id, GraphQLNonNull) or id.of_type is not GraphQLID:
            continue
        if name not in found and name not in NO_NODES and name not in besides:
            raise NodeFault(
                f"{name} has an id by which nobody finds it: enter it in the hook node_types"
            )
        if name in found and types["Node"] not in kind.interfaces:
            raise NodeFault(f"{name} is found by its id: let it implement Node")
