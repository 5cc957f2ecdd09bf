"""The pool's connections: statements are counted, and nothing is reset that was not changed."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import asyncpg


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


def _spend() -> None:
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

    def get_reset_query(self) -> str:
        if not self._changed:
            return ""
        self._changed = False
        return str(super().get_reset_query())

    def execute(self, query: str, *args: Any, **named: Any) -> Any:
        if not query.lstrip().startswith(FREE):
            _spend()
        if (head := query[:10].upper()).startswith("SET ") and head != "SET LOCAL ":
            self._changed = True
        return super().execute(query, *args, **named)

    def executemany(self, *args: Any, **named: Any) -> Any:
        _spend()
        return super().executemany(*args, **named)

    def fetch(self, *args: Any, **named: Any) -> Any:
        _spend()
        return super().fetch(*args, **named)

    def fetchrow(self, *args: Any, **named: Any) -> Any:
        _spend()
        return super().fetchrow(*args, **named)

    def fetchval(self, *args: Any, **named: Any) -> Any:
        _spend()
        return super().fetchval(*args, **named)

    def cursor(self, *args: Any, **named: Any) -> Any:
        _spend()
        return super().cursor(*args, **named)
