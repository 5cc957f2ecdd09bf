"""Campaigns that recur, by the worker's sweep: a run begins, or a journey lets people in."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any

from core.domain.campaigns.campaigns import await_next, campaign_calendar, campaign_zone
from core.domain.campaigns.control import begin_run, pause_troubled
from core.domain.campaigns.flows import stored_flow, stored_options
from core.domain.campaigns.journeys.recurring import let_in_again
from core.domain.campaigns.occurrences import begin, begun, moved, recurrences
from core.registry import Registry
from core.sdk.errors import HuikeError, Several, WrongState
from core.sdk.flows import OnDate
from core.storage.database import Database, Session, Work

logger = logging.getLogger(__name__)

NOTED = timedelta(days=32)
"""Occurrences missed longer ago leave no trace."""


async def next_occurrences(session: Session, row: Mapping[str, Any], first: int) -> list[datetime]:
    """The next moments of a campaign's row, none of one that does not recur or has ended."""
    schedule = stored_flow(row["flow"]).schedule
    if schedule is None or row["state"] in ("finished", "cancelled"):
        return []
    zone = await campaign_zone(session, row["shop_id"])
    calendar = await campaign_calendar(session, row["shop_id"], schedule)
    since = session.now
    if row["state"] == "scheduled" and not (schedule.at and schedule.local):
        since = max(since, row["scheduled_at"])
    if schedule.at is not None:
        at = moved(schedule, zone, schedule.at, calendar)
        return [at] if at > since else []
    if row["state"] == "running":
        if row["next_at"] is None:
            return []
        since = begun(schedule, zone, row["next_at"])
    found = recurrences(schedule, zone, since - timedelta.resolution, calendar)
    return list(islice(found, first))


async def plan_anew(w: Work) -> None:
    """Find the next occurrence of the campaigns that mind holidays, which have changed."""
    rows = await w.sql.fetch(
        """SELECT id, shop_id, flow FROM campaigns
           WHERE merchant_id = $1 AND state = 'running' AND next_at IS NOT NULL
             AND flow #>> '{trigger,schedule,holidays}' <> 'keep' ORDER BY id FOR UPDATE""",
        w.merchant_id,
    )
    for row in rows:
        await await_next(w, row["id"], row["shop_id"], stored_flow(row["flow"]).schedule, w.now)


async def merchants_due(db: Database) -> list[int]:
    """Merchants with a campaign that is to occur."""
    return await db.merchants(
        """SELECT DISTINCT merchant_id FROM campaigns
           WHERE state = 'running' AND next_at <= $1""",
        db.clock(),
    )


async def begin_due_occurrences(db: Database, registry: Registry, merchant_id: int) -> None:
    """Begin a run for every occurrence of a merchant's campaigns whose time has come.

    Of several that are due (the server was down) only the newest gets one, and that only within
    the campaign's max_lateness; the others are noted as missed. A journey lets in the segment's
    customers at the newest, or those whose date it was on each day within max_lateness.
    """
    async with db.read(merchant_id) as session:
        rows = await session.sql.fetch(
            """SELECT id FROM campaigns WHERE merchant_id = $1 AND state = 'running'
                 AND next_at <= $2 ORDER BY next_at, id""",
            merchant_id, session.now,
        )  # fmt: skip
    for row in rows:
        await _occur(db, registry, merchant_id, row["id"])


async def _occur(db: Database, registry: Registry, merchant_id: int, campaign_id: int) -> None:
    try:
        async with db.work(merchant_id) as w:
            row = await w.sql.fetchrow(
                """SELECT * FROM campaigns WHERE merchant_id = $1 AND id = $2
                   AND state = 'running' AND next_at <= $3 FOR UPDATE SKIP LOCKED""",
                merchant_id, campaign_id, w.now,
            )  # fmt: skip
            if row is not None:
                await _catch_up(w, registry, row)
    except (HuikeError, Several) as error:
        await pause_troubled(db, merchant_id, campaign_id, str(error))
    except Exception:
        # whatever it is, the others that are due must not wait for it
        logger.exception("campaign %s of merchant %s could not go on", campaign_id, merchant_id)


async def _catch_up(w: Work, registry: Registry, row: Mapping[str, Any]) -> None:
    flow = stored_flow(row["flow"])
    schedule = flow.schedule
    if schedule is None or schedule.cron is None:
        raise WrongState("the campaign no longer recurs", ("id",))
    zone = await campaign_zone(w, row["shop_id"])
    calendar = await campaign_calendar(w, row["shop_id"], schedule)
    first = begun(schedule, zone, row["next_at"])
    later = takewhile(
        lambda moment: begin(schedule, zone, moment) <= w.now,
        recurrences(schedule, zone, max(first, w.now - NOTED), calendar),
    )
    due = [first, *later]
    oldest = w.now - stored_options(row["options"]).max_lateness.span
    taken = [moment for moment in due if moment >= oldest]
    if not isinstance(flow.trigger, OnDate):
        taken = taken[-1:]
    if row["kind"] == "journey":
        if not await let_in_again(w, registry, row["id"], taken):
            return
    elif taken:
        await begin_run(w, registry, row, *taken)
    await _note_missed(w, row, [moment for moment in due if moment not in taken])
    await await_next(w, row["id"], row["shop_id"], schedule, due[-1])
    await w.notify("campaign", row["id"])


async def _note_missed(w: Work, row: Mapping[str, Any], missed: Sequence[datetime]) -> None:
    if not missed:
        return
    logger.warning("campaign %s missed %s of its occurrences", row["id"], len(missed))
    await w.sql.execute(
        """INSERT INTO campaign_runs (merchant_id, campaign_id, version, state, flow, options,
               priority, created_at, finished_at, occurrence)
           SELECT $1, $2, $3, 'missed', $4, $5, 0, $6, $6, o.at
           FROM unnest($7::timestamptz[]) AS o (at)
           ON CONFLICT (merchant_id, campaign_id, occurrence) DO NOTHING""",
        w.merchant_id, row["id"], row["version"], row["flow"], row["options"], w.now, list(missed),
    )  # fmt: skip
