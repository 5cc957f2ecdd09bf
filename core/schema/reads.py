"""What an operation showed of people's contact data, which in bulk leaves an audit entry."""

import logging
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

from graphql import GraphQLError
from strawberry.extensions import SchemaExtension

from core.schema.errors import INTERNAL

logger = logging.getLogger(__name__)

seen: ContextVar["Seen | None"] = ContextVar("seen", default=None)
"""Of the present operation; a connection's operations run at the same time, each in its task."""


class Seen:
    """Whose contact data was shown, by kind."""

    def __init__(self) -> None:
        self.by_kind: dict[str, set[int]] = {}

    def add(self, kind: str, person: int) -> None:
        self.by_kind.setdefault(kind, set()).add(person)

    def take(self) -> dict[str, Any] | None:
        """Kinds and number of people, if there are several; what was taken is forgotten."""
        people: set[int] = set().union(*self.by_kind.values())
        fields = sorted(self.by_kind)
        self.by_kind = {}
        return {"fields": fields, "customers": len(people)} if len(people) > 1 else None


class AuditReads(SchemaExtension):
    """Audits an operation that showed more than one customer's contact data, answered or failed.

    The entry is committed before the answer leaves; without an entry there is no answer.
    """

    def __init__(self) -> None:
        self._seen = Seen()

    async def on_operation(self) -> AsyncIterator[None]:
        seen.set(self._seen)
        try:
            yield
        finally:
            await self._record(self.execution_context.result)

    async def on_stream_result(self, result: Any) -> AsyncIterator[None]:
        await self._record(result)
        yield None

    async def _record(self, result: Any) -> None:
        found = self._seen.take()
        if found is None:
            return
        context = self.execution_context.context
        data = {
            **found,
            "operation": self.execution_context.operation_name,
            "request": context.request_id,
        }
        try:
            async with context.work() as w:
                w.audit("contacts.read", data)
        except Exception:
            logger.exception(
                "a read could not be audited", extra={"request_id": context.request_id}
            )
            message = f"an unexpected error; the log has it under {context.request_id}"
            if result is not None:
                result.data = None
                result.errors = [GraphQLError(message, extensions={"code": INTERNAL})]
