"""Calls of many that are done together: what comes while one of its kind is served shares the next.

A transaction holds the rows that it changed until it is committed. Where all callers change the
same row (the budget of a coupon, say), one after the other they are no faster than the disk;
together they pay for one commit. Nobody waits for company: a call that comes alone is served at
once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import Generic, TypeVar

from core.storage.connections import Budget, budget, refuse_nesting

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")

AT_ONCE = 100
"""Calls that are served together at most."""


class Together(Generic[Key, Item, Result]):
    """The calls that wait, by their kind.

    `serve` does all items of a kind, and returns one result for each, in their order. An item whose
    failure may not touch the others gets an exception, which is raised for its caller. When `serve`
    raises one, which means that nothing was done, each item is tried by itself.
    """

    def __init__(
        self, serve: Callable[[Key, Sequence[Item]], Awaitable[Sequence[Result | Exception]]]
    ) -> None:
        self._serve = serve
        self._waiting: dict[Key, list[tuple[Item, asyncio.Future[Result]]]] = {}
        """By kind, as long as somebody serves it."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, key: Key, item: Item) -> Result:
        """The result for the item; raises what `serve` raises for it alone.

        Raises RuntimeError in a unit of work, for which the others would have to wait.
        """
        refuse_nesting()
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append((item, answer))
            return await answer
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
        calls = [call for call in calls if not call[1].done()]  # not for callers who have gone
        if not calls:
            return
        try:
            results = await self._serve(key, [item for item, _ in calls])
        except Exception as error:
            if len(calls) > 1:
                for call in calls:
                    await self._answer(key, [call])
                return
            results = [error]
        for (_, answer), result in zip(calls, results, strict=True):
            if answer.done():  # its caller has gone
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)


@contextmanager
def sharing(budgets: Sequence[Budget | None]) -> Iterator[None]:
    """Charge the statements that follow to several requests, a share to each.

    Together they may take what each of them has left, so that BudgetSpent says nothing about one.
    A single one is charged as always.
    """
    given = [one for one in budgets if one is not None]
    shared = budgets[0] if len(budgets) == 1 else None
    if len(budgets) > 1 and given:
        shared = Budget(min(one.statements - one.spent for one in given))
    token = budget.set(shared)
    try:
        yield
    finally:
        budget.reset(token)
    if len(budgets) > 1 and shared is not None:
        for one in given:
            one.spent += -(-shared.spent // len(budgets))
