"""The customers of a segment, let in at once when the journey starts."""

import orjson

from core.domain.campaigns.flows import audience_rule
from core.domain.campaigns.journeys.asking import new_query
from core.domain.campaigns.journeys.entering import enrol
from core.domain.campaigns.journeys.running import Journey
from core.domain.campaigns.planning import Recipients
from core.domain.segments.rules import cheapest, read_rule
from core.registry import Registry
from core.sdk.facets import Query
from core.sdk.flows import OnAudience, OnSegment
from core.storage.database import Work


async def let_all_in(w: Work, registry: Registry, journey: Journey, rule: str | None) -> int:
    """Let in those of a rule (as stored), after whom nobody comes; returns how many.

    A journey that others enter when they enter a segment lets in who is in it by now, if it is to.
    Does nothing for one that begins otherwise, or again and again.
    """
    trigger = journey.flow.trigger
    if isinstance(trigger, OnSegment):
        if not trigger.present:
            return 0
        q, recipients = await _present(w, registry, trigger.segment_id)
        return await enrol(w, registry, q, journey, recipients, q.arg(journey.run_id, "bigint"))
    if not isinstance(trigger, OnAudience) or (trigger.schedule and trigger.schedule.cron):
        return 0
    if rule is None:
        raise TypeError("the run of an audience has the segment's rule")
    q, recipients = await fulfilling_rule(w, registry, rule)
    count = await enrol(w, registry, q, journey, recipients, q.arg(journey.run_id, "bigint"))
    await close_run(w, journey.run_id)
    return count


async def fulfilling_rule(w: Work, registry: Registry, rule: str) -> tuple[Query, Recipients]:
    """All who fulfil a rule (as stored). Raises Several."""
    asked = await cheapest(
        w, await read_rule(w, registry, orjson.loads(rule), facets=registry.facets)
    )
    return asked.q, Recipients(f"{asked.q.source} WHERE {asked.q.base} AND {asked.condition}")


async def _present(w: Work, registry: Registry, segment_id: int) -> tuple[Query, Recipients]:
    """Who is in a segment by its list of members: events tell of all others who enter it.

    A new segment is asked by its rule: nobody is told of those whom it has from the start.
    """
    rule = await audience_rule(w, segment_id)
    listed = await w.sql.fetchval(
        """SELECT kind <> 'dynamic' OR refreshed_at IS NOT NULL FROM segments
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, segment_id,
    )  # fmt: skip
    if not listed:
        return await fulfilling_rule(w, registry, rule)
    q = await new_query(w)
    return q, Recipients(
        f"""segment_members m
            JOIN customers c ON c.merchant_id = m.merchant_id AND c.id = m.customer_id
            WHERE m.merchant_id = $1 AND m.segment_id = {q.arg(segment_id, "bigint")}
              AND m.left_at IS NULL"""
    )


async def close_run(w: Work, run_id: int) -> None:
    """Let nobody in any more; who is inside goes on."""
    await w.sql.execute(
        "UPDATE campaign_runs SET open = FALSE WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, run_id,
    )  # fmt: skip
    w.ring("run.send", w.merchant_id, run_id)
