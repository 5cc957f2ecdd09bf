"""Calling a delivery service, and what is the same for all of them when it does not go well."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from core.sdk import OutsideError, ReconnectNeeded, Refused, RetryLater, Unknown, outbound
from core.sdk.large import aiohttp, loaded
from plugins.email.providers import Away

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 15.0
KEEP_SECONDS = 10.0
"""Shorter than services keep an idle connection: one that they close in our back loses a call."""
ANSWER_BYTES = 256 * 1024
TOO_MANY = 429


@dataclass(frozen=True)
class Answer:
    """What the service said."""

    status: int
    headers: Mapping[str, str]
    body: Any
    """The JSON value, or the text if it is none."""

    def told(self, *names: str) -> str:
        """The service's words: the first of these fields that there is, or the whole body."""
        if isinstance(self.body, Mapping):
            for name in names:
                if self.body.get(name):
                    return str(self.body[name])
        return str(self.body)[:500]


class Caller:
    """The connections to one service; opened with the first call."""

    def __init__(self, provider: str, endpoint: str, connections: int) -> None:
        self.provider = provider
        self.endpoint = endpoint.rstrip("/")
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        data: "bytes | aiohttp.FormData | None" = None,
    ) -> Answer:
        """The answer, of whatever status. Raises Away, ReconnectNeeded or Unknown."""
        await loaded(aiohttp)
        try:
            async with self._opened().request(
                method,
                self.endpoint + path,
                headers=headers,
                data=data,
                allow_redirects=False,
            ) as response:
                raw = await outbound.body_of(response, ANSWER_BYTES)
                return Answer(response.status, response.headers, _value(raw))
        except aiohttp.ClientConnectorError as error:
            if cause := outbound.inside(error):
                raise ReconnectNeeded(f"the address of {self.provider} {cause}") from None
            raise Away(f"{self.provider} cannot be reached: {error}", self.provider) from None
        except aiohttp.ConnectionTimeoutError:
            raise Away(f"{self.provider} cannot be reached in time", self.provider) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # the request may have been taken before the connection went
            reason = str(error) or type(error).__name__
            raise Unknown(f"{self.provider} did not answer: {reason}", self.provider) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> "aiohttp.ClientSession":
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=CONNECT_SECONDS + ANSWER_SECONDS,
                connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS,
            )  # fmt: skip
            self._session = outbound.http_session(timeout, self._connections, KEEP_SECONDS)
        return self._session


def failure(provider: str, answer: Answer, words: str) -> OutsideError:
    """What a status means that the service's own codes say nothing about."""
    said = f"{provider} answers {answer.status}: {words}"
    match answer.status:
        case 401 | 402 | 403 | 404:
            return ReconnectNeeded(said)
        case 429 | 503:
            return Away(said, provider, _pause(answer))
        case status if 400 <= status < 500:
            return Refused(said)
        case status if status >= 500:
            # the service failed while it had the message
            return Unknown(said, provider)
        case _:
            return Unknown(said, provider)


def later(provider: str, words: str, after: timedelta) -> RetryLater:
    """An allowance of the provider's is used up for a while."""
    return Away(f"{provider}: {words}", provider, after)


def _pause(answer: Answer) -> timedelta | None:
    try:
        seconds = float(answer.headers.get("retry-after", ""))
    except ValueError:
        return None
    return timedelta(seconds=min(seconds, 3600)) if seconds >= 0 else None


def _value(raw: bytes) -> Any:
    text = raw.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
