"""The worker keeps segments: it fills them, follows changes, and tells subscribers."""

from dataclasses import replace

import pytest

from core.domain.segments.segments import create_segment
from core.domain.shops.plugins import enable_plugin
from core.registry import Owned
from core.sdk import SegmentEntered, SegmentLeft, Subscriber
from tests.segments.members_kit import add_customers, members, segment_row, stored, tag
from tests.sending_kit import until
from worker.runner import Runner

# first of all: a worker serves every merchant, those too whom other tests have left behind
pytestmark = pytest.mark.slow


class Listening(Subscriber):
    name = "taobao_segments"
    events = frozenset({SegmentEntered.type, SegmentLeft.type})

    def __init__(self):
        self.heard = []

    async def handle(self, context, occurrence):
        self.heard.append((occurrence.type, occurrence.payload))


@pytest.fixture
async def listening(merchant):
    """What a plugin that listens hears while a worker runs."""
    subscriber = Listening()
    installation = merchant.installation
    await enable_plugin(installation.db, merchant.id, installation.registry, "taobao", {})
    registry = replace(
        installation.registry, subscribers={subscriber.name: Owned("taobao", subscriber)}
    )
    runner = Runner(replace(installation, registry=registry), sweep_seconds=0.2)
    await runner.start()
    yield subscriber
    await runner.stop()


async def test_a_worker_fills_follows_and_tells(merchant, listening):
    installation = merchant.installation
    async with merchant.work() as w:
        first, second = await add_customers(w, 2)
        await tag(w, first)
        rule = stored(installation, {"tag": {"any_of": ["vip"]}})
        segment = await create_segment(w, installation.registry, "vip", rule)

    async def has(*ids):
        if (await segment_row(merchant, segment))["refreshed_at"] is None:
            return False
        return await members(merchant, segment) == list(ids)

    await until(lambda: has(first), 60)
    async with merchant.work() as w:
        await tag(w, second)
        await w.sql.execute("DELETE FROM customer_tags WHERE customer_id = $1", first)
    await until(lambda: has(second), 60)
    await until(lambda: len(listening.heard) == 2, 60)
    assert listening.heard == [
        (kind, {"segment_id": segment, "customer_ids": [one], "cause": "change"})
        for kind, one in (("segment.left", first), ("segment.entered", second))
    ]
