"""Long work that survives a crash: claimed under a lease, saved with each step, resumed elsewhere.

A job's step does its work and saves its progress in one transaction, so a killed job goes on
exactly where its last committed step ended.
"""

import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol

import orjson

from core.sdk.errors import HuikeError, NotFound, WrongState
from core.storage.database import SYSTEM, Database, Session, Work

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 20
MAX_CLAIMS = 100
"""A job that was claimed more often kills its workers; restarts and deployments need far fewer."""
PIECE_BYTES = 1024**2
OUTPUT_DAYS = 7

FileRole = Literal["input", "output"]


class JobLost(Exception):
    """Another worker took the job over, because this one was silent for longer than its lease."""


class JobCancelled(Exception):
    """Somebody asked for the job to end; what it committed so far stays."""


@dataclass
class Job:
    """A claimed job. `checkpoint` is what the last committed step left."""

    id: int
    merchant_id: int
    kind: str
    params: dict[str, Any]
    checkpoint: dict[str, Any]
    done: int
    total: int | None
    failed: int
    owner: str

    @asynccontextmanager
    async def step(self, db: Database) -> AsyncIterator[Work]:
        """One transaction of the job: set `done`, `failed`, `checkpoint` in it.

        Raises JobLost or JobCancelled before any work is done.
        """
        async with db.work(self.merchant_id, f"job:{self.id}") as w:
            await self._hold(w)
            yield w
            await w.sql.execute(
                """UPDATE jobs SET done = $3, total = $4, failed = $5, checkpoint = $6
                   WHERE merchant_id = $1 AND id = $2""",
                self.merchant_id, self.id, self.done, self.total, self.failed,
                orjson.dumps(self.checkpoint).decode(),
            )  # fmt: skip
            await w.notify("job", self.id)

    async def _hold(self, w: Work) -> None:
        cancelled = await w.sql.fetchval(
            """UPDATE jobs SET lease_until = $4 WHERE merchant_id = $1 AND id = $2
                  AND lease_owner = $3 AND state = 'running' RETURNING cancel_requested""",
            self.merchant_id, self.id, self.owner, w.now + LEASE,
        )  # fmt: skip
        if cancelled is None:
            raise JobLost(f"job {self.id} is no longer ours")
        if cancelled:
            raise JobCancelled(f"job {self.id} was cancelled")


class JobKind(Protocol):
    """How one kind of job is done."""

    name: str

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Do what is left of the job, in steps, and return its result.

        May be called again after a crash, with the checkpoint of the last committed step. Raise a
        HuikeError to end the job as failed with a message; any other exception is tried again.
        """


async def enqueue(
    w: Work, kind: str, params: Mapping[str, Any], total: int | None = None, queued: bool = True
) -> int:
    """Record a job in this transaction and ring for a worker; returns its id.

    With `queued=False` no worker is rung for: the caller adds a file and then calls `release`,
    or runs the job itself.
    """
    job_id: int = await w.sql.fetchval(
        """INSERT INTO jobs (merchant_id, kind, state, params, checkpoint, done, total, failed,
                             cancel_requested, attempts, created_at, lease_until, actor)
           VALUES ($1, $2, 'queued', $3, '{}', 0, $4, 0, FALSE, 0, $5,
                   CASE WHEN $6 THEN NULL ELSE $5::timestamptz + INTERVAL '1 hour' END, $7)
           RETURNING id""",
        w.merchant_id, kind, orjson.dumps(params).decode(), total, w.now, queued, w.actor,
    )  # fmt: skip
    if queued:
        w.ring("job.run", w.merchant_id, job_id)
    return job_id


async def release(w: Work, job_id: int) -> None:
    """Hand a job that was recorded with `queued=False` over to the workers."""
    await w.sql.execute(
        """UPDATE jobs SET lease_until = NULL
           WHERE merchant_id = $1 AND id = $2 AND state = 'queued'""",
        w.merchant_id, job_id,
    )  # fmt: skip
    w.ring("job.run", w.merchant_id, job_id)


async def claim(db: Database, merchant_id: int, job_id: int, force: bool = False) -> Job | None:
    """Take a job that is queued, or whose worker fell silent. None when it is not to be had.

    `force` takes a queued job that was recorded with `queued=False`, for its own recorder.
    """
    owner = uuid.uuid4().hex
    async with db.work(merchant_id) as w:
        row = await w.sql.fetchrow(
            """UPDATE jobs SET state = 'running', lease_owner = $3, lease_until = $4,
                      attempts = attempts + 1, started_at = COALESCE(started_at, $5)
               WHERE merchant_id = $1 AND id = $2
                 AND (state = 'queued' AND ($6 OR COALESCE(lease_until, $5) <= $5)
                      OR state = 'running' AND lease_until < $5)
               RETURNING *""",
            merchant_id, job_id, owner, w.now + LEASE, w.now, force,
        )  # fmt: skip
        if row is not None and row["attempts"] > MAX_CLAIMS:
            await _give_up(w, job_id)
            return None
    if row is None:
        return None
    return Job(
        row["id"], merchant_id, row["kind"], orjson.loads(row["params"]),
        orjson.loads(row["checkpoint"]), row["done"], row["total"], row["failed"], owner,
    )  # fmt: skip


async def perform(db: Database, job: Job, kinds: Mapping[str, JobKind]) -> None:
    """Run a claimed job to its end and record how it ended."""
    try:
        kind = kinds.get(job.kind)
        if kind is None:
            raise WrongState(
                f"no plugin here does jobs of kind {job.kind}: enable it and try again"
            )
        result = await kind.run(db, job)
    except JobLost:
        logger.warning("job %s was taken over by another worker", job.id)
    except JobCancelled:
        await _end(db, job, "cancelled", None, None)
    except HuikeError as error:
        failure = {"code": error.code, "message": error.message, "path": list(error.path)}
        await _end(db, job, "failed", None, failure)
    except Exception:
        logger.exception("job %s (%s) failed; it will be tried again", job.id, job.kind)
        await _retry(db, job)
    else:
        await _end(db, job, "succeeded", result, None)


async def _end(db: Database, job: Job, state: str, result: Any, error: Any) -> None:
    async with db.work(job.merchant_id) as w:
        ended = await w.sql.fetchval(
            """UPDATE jobs SET state = $4, result = $5, error = $6, finished_at = $7,
                      lease_owner = NULL, lease_until = NULL
               WHERE merchant_id = $1 AND id = $2 AND lease_owner = $3 RETURNING id""",
            job.merchant_id, job.id, job.owner, state, _json(result), _json(error), w.now,
        )  # fmt: skip
        if ended is None:
            logger.warning("job %s was taken over by another worker", job.id)
            return
        await _drop_files(w, job.id, kept="output" if state == "succeeded" else None)
        await w.notify("job", job.id)


async def _drop_files(w: Work, job_id: int, kept: FileRole | None = None) -> None:
    await w.sql.execute(
        """DELETE FROM job_files
           WHERE merchant_id = $1 AND job_id = $2 AND role IS DISTINCT FROM $3""",
        w.merchant_id, job_id, kept,
    )  # fmt: skip


async def drop_files(w: Work, job_ids: Sequence[int]) -> None:
    """Forget all files of these jobs."""
    await w.sql.execute(
        "DELETE FROM job_files WHERE merchant_id = $1 AND job_id = ANY($2::bigint[])",
        w.merchant_id, list(job_ids),
    )  # fmt: skip


async def _retry(db: Database, job: Job) -> None:
    """Give the job back with a growing pause, or end it when it has failed too often."""
    async with db.work(job.merchant_id) as w:
        attempts = await w.sql.fetchval(
            """UPDATE jobs SET state = 'queued', lease_owner = NULL,
                      lease_until = $4::timestamptz + attempts * INTERVAL '5 seconds'
               WHERE merchant_id = $1 AND id = $2 AND lease_owner = $3 RETURNING attempts""",
            job.merchant_id, job.id, job.owner, w.now,
        )  # fmt: skip
        if attempts is not None and attempts >= MAX_ATTEMPTS:
            await _give_up(w, job.id)
        await w.notify("job", job.id)


async def _give_up(w: Work, job_id: int) -> None:
    error = {"code": "INTERNAL", "message": "failed too often; see the log", "path": []}
    await w.sql.execute(
        """UPDATE jobs SET state = 'failed', error = $3, finished_at = $4, lease_owner = NULL,
                  lease_until = NULL
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, job_id, _json(error), w.now,
    )  # fmt: skip
    await _drop_files(w, job_id)


async def cancel(w: Work, job_id: int) -> None:
    """Ask a job to end. A queued one ends at once, a running one before its next step."""
    state = await w.sql.fetchval(
        """UPDATE jobs SET cancel_requested = TRUE,
                  state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
                  finished_at = CASE WHEN state = 'queued' THEN $3 ELSE finished_at END
           WHERE merchant_id = $1 AND id = $2 AND state IN ('queued', 'running')
           RETURNING state""",
        w.merchant_id, job_id, w.now,
    )  # fmt: skip
    if state is None:
        await get(w, job_id)
        raise WrongState("the job has ended already", ("id",))
    if state == "cancelled":
        await _drop_files(w, job_id)
    w.audit("job.cancelled", {"job": job_id})
    await w.notify("job", job_id)


async def get(session: Session, job_id: int) -> Mapping[str, Any]:
    """One job's row. Raises NotFound."""
    row = await session.sql.fetchrow(
        "SELECT * FROM jobs WHERE merchant_id = $1 AND id = $2", session.merchant_id, job_id
    )
    if row is None:
        raise NotFound(f"there is no job {job_id}", ("id",))
    return dict(row)


def checkpoint_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the last committed step of a job's row left."""
    found: dict[str, Any] = orjson.loads(row["checkpoint"])
    return found


async def due(db: Database, limit: int = 100) -> list[tuple[int, int]]:
    """(merchant, job) of jobs nobody works on: their doorbell was lost or their worker died."""
    async with db.read(SYSTEM) as session:
        rows = await session.sql.fetch(
            """SELECT merchant_id, id FROM jobs
               WHERE state = 'queued' AND COALESCE(lease_until, $1) <= $1
                  OR state = 'running' AND lease_until < $1
               ORDER BY id LIMIT $2""",
            session.now, limit,
        )  # fmt: skip
    return [(row["merchant_id"], row["id"]) for row in rows]


async def add_file_piece(
    w: Work, job_id: int, piece: int, data: bytes, role: FileRole = "input"
) -> None:
    """Store piece number `piece` (from 0) of a job's file, encrypted.

    An output is kept after the job, until it is `OUTPUT_DAYS` old; writing a piece again after a
    crash replaces it.
    """
    await w.sql.execute(
        """INSERT INTO job_files (merchant_id, job_id, role, piece, data)
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (merchant_id, job_id, role, piece) DO UPDATE SET data = excluded.data""",
        w.merchant_id, job_id, role, piece,
        w.keyring.seal_bytes(data, _file_place(w.merchant_id, job_id, role, piece)),
    )  # fmt: skip


async def file_pieces(
    db: Database, merchant_id: int, job_id: int, role: FileRole = "input"
) -> AsyncGenerator[bytes, None]:
    """A job's file, piece by piece. Raises NotFound when there is none."""
    piece = 0
    while True:
        async with db.read(merchant_id) as session:
            sealed = await session.sql.fetchval(
                """SELECT data FROM job_files
                   WHERE merchant_id = $1 AND job_id = $2 AND role = $3 AND piece = $4""",
                merchant_id, job_id, role, piece,
            )  # fmt: skip
        if sealed is None:
            if piece == 0:
                raise NotFound(_NO_FILE[role])
            return
        yield db.keyring.open_bytes(sealed, _file_place(merchant_id, job_id, role, piece))
        piece += 1


async def file_piece(session: Session, job_id: int, piece: int, role: FileRole = "input") -> bytes:
    """One piece of a job's file. Raises NotFound."""
    sealed = await session.sql.fetchval(
        """SELECT data FROM job_files
           WHERE merchant_id = $1 AND job_id = $2 AND role = $3 AND piece = $4""",
        session.merchant_id, job_id, role, piece,
    )  # fmt: skip
    if sealed is None:
        raise NotFound(_NO_FILE[role])
    place = _file_place(session.merchant_id, job_id, role, piece)
    return session.keyring.open_bytes(sealed, place)


async def drop_file(w: Work, job_id: int, role: FileRole) -> None:
    """Forget a job's file."""
    await w.sql.execute(
        "DELETE FROM job_files WHERE merchant_id = $1 AND job_id = $2 AND role = $3",
        w.merchant_id, job_id, role,
    )  # fmt: skip


async def drop_old_outputs(db: Database) -> None:
    """Forget the files that jobs made more than `OUTPUT_DAYS` ago."""
    async with db.work(SYSTEM) as w:
        await w.sql.execute(
            """DELETE FROM job_files f USING jobs j
               WHERE j.merchant_id = f.merchant_id AND j.id = f.job_id AND f.role = 'output'
                 AND j.finished_at < $1""",
            w.now - timedelta(days=OUTPUT_DAYS),
        )


_NO_FILE = {
    "input": "the job's file is missing: upload it again",
    "output": f"the job has no file, or it was older than {OUTPUT_DAYS} days",
}


def _file_place(merchant_id: int, job_id: int, role: FileRole, piece: int) -> str:
    return f"job_files.data|{merchant_id}|{job_id}|{role}|{piece}"


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


async def reopen(w: Work, job_id: int) -> None:
    """Make an unfinished job claimable at once: its caller knows that nobody works on it."""
    await w.sql.execute(
        """UPDATE jobs SET state = 'queued', lease_owner = NULL, lease_until = $3, error = NULL,
                  finished_at = NULL
           WHERE merchant_id = $1 AND id = $2 AND state IN ('queued', 'running', 'failed')""",
        w.merchant_id, job_id, w.now + timedelta(hours=1),
    )  # fmt: skip
