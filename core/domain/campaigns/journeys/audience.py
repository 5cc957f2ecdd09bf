"""All customers of a segment, let in at once when the journey starts."""

import orjson

from core.domain.campaigns.journeys.entering import enrol
from core.domain.campaigns.journeys.running import Journey
from core.domain.campaigns.planning import Recipients
from core.domain.segments.rules import cheapest, read_rule
from core.registry import Registry
from core.sdk.flows import OnAudience
from core.storage.database import Work


async def let_all_in(w: Work, registry: Registry, journey: Journey, rule: str) -> int:
    """Let in those of a rule (as stored), after whom nobody comes; returns how many.

    Does nothing for a journey that begins otherwise, or again and again.
    """
    trigger = journey.flow.trigger
    if not isinstance(trigger, OnAudience) or (trigger.schedule and trigger.schedule.cron):
        return 0
    asked = await cheapest(
        w, await read_rule(w, registry, orjson.loads(rule), facets=registry.facets)
    )
    recipients = Recipients(f"{asked.q.source} WHERE {asked.q.base} AND {asked.condition}")
    run = asked.q.arg(journey.run_id, "bigint")
    count = await enrol(w, registry, asked.q, journey, recipients, run)
    await close_run(w, journey.run_id)
    return count


async def close_run(w: Work, run_id: int) -> None:
    """Let nobody in any more; who is inside goes on."""
    await w.sql.execute(
        "UPDATE campaign_runs SET open = FALSE WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, run_id,
    )  # fmt: skip
    w.ring("run.send", w.merchant_id, run_id)
