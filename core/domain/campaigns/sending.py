"""Sending a run: any number of workers may do it at once, and any of them may die at any moment.

Each step of the run that has something due is a lane, and lanes go on side by side: a channel that
is away holds up nobody else. sender.py does the work of one lane.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from core.domain.campaigns import ledger
from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.claiming import Step
from core.domain.campaigns.content.tracking import store_links
from core.domain.campaigns.control import pause_troubled
from core.domain.campaigns.due import mark_served
from core.domain.campaigns.flows import campaign_channel, stored_flow, stored_options
from core.domain.campaigns.journeys.exits import read_leaving
from core.domain.campaigns.preview import open_content
from core.domain.campaigns.reconciling import first_pauses
from core.domain.campaigns.sender import Lane, Sender
from core.domain.campaigns.variants import release_variants
from core.domain.shops.plugins import plugin_context
from core.guard import PluginFailed, closed, guarded
from core.registry import Registry
from core.sdk.channels import opening
from core.sdk.errors import HuikeError, ReconnectNeeded, Refused, RetryLater, Several, Unknown
from core.sdk.flows import Send
from core.storage.database import Database

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
REST = timedelta(seconds=30)
SLICE_SECONDS = 20.0
"""How long a run is served before others that wait get their turn."""


async def send_run(
    db: Database,
    registry: Registry,
    merchant_id: int,
    run_id: int,
    base_url: str,
    *,
    lease: timedelta = LEASE,
    stop: asyncio.Event | None = None,
    seconds: float | None = None,
) -> bool:
    """Do what there is to do for a run now: plan it, send what is due, finish it.

    Returns False when nothing is due any more, when the run was paused, cancelled or has to rest,
    or soon after `stop` is set, and True when only the `seconds` were over. `base_url` starts the
    links in messages.
    """
    async with db.work(merchant_id) as w:
        await ledger.expire(w, run_id, first_pauses(registry))
        await mark_served(w, run_id)
    try:
        await plan_run(db, registry, merchant_id, run_id)
    except (HuikeError, Several) as error:
        # the segment's rule or the channel no longer exists here
        await pause_troubled(
            db, merchant_id, await _campaign_of(db, merchant_id, run_id), str(error)
        )
        return False
    row = await _running(db, merchant_id, run_id)
    if row is None:
        return False
    ended = _Ended(stop or asyncio.Event(), seconds)
    sends = stored_flow(row["flow"]).sends()
    await release_variants(db, merchant_id, run_id, sends)
    lanes = [
        _send_step(
            db, registry, merchant_id, dict(row) | {"step": step, "send": sends[step]},
            base_url.rstrip("/"), lease, ended,
        )
        for step in await _due_steps(db, merchant_id, run_id, sends)
    ]  # fmt: skip
    # one that fails must not leave the others on their own: their end is waited for
    ends = await asyncio.gather(*lanes, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    go_on = [end is True for end in ends]
    if ended():
        return any(go_on) and not ended.stopped
    async with db.work(merchant_id) as w:
        if not await ledger.finish(w, run_id, row["campaign_id"]):
            await w.notify("campaign", row["campaign_id"])
    return False


class _Ended:
    """Whether it is time to stop: asked to, or the slice of time is over."""

    def __init__(self, stop: asyncio.Event, seconds: float | None) -> None:
        self._stop = stop
        self._clock = asyncio.get_running_loop().time
        self._end = None if seconds is None else self._clock() + seconds

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def __call__(self) -> bool:
        return self.stopped or (self._end is not None and self._clock() >= self._end)


async def _send_step(
    db: Database,
    registry: Registry,
    merchant_id: int,
    row: Mapping[str, Any],
    base_url: str,
    lease: timedelta,
    ended: _Ended,
) -> bool:
    """Send what is due of one step; returns whether the lane goes on."""
    try:
        lane = await _prepare(db, registry, merchant_id, row)
        context = await plugin_context(db, registry, lane.plugin, merchant_id)
        manager = opening(lane.channel, context)
        session = await guarded(lane.plugin, merchant_id, lane.timeout, manager.__aenter__())
    except (HuikeError, Several, ReconnectNeeded, Refused, Unknown) as error:
        if isinstance(error, PluginFailed):
            await _rest(db, merchant_id, row["id"], row["step"], str(error))
        else:
            await pause_troubled(db, merchant_id, row["campaign_id"], str(error))
        return False
    except RetryLater as error:
        await _rest(db, merchant_id, row["id"], row["step"], str(error), error.after)
        return False
    try:
        sender = Sender(db, registry, lane, session, base_url, lease, ended)
        await sender.work()
    finally:
        await closed(lane.plugin, manager, lane.timeout)
    if sender.pause_reason is not None:
        await pause_troubled(db, merchant_id, lane.campaign_id, sender.pause_reason)
    elif sender.rest_reason is not None:
        await _rest(db, merchant_id, lane.run_id, lane.step, sender.rest_reason)
    elif sender.closed is not None:
        await _rest_until(db, merchant_id, lane.run_id, lane.step, sender.closed.at)
        return False
    return sender.pause_reason is None and sender.rest_reason is None


async def _campaign_of(db: Database, merchant_id: int, run_id: int) -> int:
    async with db.read(merchant_id) as session:
        campaign_id: int = await session.sql.fetchval(
            "SELECT campaign_id FROM campaign_runs WHERE merchant_id = $1 AND id = $2",
            merchant_id, run_id,
        )  # fmt: skip
    return campaign_id


async def _running(db: Database, merchant_id: int, run_id: int) -> Mapping[str, Any] | None:
    async with db.read(merchant_id) as session:
        row: Mapping[str, Any] | None = await session.sql.fetchrow(
            """SELECT r.id, r.campaign_id, r.flow, r.options, r.priority, c.shop_id
               FROM campaign_runs r
               JOIN campaigns c ON c.merchant_id = r.merchant_id AND c.id = r.campaign_id
               WHERE r.merchant_id = $1 AND r.id = $2 AND r.state = 'running'
                 AND COALESCE(r.resume_at, $3) <= $3""",
            merchant_id, run_id, session.now,
        )  # fmt: skip
    return row


async def _due_steps(
    db: Database, merchant_id: int, run_id: int, steps: Iterable[int]
) -> list[int]:
    """Of these steps those with something to send now, whose channel does not rest."""
    async with db.read(merchant_id) as session:
        rows = await session.sql.fetch(
            """SELECT s.step FROM campaign_runs r, unnest($4::smallint[]) AS s (step)
               WHERE r.merchant_id = $1 AND r.id = $2
                 AND COALESCE((r.resting ->> s.step::text)::timestamptz, $3) <= $3
                 AND EXISTS (SELECT 1 FROM deliveries d WHERE d.merchant_id = $1
                       AND d.run_id = $2 AND d.step = s.step AND d.state = 'pending'
                       AND d.next_at <= $3 AND d.variant IS NOT NULL)
               ORDER BY s.step""",
            merchant_id, run_id, session.now, list(steps),
        )  # fmt: skip
    return [row["step"] for row in rows]


async def _prepare(
    db: Database, registry: Registry, merchant_id: int, row: Mapping[str, Any]
) -> Lane:
    send: Send = row["send"]
    channel = campaign_channel(registry, send.channel)
    plugin = registry.channels[channel.name].plugin
    options, flow = stored_options(row["options"]), stored_flow(row["flow"])
    async with db.read(merchant_id) as session:
        contents = [
            await open_content(session, registry, channel, row["shop_id"], variant.content, options)
            for variant in send.variants
        ]
        journey = flow.kind == "journey"
        leaving = await read_leaving(session, registry, flow.exit) if journey else None
    if any(content.tracking.links for content in contents):
        async with db.work(merchant_id) as w:
            for number, content in enumerate(contents):
                await store_links(w, row["id"], row["step"], number, content.tracking.links)
    claims = Step(
        row["id"], row["step"], send, channel, row["shop_id"], row["priority"], leaving, flow.local
    )
    return Lane(
        row["id"], row["step"], row["campaign_id"], merchant_id, send.message_class,
        row["shop_id"], plugin, registry.manifests[plugin].timeout, channel, contents, claims,
    )  # fmt: skip


async def _rest(
    db: Database,
    merchant_id: int,
    run_id: int,
    step: int,
    reason: str,
    after: timedelta | None = None,
) -> None:
    """Leave a step's channel alone for a while."""
    logger.warning("step %s of run %s rests for a while: %s", step, run_id, reason)
    await _rest_until(db, merchant_id, run_id, step, db.clock() + (after or REST))


async def _rest_until(
    db: Database, merchant_id: int, run_id: int, step: int, until: datetime
) -> None:
    """Have a step rest; a run that rests as a whole says until when."""
    async with db.work(merchant_id) as w:
        run = await w.sql.fetchrow(
            """SELECT flow, COALESCE(resting, '{}') AS resting FROM campaign_runs
               WHERE merchant_id = $1 AND id = $2 AND state = 'running' FOR NO KEY UPDATE""",
            merchant_id, run_id,
        )  # fmt: skip
        if run is None:
            return
        resting = {
            place: at for place, at in orjson.loads(run["resting"]).items()
            if datetime.fromisoformat(at) > w.now
        }  # fmt: skip
        resting[str(step)] = until.isoformat()
        alone = len(stored_flow(run["flow"]).sends()) == len(resting)
        await w.sql.execute(
            """UPDATE campaign_runs SET resting = $3, resume_at = $4
               WHERE merchant_id = $1 AND id = $2""",
            merchant_id, run_id, orjson.dumps(resting).decode(),
            min(map(datetime.fromisoformat, resting.values())) if alone else None,
        )  # fmt: skip
