"""The worker does it all by itself: it hears rings, sweeps, and lets each kind of work its room."""

import asyncio

import pytest

from worker.duties import SHOP_ROOMS, Duties
from worker.runner import Runner


async def until(check):
    async with asyncio.timeout(30):
        while not await check():  # noqa: ASYNC110 - it looks at the database
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_running_worker_brings_a_shop_in_and_follows_it(shop):
    fair = shop.fair
    fair.order("old", "done", at=fair.now() - 7200)
    runner = Runner(shop.installation, sweep_seconds=0.2)
    await runner.start()
    try:
        await shop.connect()

        async def past_is_in():
            rows = await shop.ask("SELECT state FROM sync_slices WHERE merchant_id = $1")
            return bool(rows) and {row["state"] for row in rows} == {"done"}

        await until(past_is_in)
        assert await shop.orders() == {"old": "done"}
        fair.order("o1", "paid")
        fair.enqueue("order", "o1")
        shop.later(seconds=3)

        async def told():
            return await shop.events() == [("order.created", "o1", "to_ship")]

        await until(told)
    finally:
        await runner.stop()
    rows = await shop.ask("SELECT lease_owner FROM sync_cursors WHERE merchant_id = $1")
    assert {row["lease_owner"] for row in rows} == {None}


async def test_many_slow_shops_leave_room_for_other_work(shop):
    duties = Duties(shop.installation)
    never = asyncio.Event()

    async def hang(*args):
        await never.wait()

    duties.by_name = dict.fromkeys(duties.by_name, hang)
    for shop_id in range(100):
        for name in SHOP_ROOMS:
            duties.begin(name, shop.merchant.id, shop_id)
    duties.begin("outbox.drain", shop.merchant.id)
    running = [key[0] for key in duties._running]
    assert {name: running.count(name) for name in SHOP_ROOMS} == SHOP_ROOMS
    assert "outbox.drain" in running
    never.set()
    await duties.stop()
