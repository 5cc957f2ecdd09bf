"""Codes for others to print: one for each card, ticket or parcel, from whoever makes coupons."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from core.sdk.facets import Text


@dataclass(frozen=True)
class Holder:
    """What a code is set aside for. `key` is the same at each try, and no other holder's."""

    key: str
    customer_id: int | None


@dataclass(frozen=True)
class Held:
    """A code as it is written, or `reason` why there is none."""

    code: str | None = None
    reason: str | None = None


class CodeSource(Protocol):
    """Sets codes aside, so that they can be printed before they count.

    `settings` is the model of what whoever prints is given. Everything happens in the caller's
    unit of work, and nothing outside is called.
    """

    name: str
    title: Text
    settings: type[BaseModel]

    async def free(self, session: Any, settings: Any) -> int | None:
        """How many codes can be set aside now; None for any number.

        A HuikeError says why there can be none, with a path within the settings.
        """

    async def why_not(
        self, session: Any, settings: Any, customer_ids: Sequence[int | None]
    ) -> Sequence[str | None]:
        """Why `hold` would have no code for these customers now, in their order; None if it had.

        A customer may be named more than once. Nothing is set aside.
        """

    async def hold(self, w: Any, settings: Any, holders: Sequence[Holder]) -> Sequence[Held]:
        """Set a code aside for each holder, in their order, and as far as they go.

        With a key that has one already it is the same one. A code that is set aside is nobody
        else's, and cannot be used before it is given.
        """

    async def give(self, w: Any, keys: Sequence[str]) -> None:
        """The customers have the codes of these holders from now on. Repeated, nothing happens."""

    async def take_back(self, w: Any, keys: Sequence[str]) -> None:
        """Set the codes of these holders aside again, as they were before `give`: that was a
        mistake. Those that somebody has used meanwhile, or given away, stay his."""

    async def give_back(self, w: Any, keys: Sequence[str]) -> None:
        """Put back the codes of these holders that were not given yet."""
