"""What a campaign would do if it started now, by the same SQL that plans it; nothing is written.

A large audience is counted by a job, range after range of customers.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from core.domain.campaigns.campaigns import get_campaign
from core.domain.campaigns.flows import (
    audience_rule,
    campaign_channel,
    stored_flow,
    stored_options,
)
from core.domain.campaigns.planning import Message, Recipients, planned_sql
from core.domain.campaigns.policy.gate import SEND, SKIP, Gate, read_gate
from core.domain.campaigns.policy.windows import next_opening
from core.domain.campaigns.results.holdout import holdout_of
from core.domain.segments.counting import ranges
from core.domain.segments.rules import cheapest, read_rule
from core.registry import Registry
from core.sdk.errors import NotFound, Several, WrongState
from core.storage import jobs
from core.storage.database import Database, Session, Work

KIND = "campaign.simulate"
HOUR = 'YYYY-MM-DD"T"HH24:00:00+00:00'

Group = tuple[str, str | None, str | None]
"""What becomes of some: the verdict, the rule, and for those who wait the UTC hour as ISO text."""


@dataclass(frozen=True)
class Waiting:
    """So many messages are put off by a rule to an hour (its begin)."""

    hour: datetime
    rule: str
    count: int


@dataclass(frozen=True)
class Simulation:
    """What would become of everybody in the audience; `at` is the time it was counted for."""

    at: datetime
    would_send: int
    waiting: list[Waiting]
    skipped: dict[str, int]

    @property
    def audience(self) -> int:
        """How many customers there are in the campaign's segment."""
        waiting = sum(one.count for one in self.waiting)
        return self.would_send + waiting + sum(self.skipped.values())


async def simulate_campaign(session: Session, registry: Registry, campaign_id: int) -> Simulation:
    """Count the campaign's audience by what would become of each. Raises NotFound, WrongState,
    Several."""
    counts, gate = await _count(session, registry, campaign_id)
    return _simulation(session.now, counts, gate)


async def start_simulating(w: Work, campaign_id: int) -> int:
    """A job that simulates the campaign; returns its id. One that is under way is used again."""
    await w.sql.execute(
        "SELECT 1 FROM campaigns WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, campaign_id,
    )  # fmt: skip
    known: int | None = await w.sql.fetchval(
        """SELECT id FROM jobs WHERE merchant_id = $1 AND kind = $2
              AND params = jsonb_build_object('campaign_id', $3::bigint)
              AND state IN ('queued', 'running') ORDER BY id DESC LIMIT 1""",
        w.merchant_id, KIND, campaign_id,
    )  # fmt: skip
    return known or await jobs.enqueue(w, KIND, {"campaign_id": campaign_id})


async def simulated(session: Session, job_id: int) -> tuple[dict[str, Any], Simulation | None]:
    """The row of such a job, and what it found, None while it has not succeeded. Raises
    NotFound."""
    row = await jobs.get(session, job_id)
    if row["kind"] != KIND:
        raise NotFound(f"the job {job_id} simulates no campaign", ("jobId",))
    if row["state"] != "succeeded":
        return dict(row), None
    found = orjson.loads(row["result"])
    return dict(row), Simulation(
        datetime.fromisoformat(found["at"]),
        found["would_send"],
        [Waiting(datetime.fromisoformat(hour), rule, n) for hour, rule, n in found["waiting"]],
        found["skipped"],
    )


class CampaignSimulation:
    """The job: a range of customers' ids in each step."""

    name = KIND

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def run(self, db: Database, job: jobs.Job) -> dict[str, Any]:
        if job.total is None:
            async with job.step(db) as w:
                low, high = await w.sql.fetchrow(
                    """SELECT COALESCE(min(id), 0), COALESCE(max(id), 0) FROM customers
                       WHERE merchant_id = $1""",
                    w.merchant_id,
                )  # fmt: skip
                job.checkpoint = {"at": w.now.isoformat(), "low": low, "high": high, "counts": []}
                job.total = len(ranges(low, high))
        for within in ranges(job.checkpoint["low"], job.checkpoint["high"])[job.done :]:
            async with job.step(db) as w:
                counts = Counter({tuple(group): n for group, n in job.checkpoint["counts"]})
                more, _ = await self._count(w, job, within)
                counts.update(more)
                job.checkpoint = {**job.checkpoint, "counts": list(counts.items())}
                job.done += 1
        async with db.read(job.merchant_id) as session:
            _, gate = await self._count(session, job, (0, 0))
        counts = Counter({tuple(group): n for group, n in job.checkpoint["counts"]})
        found = _simulation(datetime.fromisoformat(job.checkpoint["at"]), counts, gate)
        return {
            "at": job.checkpoint["at"], "would_send": found.would_send, "skipped": found.skipped,
            "waiting": [(one.hour.isoformat(), one.rule, one.count) for one in found.waiting],
        }  # fmt: skip

    async def _count(
        self, session: Session, job: jobs.Job, within: tuple[int, int]
    ) -> tuple[Counter[Group], Gate]:
        try:
            return await _count(session, self._registry, job.params["campaign_id"], within)
        except Several as error:
            raise WrongState(f"the campaign can no longer be simulated: {error}") from None


async def _count(
    session: Session,
    registry: Registry,
    campaign_id: int,
    within: tuple[int, int] | None = None,
) -> tuple[Counter[Group], Gate]:
    campaign = await get_campaign(session, campaign_id)
    flow, options = stored_flow(campaign["flow"]), stored_options(campaign["options"])
    if flow.kind == "journey":
        raise WrongState("a journey has no audience of one moment to simulate", ("id",))
    ((number, send),) = flow.sends().items()
    rule = await audience_rule(session, campaign["segment_id"])
    channel = campaign_channel(registry, send.channel)
    gate = await read_gate(
        session, channel, send, campaign["shop_id"], options.priority, flow.local
    )
    asked = await cheapest(session, await read_rule(session, registry, orjson.loads(rule)), within)
    q = asked.q
    message = Message(
        0,
        number,
        send,
        channel,
        campaign["shop_id"],
        options.max_lateness.span,
        options.priority,
        flow.local,
        holdout_of(campaign_id, options),
    )
    recipients = Recipients(f"{q.source} WHERE {q.base} AND {asked.condition}")
    rows = await session.sql.fetch(
        f"""SELECT a.verdict, a.rule, CASE a.verdict WHEN 'wait' THEN
                to_char(a.moment AT TIME ZONE 'UTC', '{HOUR}') END AS hour, count(*) AS n
            FROM ({planned_sql(q, gate, message, recipients)}) a GROUP BY 1, 2, 3""",
        *q.args,
    )
    return Counter({(row["verdict"], row["rule"], row["hour"]): row["n"] for row in rows}), gate


def _simulation(at: datetime, counts: Counter[Group], gate: Gate) -> Simulation:
    waiting: Counter[tuple[datetime, str]] = Counter()
    skipped: Counter[str] = Counter()
    sent = 0
    for (verdict, rule, hour), n in counts.items():
        if verdict == SEND:
            sent += n
        elif verdict == SKIP:
            skipped[str(rule)] += n
        else:
            # a cap has room at any hour, but at that hour nothing may go out
            moment = datetime.fromisoformat(str(hour))
            opens = next_opening(max(moment, at), gate.zone, gate.rules).at
            begin = opens.replace(minute=0, second=0, microsecond=0)
            waiting[begin, str(rule)] += n
    return Simulation(
        at, sent,
        [Waiting(begin, rule, n) for (begin, rule), n in sorted(waiting.items())],
        dict(sorted(skipped.items())),
    )  # fmt: skip
