"""Whether a link answers."""

import asyncio

from core.domain.shops.outbound import fault_in_words
from core.sdk.large import httpx2
from core.sdk.outbound import http_client

SECONDS = 4.0
ANSWERED = frozenset({401, 403, 405, 429, 501})
"""Refusals that only say that a program does not get the page."""


async def fault_of(url: str) -> str | None:
    """Why a link seems broken, by one HEAD request that follows nothing; None if it answers.

    Nobody inside is asked.
    """
    headers = {"User-Agent": "huike-link-check", "Accept": "*/*"}
    try:
        async with asyncio.timeout(SECONDS), http_client(SECONDS) as client:
            status = (await client.head(url, headers=headers)).status_code
    except TimeoutError:
        return f"does not answer within {SECONDS:g} seconds"
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, KeyError) as error:
        return fault_in_words(error)
    return f"answers {status}" if status >= 400 and status not in ANSWERED else None
