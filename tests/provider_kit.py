"""A channel whose provider is played by the test: what it answers, and what it tells afterwards."""

import inspect
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

from core.domain.campaigns.campaigns import create_flow_campaign
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.flows import parse_flow
from core.domain.campaigns.sending import send_run
from core.domain.segments.segments import create_segment
from core.domain.shops.plugins import enable_plugin
from core.registry import Owned
from core.sdk import (
    RECONCILE_AFTER,
    ContentField,
    Manifest,
    News,
    Receipt,
    Trace,
)
from tests.sending_kit import ALL

URL = "http://shop.example"


@dataclass
class Provider:
    """Takes messages unless `answer` (a function or coroutine function of the message) raises or
    returns something else.

    `taken` are the messages that it took, by key, in order of arrival.
    """

    answer: object = None
    taken: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    pages: list = field(default_factory=list)
    traces: object = None
    calls: int = 0

    @property
    def keys(self):
        return [message.key for message in self.taken]

    def twice(self):
        return [key for key, times in Counter(self.keys).items() if times > 1]


class Session:
    def __init__(self, provider):
        self.provider = provider

    async def send(self, message):
        self.provider.calls += 1
        if self.provider.answer is not None:
            found = self.provider.answer(message)
            if inspect.isawaitable(found):
                found = await found
            if found is not None:
                return found
        self.provider.taken.append(message)
        return Receipt(f"id-{message.key}", "one", 2, Decimal("0.045"), "CNY")

    async def find(self, messages):
        self.provider.asked += messages
        if self.provider.traces is not None:
            return [self.provider.traces(message) for message in messages]
        keys = self.provider.keys
        return [
            Receipt(f"id-{m.key}", m.provider) if m.key in keys else Trace.ABSENT for m in messages
        ]

    async def news(self, cursor):
        return self.provider.pages.pop(0) if self.provider.pages else News(cursor=cursor)


class BatchSession(Session):
    batch = 100

    async def send_many(self, messages):
        answers = []
        for message in messages:
            try:
                answers.append(await self.send(message))
            except Exception as error:
                answers.append(error)
        return answers


class ProviderChannel:
    contact = "email"
    fields = (ContentField("text", "Text", max_length=500),)
    concurrency = 10
    reconcile_after = RECONCILE_AFTER
    news_every = timedelta(minutes=1)

    def __init__(self, name, provider, session=Session):
        self.name, self.title = name, name
        self.provider, self._session = provider, session

    @asynccontextmanager
    async def open(self, settings):
        yield self._session(self.provider)


async def with_channels(merchant, **channels):
    """The merchant in an installation that has these channels too, switched on for it."""
    installation = merchant.installation
    registry = installation.registry
    made = {
        name: channel if hasattr(channel, "open") else ProviderChannel(name, channel)
        for name, channel in channels.items()
    }
    registry = replace(
        registry,
        channels={**registry.channels, **{n: Owned(n, c) for n, c in made.items()}},
        manifests={
            **registry.manifests,
            **{n: Manifest(n, n, "1", ">=0", timeout=5.0) for n in made},
        },
    )
    for name in made:
        await enable_plugin(installation.db, merchant.id, registry, name, {})
    return replace(merchant, installation=replace(installation, registry=registry))


async def consent_to(merchant, channel):
    """Every customer of the merchant agrees to marketing by the channel."""
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
               SELECT $1, id, $2, 'marketing', 'granted', $3 FROM customers
               WHERE merchant_id = $1""",
            merchant.id, channel, w.now,
        )  # fmt: skip


def send_step(channel, key="message", variants=("hello",), **more):
    return {
        "kind": "send", "key": key, "channel": channel,
        "variants": [{"content": {"text": text}} for text in variants], **more,
    }  # fmt: skip


async def started(merchant, *steps, name="campaign", shop_id=None):
    """The run of a campaign of these steps to everybody."""
    registry = merchant.installation.registry
    async with merchant.work() as w:
        segment_id = await create_segment(w, registry, f"segment of {name}", ALL)
        flow = parse_flow({
            "trigger": {"kind": "audience", "segment_id": segment_id}, "steps": list(steps),
        })  # fmt: skip
        campaign_id = await create_flow_campaign(w, registry, name=name, flow=flow, shop_id=shop_id)
        return await start_campaign(w, registry, campaign_id)


async def send(merchant, run_id, **options):
    installation = merchant.installation
    return await send_run(
        installation.db, installation.registry, merchant.id, run_id, URL, **options
    )


async def rows(merchant, run_id):
    """The rows of a run's ledger in order of customers."""
    async with merchant.read() as session:
        found = await session.sql.fetch(
            """SELECT * FROM deliveries WHERE merchant_id = $1 AND run_id = $2
               ORDER BY customer_id, step""",
            merchant.id, run_id,
        )  # fmt: skip
    return [dict(row) for row in found]
