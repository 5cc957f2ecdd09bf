"""The pool and its connections: statements are counted, what was not changed is not reset."""

from asyncio import QueueEmpty
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

MAX_QUERIES = 50_000
"""A connection that has done so many statements gives way to a new one."""
IDLE_SECONDS = 300.0
"""A connection that nobody wants for so long is closed."""


def array_text(numbers: Sequence[int]) -> str:
    """Numbers for a parameter `::text::bigint[]`.

    Of an array, asyncpg asks each element whether it is an array itself, which takes longer than
    all the rest of a short statement. And the planner, which reckons with the length of an array
    but not with that of a text, plans such a statement once and not each time.
    """
    return f"{{{','.join(map(str, numbers))}}}"


class BudgetSpent(Exception):
    """A request needs more SQL statements than it may."""


@dataclass
class Budget:
    """How many statements a request may run, and how many it has run."""

    statements: int
    spent: int = 0

    @property
    def exceeded(self) -> bool:
        """Whether a statement was refused."""
        return self.spent > self.statements

    def spend(self) -> None:
        """Count one statement. Raises BudgetSpent when it is one too many."""
        self.spent += 1
        if self.exceeded:
            raise BudgetSpent(
                f"the request needs more than {self.statements} SQL statements: ask for less at "
                "once"
            )


FREE = ("ROLLBACK", "SELECT pg_advisory_unlock_all")
"""What gives a connection back is never refused: it would be lost, and what it holds with it."""

budget: ContextVar[Budget | None] = ContextVar("budget", default=None)
"""Of the present request; there is none in workers and commands."""

working: ContextVar[bool] = ContextVar("working", default=False)
"""Whether this task is in a unit of work."""


def refuse_nesting() -> None:
    """Raises RuntimeError in a unit of work: what looked committed in another might not be."""
    if working.get():
        raise RuntimeError("a unit of work inside another: pass the outer one on instead")


def spend() -> None:
    """Count a statement of the present request. Raises BudgetSpent when it is one too many."""
    given = budget.get()
    if given is not None:
        given.spend()


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection that counts its statements.

    asyncpg resets each connection that is given back, which doubles the round trips of a request
    with one statement. Here it does so only after `must_reset`, and after a SET that is not LOCAL.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._changed = False

    def must_reset(self) -> None:
        """To be called by who takes a session's lock or changes its settings."""
        self._changed = True

    @property
    def is_as_new(self) -> bool:
        """Whether the next one can have it as it is."""
        protocol = self._protocol
        return not (
            self._changed
            or self._aborted
            or self._listeners
            or self._log_listeners
            or self._top_xact is not None
            or protocol.is_closed()
            or protocol.is_in_transaction()
            or protocol._is_cancelling()
            or protocol.queries_count >= MAX_QUERIES
        )

    def get_reset_query(self) -> str:
        if not self._changed:
            return ""
        self._changed = False
        return str(super().get_reset_query())

    def execute(self, query: str, *args: Any, **named: Any) -> Any:
        if not query.lstrip().startswith(FREE):
            spend()
        if (head := query[:10].upper()).startswith("SET ") and head != "SET LOCAL ":
            self._changed = True
        return super().execute(query, *args, **named)

    def executemany(self, *args: Any, **named: Any) -> Any:
        spend()
        return super().executemany(*args, **named)

    def fetch(self, *args: Any, **named: Any) -> Any:
        spend()
        return super().fetch(*args, **named)

    def fetchrow(self, *args: Any, **named: Any) -> Any:
        spend()
        return super().fetchrow(*args, **named)

    def fetchval(self, *args: Any, **named: Any) -> Any:
        spend()
        return super().fetchval(*args, **named)

    def cursor(self, *args: Any, **named: Any) -> Any:
        spend()
        return super().cursor(*args, **named)


class Pool(asyncpg.Pool):  # type: ignore[misc]
    """Lends and takes back at once what is there and as new.

    asyncpg's own ways, which are taken for everything else, come to five coroutines for a loan and
    to a task for its end: a third of the time that a short statement takes of this process.
    """

    def lend(self) -> Any:
        """A connection that is free, to be given to `release`; None where one must be waited for.

        Whoever gets None awaits `acquire`.
        """
        if self._closing:
            return None
        try:
            holder = self._queue.get_nowait()
        except QueueEmpty:
            return None
        if not holder.is_connected() or holder._generation != self._generation:
            self._queue.put_nowait(holder)
            return None
        holder._maybe_cancel_inactive_callback()
        holder._timeout = None
        holder._in_use = self._loop.create_future()
        holder._proxy = PoolConnectionProxy(holder, holder._con)
        return holder._proxy

    async def release(self, connection: Any, **options: Any) -> None:
        lent = connection._con
        holder = connection._holder
        if lent is None or not lent.is_as_new or holder._generation != self._generation:
            await super().release(connection, **options)
            return
        lent._on_release()
        holder._release()
        holder._setup_inactive_callback()


async def open_pool(size: int, **options: Any) -> Pool:
    """A pool of so many connections at most, of which one is open. Raises what asyncpg raises."""
    pool = Pool(
        connect=None, setup=None, init=None, reset=None, loop=None, min_size=1, max_size=size,
        max_queries=MAX_QUERIES, max_inactive_connection_lifetime=IDLE_SECONDS,
        connection_class=Connection, record_class=asyncpg.Record, **options,
    )  # fmt: skip
    await pool
    return pool
