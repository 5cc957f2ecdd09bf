"""The audit log, and checking that nobody tampered with it."""

from datetime import datetime
from typing import Any

import orjson
import strawberry

from core.domain.shops.audit import KIND, read_hash
from core.schema.context import Info, field, mutation
from core.schema.errors import UserError
from core.schema.idempotency import once
from core.schema.jobs import Job, jobs_by_id
from core.schema.pages import After, Connection, First, Listing, page
from core.schema.scalars import JSON
from core.schema.where import DateTimeFilter, StringFilter
from core.storage.jobs import enqueue


@strawberry.type(description="What somebody did. Each entry's hash covers the one before it.")
class AuditEntry:
    number: int = strawberry.field(description="From 1 without gaps.")
    at: datetime
    actor: str = strawberry.field(
        description="`token:12`, `staff:3`, `job:7`, `command`, `nobody` or `system`."
    )
    action: str = strawberry.field(description="A noun and what became of it: `token.created`.")
    data: JSON = strawberry.field(description="Ids, names of fields and counts.")
    hash: str


@strawberry.input
class AuditWhere:
    action: strawberry.Maybe[StringFilter]
    actor: strawberry.Maybe[StringFilter]
    at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["AuditWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["AuditWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["AuditWhere"] = strawberry.field(name="not", default=None)


@strawberry.input
class AuditVerifyInput:
    idempotency_key: str
    head: str | None = strawberry.field(
        default=None, description="A hash noted earlier: shows whether the log's end was cut off."
    )


@strawberry.type
class AuditVerifyPayload:
    job: Job | None = strawberry.field(
        default=None, description="Its result: `intact`, `entries`, `head` and the first `fault`."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


def entry_of(row: Any) -> AuditEntry:
    return AuditEntry(
        number=row["number"],
        at=row["at"],
        actor=row["actor"],
        action=row["action"],
        data=JSON(orjson.loads(row["data"])),
        hash=row["hash"].hex(),
    )


ENTRIES = Listing(
    "audit", "audit_log a", "a",
    {"action": "a.action", "actor": "a.actor", "at": "a.at"}, {}, entry_of,
)  # fmt: skip


@strawberry.type
class AuditQueries:
    @field("AUDIT_READ", description="The newest first.")
    async def audit_log(
        self, info: Info, first: First = 20, after: After = None, where: AuditWhere | None = None
    ) -> Connection[AuditEntry]:
        return await page(info, ENTRIES, where, None, first, after)


@strawberry.type
class AuditMutations:
    @mutation("AUDIT_READ", AuditVerifyPayload, description="Check the whole log in a job.")
    async def audit_verify(self, info: Info, input: AuditVerifyInput) -> AuditVerifyPayload | None:
        async with info.context.work() as w:

            async def start() -> int:
                head = read_hash(input.head)
                return await enqueue(w, KIND, {"head": head.hex() if head else None})

            given = {"head": input.head}
            job_id = await once(w, "auditVerify", input.idempotency_key, given, start)
            return AuditVerifyPayload(job=(await jobs_by_id(w, [job_id]))[job_id])
