"""The daily measuring: boundaries of value and products' cycles, once in a merchant's day."""

from typing import Any

from core.domain.lifecycle.calendar import calendar_of
from core.domain.lifecycle.cycles import measure_cycles
from core.domain.lifecycle.rfm import measure, measured_scopes
from core.storage import jobs
from core.storage.database import Database, Work
from core.storage.jobs import Job

KIND = "lifecycle.refresh"
LOCAL_HOUR = 2
"""The hour of the merchant's night from which the day's measuring is due."""

DUE = f"""
    m.id > 0 AND EXTRACT(hour FROM $1::timestamptz AT TIME ZONE m.time_zone) >= {LOCAL_HOUR}
    AND EXISTS (SELECT 1 FROM customer_facts f WHERE f.merchant_id = m.id)
    AND NOT EXISTS (
        SELECT 1 FROM jobs j WHERE j.merchant_id = m.id AND j.kind = '{KIND}'
          AND j.created_at >= date_trunc('day', $1::timestamptz, m.time_zone))
"""
"""Whether merchant `m` has orders and was not measured yet this day, at the time $1."""


class LifecycleRefresh:
    """The job kind "lifecycle.refresh": one step for each shop and currency, and one for products.

    The result has the numbers of `scopes` and `products` measured.
    """

    name = KIND

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Measure what is left to measure."""
        async with db.read(job.merchant_id) as session:
            scopes = await measured_scopes(session)
        job.total = len(scopes) + 1
        for shop_id, currency in scopes:
            if [shop_id, currency] in job.checkpoint.get("measured", []):
                continue
            async with job.step(db) as w:
                await measure(w, await calendar_of(w, shop_id), currency)
                job.done += 1
                job.checkpoint.setdefault("measured", []).append([shop_id, currency])
        if "products" not in job.checkpoint:
            async with job.step(db) as w:
                job.checkpoint["products"] = await measure_cycles(w)
                job.done += 1
        return {"scopes": len(scopes), "products": job.checkpoint["products"]}


async def start_refresh(w: Work) -> int:
    """Begin the job, unless one is open; returns the id of either."""
    # one decision at a time
    await w.sql.execute("SELECT 1 FROM merchants WHERE id = $1 FOR NO KEY UPDATE", w.merchant_id)
    open_job: int | None = await w.sql.fetchval(
        """SELECT id FROM jobs WHERE merchant_id = $1 AND kind = $2
              AND state IN ('queued', 'running') ORDER BY id DESC LIMIT 1""",
        w.merchant_id, KIND,
    )  # fmt: skip
    return open_job or await jobs.enqueue(w, KIND, {})


async def start_due_refreshes(db: Database) -> list[int]:
    """Begin the job of each merchant whose day's measuring is due; returns the merchants."""
    due = await db.merchants(f"SELECT m.id FROM merchants m WHERE {DUE} ORDER BY m.id", db.clock())
    started = []
    for merchant_id in due:
        async with db.work(merchant_id) as w:
            still_due = await w.sql.fetchval(
                f"SELECT m.id FROM merchants m WHERE m.id = $2 AND {DUE} FOR NO KEY UPDATE",
                w.now, w.merchant_id,
            )  # fmt: skip
            if still_due is not None:
                await start_refresh(w)
                started.append(w.merchant_id)
    return started
