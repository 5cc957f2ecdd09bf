"""Running a bulk export: pages of its list become pieces of a file, each with its checkpoint.

Killed, it goes on after the last piece that was committed: no row is doubled or missing.
"""

from time import monotonic
from typing import Any

import orjson
from strawberry.types.execution import ExecutionResult

from core.domain.customers.masking import RIGHTS
from core.domain.shops.caller import Caller
from core.domain.shops.staff.callers import present_rights
from core.schema.bulk_documents import AFTER, BulkQuery, bulk_query
from core.schema.bulk_exports import KIND
from core.schema.documents import Documents
from core.sdk.errors import WrongState
from core.storage import jobs
from core.storage.database import Database
from core.storage.jobs import PIECE_BYTES, Job
from core.storage.outputs import describe_output

PIECE_SECONDS = 5.0
MAX_BYTES = 4 * 1024**3
MEDIA_TYPE = "application/x-ndjson"


class BulkExport:
    """The jobs of `bulkExportRun`."""

    name = KIND

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Write what is left of the list. Raises WrongState for what ends the job."""
        given = await query_of(db, job)
        query = bulk_query(self._documents.schema, given["query"])
        while not job.checkpoint.get("ended"):
            await self._write_piece(db, job, query, given["variables"])
        file = await describe_output(
            db, job.merchant_id, job.id, f"{query.field}-{job.id}.jsonl", MEDIA_TYPE,
            sorted({*query.permissions, *job.checkpoint["clear"]}),
        )  # fmt: skip
        return {"rows": job.done, "file": file.described()}

    async def _write_piece(
        self, db: Database, job: Job, query: BulkQuery, variables: dict[str, Any]
    ) -> None:
        """Read pages until they make a piece, and commit it with the cursor after them."""
        state = {"piece": 0, "after": None, "bytes": 0, "clear": [], **job.checkpoint}
        lines, started = bytearray(), monotonic()
        clear, rows, total = set(state["clear"]), 0, job.total
        while not state.get("ended"):
            caller = await caller_of(db, self._documents, job)
            clear |= {right for right in RIGHTS if right in caller.permissions}
            begins = state["after"] is None
            found = await self._page(
                caller, job, query.first if begins else query.next,
                {**variables, AFTER: state["after"]}, query.field,
            )  # fmt: skip
            if begins and found["bulkExportCount"]["precision"] == "EXACT":
                total = found["bulkExportCount"]["value"]
            for node in found["nodes"]:
                lines += orjson.dumps(node, default=str, option=orjson.OPT_APPEND_NEWLINE)
            rows += len(found["nodes"])
            page = found["bulkExportPage"]
            state |= {"after": page["endCursor"], "ended": not page["hasNextPage"]}
            if len(lines) >= PIECE_BYTES // 2 or monotonic() - started > PIECE_SECONDS:
                break
        state |= {"bytes": state["bytes"] + len(lines), "clear": sorted(clear)}
        if state["bytes"] > MAX_BYTES:
            raise WrongState(f"the file is larger than {MAX_BYTES} bytes: ask for less", ("query",))
        async with job.step(db) as w:
            await jobs.add_file_piece(w, job.id, state["piece"], bytes(lines), "output")
            job.done, job.total = job.done + rows, total
            job.checkpoint = {**state, "piece": state["piece"] + 1}

    async def _page(
        self, caller: Caller, job: Job, document: str, variables: dict[str, Any], field: str
    ) -> Any:
        result: ExecutionResult = await self._documents.run(
            caller, document, variables, f"job-{job.id}"
        )
        if result.errors or not result.data:
            faults = [error.message for error in result.errors or ()]
            raise WrongState("; ".join(faults[:3]) or "the query has no answer", ("query",))
        return result.data[field]


async def query_of(db: Database, job: Job) -> dict[str, Any]:
    """The query that the job was given, with its variables. Raises NotFound without one."""
    pieces = [piece async for piece in jobs.file_pieces(db, job.merchant_id, job.id)]
    given: dict[str, Any] = orjson.loads(b"".join(pieces))
    return given


async def caller_of(db: Database, documents: Documents, job: Job) -> Caller:
    """Who started the job, with the rights of this moment. Raises WrongState when they ended."""
    said = job.params["caller"]
    caller = Caller(
        job.merchant_id, frozenset(), said["token_id"], said["staff_id"], said["session_id"],
        proof=bytes.fromhex(said["proof"]),
    )  # fmt: skip
    present = await present_rights(db, documents.installation.registry, caller)
    if present is None:
        raise WrongState("the token or login that started the job has ended", ())
    return present
