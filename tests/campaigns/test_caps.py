"""Frequency caps: exact at their boundaries, under concurrency, and with priorities."""

import asyncio
from datetime import timedelta

import pytest

from core.domain.campaigns.claiming import claim
from core.domain.campaigns.policy.caps import Cap, delete_cap, set_cap
from core.domain.shops.shops import create_shop
from core.sdk import HuikeError, NotFound
from tests.campaigns.policy_kit import (
    LEASE,
    cap,
    claimed,
    enable_channel,
    end_all,
    planned,
    rows_of,
    send_all,
    step_of,
)
from tests.sending_kit import add_customers, states

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
WAITS = {"options": {"max_lateness": {"days": 30}}}


@pytest.fixture
async def shop(merchant):
    await enable_channel(merchant)
    await add_customers(merchant, ["a@example.com"])
    yield merchant
    await end_all(merchant)


async def test_a_message_exactly_a_window_ago_is_outside(shop):
    await cap(shop, 1, 24)
    first = shop.clock()
    assert await send_all(shop, await planned(shop, "one")) == 1
    shop.clock.move(DAY - timedelta(microseconds=1))
    run_id = await planned(shop, "two", **WAITS)
    assert await rows_of(shop, run_id) == [("pending", "capped", first + DAY)]
    assert await send_all(shop, run_id) == 0
    shop.clock.move(timedelta(microseconds=1))
    assert await send_all(shop, run_id) == 1
    assert await states(shop, run_id) == {"sent": 1}


async def test_the_window_rolls(shop):
    await cap(shop, 2, 24)
    begin = shop.clock()
    sent = []
    for number in range(60):
        run_id = await planned(shop, f"c{number}", options={"max_lateness": {}})
        if await send_all(shop, run_id):
            sent.append(number)
        shop.clock.move(timedelta(hours=1))
    assert sent == [0, 1, 24, 25, 48, 49]
    assert shop.clock() - begin == timedelta(hours=60)


async def test_what_cannot_wait_until_there_is_room_is_skipped(shop):
    await cap(shop, 1, 48)
    await send_all(shop, await planned(shop, "one"))
    (row,) = await rows_of(shop, await planned(shop, "two"))
    assert row[:2] == ("skipped", "capped")
    (row,) = await rows_of(
        shop, await planned(shop, "three", options={"max_lateness": {"days": 2}})
    )
    assert row[:2] == ("pending", "capped")


async def test_a_cap_that_fills_after_the_planning_counts_at_the_claim(shop):
    await cap(shop, 1, 24)
    one, two, three = [await planned(shop, name, **WAITS) for name in ("one", "two", "three")]
    begin = shop.clock()
    assert await send_all(shop, one) == 1
    taken = await claimed(shop, two)
    assert [row["reason"] for row in taken.rows] == ["capped"]
    assert await rows_of(shop, two) == [("pending", "capped", begin + DAY)]
    assert not (await claimed(shop, two)).rows
    shop.clock.move(DAY)
    assert await send_all(shop, three) == 1
    assert await send_all(shop, two) == 0
    assert await rows_of(shop, two) == [("pending", "capped", begin + 2 * DAY)]


async def test_a_cap_of_none_lets_nothing_out_and_no_cap_lets_all_out(shop):
    assert await send_all(shop, await planned(shop, "one")) == 1
    cap_id = await cap(shop, 0, 1)
    (row,) = await rows_of(shop, await planned(shop, "two", **WAITS))
    assert row[:2] == ("skipped", "capped")
    async with shop.work() as w:
        await delete_cap(w, cap_id)
    assert await send_all(shop, await planned(shop, "three")) == 1
    async with shop.work() as w:
        with pytest.raises(NotFound):
            await delete_cap(w, cap_id)


async def test_service_messages_pass_and_do_not_count(shop):
    await cap(shop, 1, 24)
    for name in ("s1", "s2"):
        assert await send_all(shop, await planned(shop, name, message_class="service")) == 1
    assert await send_all(shop, await planned(shop, "one")) == 1
    assert await send_all(shop, await planned(shop, "two")) == 0
    assert await send_all(shop, await planned(shop, "s3", message_class="service")) == 1


async def test_what_is_on_its_way_or_unknown_counts_and_what_failed_does_not(shop):
    await cap(shop, 1, 24)
    one, two = await planned(shop, "one", **WAITS), await planned(shop, "two", **WAITS)
    await claimed(shop, one)
    for state, free in (("sending", 0), ("unknown", 0), ("failed", 1)):
        async with shop.work() as w:
            await w.sql.execute(
                """UPDATE deliveries SET state = $3, lease_until = NULL
                   WHERE merchant_id = $1 AND run_id = $2""",
                shop.id, one, state,
            )  # fmt: skip
            await w.sql.execute(
                """UPDATE deliveries SET next_at = $3 WHERE merchant_id = $1 AND run_id = $2""",
                shop.id, two, w.now,
            )  # fmt: skip
        assert await send_all(shop, two) == free


async def test_a_cap_may_be_of_a_channel_or_of_a_shop(shop):
    async with shop.work() as w:
        other = await create_shop(w, "other", "jd")
    await cap(shop, 1, 24, shop_id=shop.shop_id)
    for name, shop_id, wanted in (
        ("a", shop.shop_id, 1), ("b", shop.shop_id, 0), ("c", other, 1), ("d", other, 1),
        ("e", None, 1),
    ):  # fmt: skip
        assert await send_all(shop, await planned(shop, name, shop_id=shop_id)) == wanted
    await cap(shop, 5, 24, channel="email")
    assert await send_all(shop, await planned(shop, "f", shop_id=other)) == 1
    assert await send_all(shop, await planned(shop, "g", shop_id=other)) == 0


async def test_all_caps_hold_together(shop):
    await cap(shop, 1, 24)
    await cap(shop, 2, 24 * 7)
    begin = shop.clock()
    await send_all(shop, await planned(shop, "one"))
    shop.clock.move(DAY)
    await send_all(shop, await planned(shop, "two"))
    shop.clock.move(DAY)
    assert await rows_of(shop, await planned(shop, "three", **WAITS)) == [
        ("pending", "capped", begin + 7 * DAY)
    ]


async def test_the_same_customer_twice_in_one_claim(shop):
    await cap(shop, 2, 24)
    run_id = await planned(shop, "one", **WAITS)
    async with shop.work() as w:
        # as a journey with three of his orders has it
        await w.sql.execute(
            """INSERT INTO deliveries (merchant_id, run_id, step, customer_id, enrolment_id,
                   channel, state, attempts, next_at, not_after, updated_at)
               SELECT merchant_id, run_id, step, customer_id, n, channel, state, 0, next_at,
                      not_after, updated_at
               FROM deliveries, generate_series(1, 3) n WHERE merchant_id = $1 AND run_id = $2""",
            shop.id, run_id,
        )  # fmt: skip
    taken = await claimed(shop, run_id)
    assert [row["reason"] for row in taken.rows].count(None) == 2
    async with shop.read() as session:
        waiting = await session.sql.fetch(
            """SELECT next_at FROM deliveries WHERE merchant_id = $1 AND run_id = $2
               AND state = 'pending' AND reason = 'capped'""",
            shop.id, run_id,
        )  # fmt: skip
    assert [row["next_at"] for row in waiting] == [shop.clock() + DAY] * 2


async def test_two_claims_at_once_do_not_both_pass(shop):
    await add_customers(shop, [f"c{n}@example.com" for n in range(40)])
    await cap(shop, 1, 24)
    runs = [await planned(shop, name, **WAITS) for name in ("one", "two", "three")]
    steps = [await step_of(shop, run_id) for run_id in runs]
    first_has_claimed = asyncio.Event()

    async def work(step, owner):
        async with shop.work() as w:
            taken = await claim(w, step, owner, LEASE, 7)
            # the others have every chance to claim before this is committed
            first_has_claimed.set()
            await asyncio.sleep(0.02)
        return sum(row["reason"] is None for row in taken.rows)

    total = 0
    for _ in range(8):
        counts = await asyncio.gather(
            *(work(step, f"{step.run_id}{n}") for step in steps for n in range(2))
        )
        total += sum(counts)
    assert first_has_claimed.is_set()
    assert total == 41
    async with shop.read() as session:
        most = await session.sql.fetchval(
            """SELECT max(n) FROM (SELECT count(*) AS n FROM deliveries WHERE merchant_id = $1
               AND state = 'sending' GROUP BY customer_id) x""",
            shop.id,
        )  # fmt: skip
    assert most == 1


async def test_the_higher_priority_goes_first(shop):
    await cap(shop, 1, 24)
    low = await planned(shop, "low", **WAITS)
    high = await planned(shop, "high", options={"max_lateness": {"days": 30}, "priority": 5})
    begin = shop.clock()
    taken = await claimed(shop, low)
    assert [row["reason"] for row in taken.rows] == ["outranked"]
    assert await rows_of(shop, low) == [("pending", "outranked", begin + DAY)]
    assert await send_all(shop, high) == 1
    shop.clock.move(DAY)
    assert await send_all(shop, low) == 1


async def test_what_may_not_wait_for_the_higher_is_skipped(shop):
    await cap(shop, 1, 24)
    low = await planned(shop, "low", options={"max_lateness": {"hours": 2}})
    await planned(shop, "high", options={"priority": 1})
    await claimed(shop, low)
    assert [row[:2] for row in await rows_of(shop, low)] == [("skipped", "outranked")]


async def test_a_higher_one_outside_the_window_or_paused_takes_no_room(shop):
    await cap(shop, 1, 24)
    low, second = await planned(shop, "low", **WAITS), await planned(shop, "second", **WAITS)
    high = await planned(shop, "high", options={"priority": 1})
    async with shop.work() as w:
        await w.sql.execute(
            "UPDATE deliveries SET next_at = $3 WHERE merchant_id = $1 AND run_id = $2",
            shop.id, high, w.now + DAY + SECOND,
        )  # fmt: skip
    assert await send_all(shop, low) == 1
    shop.clock.move(DAY)
    assert await send_all(shop, second) == 0
    async with shop.work() as w:
        await w.sql.execute(
            "UPDATE campaign_runs SET state = 'paused' WHERE merchant_id = $1 AND id = $2",
            shop.id, high,
        )  # fmt: skip
        await w.sql.execute(
            "UPDATE deliveries SET next_at = $3 WHERE merchant_id = $1 AND run_id = $2",
            shop.id, second, w.now,
        )  # fmt: skip
    assert await send_all(shop, second) == 1


async def test_with_room_for_two_the_higher_takes_one(shop):
    await cap(shop, 2, 24)
    low, other = await planned(shop, "low", **WAITS), await planned(shop, "other", **WAITS)
    await planned(shop, "high", options={"priority": 1})
    assert await send_all(shop, low) == 1
    assert await send_all(shop, other) == 0


async def test_a_clock_that_goes_back_lets_nobody_have_more(shop):
    await cap(shop, 1, 24)
    begin = shop.clock()
    await send_all(shop, await planned(shop, "one"))
    shop.clock.move(timedelta(hours=-5))
    run_id = await planned(shop, "two", **WAITS)
    assert await rows_of(shop, run_id) == [("pending", "capped", begin + DAY)]


@pytest.mark.parametrize(
    ("shop_id", "channel", "hours", "messages", "path"),
    [(0, "*", 0, 1, "hours"), (0, "*", 24 * 400, 1, "hours"), (0, "*", 24, -1, "messages"),
     (0, "pigeon", 24, 1, "channel"), (10**9, "*", 24, 1, "shopId")],
)  # fmt: skip
async def test_a_cap_is_checked(merchant, shop_id, channel, hours, messages, path):
    async with merchant.work() as w:
        with pytest.raises(HuikeError) as caught:
            await set_cap(w, merchant.installation.registry, Cap(shop_id, channel, hours, messages))
    assert caught.value.path == ("input", path)
