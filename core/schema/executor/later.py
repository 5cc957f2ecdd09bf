"""Children that a resolver promises and the executor fetches, all those of a level at once."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from core.storage.database import Session


class Loads(Protocol):
    """What promises need of a request's context."""

    async def fetch(self, batch: "Batch", pks: list[Any]) -> Mapping[Any, Any]:
        """What a batch returns for these keys, each of them given once."""

    async def join(self, later: "Later") -> Any:
        """What was promised, fetched with what others ask for in the same turn."""


Batch = Callable[[Session, list[Any]], Awaitable[Mapping[Any, Any]]]


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
        return await self.context.fetch(self.batch, pks)

    def __await__(self) -> Generator[Any, None, Any]:
        return self.context.join(self).__await__()
