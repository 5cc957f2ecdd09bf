"""Reading a list that is sorted newest first and shifts while it is read."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence

from core.sdk.answers import Row
from core.sdk.errors import RetryLater

WALKS = 3
"""So often a list that does not hold still is read before we come back later."""

Ask = Callable[[int, bool], Awaitable[tuple[Sequence[Row], int]]]
"""Asks for a page, and with True for the number of all rows, which is else not looked at."""


async def backwards(
    ask: Ask, key: Callable[[Row], Hashable], size: int, name: str, leaves_out: bool = False
) -> AsyncIterator[tuple[Sequence[Row], int]]:
    """Every row of a window, and how many there are; pages of `size` from the last to the first.

    A row that leaves the window moves the others towards the first page, where they are still to
    be read; read from the front, they would be missed. A row that turns up late moves others to
    pages that were read already: then fewer came than the list counts, and it is read again.
    Rows may come twice; `key` is what makes a row the same row. With `leaves_out` the list holds
    more than it counts, and is read on until a page is not full. Raises RetryLater, for the list
    `name`.
    """
    for _ in range(WALKS):
        first, total = await ask(1, True)
        seen: set[Hashable] = set()
        last = -(-total // size)
        if leaves_out and len(first) == size:
            last = max(last, 2)
        if last > 1:
            found, _ = await ask(last, False)
            while leaves_out and len(found) == size:
                seen.update(map(key, found))
                yield found, total
                last += 1
                found, _ = await ask(last, False)
            while True:
                seen.update(map(key, found))
                yield found, total
                last -= 1
                if last <= 1:
                    break
                found, _ = await ask(last, False)
            first, total = await ask(1, True)
        seen.update(map(key, first))
        yield first, total
        if len(seen) >= total:
            return
    raise RetryLater(f"{name}: the list changed each time it was read")
