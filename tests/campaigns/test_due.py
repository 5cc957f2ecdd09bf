"""Whose turn it is, lanes side by side, and how soon a pause takes hold."""

import asyncio
from datetime import timedelta

import pytest

from core.domain.campaigns.control import cancel_campaign, pause_campaign
from core.domain.campaigns.due import due_runs
from core.domain.shops.setup import set_up_merchant
from core.sdk import Receipt, ReconnectNeeded, RetryLater
from tests.provider_kit import (
    BatchSession,
    Provider,
    ProviderChannel,
    consent_to,
    rows,
    send,
    send_step,
    started,
    with_channels,
)
from tests.sending_kit import add_customers, until


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
async def shop(merchant, provider):
    shop = await with_channels(merchant, fake=provider)
    await add_customers(shop, [f"c{n}@example.com" for n in range(10)], consent=None)
    await consent_to(shop, "fake")
    return shop


async def mine(shop, limit=1000):
    runs = await due_runs(shop.installation.db, limit)
    return [run.run_id for run in runs if run.merchant_id == shop.id]


async def campaign_of(shop, run_id):
    async with shop.read() as session:
        return await session.sql.fetchval(
            "SELECT campaign_id FROM campaign_runs WHERE merchant_id = $1 AND id = $2",
            shop.id, run_id,
        )  # fmt: skip


async def test_service_messages_come_first_and_the_others_take_turns(shop):
    first = await started(shop, send_step("fake"), name="first")
    second = await started(shop, send_step("fake"), name="second")
    service = await started(shop, send_step("fake", message_class="service"), name="service")
    assert await mine(shop) == [service, first, second]
    await send(shop, first, seconds=0)
    assert await mine(shop) == [service, second, first]
    shop.clock.move(timedelta(seconds=1))
    await send(shop, second, seconds=0)
    assert await mine(shop) == [service, first, second]


async def test_many_runs_of_one_merchant_do_not_starve_another(shop, merchant):
    for number in range(8):
        await started(shop, send_step("fake"), name=f"bulk {number}")
    other = await with_channels(
        type(merchant)(*await another_merchant(merchant), merchant.installation, merchant.clock),
        fake=Provider(),
    )
    await add_customers(other, ["x@example.com"], consent=None)
    theirs = await started(other, send_step("fake"), name="theirs")
    runs = [r for r in await due_runs(shop.installation.db, 1000)
            if r.merchant_id in (shop.id, other.id)]  # fmt: skip
    assert theirs in [run.run_id for run in runs[:2]]


async def another_merchant(merchant):
    installation = merchant.installation
    made = await set_up_merchant(installation.db, installation.registry, "Other", shop="other")
    return made.merchant_id, made.shop_id, made.token


async def test_a_slice_of_time_ends_and_says_that_there_is_more(shop, provider):
    async def slow(message):
        await asyncio.sleep(0.02)
        return Receipt()

    provider.answer = slow
    run_id = await started(shop, send_step("fake"))
    assert await send(shop, run_id, seconds=0)
    assert {row["state"] for row in await rows(shop, run_id)} == {"pending"}
    assert not await send(shop, run_id)
    assert {row["state"] for row in await rows(shop, run_id)} == {"sent"}


async def test_a_channel_that_is_away_does_not_hold_up_another_step(merchant):
    away, well = Provider(), Provider()

    def refuse(message):
        raise RetryLater("down")

    away.answer = refuse
    shop = await with_channels(merchant, away=away, well=well)
    await add_customers(shop, [f"c{n}@example.com" for n in range(60)], consent=None)
    for channel in ("away", "well"):
        await consent_to(shop, channel)
    run_id = await started(shop, send_step("away", "first"), send_step("well", "second"))
    await plan_both(shop, run_id)
    await send(shop, run_id)
    found = await rows(shop, run_id)
    assert {row["state"] for row in found if row["step"] == 1} == {"sent"}
    assert {row["state"] for row in found if row["step"] == 0} == {"pending"}
    assert await mine(shop) == []
    shop.clock.move(timedelta(minutes=30))
    away.answer = None
    assert await mine(shop) == [run_id]
    await send(shop, run_id)
    assert {row["state"] for row in await rows(shop, run_id)} == {"sent"}


async def test_a_lane_that_fails_waits_for_the_others(merchant):
    """Its end is told once nothing is under way any more."""
    gone, slow = Provider(), Provider()
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(message):
        entered.set()
        await leave.wait()

    class Falling(ProviderChannel):
        @property
        def concurrency(self):
            raise RuntimeError("no number")

    slow.answer = wait
    made = await with_channels(merchant, gone=Falling("gone", gone), slow=slow)
    await add_customers(made, ["a@example.com"], consent=None)
    for channel in ("gone", "slow"):
        await consent_to(made, channel)
    run_id = await started(made, send_step("gone", "one"), send_step("slow", "two"))
    await plan_both(made, run_id)
    sending = asyncio.create_task(send(made, run_id))
    async with asyncio.timeout(20):
        await entered.wait()
    await asyncio.sleep(0.05)
    assert not sending.done()
    leave.set()
    with pytest.raises(RuntimeError):
        await sending
    assert len(slow.taken) == 1


async def plan_both(shop, run_id):
    """Write rows for both steps as a journey would, and let the run go on."""
    async with shop.work() as w:
        await w.sql.execute(
            """INSERT INTO deliveries (merchant_id, run_id, step, customer_id, channel, state,
                   attempts, next_at, updated_at)
               SELECT $1, $2, s.step, c.id, s.channel, 'pending', 0, $3, $3
               FROM customers c, (VALUES (0, 'away'), (1, 'well')) s (step, channel)
               WHERE c.merchant_id = $1""",
            shop.id, run_id, w.now,
        )  # fmt: skip
        await w.sql.execute(
            """UPDATE campaign_runs SET state = 'running', planned_at = $3
               WHERE merchant_id = $1 AND id = $2""",
            shop.id, run_id, w.now,
        )  # fmt: skip


async def test_a_channel_that_takes_many_is_given_many(merchant):
    provider = Provider()
    channel = ProviderChannel("bulk", provider, BatchSession)
    channel.concurrency = 2
    shop = await with_channels(merchant, bulk=channel)
    await add_customers(shop, [f"c{n}@example.com" for n in range(450)], consent=None)
    await consent_to(shop, "bulk")
    numbers = iter(range(1000))

    def answer(message):
        if next(numbers) % 10 == 9:
            raise RetryLater("busy", timedelta(seconds=1))

    provider.answer = answer
    run_id = await started(shop, send_step("bulk"))
    await send(shop, run_id)
    assert [row["state"] for row in await rows(shop, run_id)].count("pending") == 45
    provider.answer = None
    shop.clock.move(timedelta(seconds=1))
    await send(shop, run_id)
    assert (len(provider.taken), provider.twice()) == (450, [])


async def test_a_whole_batch_that_fails_for_the_account_pauses_the_campaign(merchant):
    class Broke(BatchSession):
        async def send_many(self, messages):
            raise ReconnectNeeded("no money")

    shop = await with_channels(merchant, bulk=ProviderChannel("bulk", Provider(), Broke))
    await add_customers(shop, [f"c{n}@example.com" for n in range(50)], consent=None)
    await consent_to(shop, "bulk")
    run_id = await started(shop, send_step("bulk"))
    await send(shop, run_id)
    found = await rows(shop, run_id)
    assert {(row["state"], row["attempts"]) for row in found} == {("pending", 0)}


@pytest.mark.parametrize("stop", [pause_campaign, cancel_campaign])
async def test_a_pause_takes_hold_within_one_group_though_many_workers_send(
    merchant, provider, stop
):
    shop = await with_channels(merchant, fake=provider)
    await add_customers(shop, [f"c{n}@example.com" for n in range(3000)], consent=None)
    await consent_to(shop, "fake")

    async def slow(message):
        await asyncio.sleep(0.01)

    provider.answer = slow
    run_id = await started(shop, send_step("fake"))
    campaign_id = await campaign_of(shop, run_id)
    workers = [asyncio.create_task(send(shop, run_id)) for _ in range(4)]
    await until(lambda: len(provider.taken) > 200)
    async with shop.work() as w:
        await stop(w, campaign_id)
    at_pause = len(provider.taken)
    await asyncio.wait_for(asyncio.gather(*workers), 10)
    group = ProviderChannel.concurrency * 3
    assert len(provider.taken) <= at_pause + 4 * group
    assert len(provider.taken) < 3000
    found = await rows(shop, run_id)
    left = {"skipped"} if stop is cancel_campaign else {"pending"}
    assert {row["state"] for row in found} == {"sent"} | left
    assert provider.twice() == []
