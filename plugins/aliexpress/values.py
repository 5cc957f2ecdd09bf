"""How the platform writes things: US Pacific times, money as objects or as US cents."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from core.sdk import Window, to_minor
from core.sdk.answers import Row
from core.sdk.money import read_minor

ZONE = ZoneInfo("America/Los_Angeles")
"""The platform's time, with its daylight saving."""
TIME = "%Y-%m-%d %H:%M:%S"
US_TIME = "%m/%d/%Y %H:%M:%S"
USD = "USD"


def moment(value: Any, form: str = TIME, fold: int = 0) -> datetime | None:
    """An instant of "2025-12-31 20:00:00". Raises ValueError.

    Of the hour that comes twice in autumn it is the first, with a `fold` of 1 the second. The hour
    that spring leaves out is taken as winter time.
    """
    if value is None or value == "":
        return None
    told = datetime.strptime(str(value), form).replace(tzinfo=ZONE)
    if _utc(told) < _utc(told.replace(fold=1)):
        told = told.replace(fold=fold)
    return _utc(told)


def changed(value: Any, now: datetime) -> datetime | None:
    """When something was changed, as `moment`, but of two hours the second unless it is to come.

    So a later change never seems older than one that was seen before it.
    """
    second = moment(value, fold=1)
    return second if second is None or second <= now else moment(value)


def shown(at: datetime) -> str:
    """An instant as the platform wants it."""
    return at.astimezone(ZONE).strftime(TIME)


def span(window: Window) -> tuple[str, str]:
    """Both ends of a window as the platform wants them.

    An end in the hour that comes twice would be taken for the other one: the window is made so
    long that it holds both.
    """
    start, end = window.start.astimezone(ZONE), window.end.astimezone(ZONE)
    if _is_twice(start):
        start = start.replace(hour=0, minute=59, second=59, fold=0)
    if _is_twice(end):
        end = end.replace(hour=2, minute=0, second=0, fold=0)
    return start.strftime(TIME), end.strftime(TIME)


def _is_twice(local: datetime) -> bool:
    return _utc(local.replace(fold=0)) < _utc(local.replace(fold=1))


def _utc(local: datetime) -> datetime:
    return local.astimezone(UTC)


def money(value: Any) -> tuple[int, str] | None:
    """Minor units and currency of {amount, currency_code} or {cent, cent_factor, ...}.

    Raises ValueError.
    """
    if not value:
        return None
    row: Row = value
    currency = str(row["currency_code"])
    if row.get("amount") not in (None, ""):
        return read_minor(row["amount"], currency), currency
    try:
        amount = Decimal(str(row["cent"])) / Decimal(str(row["cent_factor"]))
    except (InvalidOperation, ZeroDivisionError):
        raise ValueError(f"{value!r} is no amount") from None
    return to_minor(amount, currency), currency
