"""Calls to a store's REST API: counted, and what its answers mean."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, Self

import orjson

from core.sdk import Meter, ReconnectNeeded, Refused, RetryLater
from core.sdk.answers import Row
from core.sdk.gateways import Answer, ask, check_address, http_session
from core.sdk.large import aiohttp, loaded, yarl

PAUSE = 60
"""Seconds that an overloaded store is left alone if it names none."""
OURS = "woocommerce_rest_"
"""How the codes of WooCommerce's own refusals begin; others are those of servers before it."""


@dataclass(frozen=True)
class Access:
    """A store's address, and a key that was made in it."""

    address: str
    key: str
    secret: str

    @classmethod
    def of(cls, written: str) -> Self:
        """From "https://ck_…:cs_…@shop.example". Raises ReconnectNeeded."""
        try:
            url = yarl.URL(written)
            address = check_address(str(url.with_user(None))).rstrip("/")
        except ValueError as error:
            raise ReconnectNeeded(f"this is no store's address: {error}") from None
        if not url.user or not url.password:
            raise ReconnectNeeded("write the key into the address: https://ck_…:cs_…@shop.example")
        return cls(address, url.user, url.password)


class Client:
    """The API of one store."""

    def __init__(self, http: "aiohttp.ClientSession", access: Access, meter: Meter | None) -> None:
        self._http = http
        self._access = access
        self._meter = meter

    @classmethod
    @asynccontextmanager
    async def opened(cls, access: Access, meter: Meter | None = None) -> AsyncIterator[Self]:
        """A client with connections of its own."""
        await loaded(aiohttp)
        async with http_session() as http:
            yield cls(http, access, meter)

    async def about(self) -> Row:
        """What the store tells everybody of itself."""
        told: Row = self._read(await self._get("", {}), "the store")
        return told

    async def one(self, path: str) -> Row | None:
        """An entity; None if there is none. Raises RetryLater, ReconnectNeeded or Refused."""
        answer = await self._get(f"wc/v3/{path}", {})
        if answer.status == 404 and _code(answer).endswith("_invalid_id"):
            return None
        told: Row = self._read(answer, path)
        return told

    async def some(self, path: str, **query: str | int) -> tuple[list[Row], int]:
        """A page of a list, and how many entities the whole list has. Raises what `one` does."""
        answer = await self._get(f"wc/v3/{path}", query)
        told: list[Row] = self._read(answer, path)
        total = answer.headers.get("X-WP-Total", "")
        if not total.isdecimal():
            raise Refused(f"{path}: a server before the store takes the header X-WP-Total away")
        return told, int(total)

    async def _get(self, path: str, query: Mapping[str, str | int]) -> Answer:
        if self._meter is not None:
            await self._meter.spend(path.partition("?")[0] or "index")
        access = self._access
        answer = await ask(
            self._http, "GET", f"{access.address}/wp-json/{path}", path, params=query,
            headers={"Authorization": aiohttp.encode_basic_auth(access.key, access.secret)},
        )  # fmt: skip
        if answer.status in (429, 503) and self._meter is not None:
            await self._meter.ban("shop", _pause(answer))
        return answer

    def _read(self, answer: Answer, what: str) -> Any:
        """What an answer holds. Raises RetryLater, ReconnectNeeded, Refused."""
        if answer.status != 200:
            _refuse(answer, what)
        try:
            return orjson.loads(answer.body)
        except ValueError as error:
            raise RetryLater(f"{what}: the answer cannot be read: {error}") from None


def _refuse(answer: Answer, what: str) -> NoReturn:
    said = f"{what}: the store answers {answer.status} {_told(answer).get('message') or ''}".strip()
    if 300 <= answer.status < 400:
        raise Refused(f"{said}; it is at another address: {answer.headers.get('Location')}")
    if answer.status in (429, 503):
        raise RetryLater(said, timedelta(seconds=_pause(answer)))
    if answer.status == 401 or (answer.status == 403 and _code(answer).startswith(OURS)):
        raise ReconnectNeeded(f"the key does not hold, or may not read orders: {said}")
    if answer.status == 403 or answer.status >= 500:
        raise RetryLater(said)
    raise Refused(said)


def _told(answer: Answer) -> Row:
    try:
        told = orjson.loads(answer.body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _code(answer: Answer) -> str:
    return str(_told(answer).get("code") or "")


def _pause(answer: Answer) -> int:
    named = answer.headers.get("Retry-After", "")
    return int(named) if named.isdecimal() and len(named) < 6 else PAUSE
