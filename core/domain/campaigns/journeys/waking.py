"""Events wake those inside a journey who wait for them, or whose exit rule they may fulfil."""

from core.domain.campaigns.journeys.occasions import Occasion
from core.domain.campaigns.journeys.running import Journey
from core.sdk.flows import WaitFor
from core.storage.database import Work


async def wake(w: Work, journey: Journey, occasion: Occasion) -> int:
    """Have them looked at now; returns how many.

    A wait keyed to an order hears of that order only. One that is told twice wakes nobody again.
    """
    waits = [
        number
        for number, step in enumerate(journey.flow.steps)
        if isinstance(step, WaitFor) and occasion.fits(step.type, step.where)
    ]
    ends = may_end(journey, occasion)
    if not waits and not ends:
        return 0
    # held first: one that is just on its way stands at its next step once it is ours
    rows = await w.sql.fetch(
        """SELECT id FROM enrolments WHERE merchant_id = $1 AND run_id = $2 AND state = 'waiting'
              AND customer_id = ANY($3::bigint[]) ORDER BY id FOR NO KEY UPDATE""",
        w.merchant_id, journey.run_id, occasion.customer_ids,
    )  # fmt: skip
    if not rows:
        return 0
    result: str = await w.sql.execute(
        """UPDATE enrolments e SET heard = e.heard OR x.hears, wake_at = $3, event_id = $4
           FROM (SELECT id, COALESCE(step = ANY($5::smallint[]) AND (until IS NULL OR until > $6)
                            AND (order_id = $7 OR order_id IS NULL OR $7::bigint IS NULL), FALSE)
                        AS hears
                 FROM enrolments WHERE merchant_id = $1 AND id = ANY($2::bigint[])) x
           WHERE e.merchant_id = $1 AND e.id = x.id AND e.state = 'waiting'
             AND e.event_id IS DISTINCT FROM $4 AND (x.hears OR $8)""",
        w.merchant_id, [row["id"] for row in rows], w.now, occasion.event_id, waits, occasion.at,
        occasion.order_id, ends,
    )  # fmt: skip
    woken = int(result.rpartition(" ")[2])
    if woken:
        w.ring("journeys.advance", w.merchant_id)
    return woken


def may_end(journey: Journey, occasion: Occasion) -> bool:
    """Whether the event may fulfil the journey's exit rule for somebody."""
    leaving = journey.flow.exit
    about_order = leaving.bought or leaving.order_states is not None
    return leaving.rule is not None or (about_order and occasion.order_id is not None)
