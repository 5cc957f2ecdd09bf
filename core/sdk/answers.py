"""Reading what platforms answer: values, lists, and rows as records."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

import orjson

from core.sdk.connectors import Broken, Page, Record
from core.sdk.errors import Refused

Row = Mapping[str, Any]

SENSELESS = (KeyError, ValueError, TypeError, AttributeError)
"""How reading a row fails that makes no sense."""


def text(value: Any) -> str | None:
    """A value as text: ids come as numbers in one API and as text in another."""
    return None if value is None or value == "" else str(value)


def number(value: Any) -> int | None:
    """A count that may come as text. Raises ValueError."""
    return None if value is None or value == "" else int(value)


def moment(value: Any, zone: tzinfo = UTC) -> datetime | None:
    """An instant of "2026-01-01 12:00:00", or with a T; of `zone` unless it names an offset itself.

    Raises ValueError.
    """
    if value is None or value == "":
        return None
    told = datetime.fromisoformat(str(value))
    return told.replace(tzinfo=zone) if told.tzinfo is None else told


def flag(value: Any) -> bool:
    """A boolean that may come as text."""
    return value is True or value == "true"


def rows(answer: Row, key: str) -> list[Any]:
    """A list in an answer: plain, inside an object of one key, or left out when it is empty."""
    found = answer.get(key)
    if isinstance(found, dict):
        inner = [value for value in found.values() if isinstance(value, list)]
        found = inner[0] if len(inner) == 1 else None
    return found if isinstance(found, list) else []


def page(
    found: Sequence[Row], name: str, read: Callable[[Row], Record], total: int | None = None
) -> Page:
    """A page of records; `name` is the field of a row's id. A row that makes no sense is broken."""
    records, broken = [], []
    for row in found:
        try:
            records.append(read(row))
        except SENSELESS as error:
            broken.append(
                Broken(text(row.get(name)) or "", _why(error), orjson.dumps(row).decode())
            )
    return Page(records, total, broken)


def one(row: Row, read: Callable[[Row], Record]) -> Sequence[Record]:
    """The record of a row that was asked for; nothing if there is none. Raises Refused."""
    if not row:
        return []
    try:
        return [read(row)]
    except SENSELESS as error:
        raise Refused(f"what the platform tells makes no sense: {_why(error)}") from None


def _why(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
