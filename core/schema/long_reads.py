"""Figures that grow with the merchant: a query waits a moment for them, then a job answers it.

The job runs the whole query once more, with the rights of the moment and without hurry, and keeps
its answer: the same query asked again finds the job, and for some minutes what it answered.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Protocol

import orjson
from graphql import GraphQLError

from core.domain.segments.counting import FRESH
from core.schema.bulk_exports import said_of
from core.schema.context import Context
from core.schema.errors import LeftToJob, cause_of
from core.schema.scalars import global_id
from core.storage import jobs
from core.storage.database import Session, TookTooLong, Work

KIND = "query.answer"
DIRECT_SECONDS = 1.5
"""So long a query waits for figures before it leaves them to a job."""
LOCK_SPACE = 0x6C72


class LongReads(Protocol):
    """How an operation reads what may take long."""

    def session(self, context: Context) -> AbstractAsyncContextManager[Session]: ...


long_reads: ContextVar[LongReads | None] = ContextVar("long_reads", default=None)
"""Of the present operation; None: it takes the time that it needs."""


@asynccontextmanager
async def long_read(context: Context) -> AsyncIterator[Session]:
    """A session for reading what grows with the merchant. A query may end in a LeftToJob by it."""
    reads = long_reads.get()
    async with context.read() if reads is None else reads.session(context) as session:
        yield session


class Hurried:
    """The long reads of a query that somebody waits for."""

    def __init__(self, context: Context, asked: Mapping[str, Any]) -> None:
        self._context = context
        self._asked = asked

    @cached_property
    def digest(self) -> str:
        """Of the query, and of who asks it with which rights."""
        caller = self._context.caller
        assert caller is not None
        said = [self._asked, caller.token_id, caller.staff_id, sorted(caller.permissions)]
        text = orjson.dumps(said, default=str).decode()
        return self._context.installation.db.keyring.sign("query answer", text)

    @asynccontextmanager
    async def session(self, context: Context) -> AsyncIterator[Session]:
        """Raises TookTooLong, also when a job answers the query or has done so lately."""
        async with context.read() as session:
            if await latest_answer(session, self.digest) is not None:
                raise TookTooLong
        db = context.installation.db
        async with db.hurried(context.merchant_id, DIRECT_SECONDS, context.actor) as session:
            yield session

    async def settle(self, result: Any) -> None:
        """Leave the query to a job if its reads took too long, or give it that job's answer."""
        if not any(map(_took_too_long, result.errors or ())):
            return
        async with self._context.work() as w:
            job_id, data = await self._leave(w)
        if data is not None:
            result.data, result.errors = data, None
        else:
            result.errors = [_left(one, job_id) for one in result.errors or ()]

    async def _leave(self, w: Work) -> tuple[int, Any]:
        """The job that answers the query, begun unless there is one; and the answer if it has."""
        await w.sql.execute(
            "SELECT pg_advisory_xact_lock($1::int, $2::int)", LOCK_SPACE, w.merchant_id % 2**31
        )
        known = await latest_answer(w, self.digest)
        if known is None:
            caller = self._context.caller
            assert caller is not None
            params = {"answers": self.digest, "caller": said_of(caller)}
            job_id = await jobs.enqueue(w, KIND, params, queued=False)
            # variables may be contact data: they are kept encrypted, and until the job ends
            given = orjson.dumps(self._asked, default=str)
            await jobs.add_file_piece(w, job_id, 0, given)
            await jobs.release(w, job_id)
            return job_id, None
        if known["state"] != "succeeded":
            return known["id"], None
        return known["id"], orjson.loads(await jobs.file_piece(w, known["id"], 0, "output"))


async def latest_answer(session: Session, digest: str) -> Mapping[str, Any] | None:
    """The row of a job that answers this query now, or did within the last minutes."""
    row: Mapping[str, Any] | None = await session.sql.fetchrow(
        """SELECT id, state FROM jobs
           WHERE merchant_id = $1 AND params ? 'answers' AND params ->> 'answers' = $2
             AND (state IN ('queued', 'running') OR state = 'succeeded' AND finished_at > $3)
           ORDER BY id DESC LIMIT 1""",
        session.merchant_id, digest, session.now - FRESH,
    )  # fmt: skip
    return row


def _took_too_long(error: GraphQLError) -> bool:
    return isinstance(cause_of(error), TookTooLong)


def _left(error: GraphQLError, job_id: int) -> GraphQLError:
    if not _took_too_long(error):
        return error
    left = LeftToJob(global_id("Job", job_id))
    return GraphQLError(str(left), error.nodes, error.source, error.positions, error.path, left)
