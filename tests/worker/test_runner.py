import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from core.domain.campaigns.campaigns import get_campaign, update_campaign
from core.domain.campaigns.control import schedule_campaign, start_campaign
from core.domain.campaigns.flows import stored_flow, with_schedule
from core.domain.shops.setup import set_up_merchant
from core.registry import Owned
from core.sdk import CampaignFinished, Subscriber
from core.sdk.flows import Schedule
from core.storage import outbox
from core.storage.database import SYSTEM, Database, credentials
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
    db = Database(
        installation.db.pool, installation.db.keyring, installation.db.clock, RedisDoorbell(redis)
    )
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


async def test_a_merchant_whose_campaign_hangs_holds_up_no_other(merchant, sink, runner):
    """A recurring campaign waits for somebody's lock; another merchant's starts in time."""
    registry = merchant.installation.registry
    other = await set_up_merchant(merchant.installation.db, registry, "Other", shop="shop")
    stuck = replace(merchant, id=other.merchant_id, shop_id=other.shop_id)
    for one in (stuck, merchant):
        await enable_email(one, sink.port)
        await add_customers(one, ["a@example.com"])
    hanging, campaign_id = await make_campaign(stuck), await make_campaign(merchant)
    async with stuck.work() as w:
        flow = stored_flow((await get_campaign(w, hanging))["flow"])
        await update_campaign(w, registry, hanging, {
            "flow": with_schedule(flow, Schedule(cron="0 * * * *"))
        })  # fmt: skip
        await start_campaign(w, registry, hanging)
    async with merchant.work() as w:
        at = w.now + timedelta(hours=2)
        await schedule_campaign(w, registry, campaign_id, Schedule(at=at))
    url = merchant.installation.database_url
    connection = await asyncpg.connect(**credentials(url))
    try:
        async with connection.transaction():
            # the same occurrence, not committed yet: its run cannot be written
            await connection.execute(
                """INSERT INTO campaign_runs (merchant_id, campaign_id, version, state, open, flow,
                       options, priority, created_at, occurrence)
                   SELECT merchant_id, id, version, 'missed', FALSE, flow, options, 3, $2, o
                   FROM campaigns, generate_series(next_at, $3, interval '1 hour') o
                   WHERE id = $1""",
                hanging, merchant.clock(), merchant.clock() + timedelta(hours=3),
            )  # fmt: skip
            merchant.clock.move(timedelta(hours=1, minutes=1))
            await until(lambda: connection.fetchval(
                """SELECT count(*) FROM pg_locks
                   WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"""
            ))  # fmt: skip
            merchant.clock.move(timedelta(hours=1))
            await until_state(merchant, campaign_id, "finished")
            assert len(sink.accepted) == 1
    finally:
        await connection.close()
