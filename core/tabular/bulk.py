"""What imports of files have in common: their account, refused rows, chunks, uploads, local runs.

Memory is bounded by the chunk. While the database takes a chunk in, the next one is read.
"""

import asyncio
import contextlib
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson

from core.sdk.errors import InvalidInput
from core.storage import jobs
from core.storage.database import Database, Work
from core.storage.jobs import Job, JobKind
from core.tabular.reading import FileFacts, Table, examine

A = TypeVar("A")
C = TypeVar("C")
LOCK_SPACE = 0x6869

Progress = Callable[[int, int], None]
"""Told (bytes read, bytes of the file) after each chunk."""


class RowError(Exception):
    """A row that cannot be taken in. The reason never quotes the row."""

    def __init__(self, code: str, field: str | None, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class RejectedRow:
    """A refused row: its number in the file, what is wrong and in which column."""

    row: int
    code: str
    column: str | None
    reason: str


@dataclass
class Account:
    """What became of the rows: read = created + updated + unchanged + rejected."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0

    def add(self, outcomes: list[str], rejected: int) -> None:
        self.read += len(outcomes) + rejected
        self.created += outcomes.count("created")
        self.updated += outcomes.count("updated")
        self.unchanged += outcomes.count("unchanged")
        self.rejected += rejected


async def read_ahead(read: Callable[[], C | None]) -> AsyncGenerator[C, None]:
    """What `read` gives until None, in a thread, the next one while this one is used."""
    reading = asyncio.create_task(asyncio.to_thread(read))
    try:
        while (chunk := await reading) is not None:
            reading = asyncio.create_task(asyncio.to_thread(read))
            yield chunk
    finally:
        await asyncio.wait([reading])  # the thread must not outlive the file


async def store_rejects(w: Work, job_id: int, rejects: list[RejectedRow]) -> None:
    """Record a job's refused rows, in this transaction."""
    if rejects:
        await w.sql.copy_records_to_table(
            "job_rejects",
            columns=("merchant_id", "job_id", "row", "code", "column", "message"),
            records=[(w.merchant_id, job_id, r.row, r.code, r.column, r.reason) for r in rejects],
        )


async def store_upload(w: Work, job_id: int, pieces: AsyncIterator[bytes]) -> None:
    """Store a file, encrypted, for a job that is recorded in the same transaction.

    So there is never a job with half a file. `pieces` may have any size. Raises InvalidInput for
    an empty file.
    """
    number = 0
    async for data in _even(pieces, jobs.PIECE_BYTES):
        await jobs.add_file_piece(w, job_id, number, data)
        number += 1
    if not number:
        raise InvalidInput("the file is empty", ("input", "file"))


async def _even(pieces: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    buffer = bytearray()
    async for piece in pieces:
        buffer += piece
        while len(buffer) >= size:
            yield bytes(buffer[:size])
            del buffer[:size]
    if buffer:
        yield bytes(buffer)


def refuse_old_excel(file_name: str) -> None:
    """Raises InvalidInput for a name that says so, before anything is uploaded."""
    if file_name.lower().endswith(".xls"):
        raise InvalidInput(
            "this is an old Excel file (.xls): save it as .xlsx or CSV", ("input", "file")
        )


class FileJob(ABC):
    """A job that takes a file in: `file`, or without it the one that was uploaded for the job."""

    def __init__(self, file: FileFacts | None = None, progress: Progress | None = None) -> None:
        self._file = file
        self._progress = progress

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Take in what is left of the file; the result is its account."""
        if self._file is not None:
            return await self._take_in(db, job, self._file)
        async with temporary_file(jobs.file_pieces(db, job.merchant_id, job.id)) as facts:
            return await self._take_in(db, job, facts)

    @abstractmethod
    async def _take_in(self, db: Database, job: Job, facts: FileFacts) -> dict[str, Any]: ...

    def _passed(self, position: int, table: Table) -> None:
        """Tell how far the file has been taken in."""
        if self._progress is not None:
            self._progress(position, table.size)


@asynccontextmanager
async def temporary_file(pieces: AsyncIterator[bytes]) -> AsyncIterator[FileFacts]:
    """The pieces as a file that only this user can read, examined; gone at the end of the block."""
    with tempfile.NamedTemporaryFile(prefix="huike-import-") as copy:  # mode 0600
        async for piece in pieces:
            copy.write(piece)
        copy.flush()
        yield await asyncio.to_thread(examine, Path(copy.name))


@dataclass(frozen=True)
class LocalRun:
    """How a job that ran in this process ended, and how far an earlier run had come.

    `row` is the job's, as it stands then.
    """

    job_id: int
    resumed_at: int
    error: str | None
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Finished(Generic[A]):
    """How an import of a file of this machine ended: with its account, and what made it fail."""

    job_id: int
    account: A
    resumed_at: int
    error: str | None

    @classmethod
    def of(cls, run: LocalRun, account: A) -> "Finished[A]":
        """The run's end, with what became of the rows."""
        return cls(run.job_id, account, run.resumed_at, run.error)


async def run_local(
    db: Database,
    merchant_id: int,
    kind: JobKind,
    params: Mapping[str, Any],
    key: int,
    already_running: Exception,
    record: Callable[[Work], Awaitable[int]] | None = None,
) -> LocalRun:
    """Run a job in this process, or go on with the one that a killed process left.

    A left job is known by `params`, which its own contain; without one `record` makes a job, else
    it is one of just these params. `key` (28 bits) says what must not run twice at once; raises
    `already_running` where it does.
    """
    async with db.read(merchant_id) as holder:
        if not await holder.try_lock(LOCK_SPACE, key):
            raise already_running
        async with db.work(merchant_id) as w:
            job_id = await _left(w, kind.name, params)
            if job_id is not None:
                await jobs.reopen(w, job_id)
            elif record is not None:
                job_id = await record(w)
            else:
                job_id = await jobs.enqueue(w, kind.name, params, queued=False)
        job = await jobs.claim(db, merchant_id, job_id, force=True)
        if job is None:
            raise already_running
        resumed_at = job.checkpoint.get("row", job.done)
        await jobs.perform(db, job, {kind.name: kind})
        row = await jobs.get(holder, job_id)
    return LocalRun(job_id, resumed_at, _failure(row), row)


async def _left(w: Work, kind: str, params: Mapping[str, Any]) -> int | None:
    """The job that an earlier run left unfinished."""
    found: int | None = await w.sql.fetchval(
        """SELECT id FROM jobs WHERE merchant_id = $1 AND kind = $2 AND params @> $3::jsonb
              AND state IN ('queued', 'running', 'failed') ORDER BY id DESC LIMIT 1""",
        w.merchant_id, kind, orjson.dumps(params).decode(),
    )  # fmt: skip
    return found


def _failure(row: Mapping[str, Any]) -> str | None:
    if row["state"] == "succeeded":
        return None
    if row["error"]:
        return str(orjson.loads(row["error"])["message"])
    return f"the work stopped ({row['state']}); run it again and it goes on where it stopped"


def account_of(job: Job) -> Account:
    """The account that a job's last committed step left."""
    return Account(**job.checkpoint.get("account", {}))


class _Rehearsed(Exception):
    """Ends a rehearsal's transaction without a commit."""


@asynccontextmanager
async def rehearsal(db: Database, merchant_id: int) -> AsyncIterator[Work]:
    """A transaction that is taken back at its end, to see what an import would do."""
    with contextlib.suppress(_Rehearsed):
        async with db.work(merchant_id) as w:
            yield w
            raise _Rehearsed


async def rejects_of(db: Database, merchant_id: int, job_id: int) -> AsyncIterator[RejectedRow]:
    """A job's refused rows in the file's order, read in portions."""
    last = 0
    while True:
        async with db.read(merchant_id) as session:
            rows = await session.sql.fetch(
                """SELECT id, "row", code, "column", message FROM job_rejects
                   WHERE merchant_id = $1 AND job_id = $2 AND id > $3 ORDER BY id LIMIT 1000""",
                merchant_id, job_id, last,
            )  # fmt: skip
        if not rows:
            return
        for row in rows:
            yield RejectedRow(row[1], row[2], row[3], row[4])
        last = rows[-1]["id"]
