"""Snapshots: whom a rule matched once, kept under a name of its own."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from core.domain.segments.rules import cheapest, read_rule
from core.domain.segments.segments import check_texts, create_kept_segment, get_segment
from core.registry import Registry
from core.sdk.errors import Faults
from core.storage import jobs
from core.storage.database import Database, Work


async def start_snapshot(
    w: Work, registry: Registry, name: str, stored: Mapping[str, Any], description: str = ""
) -> tuple[int, int]:
    """Make a snapshot of whom a stored rule matches now; returns its id and that of the job.

    Its members are there when the job has ended. Raises InvalidInput, Several of InvalidInput,
    AlreadyExists.
    """
    faults = Faults()
    with faults:
        check_texts(name, description)
    with faults:
        await read_rule(w, registry, stored)
    faults.tell()
    segment_id = await create_kept_segment(w, name, "snapshot", description)
    params = {"segment_id": segment_id, "rule": stored, "at": w.now.isoformat()}
    return segment_id, await jobs.enqueue(w, SegmentSnapshot.name, params)


class SegmentSnapshot:
    """The job: one statement, so that it is one instant that is kept."""

    name = "segments.snapshot"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def run(self, db: Database, job: jobs.Job) -> dict[str, Any]:
        """Write the members; the result is how many there are."""
        if job.total is None:
            async with job.step(db) as w:
                await get_segment(w, job.params["segment_id"])
                # days are those of the time that was asked about
                at = datetime.fromisoformat(job.params["at"])
                rule = replace(await read_rule(w, self._registry, job.params["rule"]), now=at)
                asked = await cheapest(w, rule)
                q = asked.q
                done: str = await w.sql.execute(
                    f"""INSERT INTO segment_members
                            (merchant_id, segment_id, customer_id, entered_at)
                        SELECT $1, {q.arg(job.params["segment_id"], "bigint")}, c.id,
                               {q.arg(at, "timestamptz")} {asked.matching}""",
                    *q.args,
                )
                job.done = job.total = int(done.rpartition(" ")[2])
        return {"customers": job.done}
