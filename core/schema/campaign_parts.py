"""Small types of campaigns that several files use: the class of a message, and its content."""

from enum import Enum
from typing import Any

import strawberry

from core.sdk.errors import InvalidInput


@strawberry.enum(description="Marketing needs consent and carries an unsubscribe link.")
class MessageClass(Enum):
    MARKETING = "marketing"
    SERVICE = "service"


@strawberry.type(description="One part of a message, a Liquid template.")
class ContentPart:
    field: str
    text: str


@strawberry.input
class ContentPartInput:
    field: str
    text: str


def parts(content: Any) -> list[ContentPart]:
    return [ContentPart(field=name, text=text) for name, text in content.items()]


def content_of(given: list[ContentPartInput]) -> dict[str, str]:
    """The parts by name. Raises InvalidInput for one that comes twice."""
    made = {part.field: part.text for part in given}
    if len(made) < len(given):
        raise InvalidInput("each part of the content comes once", ("input", "content"))
    return made
