"""Tags for all the customers of a segment, put on or taken off by a job."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from core.domain.customers.tags import check_tags, tag_customers, untag_customers
from core.domain.segments.rules import Rule, cheapest, read_rule
from core.domain.segments.segments import get_segment
from core.registry import Registry
from core.storage import jobs
from core.storage.database import Database, Session, Work

AT_ONCE = 1_000


async def start_tagging(w: Work, segment_id: int, tags: list[str], add: bool) -> int:
    """Begin a job that tags (`add`) or untags who belongs to a segment; returns its id.

    The job keeps the rule and the time that it began with. Raises NotFound, InvalidInput.
    """
    segment = await get_segment(w, segment_id, ("input", "segmentId"))
    params = {
        "rule": segment["rule"], "tags": check_tags(tags), "add": add, "at": w.now.isoformat(),
    }  # fmt: skip
    return await jobs.enqueue(w, SegmentTagging.name, params)


class SegmentTagging:
    """The job: customers by rising id, a group in each step."""

    name = "customers.tag"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def run(self, db: Database, job: jobs.Job) -> dict[str, Any]:
        params = job.params
        if job.total is None:
            async with job.step(db) as w:
                asked = await cheapest(w, await self._rule(w, params))
                (job.total,) = await w.figures(asked.count, *asked.q.args)
        while True:
            async with job.step(db) as w:
                ids = await self._next_ids(w, params, job.checkpoint.get("after", 0))
                changed = await _change(w, ids, params)
                if ids:
                    job.checkpoint["after"] = ids[-1]
                job.checkpoint["changed"] = job.checkpoint.get("changed", 0) + changed
                job.done += len(ids)
            if len(ids) < AT_ONCE:
                return {"customers": job.done, "changed": job.checkpoint["changed"]}

    async def _rule(self, session: Session, params: Mapping[str, Any]) -> Rule:
        at = datetime.fromisoformat(params["at"])
        return replace(await read_rule(session, self._registry, params["rule"]), now=at)

    async def _next_ids(self, session: Session, params: Mapping[str, Any], after: int) -> list[int]:
        asked = (await self._rule(session, params)).ask("probe")
        rows = await session.sql.fetch(
            f"""SELECT c.id {asked.matching} WHERE c.id > {asked.q.arg(after)}
                ORDER BY c.id LIMIT {AT_ONCE}""",
            *asked.q.args,
        )
        return [row["id"] for row in rows]


async def _change(w: Work, ids: list[int], params: Mapping[str, Any]) -> int:
    if params["add"]:
        return await tag_customers(w, ids, params["tags"], "rule")
    return await untag_customers(w, ids, params["tags"])
