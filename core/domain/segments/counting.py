"""A preview that takes too long to wait for: counted by a job, range after range of customers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from core.domain.segments.measures import Measure, measure
from core.domain.segments.preview import MAX_SAMPLE, SegmentPreview, newest_matching
from core.domain.segments.rules import Rule, cheapest, read_rule
from core.registry import Registry
from core.sdk.errors import NotFound, Several, WrongState
from core.storage import jobs
from core.storage.database import Database, Session, Work

KIND = "segment.preview"
RANGES = 40
FRESH = timedelta(minutes=5)
"""So long a finished job's figures answer for the same rule."""
LOCK_SPACE = 0x6873


async def start_counting(w: Work, registry: Registry, stored: Mapping[str, Any]) -> int:
    """A job that counts a stored rule; returns its id.

    One for the same rule that is under way, or ended lately, is used again. Raises Several.
    """
    await read_rule(w, registry, stored)
    await w.sql.execute(
        "SELECT pg_advisory_xact_lock($1::int, $2::int)", LOCK_SPACE, w.merchant_id % 2**31
    )
    known = await latest_counting(w, stored)
    return known["id"] if known else await jobs.enqueue(w, KIND, {"rule": stored})


async def latest_counting(session: Session, stored: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The row of a job that counts this rule now, or did within the last minutes."""
    row = await session.sql.fetchrow(
        """SELECT * FROM jobs WHERE merchant_id = $1 AND kind = $2
              AND params = jsonb_build_object('rule', $3::jsonb)
              AND (state IN ('queued', 'running')
                   OR state IN ('succeeded', 'failed') AND finished_at > $4)
           ORDER BY id DESC LIMIT 1""",
        session.merchant_id, KIND, orjson.dumps(stored, default=str).decode(),
        session.now - FRESH,
    )  # fmt: skip
    return row and dict(row)


async def counting_job(session: Session, job_id: int) -> Mapping[str, Any]:
    """The row of such a job. Raises NotFound."""
    row = await jobs.get(session, job_id)
    if row["kind"] != KIND:
        raise NotFound(f"the job {job_id} counts no segment")
    return row


async def counted_preview(
    session: Session, registry: Registry, job: Mapping[str, Any], sample: int
) -> SegmentPreview | None:
    """What a job's row found, None while it has not succeeded. Raises Several."""
    if job["state"] != "succeeded":
        return None
    result = orjson.loads(job["result"])
    rule = await read_rule(session, registry, orjson.loads(job["params"])["rule"])
    at = replace(rule, now=datetime.fromisoformat(result["at"]))
    return SegmentPreview(at, Counter(result["counts"]), result["sample"][:sample])


class SegmentCounting:
    """The job: from the newest customers to the oldest, a range of ids in each step."""

    name = KIND

    def __init__(self, registry: Registry, measures: Sequence[Measure]) -> None:
        self._registry = registry
        self._measures = measures

    async def run(self, db: Database, job: jobs.Job) -> dict[str, Any]:
        if job.total is None:
            async with job.step(db) as w:
                low, high = await w.sql.fetchrow(
                    """SELECT COALESCE(min(id), 0), COALESCE(max(id), 0) FROM customers
                       WHERE merchant_id = $1""",
                    w.merchant_id,
                )  # fmt: skip
                job.checkpoint = {
                    "at": w.now.isoformat(), "low": low, "high": high, "counts": {}, "sample": [],
                }  # fmt: skip
                job.total = len(ranges(low, high))
        left = ranges(job.checkpoint["low"], job.checkpoint["high"])[job.done :]
        for within in left:
            async with job.step(db) as w:
                await self._count(w, job, within)
        return {name: job.checkpoint[name] for name in ("at", "counts", "sample")}

    async def _count(self, w: Work, job: jobs.Job, within: tuple[int, int]) -> None:
        so_far = job.checkpoint
        rule = await self._rule(w, job)
        counts = Counter(so_far["counts"])
        counts.update(await measure(w, self._registry, rule, self._measures, within))
        wanted = MAX_SAMPLE - len(so_far["sample"])
        more: list[int] = []
        if wanted:
            more = await newest_matching(w, await cheapest(w, rule, within), wanted)
        job.checkpoint = {**so_far, "counts": dict(counts), "sample": [*so_far["sample"], *more]}
        job.done += 1

    async def _rule(self, session: Session, job: jobs.Job) -> Rule:
        try:
            rule = await read_rule(session, self._registry, job.params["rule"])
        except Several as error:
            raise WrongState(f"the rule can no longer be asked: {error}") from None
        return replace(rule, now=datetime.fromisoformat(job.checkpoint["at"]))


def ranges(low: int, high: int) -> list[tuple[int, int]]:
    """Up to RANGES ranges of ids that cover all from `low` to `high`, the highest first."""
    width = -(-(high - low + 1) // RANGES)
    starts = range(low, high + 1, width)
    return [(start, min(start + width - 1, high)) for start in reversed(starts)]
