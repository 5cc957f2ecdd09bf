"""Calling platforms: requests and forms over HTTP, and what accidents on the way mean."""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Generic, Self, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from core.clock import Clock
from core.sdk import outbound
from core.sdk.answers import Row
from core.sdk.connectors import Meter, Token, TokenOf
from core.sdk.errors import HuikeError, ReconnectNeeded, Refused, RetryLater, Unknown
from core.sdk.large import aiohttp, loaded

# shorter than core's patience with a call, so that it is us who know what was under way
SECONDS = 20.0
CONNECT_SECONDS = 5.0
MAX_BYTES = 64 * 1024**2

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

BAN = re.compile(r"(\d+)\s*(?:more\s*)?second")
LONG_BAN = timedelta(seconds=300)
SHORT_BAN = timedelta(seconds=60)
BEIJING = ZoneInfo("Asia/Shanghai")

SMALL_OFFSET = timedelta(seconds=60)
"""Gateways bear more; a smaller difference of the clocks may be the network's."""


S = TypeVar("S", bound=BaseModel)
"""The settings of the plugin."""
C = TypeVar("C")
"""A client."""


class ClockOff(RetryLater):
    """The gateway finds our timestamp too far from its clock."""


class GatewayError(Exception):
    """A gateway's refusal of a call, as it words it."""


@dataclass(frozen=True)
class Answer:
    """What a platform answered; names of `headers` are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class GatewayClient(ABC, Generic[S]):
    """Calls to one gateway for one app, and for one shop if there is a `token`.

    A call is counted, signed by the gateway's clock, and made once more if that was off.
    """

    def __init__(
        self,
        http: "aiohttp.ClientSession",
        settings: S,
        clock: Clock,
        token: Token | None = None,
        meter: Meter | None = None,
        offset: timedelta = timedelta(0),
    ) -> None:
        self.settings = settings
        self.token = token
        self._http = http
        self._clock = clock
        self._meter = meter
        self._offset = offset

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        settings: S,
        clock: Clock,
        token: Token | None = None,
        meter: Meter | None = None,
        offset: timedelta = timedelta(0),
    ) -> AsyncIterator[Self]:
        """A client with connections of its own."""
        await loaded(aiohttp)
        async with http_session() as http:
            yield cls(http, settings, clock, token, meter, offset)

    def now(self) -> datetime:
        """The platform's time, as far as we know it."""
        offset = self._offset if abs(self._offset) > SMALL_OFFSET else timedelta(0)
        return self._clock() + offset

    async def read(self, api: str, **params: Any) -> Row:
        """Ask something. Raises RetryLater, ReconnectNeeded, Refused or TooMuch."""
        return await self._call(api, params, write=False)

    async def write(self, api: str, **params: Any) -> Row:
        """Change something; never done twice. Raises what `read` does, and Unknown."""
        return await self._call(api, params, write=True)

    @abstractmethod
    def signed(self, api: str, params: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
        """The address of a call and its form. Raises ReconnectNeeded where it may not be made."""

    @staticmethod
    @abstractmethod
    def unwrap(api: str, body: bytes) -> Row:
        """What an answer holds. Raises a GatewayError, and ValueError where it is no answer."""

    @staticmethod
    @abstractmethod
    def ban_of(error: Any, now: datetime) -> tuple[str, timedelta] | None:
        """Whom an error shuts out, as `Meter.ban` has it, and how long; None if nobody."""

    @staticmethod
    @abstractmethod
    def meaning(error: Any, write: bool) -> Exception:
        """What an error of `unwrap` that is no ban means: ClockOff, or what a call raises."""

    async def _call(self, api: str, params: Mapping[str, Any], write: bool) -> Row:
        try:
            return await self._once(api, params, write)
        except ClockOff:
            # the answer's own date has set our clock right, and nothing was done
            return await self._once(api, params, write)

    async def _once(self, api: str, params: Mapping[str, Any], write: bool) -> Row:
        if self._meter is not None:
            await self._meter.spend(api)
        url, form = self.signed(api, params)
        body, date = await post_form(self._http, url, form, api, write)
        if date is not None:
            self._offset = date - self._clock()
        try:
            return self.unwrap(api, body)
        except GatewayError as error:
            ban = self.ban_of(error, self.now())
            if ban is None:
                raise self.meaning(error, write) from None
            scope, pause = ban
            if self._meter is not None:
                await self._meter.ban(scope, pause.total_seconds())
            raise RetryLater(str(error), pause) from None
        except ValueError as error:
            raise lost(f"{api}: the answer cannot be read: {error}", write) from None


class ShopClients(Generic[C]):
    """Clients for the shops of a merchant, made as they are asked for."""

    def __init__(self, make: Callable[[Token], C], token_of: TokenOf) -> None:
        self._make = make
        self._token_of = token_of
        self._made: dict[int, C] = {}

    async def of(self, shop_id: int | None) -> C:
        """The client for a shop. Raises Refused without one, ReconnectNeeded without a token."""
        if shop_id is None:
            raise Refused("nobody says in which shop the buyer is known by this id")
        if shop_id not in self._made:
            try:
                self._made[shop_id] = self._make(await self._token_of(shop_id))
            except HuikeError as error:
                raise ReconnectNeeded(error.message) from None
        return self._made[shop_id]


def check_address(value: str) -> str:
    """An address that tokens may travel to. Raises ValueError for another."""
    parts = urlsplit(value)
    if not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an address without query, such as https://host/path")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError("must start with https://, since tokens travel there")
    return value


def http_session() -> "aiohttp.ClientSession":
    """Connections to a gateway, with the patience that we have with it."""
    timeout = aiohttp.ClientTimeout(total=SECONDS, connect=CONNECT_SECONDS)
    return outbound.http_session(timeout)


async def ask(
    http: "aiohttp.ClientSession",
    method: str,
    url: str,
    api: str,
    write: bool = False,
    **parts: Any,
) -> Answer:
    """What a platform answers, whatever the status; `parts` of the request are aiohttp's.

    Raises RetryLater, ReconnectNeeded for an address inside, and for a `write` whose end we did not
    see Unknown.
    """
    try:
        async with http.request(method, url, allow_redirects=False, **parts) as answer:
            return Answer(answer.status, answer.headers, await outbound.body_of(answer, MAX_BYTES))
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        if cause := outbound.inside(error):
            raise ReconnectNeeded(f"the platform's address {cause}") from None
        raise RetryLater(f"the platform cannot be reached: {error}") from None
    except (TimeoutError, aiohttp.ClientError) as error:
        raise lost(f"{api}: {str(error) or type(error).__name__}", write) from None


async def post_form(
    http: "aiohttp.ClientSession", url: str, form: Mapping[str, str], api: str, write: bool
) -> tuple[bytes, datetime | None]:
    """What the gateway answers, and its clock's time if it tells.

    Raises RetryLater, and for a `write` whose end we did not see Unknown.
    """
    answer = await ask(http, "POST", url, api, write, data=form)
    if answer.status != 200:
        raise lost(f"{api}: the gateway answered HTTP {answer.status}", write)
    return answer.body, _date(answer.headers.get("Date"))


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
