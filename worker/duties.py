"""What a worker does, each duty at most once at a time in a process, and how it is begun."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container
from datetime import datetime, timedelta
from typing import Any

from core.domain.campaigns import due, news, receipts, reconciling, recurring, scheduling, sending
from core.domain.campaigns.content import clicks
from core.domain.campaigns.journeys import advance, posting, triggers
from core.domain.campaigns.results import attribution, reports
from core.domain.connections import backfill, following, inbox, upkeep
from core.domain.connections.due import shops_due
from core.domain.lifecycle.refresh import start_due_refreshes
from core.domain.members import (
    handing_out,
    platform_joining,
    reacting,
    referrals,
    reminders,
    review,
)
from core.domain.privacy import retention
from core.domain.segments import changes, refresh
from core.domain.shops import ticks
from core.domain.shops.plugins import plugin_context
from core.domain.shops.webhooks import delivering, hearing
from core.guard import guarded
from core.installation import Installation, job_kinds
from core.registry import CORE, Owned
from core.schema.answering import QueryAnswer
from core.schema.bulk_running import BulkExport
from core.schema.documents import Documents
from core.schema.webhook_bodies import renderer
from core.sdk.errors import PluginDisabled
from core.sdk.events import Occurrence
from core.sdk.plugin import Subscriber
from core.storage import jobs, outbox
from core.storage.database import Database
from core.storage.doorbell import LONG_JOBS

logger = logging.getLogger(__name__)

MAX_LONG = 4
MAX_SENDS = 4
KEPT_SENDS = 1
"""Of these so many are kept for runs with service messages, which bulk must not hold up."""
SHOP_ROOMS = {"shops.upkeep": 8, "shops.fetch": 8, "shops.sync": 8, "shops.backfill": 4}
"""How many shops are served at once, by kind of work: mostly it waits for platforms."""
ROOMS = {**SHOP_ROOMS, "webhooks.deliver": 16, "webhooks.post": 8}
"""Servers of webhooks, too, mostly have to be waited for."""
OWN_ROOM = frozenset({"run.send", *ROOMS})
STOP_SECONDS = 20.0
HOUSE_KEEPING_ASKED = timedelta(minutes=5)
PROBLEMS_ASKED = timedelta(minutes=1)

Duty = Callable[..., Awaitable[None]]
Key = tuple[Any, ...]

HOUSE_KEEPING: tuple[Key, ...] = (("house.keep",), ("receipts.match",), ("lifecycle.start",))
"""What belongs to no merchant."""


class Duties:
    """Begins duties when a doorbell rings or a sweep finds them due.

    A duty that is rung for while it runs is done once more afterwards. When too many run already
    the ring is dropped; `room_again` is set once there is room, so that a sweep finds the work.
    Runs are served a while each, so that those who wait get their turn.
    """

    def __init__(self, installation: Installation, lease: timedelta = sending.LEASE) -> None:
        self.stopping = asyncio.Event()
        self.room_again = asyncio.Event()
        self._turned_away = False
        self._installation = installation
        self._lease = lease
        documents = Documents(installation)
        asking: list[jobs.JobKind] = [BulkExport(documents), QueryAnswer(documents)]
        kinds = {kind.name: kind for kind in asking}
        self._kinds = {**job_kinds(installation.registry), **kinds}
        self._max_short = max(1, installation.settings.pool_size // 3)
        self._handlers = handlers(installation)
        self._render = renderer(documents)
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._again: set[Key] = set()
        self._service: set[Key] = set()
        self.by_name: dict[str, Duty] = {
            "outbox.drain": self._drain,
            "job.run": self._job,
            "run.send": self._send,
            "campaigns.start": self._start_campaigns,
            "campaigns.recur": self._recur,
            "journeys.advance": self._advance,
            "deliveries.reconcile": self._reconcile,
            "receipts.match": self._match_receipts,
            "news.fetch": self._fetch_news,
            "webhooks.post": self._post,
            "webhooks.deliver": self._deliver,
            "segments.follow": self._follow,
            "segments.refresh": self._refresh,
            "orders.credit": self._credit,
            "house.keep": self._house_keep,
            "clicks.judge": self._judge_clicks,
            "lifecycle.start": self._start_refreshes,
            "members.review": self._review_members,
            "members.remind": self._remind_members,
            "referrals.settle": self._settle_referrals,
            "plugins.tick": self._tick,
            "shops.upkeep": self._look_after,
            "shops.fetch": self._fetch,
            "shops.sync": self._follow_shop,
            "shops.backfill": self._read_past,
        }
        self._left: list[Key] = []
        self._house_kept_at: datetime | None = None
        self._problems_asked_at: datetime | None = None

    def begin(self, name: str, *args: int) -> None:
        """Do the duty in the background, unless it is being done."""
        key = (name, *args)
        if key in self._running:
            self._again.add(key)
        elif not self._start(key) and name == "run.send" and self._sends() < MAX_SENDS:
            # the room that is left is for service messages: the sweep knows whether it has any
            self.room_again.set()

    def _start(self, key: Key) -> bool:
        """Begin a duty that is not being done; returns False when it is turned away."""
        if self.stopping.is_set():
            return True
        if not self._has_room(key):
            self._turned_away = True
            return False
        task = asyncio.create_task(self._do(key), name=str(key))
        self._running[key] = task
        task.add_done_callback(lambda _: self._ended(key))
        return True

    async def sweep(self) -> None:
        """Find due work of every merchant in the database, and begin it.

        What there was no room for at the last sweep goes first, so that no kind of work keeps
        another one waiting for ever.
        """
        found = await self._due()
        present = set(found)
        left = [key for key in self._left if key in present]
        waited = set(left)
        self._left = [
            key for key in (*left, *(key for key in found if key not in waited))
            if key not in self._running and not self._start(key)
        ]  # fmt: skip
        if HOUSE_KEEPING[0] in present and not set(HOUSE_KEEPING) & set(self._left):
            self._house_kept_at = self._installation.db.clock()

    async def _due(self) -> list[Key]:
        """The duties that there is something to do for now."""
        installation = self._installation
        db, registry = installation.db, installation.registry
        runs = await due.due_runs(db)
        self._service = {("run.send", run.merchant_id, run.run_id) for run in runs if run.service}
        found: list[Key] = [("run.send", run.merchant_id, run.run_id) for run in runs]
        found += [("job.run", *job) for job in await jobs.due(db)]
        merchants: dict[str, Callable[[], Awaitable[list[int]]]] = {
            "campaigns.start": lambda: scheduling.merchants_due(db),
            "campaigns.recur": lambda: recurring.merchants_due(db),
            "outbox.drain": lambda: outbox.merchants_with_open_events(db),
            "journeys.advance": lambda: advance.merchants_due(db),
            "webhooks.post": lambda: posting.merchants_due(db),
            "deliveries.reconcile": lambda: reconciling.merchants_with_unknown(db),
            "news.fetch": lambda: news.merchants_due(db, registry),
            "segments.follow": lambda: changes.merchants_changed(db),
            "segments.refresh": lambda: refresh.merchants_due(db, self._ask_problems()),
            "members.review": lambda: review.merchants_due(db),
            "members.remind": lambda: reminders.merchants_to_remind(db),
            "referrals.settle": lambda: referrals.merchants_due(db),
            "clicks.judge": lambda: clicks.merchants_clicked(db),
            "orders.credit": lambda: attribution.merchants_to_credit(db),
            "plugins.tick": lambda: ticks.merchants_due(db, registry),
        }
        for name, ask in merchants.items():
            found += [(name, merchant_id) for merchant_id in await ask()]
        found += [("webhooks.deliver", *hook) for hook in await delivering.webhooks_due(db)]
        found += await shops_due(db, registry)
        # this process asks once in a while; whether it is due, the database knows
        if self._house_kept_at is None or db.clock() - self._house_kept_at >= HOUSE_KEEPING_ASKED:
            found += HOUSE_KEEPING
        return found

    def _ask_problems(self) -> bool:
        """Whether to try the segments that could not be asked, which is not done at each sweep."""
        now = self._installation.db.clock()
        if self._problems_asked_at is not None and now - self._problems_asked_at < PROBLEMS_ASKED:
            return False
        self._problems_asked_at = now
        return True

    async def stop(self) -> None:
        """Begin nothing more; what runs ends its present group. Jobs stop where they stand."""
        self.stopping.set()
        self._again.clear()
        for key, task in self._running.items():
            if key[0] == "job.run":
                task.cancel()  # its last committed step is where another worker goes on
        if self._running:
            _, late = await asyncio.wait(list(self._running.values()), timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=STOP_SECONDS)

    def _has_room(self, key: Key) -> bool:
        if key[0] == "run.send":
            return self._sends() < MAX_SENDS - (0 if key in self._service else KEPT_SENDS)
        if (room := ROOMS.get(key[0])) is not None:
            serving: int = sum(other[0] == key[0] for other in self._running)
            return serving < room
        long: bool = key[0] in LONG_JOBS
        same: int = sum(
            other[0] not in OWN_ROOM and (other[0] in LONG_JOBS) == long for other in self._running
        )
        return same < (MAX_LONG if long else self._max_short)

    def _sends(self) -> int:
        return sum(key[0] == "run.send" for key in self._running)

    async def _do(self, key: Key) -> None:
        name, *args = key
        try:
            await self.by_name[name](*args)
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("%s %s failed; the next sweep tries it again", name, args)

    def _ended(self, key: Key) -> None:
        del self._running[key]
        if self._turned_away:
            self._turned_away = False
            self.room_again.set()
        if key in self._again:
            self._again.discard(key)
            self.begin(*key)

    # -- the duties -------------------------------------------------------------------------

    async def _drain(self, merchant_id: int) -> None:
        await outbox.drain(self._installation.db, merchant_id, self._handlers)

    async def _job(self, merchant_id: int, job_id: int) -> None:
        job = await jobs.claim(self._installation.db, merchant_id, job_id)
        if job is not None:
            await jobs.perform(self._installation.db, job, self._kinds)

    async def _send(self, merchant_id: int, run_id: int) -> None:
        installation = self._installation
        # others who wait get this room, and the sweep knows whose turn it is
        while (
            await sending.send_run(
                installation.db, installation.registry, merchant_id, run_id,
                installation.settings.base_url, lease=self._lease, stop=self.stopping,
                seconds=sending.SLICE_SECONDS,
            ) and not self._turned_away
        ):  # fmt: skip
            pass

    async def _reconcile(self, merchant_id: int) -> None:
        installation = self._installation
        await reconciling.reconcile(installation.db, installation.registry, merchant_id)

    async def _match_receipts(self) -> None:
        await receipts.match_waiting(self._installation.db, self._installation.registry)

    async def _fetch_news(self, merchant_id: int) -> None:
        installation = self._installation
        await news.fetch_news(installation.db, installation.registry, merchant_id)

    async def _start_campaigns(self, merchant_id: int) -> None:
        installation = self._installation
        await scheduling.start_due_campaigns(installation.db, installation.registry, merchant_id)

    async def _recur(self, merchant_id: int) -> None:
        installation = self._installation
        await recurring.begin_due_occurrences(installation.db, installation.registry, merchant_id)

    async def _advance(self, merchant_id: int) -> None:
        installation = self._installation
        await advance.advance(installation.db, installation.registry, merchant_id)

    async def _post(self, merchant_id: int) -> None:
        # others who wait get this room, as below
        while (
            await posting.post_due(self._installation.db, merchant_id)
            and not self._turned_away and not self.stopping.is_set()
        ):  # fmt: skip
            pass

    async def _deliver(self, merchant_id: int, webhook_id: int) -> None:
        # others who wait get this room, and the sweep knows whose turn it is
        while (
            await delivering.deliver_due(
                self._installation.db, merchant_id, webhook_id, self._render
            ) and not self._turned_away and not self.stopping.is_set()
        ):  # fmt: skip
            pass

    async def _follow(self, merchant_id: int) -> None:
        installation = self._installation
        await changes.follow_changes(installation.db, installation.registry, merchant_id)

    async def _refresh(self, merchant_id: int) -> None:
        installation = self._installation
        await refresh.refresh_due(installation.db, installation.registry, merchant_id)

    async def _review_members(self, merchant_id: int) -> None:
        await platform_joining.admit_due(self._installation.db, merchant_id)
        await review.review_due(self._installation.db, merchant_id)

    async def _remind_members(self, merchant_id: int) -> None:
        await reminders.remind(self._installation.db, merchant_id)

    async def _settle_referrals(self, merchant_id: int) -> None:
        await referrals.settle_due(self._installation.db, merchant_id)

    async def _tick(self, merchant_id: int) -> None:
        installation = self._installation
        await ticks.run_due(installation.db, installation.registry, merchant_id)

    async def _look_after(self, merchant_id: int, shop_id: int) -> None:
        installation = self._installation
        await upkeep.look_after(installation.db, installation.registry, merchant_id, shop_id)

    async def _fetch(self, merchant_id: int, shop_id: int) -> None:
        installation = self._installation
        while (
            await inbox.fetch_due(installation.db, installation.registry, merchant_id, shop_id)
            and not self._others_wait()
        ):
            pass

    async def _follow_shop(self, merchant_id: int, shop_id: int) -> None:
        installation = self._installation
        await following.follow_shop(
            installation.db, installation.registry, merchant_id, shop_id, self.stopping
        )

    async def _read_past(self, merchant_id: int, shop_id: int) -> None:
        installation = self._installation
        while (
            await backfill.read_past(
                installation.db, installation.registry, merchant_id, shop_id, self.stopping
            )
            and not self._others_wait()
        ):
            pass

    def _others_wait(self) -> bool:
        return self._turned_away or self.stopping.is_set()

    async def _judge_clicks(self, merchant_id: int) -> None:
        await clicks.judge_clicks(self._installation.db, merchant_id)

    async def _credit(self, merchant_id: int) -> None:
        await attribution.credit_changed(self._installation.db, merchant_id)

    async def _house_keep(self) -> None:
        await retention.house_keep(self._installation.db)
        await reports.write_due_reports(self._installation.db)

    async def _start_refreshes(self) -> None:
        await start_due_refreshes(self._installation.db)


def handlers(installation: Installation) -> dict[str, tuple[Container[str], outbox.Handler]]:
    """Who is told of events: members, rewards, journeys and webhooks, then the plugins."""

    async def hear(db: Database, occurrence: Occurrence) -> None:
        await triggers.hear(db, installation.registry, occurrence)

    async def hand_out(db: Database, occurrence: Occurrence) -> None:
        await handing_out.hand_out(db, installation.registry, occurrence)

    own: dict[str, tuple[Container[str], outbox.Handler]] = {
        f"{CORE}.members": (reacting.EVENTS, reacting.follow_event),
        f"{CORE}.rewards": (handing_out.EVENTS, hand_out),
        f"{CORE}.journeys": (outbox.EveryType(), hear),
        f"{CORE}.webhooks": (outbox.EveryType(), hearing.hear),
    }
    return own | {
        name: (owned.value.events, _handler(installation, owned))
        for name, owned in installation.registry.subscribers.items()
    }


def _handler(installation: Installation, owned: Owned[Subscriber]) -> outbox.Handler:
    manifest = installation.registry.manifests.get(owned.plugin)
    seconds = manifest.timeout if manifest else 30.0

    async def handle(db: Database, occurrence: Occurrence) -> None:
        try:
            context = await plugin_context(
                db, installation.registry, owned.plugin, occurrence.merchant_id
            )
        except PluginDisabled:
            return
        await guarded(
            owned.plugin,
            occurrence.merchant_id,
            seconds,
            owned.value.handle(context, occurrence),
        )

    return handle
