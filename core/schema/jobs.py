"""Long work: its state, its progress, what it refused."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from enum import Enum
from typing import Any

import orjson
import strawberry

from core.schema.context import Info, field, mutation, subscription
from core.schema.downloads import JobFile, file_of
from core.schema.errors import UserError
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import JSON, Node, global_id, need_id, read_id
from core.schema.where import DateTimeFilter, IdColumn, IdFilter, StringFilter
from core.storage import jobs as storage
from core.storage.database import Session


@strawberry.enum
class JobState(Enum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@strawberry.type
class Progress:
    done: int
    total: int | None
    failed: int


@strawberry.type(description="A row that a job refused, and why.")
class JobReject(Node):
    row: int
    code: str
    column: str | None
    message: str


def reject_of(row: Any) -> JobReject:
    return JobReject(
        id=global_id("JobReject", row["id"]),
        row=row["row"],
        code=row["code"],
        column=row["column"],
        message=row["message"],
    )


REJECTS = Listing("rejects", "job_rejects r", "r", {}, {}, reject_of)


async def rejects_by_id(session: Session, pks: list[int]) -> dict[int, JobReject]:
    rows = await session.sql.fetch(
        "SELECT * FROM job_rejects WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: reject_of(row) for row in rows}


@strawberry.type
class JobError:
    code: str
    message: str
    path: list[str]


@strawberry.type(description="Long work, which goes on after a crash where it stood.")
class Job(Node):
    row: strawberry.Private[Any]
    kind: str
    actor: str = strawberry.field(
        description="Who began it: a token, a member of staff, or the system."
    )
    state: JobState
    progress: Progress
    result: JSON | None
    error: JobError | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @field("JOBS_READ", description="Rows that were refused, the last first.")
    async def rejects(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[JobReject]:
        return await page(info, REJECTS, None, None, first, after, ("r.job_id", self.row["id"]))

    @field("JOBS_READ", description="What the job made, for who may read what is in it.")
    async def file(self, info: Info) -> JobFile | None:
        return file_of(info, self.row)


def job_of(row: Any) -> Job:
    error = orjson.loads(row["error"]) if row["error"] else None
    return Job(
        id=global_id("Job", row["id"]),
        row=row,
        kind=row["kind"],
        actor=row["actor"],
        state=JobState(row["state"]),
        progress=Progress(done=row["done"], total=row["total"], failed=row["failed"]),
        result=JSON(orjson.loads(row["result"])) if row["result"] else None,
        error=JobError(**error) if error else None,
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


@strawberry.input
class JobWhere:
    id: strawberry.Maybe[IdFilter]
    kind: strawberry.Maybe[StringFilter]
    state: strawberry.Maybe["JobStateFilter"]
    created_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["JobWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["JobWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["JobWhere"] = strawberry.field(name="not", default=None)


@strawberry.input
class JobStateFilter:
    eq: strawberry.Maybe[JobState]
    in_: strawberry.Maybe[list[JobState]] = strawberry.field(name="in", default=None)


@strawberry.enum
class JobSortField(Enum):
    CREATED_AT = "created_at"


@strawberry.input
class JobSort:
    field: JobSortField
    direction: SortDirection = SortDirection.ASC


@strawberry.type
class JobCancelPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


JOBS = Listing(
    "jobs", "jobs j", "j",
    {"id": IdColumn("Job", "j.id"), "kind": "j.kind", "state": "j.state",
     "created_at": "j.created_at"},
    {"created_at": "j.created_at"},
    job_of,
)  # fmt: skip


async def jobs_by_id(session: Session, pks: list[int]) -> dict[int, Job]:
    rows = await session.sql.fetch(
        "SELECT * FROM jobs WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: job_of(row) for row in rows}


@strawberry.type
class JobQueries:
    @field("JOBS_READ")
    async def jobs(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: JobWhere | None = None,
        sort: list[JobSort] | None = None,
    ) -> Connection[Job]:
        return await page(info, JOBS, where, sort, first, after)

    @field("JOBS_READ")
    async def job(self, info: Info, id: strawberry.ID) -> Job | None:
        pk = read_id("Job", id)
        return await info.context.load("jobs", pk, jobs_by_id) if pk else None


@strawberry.type
class JobMutations:
    @mutation(
        "JOBS_READ", JobCancelPayload,
        description="What it has done so far stays. What others began needs JOBS_CANCEL too.",
    )  # fmt: skip
    async def job_cancel(self, info: Info, id: strawberry.ID) -> JobCancelPayload | None:
        pk = need_id("Job", id)
        async with info.context.work() as w:
            if (await storage.get(w, pk))["actor"] != info.context.actor:
                info.context.need("JOBS_CANCEL")
            await storage.cancel(w, pk)
            return JobCancelPayload(job=(await jobs_by_id(w, [pk]))[pk])


@strawberry.type
class JobSubscriptions:
    @subscription("JOBS_READ", description="The job at once and after each step, until it ends.")
    async def job_progress(self, info: Info, id: strawberry.ID) -> AsyncIterator[Job]:
        pk = need_id("Job", id)
        context = info.context
        signals = context.installation.signals
        async with aclosing(signals.changes("job", context.merchant_id, pk)) as changed:
            async for _ in changed:
                async with context.read() as session:
                    job = (await jobs_by_id(session, [pk])).get(pk)
                if job is None:
                    return
                yield job
                if job.state in ENDED:
                    return
