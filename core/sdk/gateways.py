"""Calling the gateways of platforms: forms over HTTP, and what accidents on the way mean."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import aiohttp

from core.sdk.errors import RetryLater, Unknown

# shorter than core's patience with a call, so that it is us who know what was under way
SECONDS = 20.0
CONNECT_SECONDS = 5.0

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

BAN = re.compile(r"(\d+)\s*(?:more\s*)?second")
LONG_BAN = timedelta(seconds=300)
SHORT_BAN = timedelta(seconds=60)
BEIJING = ZoneInfo("Asia/Shanghai")


def check_address(value: str) -> str:
    """An address that tokens may travel to. Raises ValueError for another."""
    parts = urlsplit(value)
    if not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an address without query, such as https://host/path")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError("must start with https://, since tokens travel there")
    return value


def http_session() -> aiohttp.ClientSession:
    """Connections to a gateway, with the patience that we have with it."""
    timeout = aiohttp.ClientTimeout(total=SECONDS, connect=CONNECT_SECONDS)
    return aiohttp.ClientSession(timeout=timeout)


async def post_form(
    http: aiohttp.ClientSession, url: str, form: Mapping[str, str], api: str, write: bool
) -> tuple[bytes, datetime | None]:
    """What the gateway answers, and its clock's time if it tells.

    Raises RetryLater, and for a `write` whose end we did not see Unknown.
    """
    try:
        async with http.post(url, data=form, allow_redirects=False) as answer:
            body = await answer.read()
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise RetryLater(f"the gateway cannot be reached: {error}") from None
    except (TimeoutError, aiohttp.ClientError) as error:
        raise lost(f"{api}: {str(error) or type(error).__name__}", write) from None
    if answer.status != 200:
        raise lost(f"{api}: the gateway answered HTTP {answer.status}", write)
    return body, _date(answer.headers.get("Date"))


def _date(told: str | None) -> datetime | None:
    try:
        at = None if told is None else parsedate_to_datetime(told)
    except (ValueError, TypeError):
        return None
    return at if at is not None and at.tzinfo is not None else None


def lost(reason: str, write: bool) -> RetryLater | Unknown:
    """What is to be said of a call whose end we did not see."""
    return Unknown(reason) if write else RetryLater(reason)


def ban_length(message: str, now: datetime) -> timedelta:
    """How long a ban lasts that names its seconds: those, and one more.

    A long one is of a day's quota, which is back at midnight in Beijing.
    """
    named = BAN.search(message)
    pause = timedelta(seconds=int(named[1]) + 1) if named else SHORT_BAN
    if pause <= LONG_BAN and "daily" not in message.lower():
        return pause
    today = now.astimezone(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1) - now
