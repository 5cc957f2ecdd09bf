"""Contact data: shown to tokens with the right of its kind, masked for all others, and counted."""

from collections.abc import Callable
from typing import Any

import strawberry

from core.domain.customers.masking import Kind
from core.schema.context import Context, Info
from core.schema.rows import prepared


@strawberry.type(
    description="Contact data; masked for tokens without the right of its kind, such as PII_PHONE."
)
class Contact:
    value: str
    redacted: bool


def shown(context: Context, kind: Kind, value: str, person: int) -> Contact:
    """A person's contact data as this caller may see it; `person` tells people apart."""
    return Contact(
        value=showing(context, kind)(value, person),
        redacted=not context.may(kind.permission),
    )


def showing(context: Context, kind: Kind) -> Callable[[str, int], str]:
    """What this caller may see of a kind's texts, each given with the person that it is of.

    Every resolver that shows contact data goes through here: what is shown in the clear is
    counted, and an operation that shows more than one person's is audited.
    """
    if not context.may(kind.permission):
        return lambda value, _: kind.mask(value)
    note = context.noting(kind.name)

    def show(value: str, person: int) -> str:
        note(person)
        return value

    return show


def contact_column(name: str, kind: Kind, **options: Any) -> Any:
    """A field that is a column of contact data, of the person whose row it is."""

    def prepare(info: Info) -> Callable[[Any], str | None]:
        show = showing(info.context, kind)

        def read(row: Any) -> str | None:
            text = row[name]
            return show(text, row["id"]) if text else None

        return read

    return prepared(prepare, name, **options)
