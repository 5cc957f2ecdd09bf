"""Questions about the schema itself, for servers whose operator does not want them answered."""

from typing import Any

from graphql import DocumentNode, FieldNode, Visitor, visit

HIDDEN = ("__schema", "__type")


class _Questions(Visitor):
    asked = False

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.asked = self.asked or node.name.value in HIDDEN


def asks_for_schema(text: str, document: DocumentNode) -> bool:
    """Whether a document asks for more of the schema than names of types."""
    # the text tells quickly that nearly every document asks nothing of the kind
    if not any(name in text for name in HIDDEN):
        return False
    found = _Questions()
    visit(document, found)
    return found.asked
