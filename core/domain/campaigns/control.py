"""Moving a campaign through its states.

draft -> scheduled -> running <-> paused -> finished, and cancelled from any of the first four. A
campaign that was too late for its schedule is paused without a run; resuming starts it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from core.domain.campaigns.campaigns import locked_campaign, require_state
from core.domain.campaigns.flows import campaign_channel, check_flow, stored_flow
from core.domain.campaigns.ledger import stop_turns
from core.domain.shops.plugins import plugin_settings
from core.registry import Registry
from core.sdk.errors import InvalidInput, NotFound
from core.sdk.flows import OnAudience
from core.storage.database import Work


async def schedule_campaign(w: Work, registry: Registry, campaign_id: int, at: datetime) -> None:
    """Have a draft start at an instant to come. Raises WrongState, InvalidInput, PluginDisabled."""
    row = await locked_campaign(w, campaign_id)
    require_state(row, ("draft", "scheduled"), "scheduled")
    if at <= w.now:
        raise InvalidInput("the time lies in the past; start the campaign instead", ("input", "at"))
    await _check_channels(w, registry, row)
    await w.sql.execute(
        """UPDATE campaigns SET state = 'scheduled', scheduled_at = $3, updated_at = $4
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, campaign_id, at, w.now,
    )  # fmt: skip
    await w.notify("campaign", campaign_id)


async def start_campaign(w: Work, registry: Registry, campaign_id: int) -> int:
    """Start now; returns the run's id. Raises WrongState, PluginDisabled, NotFound, Several."""
    row = await locked_campaign(w, campaign_id)
    require_state(row, ("draft", "scheduled"), "started")
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


async def resume_campaign(w: Work, registry: Registry, campaign_id: int) -> int:
    """Go on with a paused campaign; returns the newest run's id. Raises WrongState,
    PluginDisabled, Several."""
    row = await locked_campaign(w, campaign_id)
    require_state(row, ("paused",), "resumed")
    await _check_channels(w, registry, row)
    runs = await w.sql.fetch(
        """UPDATE campaign_runs SET pause_reason = NULL, resume_at = NULL,
               state = CASE WHEN planned_at IS NULL THEN 'planning' ELSE 'running' END
           WHERE merchant_id = $1 AND campaign_id = $2 AND state = 'paused' RETURNING id""",
        w.merchant_id, campaign_id,
    )  # fmt: skip
    if not runs:
        return await _start(w, registry, row)
    await _set_state(w, campaign_id, "running", ("paused",))
    run_ids = sorted(run["id"] for run in runs)
    for run_id in run_ids:
        w.ring("run.send", w.merchant_id, run_id)
    return int(run_ids[-1])


async def cancel_campaign(w: Work, campaign_id: int) -> None:
    """End a campaign for good: what is not yet handed over is skipped, and nobody stays on the
    way. Raises WrongState."""
    row = await locked_campaign(w, campaign_id)
    require_state(row, ("draft", "scheduled", "running", "paused"), "cancelled")
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


async def _start(w: Work, registry: Registry, row: Mapping[str, Any]) -> int:
    await _check_channels(w, registry, row)
    flow = stored_flow(row["flow"])
    await check_flow(w, registry, flow, flow.kind != "journey")
    rule = None
    if isinstance(flow.trigger, OnAudience):
        rule = await w.sql.fetchval(
            "SELECT rule FROM segments WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, flow.trigger.segment_id,
        )  # fmt: skip
        if rule is None:
            raise NotFound("the campaign's segment no longer exists: choose another one", ("id",))
    run_id: int = await w.sql.fetchval(
        """INSERT INTO campaign_runs (merchant_id, campaign_id, version, state, open, rule, flow,
               options, priority, created_at)
           VALUES ($1, $2, $3, 'planning', $4, $5, $6, $7, ($7::jsonb ->> 'priority')::smallint, $8)
           RETURNING id""",
        w.merchant_id, row["id"], row["version"], rule is None, rule, row["flow"], row["options"],
        w.now,
    )  # fmt: skip
    await _set_state(w, row["id"], "running", (row["state"],))
    w.ring("run.send", w.merchant_id, run_id)
    return run_id


async def _set_state(
    w: Work, campaign_id: int, state: str, before: Iterable[str], reason: str | None = None
) -> None:
    await w.sql.execute(
        """UPDATE campaigns SET state = $3, pause_reason = $6, updated_at = $4
           WHERE merchant_id = $1 AND id = $2 AND state = ANY($5::text[])""",
        w.merchant_id, campaign_id, state, w.now, list(before), reason,
    )  # fmt: skip
    await w.notify("campaign", campaign_id)
