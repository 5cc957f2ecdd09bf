"""Contact data: shown to tokens with the right of its kind, masked for all others, and counted."""

import strawberry

from core.domain.customers.masking import Kind
from core.schema.context import Context


@strawberry.type(
    description="Contact data; masked for tokens without the right of its kind, such as PII_PHONE."
)
class Contact:
    value: str
    redacted: bool


def shown(context: Context, kind: Kind, value: str, person: int) -> Contact:
    """A person's contact data as this caller may see it; `person` tells people apart."""
    return Contact(
        value=shown_text(context, kind, value, person),
        redacted=not context.may(kind.permission),
    )


def shown_text(context: Context, kind: Kind, value: str, person: int) -> str:
    """The text alone.

    Every resolver that shows contact data goes through here: what is shown in the clear is
    counted, and an operation that shows more than one person's is audited.
    """
    if not context.may(kind.permission):
        return kind.mask(value)
    context.saw(kind.name, person)
    return value
