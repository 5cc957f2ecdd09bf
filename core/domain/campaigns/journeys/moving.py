"""Moving those inside a journey to its newest version."""

from core.domain.campaigns.campaigns import LIVE, locked_campaign, require_state
from core.domain.campaigns.flows import stored_flow
from core.domain.campaigns.journeys.versions import newest_run
from core.sdk.errors import NotFound
from core.sdk.flows import Flow
from core.storage.database import Work


async def move(w: Work, campaign_id: int, from_version: int) -> tuple[int, int]:
    """Move those on a version to the newest, to the step of the same key; returns (moved, stayed).

    Whose step is gone there stays and finishes on the old one. Who waits goes on waiting until the
    same moment if the step still is a wait, else takes the step now. Raises NotFound, WrongState.
    """
    row = await locked_campaign(w, campaign_id)
    require_state(row, LIVE, "moved on")
    newest = await newest_run(w, campaign_id)
    old = await w.sql.fetchrow(
        """SELECT id, flow FROM campaign_runs WHERE merchant_id = $1 AND campaign_id = $2
              AND version = $3 AND id <> $4 AND state <> 'missed'""",
        w.merchant_id, campaign_id, from_version, newest["id"],
    )  # fmt: skip
    if old is None:
        raise NotFound(f"the journey has no older version {from_version}", ("input", "fromVersion"))
    if newest["state"] == "finished":
        # nobody was on it
        await w.sql.execute(
            """UPDATE campaign_runs SET state = $3, finished_at = NULL
               WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, newest["id"], row["state"],
        )  # fmt: skip
    ways = _ways(stored_flow(old["flow"]), stored_flow(newest["flow"]))
    await w.sql.execute(
        """SELECT id FROM enrolments WHERE merchant_id = $1 AND run_id = $2 AND state = 'waiting'
           ORDER BY id FOR NO KEY UPDATE""",
        w.merchant_id, old["id"],
    )  # fmt: skip
    result: str = await w.sql.execute(
        """UPDATE enrolments e SET run_id = $3, step = x.there,
               until = CASE WHEN x.waits THEN e.until ELSE $4 END,
               wake_at = CASE WHEN x.waits THEN e.wake_at ELSE $4 END,
               heard = e.heard AND x.waits
           FROM unnest($5::smallint[], $6::smallint[], $7::boolean[]) AS x (here, there, waits)
           WHERE e.merchant_id = $1 AND e.run_id = $2 AND e.state = 'waiting'
             AND e.step = x.here""",
        w.merchant_id, old["id"], newest["id"], w.now, *ways,
    )  # fmt: skip
    moved = int(result.rpartition(" ")[2])
    stayed: int = await w.sql.fetchval(
        """SELECT count(*) FROM enrolments WHERE merchant_id = $1 AND run_id = $2
              AND state = 'waiting'""",
        w.merchant_id, old["id"],
    )  # fmt: skip
    w.ring("journeys.advance", w.merchant_id)
    w.ring("run.send", w.merchant_id, old["id"])
    return moved, stayed


def _ways(old: Flow, new: Flow) -> tuple[list[int], list[int], list[bool]]:
    """The numbers of the steps that both have, there and here, and whether both are waits."""
    there = {step.key: number for number, step in enumerate(new.steps)}
    waits = ("wait", "wait_for")
    found = [
        (number, there[step.key], step.kind in waits and new.steps[there[step.key]].kind in waits)
        for number, step in enumerate(old.steps)
        if step.key in there
    ]
    here, to, still = zip(*found, strict=True) if found else ((), (), ())
    return list(here), list(to), list(still)
