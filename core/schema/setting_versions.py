"""The versions of settings, for those who are going to change them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from core.schema.context import Info
from core.schema.executor.later import Later
from core.storage.database import Session
from core.storage.versions import place, versions_of

IN_WORDS = "Of the setting, for `ifVersion`: 0 if it was never made, another one after each change."


def version_of(info: Info, kind: str, *parts: object) -> int:
    """The version of a setting, 0 of one that is not set; one statement for all of a kind.

    What is returned is a promise that the executor keeps, as of `Context.child`.
    """
    return cast("int", Later(("version", kind), place(*parts), _batch(kind), 0, info.context))


def _batch(kind: str) -> Callable[[Session, Sequence[str]], Awaitable[dict[str, int]]]:
    async def versions(session: Session, places: Sequence[str]) -> dict[str, int]:
        return await versions_of(session, kind, places)

    return versions
