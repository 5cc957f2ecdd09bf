"""Reading lists that are sorted newest first and shift while they are read."""

from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.sdk import RetryLater, TooMuch
from plugins.taobao.answers import rows
from plugins.taobao.client import Client
from plugins.taobao.values import Row, flag, number

WALKS = 3
"""So often a list that does not hold still is read before we come back later."""


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
    """Every row of a window, and how many there are; pages from the last to the first.

    A row that leaves the window moves the others towards the first page, where they are still to
    be read; read from the front, they would be missed. A row that turns up late moves others to
    pages that were read already: then fewer came than the list counts, and it is read again.
    Rows may come twice. Raises TooMuch and RetryLater.
    """
    for _ in range(WALKS):
        first, total = await _counted(client, listing, params)
        if listing.cap is not None and total >= listing.cap:
            raise TooMuch(f"{listing.api}: {total} rows, the platform gives out {listing.cap}")
        seen: set[Hashable] = set()
        if total > listing.size:
            for page in range(-(-total // listing.size), 1, -1):
                found = await _uncounted(client, listing, params, page)
                seen.update(map(listing.key, found))
                yield found, total
            first, total = await _counted(client, listing, params)
        seen.update(map(listing.key, first))
        yield first, total
        if len(seen) >= total:
            return
    raise RetryLater(f"{listing.api}: the list changed each time it was read")


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


async def _counted(
    client: Client, listing: Listing, params: Mapping[str, Any]
) -> tuple[Sequence[Row], int]:
    answer = await client.read(listing.api, **params, **_place(listing, 1, counted=True))
    return rows(answer, listing.rows), number(answer.get(listing.total)) or 0


async def _uncounted(
    client: Client, listing: Listing, params: Mapping[str, Any], page: int
) -> Sequence[Row]:
    answer = await client.read(listing.api, **params, **_place(listing, page, counted=False))
    return rows(answer, listing.rows)


def _place(listing: Listing, page: int, counted: bool) -> dict[str, Any]:
    place: dict[str, Any] = {listing.page: page, "page_size": listing.size}
    return place | {"use_has_next": not counted} if listing.switch else place
