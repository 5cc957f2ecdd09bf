"""Sending a run: any number of workers may do it at once, and any of them may die at any moment.

A turn is one transaction: it records what became of earlier messages and marks the next group as
`sending`. Only after its commit is a message of that group handed over. So at most the group in
flight is in doubt when a worker dies, and nothing is ever sent twice.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from core.domain.campaigns import ledger
from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.claiming import RATE, Claim, Step, claim
from core.domain.campaigns.content.message import Content, Recipient
from core.domain.campaigns.content.templates import RenderError
from core.domain.campaigns.content.tracking import store_links
from core.domain.campaigns.content.values import Occasion, fetch_values
from core.domain.campaigns.control import pause_run
from core.domain.campaigns.flows import campaign_channel, stored_flow, stored_options
from core.domain.campaigns.journeys.exits import read_leaving
from core.domain.campaigns.ledger import Outcome
from core.domain.campaigns.links import message_key, preferences_url, unsubscribe_url
from core.domain.campaigns.policy import CONTACTS
from core.domain.campaigns.policy.windows import Opening
from core.domain.campaigns.preview import open_content
from core.domain.shops.plugins import plugin_settings
from core.guard import PluginFailed, guarded
from core.registry import Registry
from core.sdk.channels import Channel, ChannelSession, MessageClass, OutgoingMessage
from core.sdk.errors import (
    HuikeError,
    ReconnectNeeded,
    Refused,
    RetryLater,
    Several,
    Unknown,
)
from core.sdk.flows import Send
from core.storage.database import Database
from core.storage.keyring import SealError

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
REST = timedelta(seconds=30)
FIRST_RETRY = timedelta(seconds=30)
RETRY_GROWTH = 1.7
LAST_RETRY = timedelta(hours=1)
MAX_ATTEMPTS = 18
FAILURES_TO_PAUSE = 5
TURN_TRIES = 60
TURN_SECONDS = 0.25
NOTIFY_SECONDS = 0.3
RATE_SECONDS = 1.0
"""So long a worker waits for a channel's rate itself; for longer the run rests."""


@dataclass(frozen=True)
class _Lane:
    """What every message of a run's step has in common; `contents` is one for each variant."""

    run_id: int
    step: int
    campaign_id: int
    merchant_id: int
    message_class: MessageClass
    shop_id: int | None
    plugin: str
    timeout: float
    channel: Channel
    contents: list[Content]
    claims: Step

    @cached_property
    def names(self) -> frozenset[str]:
        """The variables that any of the texts name."""
        return frozenset().union(*(content.names for content in self.contents))


async def send_run(
    db: Database,
    registry: Registry,
    merchant_id: int,
    run_id: int,
    base_url: str,
    *,
    lease: timedelta = LEASE,
    stop: asyncio.Event | None = None,
) -> None:
    """Do what there is to do for a run now: plan it, send what is due, finish it.

    Returns when nothing is due any more, when the run was paused, cancelled or has to rest, or
    soon after `stop` is set. `base_url` starts the links in messages.
    """
    async with db.work(merchant_id) as w:
        await ledger.expire(w, run_id)
    try:
        await plan_run(db, registry, merchant_id, run_id)
    except (HuikeError, Several) as error:
        # the segment's rule or the channel no longer exists here
        await _pause(db, merchant_id, await _campaign_of(db, merchant_id, run_id), str(error))
        return
    row = await _running(db, merchant_id, run_id)
    if row is None:
        return
    stop = stop or asyncio.Event()
    sends = stored_flow(row["flow"]).sends()
    for step in await _due_steps(db, merchant_id, run_id):
        lane_row = dict(row) | {
            "step": step, "send": sends[step], "alone": len(sends) == 1,
        }  # fmt: skip
        if stop.is_set() or not await _send_step(
            db, registry, merchant_id, lane_row, base_url.rstrip("/"), lease, stop
        ):
            return
    async with db.work(merchant_id) as w:
        if not await ledger.finish(w, run_id, row["campaign_id"]):
            await w.notify("campaign", row["campaign_id"])


async def _send_step(
    db: Database,
    registry: Registry,
    merchant_id: int,
    row: Mapping[str, Any],
    base_url: str,
    lease: timedelta,
    stop: asyncio.Event,
) -> bool:
    """Send what is due of one step; returns whether the run goes on."""
    try:
        lane, settings = await _prepare(db, registry, merchant_id, row)
        opening = lane.channel.open(settings)
        session = await guarded(lane.plugin, merchant_id, lane.timeout, opening.__aenter__())
    except (HuikeError, Several, ReconnectNeeded, Refused, Unknown) as error:
        if isinstance(error, PluginFailed):
            await _rest(db, merchant_id, row["id"], str(error))
        else:
            await _pause(db, merchant_id, row["campaign_id"], str(error))
        return False
    except RetryLater as error:
        await _rest(db, merchant_id, row["id"], str(error), error.after)
        return False
    try:
        return await _Sender(db, lane, session, base_url, lease, stop).work()
    finally:
        await _closed(opening, lane)


async def _closed(opening: Any, lane: _Lane) -> None:
    try:
        async with asyncio.timeout(lane.timeout):
            await opening.__aexit__(None, None, None)
    except Exception:
        logger.exception("plugin %s failed to close its connections", lane.plugin)


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


async def _due_steps(db: Database, merchant_id: int, run_id: int) -> list[int]:
    async with db.read(merchant_id) as session:
        rows = await session.sql.fetch(
            """SELECT DISTINCT step FROM deliveries WHERE merchant_id = $1 AND run_id = $2
                  AND state = 'pending' AND next_at <= $3 AND variant IS NOT NULL ORDER BY step""",
            merchant_id, run_id, session.now,
        )  # fmt: skip
    return [row["step"] for row in rows]


async def _prepare(
    db: Database, registry: Registry, merchant_id: int, row: Mapping[str, Any]
) -> tuple[_Lane, Any]:
    send: Send = row["send"]
    channel = campaign_channel(registry, send.channel)
    plugin = registry.channels[channel.name].plugin
    options = stored_options(row["options"])
    async with db.read(merchant_id) as session:
        settings = await plugin_settings(session, registry, plugin)
        contents = [
            await open_content(session, channel, row["shop_id"], variant.content, options)
            for variant in send.variants
        ]
        flow = stored_flow(row["flow"])
        journey = flow.kind == "journey"
        leaving = await read_leaving(session, registry, flow.exit) if journey else None
    if any(content.tracking.urls for content in contents):
        async with db.work(merchant_id) as w:
            for number, content in enumerate(contents):
                await store_links(w, row["id"], row["step"], number, content.tracking.urls)
    claims = Step(
        row["id"], row["step"], send, channel, row["shop_id"], row["priority"], row["alone"],
        leaving, flow.local,
    )  # fmt: skip
    lane = _Lane(
        row["id"], row["step"], row["campaign_id"], merchant_id, send.message_class,
        row["shop_id"], plugin, registry.manifests[plugin].timeout, channel, contents, claims,
    )  # fmt: skip
    return lane, settings


async def _pause(db: Database, merchant_id: int, campaign_id: int, reason: str) -> None:
    logger.warning("campaign %s is paused: %s", campaign_id, reason)
    async with db.work(merchant_id) as w:
        # every statement that takes both locks takes the campaign's first
        await w.sql.execute(
            "SELECT 1 FROM campaigns WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
            merchant_id, campaign_id,
        )  # fmt: skip
        await pause_run(w, campaign_id, reason[: ledger.DETAIL_LIMIT])


async def _rest(
    db: Database, merchant_id: int, run_id: int, reason: str, after: timedelta | None = None
) -> None:
    logger.warning("run %s rests for a while: %s", run_id, reason)
    await _rest_until(db, merchant_id, run_id, db.clock() + (after or REST))


async def _rest_until(db: Database, merchant_id: int, run_id: int, until: datetime) -> None:
    async with db.work(merchant_id) as w:
        await w.sql.execute(
            """UPDATE campaign_runs SET resume_at = $3
               WHERE merchant_id = $1 AND id = $2 AND state = 'running'""",
            merchant_id, run_id, until,
        )  # fmt: skip


class _Sender:
    """One worker's part in a step of a run."""

    def __init__(
        self,
        db: Database,
        lane: _Lane,
        session: ChannelSession,
        base_url: str,
        lease: timedelta,
        stop: asyncio.Event,
    ) -> None:
        self._db = db
        self._lane = lane
        self._session = session
        self._base_url = base_url
        self._lease = lease
        self._stop = stop
        self._owner = uuid.uuid4().hex
        self._low_water = lane.channel.concurrency * 2
        self._group = lane.channel.concurrency * 3
        self._queue: deque[Mapping[str, Any]] = deque()
        self._values: dict[int, dict[str, Any]] = {}
        self._active: set[int] = set()
        self._outcomes: list[Outcome] = []
        self._filled = asyncio.Semaphore(0)
        self._wake = asyncio.Event()
        self._none_due = False
        self._closed: Opening | None = None
        self._halted = False
        self._pause_reason: str | None = None
        self._rest_reason: str | None = None
        self._retries_in_a_row = 0
        self._failures_in_a_row = 0
        self._turn_failed = False
        self._renewed_at = db.clock()
        self._notified_at = 0.0
        self._place = f"customers.{CONTACTS[lane.channel.contact]}|{lane.merchant_id}|"

    async def work(self) -> bool:
        """Send until nothing is due or the run has to stop, and record everything.

        Returns whether the run goes on.
        """
        senders = [
            asyncio.create_task(self._send_queued()) for _ in range(self._lane.channel.concurrency)
        ]
        try:
            await self._take_turns()
        finally:
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)
        return await self._end()

    async def _take_turns(self) -> None:
        while True:
            if self._stop.is_set():
                self._halt()
            room = len(self._queue) <= self._low_water
            wanted = self._group if room and self._may_claim() else 0
            if wanted or self._outcomes or self._lease_is_old():
                await self._turn_until_committed(wanted)
            elif not self._queue and not self._active and not await self._rate_has_room():
                return
            await self._wait()

    def _may_claim(self) -> bool:
        waits = self._closed is not None and self._db.clock() < self._closed.at
        return not self._halted and not self._none_due and not waits

    async def _rate_has_room(self) -> bool:
        """Whether the channel's rate has room for more, soon enough to wait for it here."""
        if self._closed is None or self._halted or self._none_due:
            return False
        left = (self._closed.at - self._db.clock()).total_seconds()
        if left <= RATE_SECONDS:
            await asyncio.sleep(max(0.0, left))
        return self._db.clock() >= self._closed.at

    async def _wait(self) -> None:
        """Until it is time for another turn: sooner when the queue runs low, or all is done."""
        if not (self._queue or self._active):
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass

    # -- turns ------------------------------------------------------------------------------

    async def _turn_until_committed(self, wanted: int) -> None:
        """A turn, again and again while the database is away: outcomes must not be forgotten."""
        for attempt in range(TURN_TRIES):
            try:
                await self._turn(wanted)
            except Exception as error:
                if attempt == TURN_TRIES - 1:
                    raise
                if attempt == 0:
                    logger.warning("run %s: %s; trying again", self._lane.run_id, error)
                self._turn_failed = True
                await asyncio.sleep(min(0.1 * 2**attempt, 2.0))
            else:
                return

    async def _turn(self, wanted: int) -> None:
        lane = self._lane
        outcomes = list(self._outcomes)
        found = Claim()
        values: dict[int, dict[str, Any]] = {}
        held = self._held()
        renewing = self._lease_is_old()
        async with self._db.work(lane.merchant_id) as w:
            now = w.now
            state = await ledger.hold_run(w, lane.run_id)
            await ledger.record(w, self._owner, state, outcomes)
            if self._turn_failed:
                await ledger.give_back_lost(w, lane.run_id, self._owner, state, held)
            if renewing:
                await ledger.renew(w, self._owner, self._lease, held)
            if state == "running" and not self._halted and not self._stop.is_set():
                found = await claim(w, lane.claims, self._owner, self._lease, wanted)
                values = await fetch_values(w, lane.names, lane.contents[0].zone, [
                    Occasion(row["id"], row["customer_id"], row["order_id"], row["parcel_id"])
                    for row in found.rows if row["reason"] is None
                ])  # fmt: skip
            if self._time_to_notify():
                await w.notify("campaign", lane.campaign_id)
        self._turn_failed = False
        if renewing or not held:
            # all that we hold from here on is held at least a lease from this instant
            self._renewed_at = now
        del self._outcomes[: len(outcomes)]
        if wanted or found.closed is not None:
            self._closed = found.closed
        self._none_due = bool(wanted) and not found.rows and found.closed is None
        if state != "running" or (found.closed is not None and found.closed.rule != RATE):
            self._halt()
        self._values.update(values)
        self._hand_out([row for row in found.rows if row["reason"] is None])

    def _hand_out(self, rows: list[Mapping[str, Any]]) -> None:
        self._queue.extend(rows)
        for _ in rows:
            self._filled.release()

    def _held(self) -> list[int]:
        return [*self._active, *(row["id"] for row in self._queue)]

    def _lease_is_old(self) -> bool:
        return (
            bool(self._queue or self._active)
            and self._db.clock() - self._renewed_at > self._lease / 3
        )

    def _time_to_notify(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._notified_at < NOTIFY_SECONDS:
            return False
        self._notified_at = now
        return True

    def _halt(self) -> None:
        """Take no more; what nobody has begun to hand over goes back."""
        self._halted = True
        while self._queue:
            row = self._queue.popleft()
            self._outcomes.append(Outcome(row["id"], "pending", tried=False))

    async def _end(self) -> bool:
        lane = self._lane
        if self._pause_reason is not None:
            await _pause(self._db, lane.merchant_id, lane.campaign_id, self._pause_reason)
        elif self._rest_reason is not None:
            await _rest(self._db, lane.merchant_id, lane.run_id, self._rest_reason)
        elif self._closed is not None and (lane.claims.alone or self._closed.rule == RATE):
            await _rest_until(self._db, lane.merchant_id, lane.run_id, self._closed.at)
        return self._pause_reason is None and self._rest_reason is None

    # -- messages ---------------------------------------------------------------------------

    async def _send_queued(self) -> None:
        while True:
            await self._filled.acquire()
            if not self._queue:
                continue  # it was given back
            row = self._queue.popleft()
            delivery_id = row["id"]
            self._active.add(delivery_id)
            outcome = await self._send(row)
            self._active.discard(delivery_id)
            self._outcomes.append(outcome)
            if (len(self._queue) <= self._low_water and not self._none_due) or not self._active:
                self._wake.set()

    async def _send(self, row: Mapping[str, Any]) -> Outcome:
        delivery_id = row["id"]
        try:
            message = self._message(row)
        except RenderError as error:
            return Outcome(delivery_id, "skipped", "render_error", str(error))
        except SealError:
            return Outcome(delivery_id, "failed", None, "the address cannot be decrypted")
        if self._db.clock() - self._renewed_at >= self._lease:
            return Outcome(delivery_id, "pending", tried=False)
        try:
            async with asyncio.timeout(self._lane.timeout):
                receipt = await self._session.send(message)
        except RetryLater as error:
            return self._later(row, error)
        except Refused as error:
            self._retries_in_a_row = 0
            return Outcome(delivery_id, "failed", None, str(error))
        except ReconnectNeeded as error:
            self._pause_reason = str(error)
            self._halt()
            return Outcome(delivery_id, "pending", None, str(error), tried=False)
        except (Unknown, TimeoutError) as error:
            return Outcome(delivery_id, "unknown", None, str(error) or "no answer in time")
        except Exception as error:
            return self._unexpected(row, error)
        self._retries_in_a_row = self._failures_in_a_row = 0
        return Outcome(delivery_id, "sent", provider_id=receipt.provider_id)

    def _message(self, row: Mapping[str, Any]) -> OutgoingMessage:
        lane, keyring, customer_id = self._lane, self._db.keyring, row["customer_id"]
        content = lane.contents[row["variant"]]
        url = unsubscribe_url(
            keyring, self._base_url, lane.merchant_id, customer_id, lane.channel.name
        )
        preferences = ""
        if "preferences_url" in content.names:
            preferences = preferences_url(keyring, self._base_url, lane.merchant_id, customer_id)
        values = self._values.pop(row["id"], {})
        values |= content.tracking.values(keyring, self._base_url, lane.merchant_id, row["id"])
        recipient = Recipient(
            row["name"], row["province"], row["city"], url, preferences, values
        )  # fmt: skip
        return OutgoingMessage(
            message_key(keyring, lane.merchant_id, row["id"]),
            keyring.open(row["sealed"], f"{self._place}{customer_id}"),
            content.render(recipient),
            lane.message_class,
            url if lane.message_class == "marketing" else None,
        )

    def _later(self, row: Mapping[str, Any], error: RetryLater) -> Outcome:
        self._retries_in_a_row += 1
        if self._retries_in_a_row >= 2 * self._lane.channel.concurrency:
            # nothing gets through: let the run rest instead of using up everybody's attempts
            self._rest_reason = str(error)
            self._halt()
        if row["attempts"] >= MAX_ATTEMPTS:
            return Outcome(row["id"], "failed", None, f"tried {MAX_ATTEMPTS} times: {error}")
        return Outcome(
            row["id"],
            "pending",
            None,
            str(error),
            after=error.after or retry_pause(row["attempts"]),
        )

    def _unexpected(self, row: Mapping[str, Any], error: Exception) -> Outcome:
        logger.exception("channel %s failed on delivery %s", self._lane.channel.name, row["id"])
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= FAILURES_TO_PAUSE:
            self._pause_reason = f"the channel failed unexpectedly: {type(error).__name__}"
            self._halt()
        return Outcome(row["id"], "unknown", None, f"unexpected {type(error).__name__}")


def retry_pause(attempts: int) -> timedelta:
    """How long to wait after so many attempts, growing from FIRST_RETRY to LAST_RETRY."""
    grown: timedelta = FIRST_RETRY * RETRY_GROWTH ** min(max(attempts - 1, 0), 20)
    return min(grown, LAST_RETRY)
