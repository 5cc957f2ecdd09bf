"""Calls to the gateway of the Taobao Open Platform: signed, counted, and their ends told apart."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import orjson

from core.clock import Clock
from core.sdk import Meter, ReconnectNeeded, RetryLater, Token
from core.sdk.answers import Row
from core.sdk.gateways import http_session, lost, post_form
from core.sdk.signing import sign
from plugins.taobao.answers import ApiError, unwrap
from plugins.taobao.faults import ClockOff, ban_of, meaning
from plugins.taobao.settings import TaobaoSettings
from plugins.taobao.tokens import check_class
from plugins.taobao.values import shown

SIGN_METHOD = "hmac-sha256"
SMALL_OFFSET = timedelta(seconds=60)
"""The gateway bears ten minutes; a smaller difference may be the network's."""


class Client:
    """The gateway for one app, and for one shop if there is a `token`."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        settings: TaobaoSettings,
        clock: Clock,
        token: Token | None = None,
        meter: Meter | None = None,
        offset: timedelta = timedelta(0),
    ) -> None:
        self.settings = settings
        self._http = http
        self._clock = clock
        self._token = token
        self._meter = meter
        self._offset = offset

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

    async def _call(self, api: str, params: Mapping[str, Any], write: bool) -> Row:
        if self._token is not None:
            check_class(self._token, api, self.now())
        try:
            return await self._once(api, params, write)
        except ClockOff:
            # the answer's own date has set our clock right, and nothing was done
            return await self._once(api, params, write)

    async def _once(self, api: str, params: Mapping[str, Any], write: bool) -> Row:
        if self._meter is not None:
            await self._meter.spend(api)
        form = self._signed(api, params)
        body, date = await post_form(self._http, self.settings.gateway, form, api, write)
        if date is not None:
            self._offset = date - self._clock()
        try:
            return unwrap(api, body)
        except ApiError as error:
            ban = ban_of(error, self.now())
            if ban is None:
                raise meaning(error, write) from None
            scope, pause = ban
            if self._meter is not None:
                await self._meter.ban(scope, pause.total_seconds())
            raise RetryLater(str(error), pause) from None
        except ValueError as error:
            raise lost(f"{api}: the answer cannot be read: {error}", write) from None

    def _signed(self, api: str, params: Mapping[str, Any]) -> dict[str, str]:
        key, secret = self.settings.app_key, self.settings.app_secret
        if key is None or secret is None:
            raise ReconnectNeeded(
                "the plugin's settings have no app_key and app_secret yet: fill them in"
            )
        form = {name: _written(value) for name, value in params.items() if value is not None}
        form |= {
            "method": api, "app_key": key, "timestamp": shown(self.now()), "v": "2.0",
            "format": "json", "sign_method": SIGN_METHOD,
        }  # fmt: skip
        if self._token is not None:
            form["session"] = self._token.access
        form["sign"] = sign(form, secret.get_secret_value(), SIGN_METHOD)
        return form


def _written(value: Any) -> str:
    """A parameter as the gateway wants it: objects as JSON, plain lists with commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return shown(value)
    if isinstance(value, list | tuple) and not any(isinstance(one, dict) for one in value):
        return ",".join(str(one) for one in value)
    if isinstance(value, dict | list | tuple):
        return orjson.dumps(value).decode()
    return str(value)


@asynccontextmanager
async def open_client(
    settings: TaobaoSettings,
    clock: Clock,
    token: Token | None = None,
    meter: Meter | None = None,
    offset: timedelta = timedelta(0),
) -> AsyncIterator[Client]:
    """A client with connections of its own."""
    async with http_session() as http:
        yield Client(http, settings, clock, token, meter, offset)
