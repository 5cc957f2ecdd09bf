"""What an operation showed of people's contact data, which in bulk leaves an audit entry."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from graphql import GraphQLError

from core.schema.errors import INTERNAL, unexpected
from core.storage import chain
from core.storage.database import Database
from core.storage.together import Together

logger = logging.getLogger(__name__)

ACTION = "contacts.read"
Said = tuple[str, dict[str, Any]]
"""Who read, and what the entry says."""

seen: ContextVar["Seen | None"] = ContextVar("seen", default=None)
"""Of the present operation; a connection's operations run at the same time, each in its task."""


class Seen:
    """Whose contact data was shown, by kind."""

    def __init__(self) -> None:
        self.by_kind: defaultdict[str, set[int]] = defaultdict(set)

    def take(self) -> dict[str, Any] | None:
        """Kinds and number of people, if there are several; what was taken is forgotten."""
        if not self.by_kind:
            return None
        people: set[int] = set().union(*self.by_kind.values())
        fields = sorted(kind for kind, found in self.by_kind.items() if found)
        self.by_kind.clear()
        return {"fields": fields, "customers": len(people)} if len(people) > 1 else None


class ReadLog:
    """Writes the entries. Those of one merchant that come during a commit share the next one."""

    def __init__(self) -> None:
        self._together = Together(self._append)
        self._ends: dict[int, chain.End] = {}
        """The last entries that this process wrote: while they are the last ones, one statement
        adds the next, else it takes a transaction of five."""

    async def record(self, context: Any, data: dict[str, Any]) -> GraphQLError | None:
        """Returns when the entry is committed: None, or the error to answer where it is not."""
        key = (context.installation.db, context.merchant_id)
        try:
            await self._together(key, (context.actor, data))
        except Exception:
            request_id = context.request_id
            logger.exception("a read could not be audited", extra={"request_id": request_id})
            return GraphQLError(unexpected(request_id), extensions={"code": INTERNAL})
        return None

    async def _append(self, key: tuple[Database, int], entries: Sequence[Said]) -> Sequence[None]:
        db, merchant_id = key
        end = self._ends.pop(merchant_id, None)
        if end is not None:
            async with db.read(merchant_id) as session:
                made = [
                    chain.Entry(merchant_id, 0, session.now, actor, ACTION, data)
                    for actor, data in entries
                ]
                end = await chain.append_after(session.sql, session.keyring, made, end)
        if end is None:
            async with db.work(merchant_id, entries[0][0]) as w:
                for actor, data in entries:
                    w.audit(ACTION, data, actor)
            end = w.audit_end
        assert end is not None
        self._ends[merchant_id] = end
        return [None] * len(entries)
