"""Questions about the schema itself, for servers whose operator does not want them answered."""

from collections.abc import Iterator
from typing import Any

from graphql import FieldNode, GraphQLError, Visitor, visit
from strawberry.extensions import SchemaExtension

from core.schema.errors import FORBIDDEN

HIDDEN = ("__schema", "__type")


class _Questions(Visitor):
    asked = False

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.asked = self.asked or node.name.value in HIDDEN


class LimitIntrospection(SchemaExtension):
    """Refuses introspection where the settings say so, before the document is validated."""

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        settings = context.context.installation.settings
        # the text tells quickly that nearly every document asks nothing of the kind
        if not settings.introspection and any(name in (context.query or "") for name in HIDDEN):
            found = _Questions()
            assert context.graphql_document is not None
            visit(context.graphql_document, found)
            if found.asked:
                message = "introspection is switched off on this server"
                error = GraphQLError(message, extensions={"code": FORBIDDEN})
                context.pre_execution_errors = [error]
        yield
