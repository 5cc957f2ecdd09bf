"""Moving on those whose time has come: any number of workers at once, any of which may die.

A turn is one transaction. It claims due enrolments of one run and takes them as far as they go
without waiting, group by group; all of it is committed, or none.
"""

import logging
from collections.abc import Sequence
from graphlib import TopologicalSorter

from core.domain.campaigns.control import pause_troubled
from core.domain.campaigns.journeys.exits import leavers
from core.domain.campaigns.journeys.occasions import Occasion
from core.domain.campaigns.journeys.running import Journey, journeys
from core.domain.campaigns.journeys.steps import Walk
from core.domain.campaigns.journeys.travellers import claim, write_back
from core.guard import PluginFailed
from core.registry import Registry
from core.sdk.errors import HuikeError, Several
from core.sdk.flows import Flow
from core.storage.database import Database, Work

logger = logging.getLogger(__name__)

BATCH = 1_000
TURNS = 50
"""A merchant's runs get so many turns each before others come to theirs."""

DUE = """EXISTS (SELECT 1 FROM enrolments e WHERE e.merchant_id = r.merchant_id
    AND e.run_id = r.id AND e.state = 'waiting' AND e.wake_at <= {now})"""


async def advance(db: Database, registry: Registry, merchant_id: int) -> None:
    """Move on all of a merchant's enrolments that are due."""
    async with db.read(merchant_id) as session:
        due = await journeys(session, DUE.format(now="$2"), session.now)
    for journey in due:
        for _ in range(TURNS):
            if not await _turn(db, registry, merchant_id, journey):
                break


async def advance_event(
    db: Database, registry: Registry, merchant_id: int, journey: Journey, occasion: Occasion
) -> None:
    """Move on those whom an event let in or woke."""
    await _turn(db, registry, merchant_id, journey, (occasion.event_id, occasion.customer_ids))


async def merchants_due(db: Database) -> list[int]:
    """Merchants with enrolments of running runs that are due."""
    return await db.merchants(
        f"""SELECT DISTINCT r.merchant_id FROM campaign_runs r
            WHERE r.state = 'running' AND {DUE.format(now="$1")}""",
        db.clock(),
    )  # fmt: skip


async def _turn(
    db: Database,
    registry: Registry,
    merchant_id: int,
    journey: Journey,
    event: tuple[int, Sequence[int]] | None = None,
) -> int:
    """One turn; returns how many were moved on. A step that cannot be taken pauses the campaign."""
    try:
        async with db.work(merchant_id) as w:
            return await walk(w, registry, journey, event)
    except PluginFailed as error:
        logger.warning("run %s waits for a plugin: %s", journey.run_id, error)
    except (HuikeError, Several) as error:
        await pause_troubled(db, merchant_id, journey.campaign_id, str(error))
    return 0


async def walk(
    w: Work,
    registry: Registry,
    journey: Journey,
    event: tuple[int, Sequence[int]] | None = None,
) -> int:
    """Claim due enrolments and take their steps, in this transaction; returns how many."""
    travellers = await claim(w, journey, BATCH, event)
    if not travellers:
        return 0
    on = Walk(w, registry, journey)
    for number in _forwards(journey.flow):
        group = [one for one in travellers if one.moving and one.step == number]
        if not group:
            continue
        gone = await leavers(w, registry, journey, [one.id for one in group])
        for one in group:
            if one.id in gone:
                one.leave(gone[one.id])
        if staying := [one for one in group if one.moving]:
            await on.step(number, staying)
    await write_back(w, travellers)
    if any(one.state != "waiting" for one in travellers):
        # it may have been the last one inside
        w.ring("run.send", w.merchant_id, journey.run_id)
    return len(travellers)


def _forwards(flow: Flow) -> list[int]:
    """The steps in an order in which none comes before one that leads to it.

    So that those whose ways join again take the next step together.
    """
    sorter = TopologicalSorter({number: flow.targets(number) for number in range(len(flow.steps))})
    return list(sorter.static_order())[::-1]
