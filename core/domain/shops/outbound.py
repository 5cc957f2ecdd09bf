"""POSTs to merchants' servers, which never become a tool against servers that only we can reach."""

import asyncio
import ipaddress
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

import httpx2

ANSWER_SECONDS = 10.0
FIRST_PAUSE = timedelta(seconds=30)
LAST_PAUSE = timedelta(hours=4)
MAX_ATTEMPTS = 15
"""With the growing pauses in between about a day."""


@dataclass(frozen=True)
class Answer:
    """What a server answered; `status` is None when it did not, and `detail` says why."""

    status: int | None
    detail: str | None = None
    milliseconds: int = 0

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def outbound_client() -> httpx2.AsyncClient:
    """A client for `post`: follows nothing, takes no proxy, and keeps no connection.

    A kept one was verified for one name, and another name may lead to the same address.
    """
    return httpx2.AsyncClient(
        timeout=ANSWER_SECONDS, follow_redirects=False, trust_env=False,
        limits=httpx2.Limits(max_keepalive_connections=0),
    )  # fmt: skip


async def post(
    client: httpx2.AsyncClient,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    allow_private: bool = False,
) -> Answer:
    """POST a body once. Addresses that are not public are not called, unless `allow_private`.

    Only the head of the answer is read, so that its size does not matter.
    """
    started = monotonic()
    status, detail = None, None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            target = httpx2.URL(url)
            host = target.raw_host.decode()
            port = target.port or {"http": 80, "https": 443}[target.scheme]
            address = await address_of(host, port, allow_private)
            if address is None:
                return Answer(None, "is not on a public address")
            async with client.stream(
                "POST", target.copy_with(host=address), content=body,
                headers={**headers, "Host": target.netloc.decode()},
                extensions={"sni_hostname": host},
            ) as answer:  # fmt: skip
                status = answer.status_code
    except TimeoutError:
        detail = f"does not answer within {ANSWER_SECONDS:g} seconds"
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, KeyError) as error:
        detail = f"cannot be reached: {getattr(error, 'strerror', None) or type(error).__name__}"
    return Answer(status, detail, int((monotonic() - started) * 1000))


async def address_of(host: str, port: int, allow_private: bool = False) -> str | None:
    """One address of a host, or None where any of them is not public.

    Connect to this very address: the name could lead elsewhere a moment later.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port)
    addresses = [str(entry[4][0]) for entry in found]
    if not allow_private and not all(_is_public(address) for address in addresses):
        return None
    return addresses[0]


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return mapped.is_global and not mapped.is_multicast


def retry_pause(attempts: int) -> timedelta:
    """How long to wait at most after so many attempts."""
    grown: timedelta = FIRST_PAUSE * 2 ** (attempts - 1)
    return min(grown, LAST_PAUSE)


def spread(pause: timedelta) -> timedelta:
    """The pause cut by up to a quarter: what failed together does not come back together."""
    return pause * random.uniform(0.75, 1)  # noqa: S311 - no secret
