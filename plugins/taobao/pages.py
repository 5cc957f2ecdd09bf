"""Rows of the platform as records, and what is set aside of them."""

from collections.abc import Callable, Sequence

import orjson

from core.sdk import Broken, Page, Record, Refused
from plugins.taobao.values import Row, text


def page(
    found: Sequence[Row], name: str, read: Callable[[Row], Record], total: int | None = None
) -> Page:
    """A page of records; `name` is the field of a row's id. A row that makes no sense is broken."""
    records, broken = [], []
    for row in found:
        try:
            records.append(read(row))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
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
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Refused(f"what the platform tells makes no sense: {_why(error)}") from None


def _why(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
