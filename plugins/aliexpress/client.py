"""Calls to the gateway of AliExpress in its three shapes: signed, counted, their ends told."""

import re
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
from plugins.aliexpress.answers import ApiError, unwrap
from plugins.aliexpress.faults import ClockOff, ban_of, meaning
from plugins.aliexpress.settings import AliExpressSettings

SIGN_METHOD = "sha256"
SMALL_OFFSET = timedelta(seconds=60)
"""The gateway bears two hours; a smaller difference may be the network's."""
PLACE = re.compile(r"\{(\w+)\}")
"""A part of a path that a parameter fills."""


class Client:
    """The gateway for one app, and for one shop if there is a `token`."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        settings: AliExpressSettings,
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
        """Ask something. Raises RetryLater, ReconnectNeeded or Refused."""
        return await self._call(api, params, write=False)

    async def write(self, api: str, **params: Any) -> Row:
        """Change something; never done twice. Raises what `read` does, and Unknown."""
        return await self._call(api, params, write=True)

    async def _call(self, api: str, params: Mapping[str, Any], write: bool) -> Row:
        try:
            return await self._once(api, params, write)
        except ClockOff:
            # the answer's own date has set our clock right, and nothing was done
            return await self._once(api, params, write)

    async def _once(self, api: str, params: Mapping[str, Any], write: bool) -> Row:
        if self._meter is not None:
            await self._meter.spend(api)
        url, form = self._signed(api, params)
        body, date = await post_form(self._http, url, form, api, write)
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

    def _signed(self, api: str, params: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        """The address of a call and its form, in the API's shape."""
        key, secret = self.settings.app_key, self.settings.app_secret
        if key is None or secret is None:
            raise ReconnectNeeded(
                "the plugin's settings have no app_key and app_secret yet: fill them in"
            )
        form = {name: _written(value) for name, value in params.items() if value is not None}
        shape, token_name, prefix = self.settings.shape(api), "access_token", ""
        if shape == "business":
            token_name, url = self.settings.token_name, f"{self.settings.gateway}/sync"
            form |= {"method": api, "v": "2.0", "format": "json", "simplify": "true"}
        else:
            prefix = "/" + PLACE.sub(lambda found: form.pop(found[1]), api).lstrip("/")
            version = "/2.0" if shape == "rest2" else ""
            url = f"{self.settings.gateway}/rest{version}{prefix}"
        form |= {
            "app_key": key, "sign_method": SIGN_METHOD,
            "timestamp": str(int(self.now().timestamp() * 1000)),
        }  # fmt: skip
        if self._token is not None:
            form[token_name] = self._token.access
        form["sign"] = sign(form, secret.get_secret_value(), SIGN_METHOD, prefix)
        return url, form


def _written(value: Any) -> str:
    """A parameter as the gateway wants it: objects and lists as compact JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


@asynccontextmanager
async def open_client(
    settings: AliExpressSettings,
    clock: Clock,
    token: Token | None = None,
    meter: Meter | None = None,
    offset: timedelta = timedelta(0),
) -> AsyncIterator[Client]:
    """A client with connections of its own."""
    async with http_session() as http:
        yield Client(http, settings, clock, token, meter, offset)
