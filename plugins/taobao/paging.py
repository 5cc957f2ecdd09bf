"""Reading lists that are sorted newest first and shift while they are read."""

from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.sdk import TooMuch, paging
from core.sdk.answers import Row, flag, number, rows
from plugins.taobao.client import Client


@dataclass(frozen=True)
class Listing:
    """How one API gives a list out.

    `key` is what makes a row the same row. `cap` is how many rows a window may have before the
    platform leaves some out. With `switch` the API can be told to leave the counting, which is
    cheaper for the platform and fails less.
    """

    api: str
    rows: str
    key: Callable[[Row], Hashable]
    size: int
    page: str = "page_no"
    total: str = "total_results"
    cap: int | None = None
    switch: bool = True


async def backwards(
    client: Client, listing: Listing, params: Mapping[str, Any]
) -> AsyncIterator[tuple[Sequence[Row], int]]:
    """Every row of a window, and how many there are, as core.sdk.paging reads it.

    Raises TooMuch and RetryLater.
    """

    async def ask(page: int, counted: bool) -> tuple[Sequence[Row], int]:
        answer = await client.read(listing.api, **params, **_place(listing, page, counted))
        total = number(answer.get(listing.total)) or 0
        if counted and listing.cap is not None and total >= listing.cap:
            raise TooMuch(f"{listing.api}: {total} rows, the platform gives out {listing.cap}")
        return rows(answer, listing.rows), total

    async for found in paging.backwards(ask, listing.key, listing.size, listing.api):
        yield found


async def forwards(
    client: Client, listing: Listing, params: Mapping[str, Any]
) -> AsyncIterator[Sequence[Row]]:
    """Every row of a window in which rows can only be added, before those already read."""
    page = 1
    while True:
        answer = await client.read(listing.api, **params, **_place(listing, page, counted=False))
        yield rows(answer, listing.rows)
        if not flag(answer.get("has_next")):
            return
        page += 1


def _place(listing: Listing, page: int, counted: bool) -> dict[str, Any]:
    place: dict[str, Any] = {listing.page: page, "page_size": listing.size}
    return place | {"use_has_next": not counted} if listing.switch else place
