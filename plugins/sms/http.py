"""The only file that opens connections: one HTTP call, and what its failure means."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from core.sdk import ReconnectNeeded, RetryLater, Unknown, outbound
from core.sdk.large import aiohttp, yarl
from plugins.sms.providers.protocol import BUSY

# shorter than core's patience with a call, so that it is us who know what was under way
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
IDLE_SECONDS = 10.0
CONNECTIONS = 50
MAX_BYTES = 4 * 1024**2
NOT_TAKEN = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Answered:
    """A provider's answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """What the body says; {} when it is no JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}


def connections() -> "aiohttp.ClientSession":
    """The connections of one session with providers."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, connect=CONNECT_SECONDS)
    return outbound.http_session(timeout, CONNECTIONS, IDLE_SECONDS)


class Caller:
    """Calls of one provider."""

    def __init__(self, provider: str, session: "aiohttp.ClientSession") -> None:
        self.provider = provider
        self._session = session

    async def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answered:
        """The provider's answer, whatever its status, save those that say nothing of the message.

        `url` is sent as it is. Raises RetryLater when the request certainly was not taken, Unknown
        when it may have been, ReconnectNeeded when the provider is not who it should be.
        """
        try:
            async with self._session.request(
                method,
                yarl.URL(url, encoded=True),
                headers=headers,
                data=body or None,
                allow_redirects=False,
            ) as response:
                answered = Answered(response.status, await outbound.body_of(response, MAX_BYTES))
        except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError) as error:
            raise ReconnectNeeded(
                f"the certificate of {self.provider} cannot be trusted: {error}"
            ) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            if cause := outbound.inside(error):
                raise ReconnectNeeded(f"the address of {self.provider} {cause}") from error
            raise RetryLater(
                f"cannot connect to {self.provider}: {error}", BUSY, self.provider
            ) from error
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            what = str(error) or type(error).__name__
            raise Unknown(f"{self.provider} did not answer: {what}", self.provider) from error
        if answered.status in NOT_TAKEN:
            raise RetryLater(f"{self.provider} answers {answered.status}", BUSY, self.provider)
        return answered

    def unclear(self, answered: Answered) -> Unknown:
        """An answer that says neither yes nor no."""
        return Unknown(f"{self.provider} answers {answered.status} without a code", self.provider)
