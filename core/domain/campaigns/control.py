"""Moving a campaign through its states.

draft -> scheduled -> running <-> paused -> finished, and cancelled from any of the first four; a
draft may be reviewed and approved before (review.py). A campaign that was too late for its
schedule is paused without a run; resuming starts it. One that recurs is running between its
occurrences too, each of which gets a run from recurring.py.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from core.domain.campaigns.campaigns import (
    BEFORE,
    await_next,
    campaign_calendar,
    campaign_zone,
    locked_campaign,
    need_approval,
    require_state,
)
from core.domain.campaigns.content.checking import check_texts
from core.domain.campaigns.flows import (
    FLOW,
    audience_rule,
    campaign_channel,
    check_flow,
    stored_flow,
    with_schedule,
)
from core.domain.campaigns.journeys.acting import check_acts
from core.domain.campaigns.ledger import stop_turns
from core.domain.campaigns.occurrences import begin, moved
from core.domain.shops.plugins import plugin_settings
from core.registry import Registry
from core.sdk.errors import Faults, WrongState
from core.sdk.flows import Flow, OnAudience, Schedule
from core.sdk.versions import check_version
from core.storage.database import Database, Work

logger = logging.getLogger(__name__)

REASON_LIMIT = 500
STARTABLE = ("draft", "approved", "scheduled")


async def schedule_campaign(
    w: Work, registry: Registry, campaign_id: int, when: Schedule, if_version: int | None = None
) -> None:
    """Have a draft start at an instant to come, `when.at`, on another day if its own is a holiday.

    With `local` (of a message to one segment) each customer gets it when the clocks where it lives
    show what the shop's show at that instant. Raises WrongState, InvalidInput, Several,
    PluginDisabled, and Conflict for a campaign of another version than `if_version`.
    """
    row = await locked_campaign(w, campaign_id)
    check_version(row["version"], if_version)
    require_state(row, STARTABLE, "scheduled")
    await need_approval(w, row)
    at, local = await _moment(w, row, when), when.local
    faults = Faults()
    if at <= w.now:
        faults.wrong("the time lies in the past; start the campaign instead", "at")
    flow = stored_flow(row["flow"])
    if local and flow.kind != "broadcast":
        faults.wrong("only one message to one segment, sent once, can be local", "local")
    faults.tell()
    await _check_channels(w, registry, row)
    if flow.kind == "broadcast":
        schedule = Schedule(at=at, local=True) if local else None
        flow = with_schedule(flow, schedule)
        if schedule:
            at = max(begin(schedule, await campaign_zone(w, row["shop_id"]), at), w.now)
    await _schedule(w, campaign_id, at, flow)


async def start_campaign(w: Work, registry: Registry, campaign_id: int) -> int | None:
    """Start now; returns the run's id, None of a campaign whose runs begin at its occurrences.

    Raises WrongState, PluginDisabled, NotFound, Several.
    """
    row = await locked_campaign(w, campaign_id)
    require_state(row, STARTABLE, "started")
    await need_approval(w, row)
    return await _start(w, registry, row)


async def pause_campaign(w: Work, campaign_id: int) -> None:
    """Hold a running campaign: what is being handed over ends, nothing new begins."""
    row = await locked_campaign(w, campaign_id)
    require_state(row, ("running",), "paused")
    await pause_run(w, campaign_id, "paused by hand")


async def pause_run(w: Work, campaign_id: int, reason: str) -> None:
    """Hold a campaign and its open runs, and say why; does nothing when it is not running."""
    await stop_turns(w, campaign_id)
    await w.sql.execute(
        """UPDATE campaign_runs SET state = 'paused', pause_reason = $3
           WHERE merchant_id = $1 AND campaign_id = $2 AND state IN ('planning', 'running')""",
        w.merchant_id, campaign_id, reason,
    )  # fmt: skip
    await _set_state(w, campaign_id, "paused", ("running", "scheduled"), reason)


async def pause_troubled(db: Database, merchant_id: int, campaign_id: int, reason: str) -> None:
    """Hold a campaign that cannot go on, in a transaction of its own, and say why."""
    logger.warning("campaign %s is paused: %s", campaign_id, reason)
    async with db.work(merchant_id) as w:
        # every statement that takes both locks takes the campaign's first
        await w.sql.execute(
            "SELECT 1 FROM campaigns WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
            merchant_id, campaign_id,
        )  # fmt: skip
        await pause_run(w, campaign_id, reason[:REASON_LIMIT])


async def resume_campaign(w: Work, registry: Registry, campaign_id: int) -> int | None:
    """Go on with a paused campaign; returns the newest open run's id, if any.

    What would have recurred meanwhile is passed over. Raises WrongState, PluginDisabled, Several.
    """
    row = await locked_campaign(w, campaign_id)
    require_state(row, ("paused",), "resumed")
    await _check_channels(w, registry, row)
    runs = await w.sql.fetch(
        """UPDATE campaign_runs SET pause_reason = NULL, resume_at = NULL, resting = NULL,
               state = CASE WHEN planned_at IS NULL THEN 'planning' ELSE 'running' END
           WHERE merchant_id = $1 AND campaign_id = $2 AND state = 'paused' RETURNING id""",
        w.merchant_id, campaign_id,
    )  # fmt: skip
    if not runs and row["kind"] != "recurring":
        return await _start(w, registry, row)
    await _set_state(w, campaign_id, "running", ("paused",))
    if row["next_at"] is not None:
        schedule = stored_flow(row["flow"]).schedule
        await await_next(w, campaign_id, row["shop_id"], schedule, w.now)
    run_ids = sorted(run["id"] for run in runs)
    for run_id in run_ids:
        w.ring("run.send", w.merchant_id, run_id)
    return int(run_ids[-1]) if run_ids else None


async def finish_campaign(w: Work, campaign_id: int) -> None:
    """Let nobody in any more and nothing recur; who is on the way, and what is planned, goes on.

    The campaign is finished when that is done. Raises NotFound, and WrongState for one that ends by
    itself.
    """
    row = await locked_campaign(w, campaign_id)
    require_state(row, ("running", "paused"), "brought to its end")
    if row["kind"] == "broadcast":
        raise WrongState("a message sent once ends by itself", ("id",))
    runs = await w.sql.fetch(
        """UPDATE campaign_runs SET open = FALSE WHERE merchant_id = $1 AND campaign_id = $2
              AND state IN ('planning', 'running', 'paused') RETURNING id""",
        w.merchant_id, campaign_id,
    )  # fmt: skip
    await await_next(w, campaign_id, row["shop_id"], None, w.now)
    if not runs:
        await _set_state(w, campaign_id, "finished", (row["state"],))
    for run in runs:
        w.ring("run.send", w.merchant_id, run["id"])
    await w.notify("campaign", campaign_id)


async def cancel_campaign(w: Work, campaign_id: int) -> None:
    """End a campaign for good: what is not yet handed over is skipped, and nobody stays on the
    way. Raises WrongState."""
    row = await locked_campaign(w, campaign_id)
    require_state(row, (*BEFORE, "running", "paused"), "cancelled")
    await stop_turns(w, campaign_id)
    runs = await w.sql.fetch(
        """UPDATE campaign_runs SET state = 'cancelled', open = FALSE, finished_at = $3,
               pause_reason = NULL
           WHERE merchant_id = $1 AND campaign_id = $2
             AND state IN ('planning', 'running', 'paused') RETURNING id""",
        w.merchant_id, campaign_id, w.now,
    )  # fmt: skip
    run_ids = [run["id"] for run in runs]
    await w.sql.execute(
        """UPDATE deliveries SET state = 'skipped', reason = 'cancelled', updated_at = $3
           WHERE merchant_id = $1 AND run_id = ANY($2::bigint[]) AND state = 'pending'""",
        w.merchant_id, run_ids, w.now,
    )  # fmt: skip
    await w.sql.execute(
        """UPDATE enrolments SET state = 'left', reason = 'cancelled', ended_at = $3,
               wake_at = NULL
           WHERE merchant_id = $1 AND run_id = ANY($2::bigint[]) AND state = 'waiting'""",
        w.merchant_id, run_ids, w.now,
    )  # fmt: skip
    await _set_state(w, campaign_id, "cancelled", (row["state"],))


async def check_channel(w: Work, registry: Registry, channel: str) -> None:
    """Raises InvalidInput or PluginDisabled when the merchant cannot send by it."""
    campaign_channel(registry, channel)
    await plugin_settings(w, registry, registry.channels[channel].plugin)


async def _check_channels(w: Work, registry: Registry, row: Mapping[str, Any]) -> None:
    for send in stored_flow(row["flow"]).sends().values():
        await check_channel(w, registry, send.channel)


async def begin_run(
    w: Work, registry: Registry, row: Mapping[str, Any], occurrence: datetime | None = None
) -> int:
    """Begin a run of a campaign's row; returns its id. Raises PluginDisabled, NotFound, Several."""
    flow = await check_ready(w, registry, row)
    rule = None
    if isinstance(flow.trigger, OnAudience):
        rule = await audience_rule(w, flow.trigger.segment_id)
    run_id: int = await w.sql.fetchval(
        """INSERT INTO campaign_runs (merchant_id, campaign_id, version, state, open, rule, flow,
               options, priority, created_at, occurrence)
           VALUES ($1, $2, $3, 'planning', $4, $5, $6, $7, ($7::jsonb ->> 'priority')::smallint,
               $8, $9)
           RETURNING id""",
        w.merchant_id, row["id"], row["version"], flow.kind == "journey", rule, row["flow"],
        row["options"], w.now, occurrence,
    )  # fmt: skip
    w.ring("run.send", w.merchant_id, run_id)
    return run_id


async def _start(w: Work, registry: Registry, row: Mapping[str, Any]) -> int | None:
    flow = await check_ready(w, registry, row)
    schedule = flow.schedule
    if schedule and schedule.at and row["state"] in ("draft", "approved"):
        at = await _moment(w, row, schedule)
        schedule = schedule.model_copy(update={"at": at})
        flow = with_schedule(flow, schedule)
        row = {**row, "flow": flow.model_dump_json()}
        zone = await campaign_zone(w, row["shop_id"])
        if (first := begin(schedule, zone, at)) > w.now:
            await _schedule(w, row["id"], first, flow)
            return None
    recurs = flow.kind == "recurring"
    run_id = None if recurs else await begin_run(w, registry, row)
    # what happens just now is not passed over
    since = (row["scheduled_at"] or w.now) - timedelta.resolution
    await await_next(w, row["id"], row["shop_id"], schedule, since)
    await _set_state(w, row["id"], "running", (row["state"],))
    return run_id


async def _moment(w: Work, row: Mapping[str, Any], schedule: Schedule) -> datetime:
    """The single moment of a schedule, moved as it minds the shop's holidays."""
    if schedule.at is None:
        raise TypeError("a schedule of a single moment is needed")
    calendar = await campaign_calendar(w, row["shop_id"], schedule)
    return moved(schedule, await campaign_zone(w, row["shop_id"]), schedule.at, calendar)


async def check_ready(w: Work, registry: Registry, row: Mapping[str, Any]) -> Flow:
    """The campaign's flow, all that it names being there. Raises PluginDisabled, Several."""
    await _check_channels(w, registry, row)
    flow = stored_flow(row["flow"])
    await check_flow(w, registry, flow, flow.kind != "journey")
    await check_acts(w, registry, flow, FLOW)
    await check_texts(w, registry, flow)
    return flow


async def _schedule(w: Work, campaign_id: int, at: datetime, flow: Flow) -> None:
    await w.sql.execute(
        """UPDATE campaigns SET state = 'scheduled', scheduled_at = $3, flow = $5, updated_at = $4,
               version = version + 1
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, campaign_id, at, w.now, flow.model_dump_json(),
    )  # fmt: skip
    await w.notify("campaign", campaign_id)


async def _set_state(
    w: Work, campaign_id: int, state: str, before: Iterable[str], reason: str | None = None
) -> None:
    await w.sql.execute(
        """UPDATE campaigns SET state = $3, pause_reason = $6, updated_at = $4
           WHERE merchant_id = $1 AND id = $2 AND state = ANY($5::text[])""",
        w.merchant_id, campaign_id, state, w.now, list(before), reason,
    )  # fmt: skip
    await w.notify("campaign", campaign_id)
