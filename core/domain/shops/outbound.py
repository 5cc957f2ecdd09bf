"""POSTs to merchants' servers: one try, and when the next one comes."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from core.sdk.large import httpx2
from core.sdk.outbound import NotPublic

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


async def post(
    client: "httpx2.AsyncClient", url: str, body: bytes, headers: Mapping[str, str]
) -> Answer:
    """POST a body once, by a client of `core.sdk.outbound`, which calls nobody inside.

    Only the head of the answer is read, so that its size does not matter.
    """
    started = monotonic()
    status, detail = None, None
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            status = answer.status_code
    except TimeoutError:
        detail = f"does not answer within {ANSWER_SECONDS:g} seconds"
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, KeyError) as error:
        detail = fault_in_words(error)
    return Answer(status, detail, int((monotonic() - started) * 1000))


def fault_in_words(error: Exception) -> str:
    """What is told of a server that was not reached, which is nothing of who else stands there."""
    if isinstance(error, NotPublic):
        return str(error)
    return f"cannot be reached: {getattr(error, 'strerror', None) or type(error).__name__}"


def retry_pause(attempts: int) -> timedelta:
    """How long to wait at most after so many attempts."""
    grown: timedelta = FIRST_PAUSE * 2 ** (attempts - 1)
    return min(grown, LAST_PAUSE)


def spread(pause: timedelta) -> timedelta:
    """The pause cut by up to a quarter: what failed together does not come back together."""
    return pause * random.uniform(0.75, 1)  # noqa: S311 - no secret
