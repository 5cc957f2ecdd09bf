"""How the platform writes things: ids as text or number, yuan as text, times of GMT+8."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from core.sdk import to_minor

Row = Mapping[str, Any]

ZONE = timezone(timedelta(hours=8))
"""The platform's time, the whole year round."""
TIME = "%Y-%m-%d %H:%M:%S"
CURRENCY = "CNY"


def text(value: Any) -> str | None:
    """A value as text: ids come as numbers in one API and as text in another."""
    return None if value is None or value == "" else str(value)


def fen(yuan: Any) -> int | None:
    """Minor units of an amount such as "200.07", exactly. Raises ValueError."""
    if yuan is None or yuan == "":
        return None
    try:
        return to_minor(Decimal(str(yuan)), CURRENCY)
    except InvalidOperation:
        raise ValueError(f"{yuan!r} is no amount") from None


def moment(value: Any) -> datetime | None:
    """An instant of "2026-01-01 12:00:00". Raises ValueError."""
    if value is None or value == "":
        return None
    return datetime.strptime(str(value), TIME).replace(tzinfo=ZONE)


def shown(at: datetime) -> str:
    """An instant as the platform wants it."""
    return at.astimezone(ZONE).strftime(TIME)


def number(value: Any) -> int | None:
    """A count that may come as text."""
    return None if value is None or value == "" else int(value)


def flag(value: Any) -> bool:
    """A boolean that may come as text."""
    return value is True or value == "true"
