"""Events let customers into journeys, and wake those inside who wait for them."""

import logging

from core.domain.campaigns.control import pause_troubled
from core.domain.campaigns.journeys.advance import advance_event
from core.domain.campaigns.journeys.asking import new_query
from core.domain.campaigns.journeys.entering import enrol
from core.domain.campaigns.journeys.occasions import Occasion, occasion_of
from core.domain.campaigns.journeys.running import Journey, journeys
from core.domain.campaigns.journeys.waking import wake
from core.domain.campaigns.planning import Recipients
from core.registry import Registry
from core.sdk.errors import HuikeError, Several
from core.sdk.events import Occurrence, SegmentEntered, SegmentLeft
from core.sdk.flows import OnEvent, OnSegment
from core.storage.database import Database, Work

logger = logging.getLogger(__name__)

# which runs an event may mean anything to; exactly which, the flow says
CONCERNED = """(
    r.flow -> 'trigger' ->> 'type' = $2
    OR r.flow -> 'trigger' ->> 'kind' = 'segment' AND $2 LIKE 'segment.%'
    OR jsonb_path_exists(r.flow, '$.steps[*] ? (@.kind == "wait_for" && @.type == $type)',
                         jsonb_build_object('type', $2::text))
    OR r.flow #>> '{exit,rule}' IS NOT NULL
    OR $3 AND (r.flow #>> '{exit,order_states}' IS NOT NULL
               OR r.flow #>> '{exit,bought}' = 'true'))"""

SEGMENT_EVENTS = {"entered": SegmentEntered.type, "left": SegmentLeft.type}


async def hear(db: Database, registry: Registry, occurrence: Occurrence) -> None:
    """Do what an event means to the merchant's journeys; told twice, it counts once.

    Those whom it lets in or wakes take their next steps before this returns, so that the next
    event finds them where they wait for it.
    """
    async with db.read(occurrence.merchant_id) as session:
        occasion = await occasion_of(session, occurrence)
        if occasion is None:
            return
        concerned = await journeys(
            session, CONCERNED, occasion.type, occasion.order_id is not None, paused=True
        )
    seen = [(journey, occasion.seen_by(journey)) for journey in concerned]
    moved = [
        (journey, own)
        for journey, own in seen
        if own.concerns(journey) and await _tell(db, registry, journey, own)
    ]
    for journey, own in moved:
        try:
            await advance_event(db, registry, occurrence.merchant_id, journey, own)
        except Exception:
            # they stay due: the sweep goes on with them
            logger.exception("run %s could not go on after an event", journey.run_id)


async def _tell(db: Database, registry: Registry, journey: Journey, occasion: Occasion) -> bool:
    """Wake who waits for the event, then let in whom it lets in; returns whether anybody moved."""
    try:
        async with db.work(occasion.merchant_id) as w:
            woken = await wake(w, journey, occasion)
            return bool(woken + await _let_in(w, registry, journey, occasion))
    except (HuikeError, Several) as error:
        await pause_troubled(db, occasion.merchant_id, journey.campaign_id, str(error))
        return False


async def _let_in(w: Work, registry: Registry, journey: Journey, occasion: Occasion) -> int:
    if not lets_in(journey, occasion):
        return 0
    q = await new_query(w)
    customers = q.arg(occasion.customer_ids, "bigint[]")
    recipients = Recipients(
        f"customers c WHERE c.merchant_id = $1 AND c.id = ANY({customers})",
        order=q.arg(occasion.order_id, "bigint"),
        parcel=q.arg(occasion.parcel_id, "bigint"),
    )
    event = q.arg(occasion.event_id, "bigint")
    return await enrol(
        w, registry, q, journey, recipients, event, at=occasion.at, event_id=occasion.event_id
    )


def lets_in(journey: Journey, occasion: Occasion) -> bool:
    """Whether the event is one that the journey begins with."""
    trigger = journey.flow.trigger
    if isinstance(trigger, OnEvent):
        return occasion.fits(trigger.type, trigger.where)
    if isinstance(trigger, OnSegment):
        return occasion.fits(SEGMENT_EVENTS[trigger.moment], {"segment_id": [trigger.segment_id]})
    return False
