"""Events put in the outbox by SQL: those of a unit of work, and those that a statement makes itself
because what they tell of is too large to be read first."""

from dataclasses import fields

from core.sdk.events import Event


def insert_events(rows: str, order: str) -> str:
    """An INSERT of events of the merchant $1 into the outbox.

    `rows` is a SELECT of `type`, `payload` (jsonb) and `at` (timestamptz), and of the columns that
    `order` names: subscribers are told in this order. Whoever runs it rings for the outbox.
    """
    return f"""INSERT INTO outbox_events
            (merchant_id, type, payload, created_at, next_at, handled_by, attempts)
        SELECT $1, e.type, e.payload, e.at, e.at, '[]', 0 FROM ({rows}) e ORDER BY {order}"""


def payload(event: type[Event], **values: str) -> str:
    """The payload of such an event as an SQL expression.

    A field is the column of its name, or what is given for it in SQL. Raises TypeError when
    something is given for a field that the class does not have.
    """
    names = [one.name for one in fields(event)]  # type: ignore[arg-type]  # they are dataclasses
    if unknown := values.keys() - names:
        raise TypeError(f"{event.__name__} has no {', '.join(sorted(unknown))}")
    pairs = ", ".join(f"'{name}', {values.get(name, name)}" for name in names)
    return f"jsonb_build_object({pairs})"
