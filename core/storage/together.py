"""Calls of many that are done together: what comes while one of its kind is served shares the next.

A transaction holds the rows that it changed until it is committed. Where all callers change the
same row (the budget of a coupon, say), one after the other they are no faster than the disk;
together they pay for one commit. Nobody waits for company: a call that comes alone is served at
once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from core.storage.connections import refuse_nesting

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")

AT_ONCE = 100
"""Calls that are served together at most."""


class Together(Generic[Key, Item, Result]):
    """The calls that wait, by their kind.

    `serve` does all items of a kind, and returns one result for each, in their order. An item whose
    failure may not touch the others gets a result that says so. After an exception, which means
    that nothing was done, each item is tried by itself.
    """

    def __init__(self, serve: Callable[[Key, Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._serve = serve
        self._waiting: dict[Key, list[tuple[Item, asyncio.Future[Result]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, key: Key, item: Item) -> Result:
        """The result for the item; raises what `serve` raises for it alone.

        Raises RuntimeError in a unit of work, for which the others would have to wait.
        """
        refuse_nesting()
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        if key in self._waiting:
            self._waiting[key].append((item, answer))
        else:
            self._waiting[key] = [(item, answer)]
            # not in the first caller's context: its end or its budget are not those of the others
            task = asyncio.create_task(self._serve_all(key), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _serve_all(self, key: Key) -> None:
        waiting = self._waiting[key]
        try:
            while waiting:
                calls = waiting[:AT_ONCE]
                del waiting[:AT_ONCE]
                await self._answer(key, calls)
        finally:
            del self._waiting[key]

    async def _answer(self, key: Key, calls: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._serve(key, [item for item, _ in calls])
        except Exception as error:
            if len(calls) > 1:
                for call in calls:
                    await self._answer(key, [call])
            elif not calls[0][1].done():
                calls[0][1].set_exception(error)
            return
        for (_, answer), result in zip(calls, results, strict=True):
            if not answer.done():  # its caller has gone
                answer.set_result(result)
