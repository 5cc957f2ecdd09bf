"""Calls of many that are done together: what comes while one transaction runs shares the next.

A transaction holds the rows that it changed until it is committed. Where all callers change the
same row (the budget of a coupon, say), one after the other they are no faster than the disk;
together they pay for one commit. Nobody waits for company: a call that comes alone runs at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from typing import Any

AT_ONCE = 100
"""Calls that share a transaction at most."""

Do = Callable[[Any, Sequence[Any]], Awaitable[Sequence[Any]]]
"""Does all items in a unit of work; returns one result for each, in their order.

An item whose failure may not touch the others gets a result that says so. An exception undoes the
whole transaction; each item is then tried in one of its own.
"""
Key = tuple[int, str, Do]


class Together:
    """The calls that wait, by merchant, actor and what is to be done."""

    def __init__(self, work: Callable[[int, str], AbstractAsyncContextManager[Any]]) -> None:
        self._work = work
        self._waiting: dict[Key, list[tuple[Any, asyncio.Future[Any]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, merchant_id: int, actor: str, do: Do, item: Any) -> Any:
        """The result for the item, once it is committed; raises what `do` raises for it alone."""
        key = (merchant_id, actor, do)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if key in self._waiting:
            self._waiting[key].append((item, answer))
        else:
            self._waiting[key] = [(item, answer)]
            # not in the first caller's context: its end or its budget are not those of the others
            task = asyncio.create_task(self._serve(key), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _serve(self, key: Key) -> None:
        waiting = self._waiting[key]
        try:
            while waiting:
                calls = waiting[:AT_ONCE]
                del waiting[:AT_ONCE]
                await self._do(key, calls)
        finally:
            del self._waiting[key]

    async def _do(self, key: Key, calls: Sequence[tuple[Any, asyncio.Future[Any]]]) -> None:
        merchant_id, actor, do = key
        try:
            async with self._work(merchant_id, actor) as w:
                results = await do(w, [item for item, _ in calls])
        except Exception as error:
            if len(calls) > 1:
                for call in calls:
                    await self._do(key, [call])
            elif not calls[0][1].done():
                calls[0][1].set_exception(error)
            return
        for (_, answer), result in zip(calls, results, strict=True):
            if not answer.done():  # its caller has gone
                answer.set_result(result)
