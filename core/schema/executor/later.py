"""Children that a resolver promises and the executor fetches, all those of a level at once."""

from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from core.storage.database import Session


class Loads(Protocol):
    """What promises need of a request's context."""

    async def fetch(self, batch: "Batch", pks: list[Any]) -> Mapping[Any, Any]:
        """What a batch returns for these keys, each of them given once."""

    async def join(self, later: "Later") -> Any:
        """What was promised, fetched with what others ask for in the same turn."""


Batch = Callable[[Session, list[Any]], Awaitable[Mapping[Any, Any]]]


@dataclass(frozen=True)
class RowBatch:
    """A batch of lists of rows, of which the objects of a type of rows (rows.py) are made."""

    load: Batch
    of: type

    def __call__(self, session: Session, pks: list[Any]) -> Awaitable[Mapping[Any, Any]]:
        """The rows."""
        return self.load(session, pks)


@dataclass(frozen=True)
class ByKey:
    """A batch of objects by their primary keys, which never takes long.

    So it is one for several requests that ask for one object each at the same time.
    """

    load: Callable[[Session, list[Any], Any], Awaitable[Mapping[Any, Any]]]
    columns: frozenset[str] | None
    """Of the objects' rows; None for all."""

    def __call__(self, session: Session, pks: list[Any]) -> Awaitable[Mapping[Any, Any]]:
        """The objects."""
        return self.load(session, pks, self.columns)


class Rows(Sequence[Any]):
    """Objects of a type of rows, each made when somebody asks for it: often nobody does."""

    __slots__ = ("of", "rows")

    def __init__(self, of: type, rows: list[Any]) -> None:
        self.of = of
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: Any) -> Any:
        return self.of(row=self.rows[number])

    def __iter__(self) -> Iterator[Any]:
        return (self.of(row=row) for row in self.rows)


def rows_of(objects: Sequence[Any]) -> list[Any]:
    """The rows of objects of a type of rows."""
    return objects.rows if isinstance(objects, Rows) else [one.row for one in objects]


@dataclass(slots=True)
class Later:
    """The child or children of one parent, found by `pk` in what `batch` returns.

    Promises with equal keys are fetched together. Anybody can await one; it then joins what others
    await in the same turn of the event loop.
    """

    key: Any
    pk: Any
    batch: Batch
    missing: Any
    context: Loads

    async def fetch(self, pks: list[Any]) -> Mapping[Any, Any]:
        """The children of many parents."""
        found = await self.context.fetch(self.batch, pks)
        if isinstance(self.batch, RowBatch):
            return {pk: list(Rows(self.batch.of, rows)) for pk, rows in found.items()}
        return found

    def of_rows(self) -> "Later":
        """The promise of the rows alone."""
        return replace(self, batch=self.batch.load) if isinstance(self.batch, RowBatch) else self

    def __await__(self) -> Generator[Any, None, Any]:
        return self.context.join(self).__await__()
