"""Sending what is due of one step of a run.

A turn is one transaction: it records what became of earlier messages and marks the next group as
`sending`. Only after its commit is a message of that group handed over. So at most the group in
flight is in doubt when a worker dies, and nothing is ever sent twice.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from core.domain.campaigns import ledger
from core.domain.campaigns.claiming import RATE, Claim, Step, claim
from core.domain.campaigns.content.message import Content, Recipient
from core.domain.campaigns.content.plugin_variables import add_values
from core.domain.campaigns.content.templates import RenderError
from core.domain.campaigns.content.tracking import Addresses, store_addresses
from core.domain.campaigns.content.values import Occasion, fetch_values
from core.domain.campaigns.ledger import Outcome
from core.domain.campaigns.links import message_key, preferences_url, unsubscribe_url
from core.domain.campaigns.policy.windows import Opening
from core.domain.campaigns.reconciling import pauses_of
from core.domain.campaigns.told import told
from core.registry import Registry
from core.sdk.channels import (
    BatchChannelSession,
    Channel,
    ChannelSession,
    MessageClass,
    OutgoingMessage,
    Receipt,
)
from core.sdk.errors import HuikeError, OutsideError, ReconnectNeeded, Refused, RetryLater, Unknown
from core.sdk.variables import Addressee
from core.storage.database import Database
from core.storage.keyring import SealError

logger = logging.getLogger(__name__)

FIRST_RETRY = timedelta(seconds=30)
RETRY_GROWTH = 1.7
LAST_RETRY = timedelta(hours=1)
MAX_ATTEMPTS = 18
FAILURES_TO_PAUSE = 5
TURN_TRIES = 60
TURN_SECONDS = 0.25
NOTIFY_SECONDS = 0.3
MAX_GROUP = 3000
TEXTS = 200
"""So many texts are made in one go, while which nothing else happens in the process."""
RATE_SECONDS = 1.0
"""So long a worker waits for a channel's rate itself; for longer the step rests."""
NO_PROVIDERS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Lane:
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

    @cached_property
    def follows_variables(self) -> bool:
        """Whether links of any of the texts have variables in their addresses."""
        return any(content.tracking.patterns for content in self.contents)


class Sender:
    """One worker's part in a step of a run."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        lane: Lane,
        session: ChannelSession,
        base_url: str,
        lease: timedelta,
        ended: Callable[[], bool],
    ) -> None:
        self._db = db
        self._registry = registry
        self._lane = lane
        self._session = session
        self._base_url = base_url
        self._lease = lease
        self._ended = ended
        self._owner = uuid.uuid4().hex
        self._many = session if isinstance(session, BatchChannelSession) else None
        self._batch = self._many.batch if self._many else 1
        at_once = lane.channel.concurrency * self._batch
        self._low_water = min(at_once * 2, MAX_GROUP * 2 // 3)
        self._group = min(at_once * 3, MAX_GROUP)
        self._check_after = next(iter(pauses_of(lane.channel)), None)
        self._queue: deque[Mapping[str, Any]] = deque()
        self._values: dict[int, dict[str, Any]] = {}
        self._texts: dict[int, dict[str, str]] = {}
        self._active: set[int] = set()
        self._outcomes: list[Outcome] = []
        self._filled = asyncio.Event()
        self._wake = asyncio.Event()
        self._none_due = False
        self._halted = False
        self.closed: Opening | None = None
        self.pause_reason: str | None = None
        self.rest_reason: str | None = None
        self._retries_in_a_row = 0
        self._failures_in_a_row = 0
        self._turn_failed = False
        self._renewed_at = db.clock()
        self._notified_at = 0.0
        self._place = f"customers.{lane.channel.contact}|{lane.merchant_id}|"

    async def work(self) -> None:
        """Send until nothing is due or the lane has to stop, and record everything.

        Afterwards `pause_reason` says why the run must be paused, `rest_reason` why the channel
        should be left alone for a while, `closed` until when the policy lets nothing out.
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

    async def _take_turns(self) -> None:
        while True:
            if self._ended():
                self._halt()
            room = len(self._queue) <= self._low_water
            wanted = self._group if room and self._may_claim() else 0
            if wanted or self._outcomes or self._lease_is_old():
                await self._turn_until_committed(wanted)
            elif not self._queue and not self._active and not await self._rate_has_room():
                return
            await self._wait()

    def _may_claim(self) -> bool:
        waits = self.closed is not None and self._db.clock() < self.closed.at
        return not self._halted and not self._none_due and not waits

    async def _rate_has_room(self) -> bool:
        """Whether the channel's rate has room for more, soon enough to wait for it here."""
        if self.closed is None or self._halted or self._none_due:
            return False
        left = (self.closed.at - self._db.clock()).total_seconds()
        if left <= RATE_SECONDS:
            await asyncio.sleep(max(0.0, left))
        return self._db.clock() >= self.closed.at

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
            except HuikeError as error:
                # a plugin has no value for a variable, such as a code: nothing was taken
                self.pause_reason = str(error)
                self._halt()
                return
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
            if renewing or self._turn_failed:
                await ledger.hold_ours(w, lane.run_id, self._owner)
            await ledger.record(w, self._owner, state, outcomes)
            if self._turn_failed:
                await ledger.give_back_lost(w, lane.run_id, self._owner, state, held)
            if renewing:
                await ledger.renew(w, self._owner, self._lease, held)
            if state == "running" and not self._halted and not self._ended():
                found = await claim(w, lane.claims, self._owner, self._lease, wanted)
                ready = [row for row in found.rows if row["reason"] is None]
                values = await fetch_values(w, lane.names, lane.contents[0].zone, [
                    Occasion(row["id"], row["customer_id"], row["order_id"], row["parcel_id"])
                    for row in ready
                ])  # fmt: skip
                await add_values(w, self._registry, lane.names, [
                    Addressee(row["id"], row["customer_id"], row["order_id"], lane.campaign_id)
                    for row in ready
                ], values)  # fmt: skip
            if self._time_to_notify():
                await w.notify("campaign", lane.campaign_id)
        self._turn_failed = False
        if renewing or not held:
            # all that we hold from here on is held at least a lease from this instant
            self._renewed_at = now
        del self._outcomes[: len(outcomes)]
        if wanted or found.closed is not None:
            self.closed = found.closed
        self._none_due = bool(wanted) and not found.rows and found.closed is None
        if state != "running" or (found.closed is not None and found.closed.rule != RATE):
            self._halt()
        self._values.update(values)
        ready = [row for row in found.rows if row["reason"] is None]
        if lane.follows_variables:
            await self._store_texts_and_hand_out(ready)
        else:
            self._hand_out(ready)

    def _hand_out(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._queue.extend(rows)
        if self._halted:
            self._give_back_queued()
        elif rows:
            self._filled.set()

    async def _store_texts_and_hand_out(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Hand out messages whose links have variables, once these are stored.

        The rows are ours already, and nobody waits for locks of ours meanwhile. What a failure
        keeps from being handed out is given back as if its turn had failed.
        """
        for start in range(0, len(rows), TEXTS):
            some = rows[start : start + TEXTS]
            texts, addresses = {}, {}
            for row in some:
                values = self._values.get(row["id"], {})
                try:
                    made = self._text(row, values, self._unsubscribe_url(row))
                except RenderError:
                    continue  # told when it is the message's turn
                texts[row["id"]], addresses[row["id"]] = made
            async with self._db.work(self._lane.merchant_id) as w:
                await store_addresses(w, addresses)
            self._texts.update(texts)
            self._hand_out(some)

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
        self._give_back_queued()

    def _give_back_queued(self) -> None:
        while self._queue:
            row = self._queue.popleft()
            self._outcomes.append(Outcome(row["id"], "pending", tried=False))

    # -- messages ---------------------------------------------------------------------------

    async def _send_queued(self) -> None:
        while True:
            while not self._queue:
                self._filled.clear()
                await self._filled.wait()
            rows = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
            ids = [row["id"] for row in rows]
            self._active.update(ids)
            try:
                outcomes = await self._send(rows)
            except Exception:  # an answer that makes no sense: it may have gone out
                logger.exception(
                    "run %s: an answer of the channel cannot be read", self._lane.run_id
                )
                outcomes = [
                    Outcome(one, "unknown", None, "the channel's answer cannot be read")
                    for one in ids
                ]
            self._active.difference_update(ids)
            self._outcomes += outcomes
            if (len(self._queue) <= self._low_water and not self._none_due) or not self._active:
                self._wake.set()

    async def _send(self, rows: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        outcomes = []
        ready: list[Mapping[str, Any]] = []
        messages = []
        for row in rows:
            try:
                messages.append(self._message(row))
                ready.append(row)
            except RenderError as error:
                outcomes.append(Outcome(row["id"], "skipped", "render_error", str(error)))
            except SealError:
                outcomes.append(
                    Outcome(row["id"], "failed", None, "the address cannot be decrypted")
                )
        if self._db.clock() - self._renewed_at >= self._lease:
            return outcomes + [Outcome(row["id"], "pending", tried=False) for row in ready]
        if messages:
            answers = await self._answers(messages)
            outcomes += [self._outcome(*pair) for pair in zip(ready, answers, strict=True)]
        return outcomes

    async def _answers(
        self, messages: Sequence[OutgoingMessage]
    ) -> Sequence[Receipt | OutsideError]:
        """What the channel says to each message; whatever goes wrong is an answer too."""
        try:
            async with asyncio.timeout(self._lane.timeout):
                if self._many is None:
                    return [await self._session.send(messages[0])]
                answers = await self._many.send_many(messages)
            if len(answers) != len(messages):
                raise ValueError(f"{len(answers)} answers to {len(messages)} messages")
            self._failures_in_a_row = 0
            return answers
        except OutsideError as error:
            return [error] * len(messages)
        except TimeoutError as error:
            return [Unknown(str(error) or "no answer in time")] * len(messages)
        except Exception as error:
            return [self._unexpected(error)] * len(messages)

    def _outcome(self, row: Mapping[str, Any], answer: Receipt | OutsideError) -> Outcome:
        match answer:
            case Receipt():
                self._retries_in_a_row = self._failures_in_a_row = 0
                said = told(answer)
                return Outcome(
                    row["id"], "sent", provider_id=said.provider_id, provider=said.provider,
                    parts=said.parts, cost=said.cost, currency=said.currency,
                )  # fmt: skip
            case RetryLater():
                return self._later(row, answer)
            case ReconnectNeeded():
                self.pause_reason = str(answer)
                self._halt()
                return Outcome(row["id"], "pending", None, str(answer), tried=False)
            case Refused():
                self._retries_in_a_row = 0
                return Outcome(row["id"], "failed", None, str(answer))
            case Unknown():
                asked = self._check_after is not None
                return Outcome(
                    row["id"], "unknown", None, str(answer), provider=answer.provider,
                    after=self._check_after or timedelta(), asked=asked,
                )  # fmt: skip
            case _:
                raise TypeError(f"{answer!r} is no answer of a channel")

    def _unsubscribe_url(self, row: Mapping[str, Any]) -> str:
        lane = self._lane
        return unsubscribe_url(
            self._db.keyring, self._base_url, lane.merchant_id, row["customer_id"],
            lane.channel.name,
        )  # fmt: skip

    def _text(
        self, row: Mapping[str, Any], values: Mapping[str, Any], leave: str
    ) -> tuple[dict[str, str], Addresses]:
        """The message's fields, and its addresses with variables. Raises RenderError."""
        lane = self._lane
        content = lane.contents[row["variant"]]
        place = self._db.keyring, self._base_url, lane.merchant_id
        preferences = ""
        if "preferences_url" in content.names:
            preferences = preferences_url(*place, row["customer_id"])
        recipient = Recipient(
            row["name"], row["province"], row["city"], leave, preferences,
            {**values, **content.tracking.values(*place, row["id"])},
        )  # fmt: skip
        addresses = content.tracking.addresses(*place, row["id"])
        return content.render(recipient, addresses), addresses

    def _message(self, row: Mapping[str, Any]) -> OutgoingMessage:
        lane, keyring, customer_id = self._lane, self._db.keyring, row["customer_id"]
        url = self._unsubscribe_url(row)
        text, values = self._texts.pop(row["id"], None), self._values.pop(row["id"], {})
        if text is None:
            text, _ = self._text(row, values, url)
        shop_id = lane.shop_id
        if row["sealed"] is None:
            shop, to = row["found"]
            shop_id = int(shop)
        else:
            to = keyring.open(row["sealed"], f"{self._place}{customer_id}")
        return OutgoingMessage(
            message_key(keyring, lane.merchant_id, row["id"]),
            to,
            text,
            lane.message_class,
            url if lane.message_class == "marketing" else None,
            row["attempts"],
            frozenset(row["avoid"]) if row["avoid"] else NO_PROVIDERS,
            shop_id,
            lane.campaign_id,
            row["order_number"],
            row["tracking_number"],
        )

    def _later(self, row: Mapping[str, Any], error: RetryLater) -> Outcome:
        self._retries_in_a_row += 1
        if self._retries_in_a_row >= 2 * self._lane.channel.concurrency:
            # nothing gets through: let the run rest instead of using up everybody's attempts
            self.rest_reason = str(error)
            self._halt()
        if error.tried and row["attempts"] >= MAX_ATTEMPTS:
            return Outcome(row["id"], "failed", None, f"tried {MAX_ATTEMPTS} times: {error}")
        return Outcome(
            row["id"], "pending", None, str(error), provider=error.provider,
            after=error.after or retry_pause(row["attempts"]), tried=error.tried,
        )  # fmt: skip

    def _unexpected(self, error: Exception) -> Unknown:
        logger.exception("channel %s failed", self._lane.channel.name)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= FAILURES_TO_PAUSE:
            self.pause_reason = f"the channel failed unexpectedly: {type(error).__name__}"
            self._halt()
        return Unknown(f"unexpected {type(error).__name__}")


def retry_pause(attempts: int) -> timedelta:
    """How long to wait after so many attempts, growing from FIRST_RETRY to LAST_RETRY."""
    grown: timedelta = FIRST_RETRY * RETRY_GROWTH ** min(max(attempts - 1, 0), 20)
    return min(grown, LAST_RETRY)
