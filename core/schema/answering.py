"""Answering a query without hurry: the job to which one is left that takes long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from strawberry.types.execution import ExecutionResult

from core.schema.bulk_running import caller_of, query_of
from core.schema.context import Context
from core.schema.documents import Documents
from core.schema.long_reads import KIND, long_reads
from core.sdk.errors import WrongState
from core.storage import jobs
from core.storage.database import Database, Session
from core.storage.jobs import Job

MOST_SECONDS = 600.0
BEAT_SECONDS = 2.0
"""So often the job says how far it is, and that it lives."""


class Patient:
    """The long reads of a query in its job, one after the other, each a part of the progress."""

    def __init__(self) -> None:
        self.done = self.begun = 0
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def session(self, context: Context) -> AsyncIterator[Session]:
        self.begun += 1
        async with self._turn, context.read() as session:
            yield session
        self.done += 1


class QueryAnswer:
    """The jobs of queries that take long. One that was killed begins anew."""

    name = KIND

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Answer the query and keep the answer. Raises WrongState for a query with errors."""
        given = await query_of(db, job)
        reads = Patient()
        work = asyncio.create_task(self._answer(db, job, given, reads))
        try:
            while not work.done():
                await asyncio.wait([work], timeout=BEAT_SECONDS)
                async with job.step(db):
                    job.done, job.total = reads.done, reads.begun
        finally:
            work.cancel()
            await asyncio.wait([work])
        result = work.result()
        if result.errors or result.data is None:
            faults = [error.message for error in result.errors or ()]
            raise WrongState("; ".join(faults[:3]) or "the query has no answer", ("query",))
        async with job.step(db) as w:
            job.done, job.total = reads.done, reads.begun  # the work may have ended in a beat
            answer = orjson.dumps(result.data, default=str)
            await jobs.add_file_piece(w, job.id, 0, answer, "output")
        return {}

    async def _answer(
        self, db: Database, job: Job, given: dict[str, Any], reads: Patient
    ) -> ExecutionResult:
        caller = await caller_of(db, self._documents, job)
        long_reads.set(reads)  # of this task
        return await self._documents.run(
            caller, given["query"], given["variables"], f"job-{job.id}",
            operation=given["operation"], seconds=MOST_SECONDS,
        )  # fmt: skip
