"""A merchant whose recipes run through the real engine, and channels that write down what comes."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from core.domain.campaigns.campaigns import get_campaign
from core.domain.campaigns.due import due_runs
from core.domain.campaigns.journeys.advance import advance
from core.domain.campaigns.recipes.switching import switch_on
from core.domain.campaigns.recurring import begin_due_occurrences
from core.domain.campaigns.scheduling import start_due_campaigns
from core.domain.campaigns.sending import send_run
from core.domain.orders.parcels import ingest_traces
from core.domain.orders.refunds import ingest_refunds
from core.domain.orders.reviews import ingest_reviews
from core.domain.segments.changes import follow_changes
from core.domain.segments.refresh import refresh_due
from core.domain.shops.plugins import enable_plugin
from core.domain.shops.shops import find_shop
from core.registry import Owned
from core.sdk import (
    ContentField,
    Manifest,
    NoSettings,
    OrderState,
    ParcelRecord,
    ParcelState,
    ParcelTrace,
    Receipt,
    RefundKind,
    RefundRecord,
    RefundState,
    ReviewRecord,
    TraceEvent,
)
from tests.journey_kit import change_order, hear, order, take_orders

ZONE = ZoneInfo("Asia/Shanghai")
FIELDS = {
    "phone": (ContentField("text", "Text", max_length=500),),
    "email": (ContentField("subject", "Subject", max_length=200),
              ContentField("html", "HTML", html=True)),
}  # fmt: skip


@dataclass
class Notebook:
    """A channel that writes down what it is given, and when."""

    name: str
    contact: str
    clock: object
    title: str = "Notebook"
    concurrency: int = 5
    sent: list = field(default_factory=list)

    @property
    def fields(self):
        return FIELDS[self.contact]

    @asynccontextmanager
    async def open(self, settings):
        yield self

    async def send(self, message):
        moment = self.clock().astimezone(ZONE)
        self.sent.append((f"{moment:%m-%d %H:%M}", message.to, dict(message.content)))
        return Receipt()


class Stage:
    """A merchant with two channels, "note" by phone and "paper" by email, and all its work."""

    def __init__(self, merchant):
        self.note = Notebook("note", "phone", merchant.clock)
        self.paper = Notebook("paper", "email", merchant.clock)
        installation = merchant.installation
        channels, manifests = (
            dict(installation.registry.channels),
            dict(installation.registry.manifests),
        )
        for channel in (self.note, self.paper):
            channels[channel.name] = Owned(channel.name, channel)
            manifests[channel.name] = Manifest(
                name=channel.name, title="Notebook", version="1", core=">=0", settings=NoSettings
            )
        registry = replace(installation.registry, channels=channels, manifests=manifests)
        self.merchant = replace(merchant, installation=replace(installation, registry=registry))
        self.registry, self.db, self.clock = registry, installation.db, merchant.clock

    async def set_up(self):
        for name in ("note", "paper"):
            await enable_plugin(self.db, self.merchant.id, self.registry, name, {})
        return self

    async def on(self, recipe, channel="note", **more):
        """Switch a recipe on and start it; returns the id of its only campaign."""
        options = {key: more.pop(key) for key in ("language", "shop_id", "title") if key in more}
        async with self.merchant.work() as w:
            (campaign_id,) = await switch_on(
                w, self.registry, recipe, {"channel": channel, **more}, start=True, **options
            )
        await self.turn()
        return campaign_id

    async def turn(self):
        """All that a worker does for the merchant now."""
        db, registry, merchant_id = self.db, self.registry, self.merchant.id
        await start_due_campaigns(db, registry, merchant_id)
        await begin_due_occurrences(db, registry, merchant_id)
        await refresh_due(db, registry, merchant_id)
        await follow_changes(db, registry, merchant_id)
        await self.send()
        await hear(self.merchant)
        await advance(db, registry, merchant_id)
        await self.send()

    async def send(self):
        for run in await due_runs(self.db, 1000):
            if run.merchant_id == self.merchant.id:
                await send_run(
                    self.db, self.registry, run.merchant_id, run.run_id, "http://s.example"
                )

    async def later(self, step=None, **span):
        """Let time pass, in steps, with the worker's turns."""
        left = timedelta(**span)
        step = step or max(timedelta(minutes=5), left / 24)
        while left > timedelta():
            self.clock.move(min(step, left))
            left -= min(step, left)
            await self.turn()

    async def ordered(self, number, state=OrderState.CREATED_UNPAID, **more):
        """An order of a customer of its own, who agrees to marketing."""
        phone = f"+8613800{int(number):06}"
        made = order(number, state, at=self.clock(), phone=phone, **more)
        await take_orders(self.merchant, made)
        async with self.merchant.work() as w:
            await w.sql.execute(
                """INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
                   SELECT $1, o.customer_id, ch, 'marketing', 'granted', $3
                   FROM orders o, unnest(ARRAY['note', 'paper']) ch
                   WHERE o.merchant_id = $1 AND o.external_id = $2
                   ON CONFLICT DO NOTHING""",
                w.merchant_id, number, w.now,
            )  # fmt: skip
        await self.turn()
        return made

    async def moved(self, made, state):
        await change_order(self.merchant, made, state)
        await self.turn()

    async def scanned(self, made, state, number="SF1"):
        """News of a parcel of an order."""
        trace = ParcelTrace(
            made.external_id,
            ParcelRecord(number, "SF", [TraceEvent(ParcelState(state), self.clock())]),
        )
        async with self.merchant.work() as w:
            shop = await find_shop(w, str(self.merchant.shop_id))
            await ingest_traces(w, shop, [trace], True)
        await self.turn()

    async def refunded(self, made, state="requested", kind="return"):
        record = RefundRecord(
            f"R{made.external_id}", made.external_id, RefundState(state), 100, self.clock(),
            RefundKind(kind), modified_at=self.clock(),
        )  # fmt: skip
        async with self.merchant.work() as w:
            shop = await find_shop(w, str(self.merchant.shop_id))
            await ingest_refunds(w, shop, [record], True)
        await self.turn()

    async def reviewed(self, made, **more):
        record = ReviewRecord(
            f"V{made.external_id}", made.external_id, self.clock(), modified_at=self.clock(), **more
        )
        async with self.merchant.work() as w:
            await ingest_reviews(w, self.merchant.shop_id, [record])
        await self.turn()

    async def customers(self, **columns):
        """Set columns of every customer."""
        sets = ", ".join(f"{name} = ${n}" for n, name in enumerate(columns, 2))
        async with self.merchant.work() as w:
            await w.sql.execute(
                f"UPDATE customers SET {sets} WHERE merchant_id = $1",
                self.merchant.id, *columns.values(),
            )  # fmt: skip

    async def tagged(self, tag):
        async with self.merchant.work() as w:
            await w.sql.execute(
                """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
                   SELECT $1, id, $2, 'staff', $3 FROM customers WHERE merchant_id = $1""",
                self.merchant.id, tag, w.now,
            )  # fmt: skip

    async def state(self, campaign_id):
        async with self.merchant.read() as session:
            return (await get_campaign(session, campaign_id))["state"]

    @property
    def notes(self):
        """(when, last digits of the phone) of each text message."""
        return [(when, to[-2:]) for when, to, _ in self.note.sent]
