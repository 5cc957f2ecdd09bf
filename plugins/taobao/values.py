"""How the platform writes things: ids as text or number, yuan as text, times of GMT+8."""

from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from core.sdk import answers
from core.sdk.money import read_minor

ZONE = timezone(timedelta(hours=8))
"""The platform's time, the whole year round."""
TIME = "%Y-%m-%d %H:%M:%S"
CURRENCY = "CNY"

moment = partial(answers.moment, zone=ZONE)


def fen(yuan: Any) -> int | None:
    """Minor units of an amount such as "200.07", exactly. Raises ValueError."""
    return None if yuan is None or yuan == "" else read_minor(yuan, CURRENCY)


def shown(at: datetime) -> str:
    """An instant as the platform wants it."""
    return at.astimezone(ZONE).strftime(TIME)
