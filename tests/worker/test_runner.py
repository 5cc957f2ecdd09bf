import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from core.domain.campaigns.control import schedule_campaign, start_campaign
from core.registry import Owned
from core.sdk import CampaignFinished, Subscriber
from core.sdk.flows import Schedule
from core.storage import outbox
from core.storage.database import SYSTEM, Database
from core.storage.doorbell import RedisDoorbell, connect_redis
from core.testing.smtp import smtp_sink
from tests.sending_kit import (
    add_customers,
    campaign_row,
    enable_email,
    make_campaign,
    states,
    until,
)
from worker.duties import handlers
from worker.runner import Runner

# first of all: a worker serves every merchant, those too whom other tests have left behind
pytestmark = pytest.mark.slow


@pytest.fixture
async def sink():
    async with smtp_sink() as opened:
        yield opened


@pytest.fixture(autouse=True)
async def nothing_left_by_others(installation):
    """A runner works for every merchant: what other tests left open would keep it busy."""
    async with installation.db.work(SYSTEM) as w:
        await w.sql.execute(
            """UPDATE campaign_runs SET state = 'cancelled'
               WHERE state IN ('planning', 'running', 'paused')"""
        )
        await w.sql.execute(
            "UPDATE campaigns SET state = 'cancelled' WHERE state IN ('running', 'scheduled')"
        )
        await w.sql.execute("DELETE FROM deliveries WHERE state = 'sending'")
        await w.sql.execute(
            "UPDATE jobs SET state = 'cancelled' WHERE state IN ('queued', 'running')"
        )
        await w.sql.execute("UPDATE outbox_events SET done_at = $1 WHERE done_at IS NULL", w.now)


@pytest.fixture
async def runner(merchant):
    runner = Runner(merchant.installation, sweep_seconds=0.2)
    await runner.start()
    yield runner
    await runner.stop()


async def until_state(merchant, campaign_id, state):
    async def reached():
        return (await campaign_row(merchant, campaign_id))["state"] == state

    await until(reached)


async def test_doorbell_starts_a_campaign(merchant, sink):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, [f"c{n}@example.com" for n in range(50)])
    campaign_id = await make_campaign(merchant)
    runner = Runner(merchant.installation, sweep_seconds=1000)
    await runner.start()
    await asyncio.sleep(0.2)
    async with merchant.work() as w:
        await start_campaign(w, merchant.installation.registry, campaign_id)
    await until_state(merchant, campaign_id, "finished")
    async with merchant.read() as session:

        async def drained():
            return not await session.sql.fetchval(
                "SELECT count(*) FROM outbox_events WHERE merchant_id = $1 AND done_at IS NULL",
                merchant.id,
            )

        await until(drained)
        kinds = await session.sql.fetch(
            "SELECT type FROM outbox_events WHERE merchant_id = $1 ORDER BY id", merchant.id
        )
    assert [row["type"] for row in kinds][-1] == CampaignFinished.type
    await runner.stop()
    assert len(sink.accepted) == 50


async def test_a_lost_ring_costs_seconds_only(merchant, sink, runner):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, ["a@example.com"])
    campaign_id = await make_campaign(merchant)
    async with merchant.work() as w:
        await start_campaign(w, merchant.installation.registry, campaign_id)
        w._rings.clear()
    await until_state(merchant, campaign_id, "finished")
    assert len(sink.accepted) == 1


async def test_scheduled_campaign_starts_in_time(merchant, sink, runner):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, ["a@example.com"])
    campaign_id = await make_campaign(merchant)
    async with merchant.work() as w:
        at = w.now + timedelta(hours=2)
        await schedule_campaign(w, merchant.installation.registry, campaign_id, Schedule(at=at))
    await asyncio.sleep(0.5)
    assert (await campaign_row(merchant, campaign_id))["state"] == "scheduled"
    merchant.clock.move(timedelta(hours=2, minutes=1))
    await until_state(merchant, campaign_id, "finished")


async def test_a_campaign_that_is_far_too_late_is_paused(merchant, sink, runner):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, ["a@example.com"])
    campaign_id = await make_campaign(merchant)
    async with merchant.work() as w:
        at = w.now + timedelta(hours=2)
        await schedule_campaign(w, merchant.installation.registry, campaign_id, Schedule(at=at))
    merchant.clock.move(timedelta(hours=9))
    await until_state(merchant, campaign_id, "paused")
    assert sink.accepted == []


async def test_wiped_redis_loses_nothing(merchant, sink, runner):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, [f"c{n}@example.com" for n in range(600)])
    campaign_id = await make_campaign(merchant)
    async with merchant.work() as w:
        await start_campaign(w, merchant.installation.registry, campaign_id)
    while len(sink.accepted) < 100:
        await merchant.installation.redis.flushall()
        await asyncio.sleep(0.01)
    await until_state(merchant, campaign_id, "finished")
    assert len({to for _, to in sink.accepted}) == len(sink.accepted) == 600


async def test_redis_inside_the_process_does_too(merchant, sink):
    installation = merchant.installation
    redis = await connect_redis(None)
    db = Database(installation.db.keyring, installation.db.clock, RedisDoorbell(redis))
    alone = replace(installation, db=db, redis=redis, shared_redis=False)
    await enable_email(merchant, sink.port)
    await add_customers(merchant, ["a@example.com"])
    campaign_id = await make_campaign(merchant)
    runner = Runner(alone, sweep_seconds=1000)
    await runner.start()
    await asyncio.sleep(0.2)
    async with db.work(merchant.id) as w:
        await start_campaign(w, installation.registry, campaign_id)
    await until_state(merchant, campaign_id, "finished")
    await runner.stop()
    await redis.aclose()
    assert len(sink.accepted) == 1


async def test_subscribers_hear_events_of_merchants_who_enabled_the_plugin(merchant, sink):
    heard = []

    async def hear(context, occurrence):
        heard.append((context.merchant_id, context.settings.host, occurrence.type))

    events = frozenset({CampaignFinished.type})
    subscriber = Owned("email", Subscriber("email.test", events, hear))
    registry = replace(merchant.installation.registry, subscribers={"email.test": subscriber})
    installation = replace(merchant.installation, registry=registry)
    told = handlers(installation)
    for _ in range(2):
        async with merchant.work() as w:
            w.emit(CampaignFinished(1, 2))
        await outbox.drain(installation.db, merchant.id, told)
        await enable_email(merchant, sink.port)
    assert heard == [(merchant.id, "127.0.0.1", "campaign.finished")]


async def test_stop_leaves_nothing_in_doubt(merchant, sink):
    await enable_email(merchant, sink.port)
    await add_customers(merchant, [f"c{n}@example.com" for n in range(2000)])
    campaign_id = await make_campaign(merchant)
    async with merchant.work() as w:
        run_id = await start_campaign(w, merchant.installation.registry, campaign_id)
    runner = Runner(merchant.installation, sweep_seconds=0.2)
    await runner.start()
    await until(lambda: len(sink.accepted) > 50)
    await runner.stop()
    found = await states(merchant, run_id)
    assert found.keys() == {"sent", "pending"}
    assert found["sent"] == len(sink.accepted)
