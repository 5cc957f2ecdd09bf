"""Versions of a journey: each that people are on is a run of its own, and the newest lets them in.

A changed flow makes a new version. Those inside finish on theirs, or are moved over by choice.
"""

from collections.abc import Mapping
from typing import Any

from core.domain.campaigns.flows import stored_flow
from core.sdk.errors import WrongState
from core.sdk.flows import Flow, OnAudience
from core.storage.database import Work


async def new_version(w: Work, row: Mapping[str, Any], flow: Flow, options: str) -> None:
    """Have a running or paused journey go on with another flow for whom it lets in from now on.

    `row` is the campaign's, locked, as it was; `options` is JSON. Raises WrongState while the
    journey is still being planned.
    """
    newest = await newest_run(w, row["id"])
    if newest["state"] == "planning":
        raise WrongState("the journey is just starting: try again in a moment", ("id",))
    await w.sql.execute(
        "UPDATE campaign_runs SET open = FALSE WHERE merchant_id = $1 AND campaign_id = $2",
        w.merchant_id, row["id"],
    )  # fmt: skip
    lets_in = newest["open"] or _at_once(stored_flow(newest["flow"]))
    await w.sql.execute(
        """INSERT INTO campaign_runs (merchant_id, campaign_id, version, state, open, rule, flow,
               options, priority, pause_reason, created_at, planned_at)
           SELECT merchant_id, campaign_id, $4, $5, $6, rule, $7, $8,
                  ($8::jsonb ->> 'priority')::smallint, $9, $3, $3
           FROM campaign_runs WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, newest["id"], w.now, row["version"] + 1, row["state"],
        lets_in and not _at_once(flow), flow.model_dump_json(), options, row["pause_reason"],
    )  # fmt: skip
    # the version that closed may have nobody inside
    w.ring("run.send", w.merchant_id, newest["id"])


def _at_once(flow: Flow) -> bool:
    """Whether all come in when it starts, and nobody afterwards."""
    return isinstance(flow.trigger, OnAudience) and not (flow.schedule and flow.schedule.cron)


async def newest_run(w: Work, campaign_id: int) -> Mapping[str, Any]:
    """The newest run of a campaign that has any, locked."""
    row: Mapping[str, Any] = await w.sql.fetchrow(
        """SELECT id, state, open, flow FROM campaign_runs
           WHERE merchant_id = $1 AND campaign_id = $2 AND state <> 'missed'
           ORDER BY id DESC LIMIT 1 FOR UPDATE""",
        w.merchant_id, campaign_id,
    )  # fmt: skip
    return row
