"""Whole lists as a file: any query of a list, run by a job page by page."""

from typing import Any

import orjson
import strawberry

from core.domain.shops.caller import Caller
from core.schema.bulk_documents import AFTER, bulk_query
from core.schema.context import Info, mutation
from core.schema.errors import UserError
from core.schema.idempotency import check_key, once
from core.schema.jobs import Job, jobs_by_id
from core.schema.scalars import JSON
from core.sdk.errors import Faults, InvalidInput, WrongState
from core.storage import jobs
from core.storage.database import Work

KIND = "bulk.export"
LIMIT = 5
VARIABLE_BYTES = 100_000
VARIABLES = ("input", "variables")


@strawberry.input
class BulkExportRunInput:
    query: str = strawberry.field(
        description="One query of one list with pages, its `nodes` and nothing beside them, "
        "without `first` and `after`."
    )
    variables: JSON | None = strawberry.field(default=None, description="Values by name.")
    idempotency_key: str


@strawberry.type
class BulkExportRunPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class BulkExportMutations:
    @mutation(
        "JOBS_READ", BulkExportRunPayload,
        description="Write all of a list into a file of JSON lines, `Job.file` when it is done: "
        "one node a line, as the query asks for it. It runs with your rights, which are looked "
        "at again for each page.",
    )  # fmt: skip
    async def bulk_export_run(
        self, info: Info, input: BulkExportRunInput
    ) -> BulkExportRunPayload | None:
        context = info.context
        faults, variables = Faults(), dict[str, Any]()
        with faults:
            check_key(input.idempotency_key)
        with faults:
            variables = _variables(input.variables)
        with faults:
            query = bulk_query(info.schema, input.query)
        faults.tell()
        for permission in sorted(query.permissions):
            context.need(permission)
        caller = context.caller
        assert caller is not None
        given = {"query": input.query, "variables": variables}
        async with context.work() as w:

            async def call() -> int:
                return await _record(w, given, said_of(caller), sorted(query.permissions))

            request = {"sign": w.keyring.sign("export", orjson.dumps(given).decode())}
            job_id: int = await once(w, "bulk.export", input.idempotency_key, request, call)
            return BulkExportRunPayload(job=(await jobs_by_id(w, [job_id]))[job_id])


def _variables(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict) or AFTER in given:
        raise InvalidInput("variables are an object with values by name", VARIABLES)
    if len(orjson.dumps(given)) > VARIABLE_BYTES:
        raise InvalidInput(f"variables have {VARIABLE_BYTES} bytes at most", VARIABLES)
    return given


def said_of(caller: Caller) -> dict[str, Any]:
    """Who asks, so that the job can look for the rights of each moment."""
    return {
        "token_id": caller.token_id,
        "staff_id": caller.staff_id,
        "session_id": caller.session_id,
        "proof": caller.proof.hex(),
    }


async def _record(
    w: Work, given: dict[str, Any], caller: dict[str, Any], permissions: list[str]
) -> int:
    # one after the other, so that the limit holds
    await w.sql.execute("SELECT 1 FROM merchants WHERE id = $1 FOR NO KEY UPDATE", w.merchant_id)
    count = await w.sql.fetchval(
        """SELECT count(*) FROM jobs
           WHERE merchant_id = $1 AND kind = $2 AND state IN ('queued', 'running')""",
        w.merchant_id, KIND,
    )  # fmt: skip
    if count >= LIMIT:
        raise WrongState(
            f"{LIMIT} bulk exports run already: wait for one, or cancel it", ("input",)
        )
    job_id = await jobs.enqueue(w, KIND, {"caller": caller}, queued=False)
    # a filter may be contact data: it is kept encrypted, and until the job ends
    await jobs.add_file_piece(w, job_id, 0, orjson.dumps(given))
    await jobs.release(w, job_id)
    w.audit("export.started", {"job": job_id, "permissions": permissions})
    return job_id
