"""Faults of the platform: what is tried again, what is given up, and who is told."""

import asyncio
from datetime import timedelta

import pytest

from core.domain.connections import dead_letters
from core.domain.connections.calls import Buckets, Calls, Priority, usage
from core.domain.connections.inbox import ask_again
from core.domain.connections.report import reports
from core.domain.connections.trouble import LAST_PAUSE, pause_after
from core.sdk import Budget, ReconnectNeeded, Resource, RetryLater, Unknown
from tests.connections.stand_in import Refusal


@pytest.mark.parametrize("fault", [502, "broken", "lost", Refusal("limited", "slow", seconds=30)])
async def test_a_window_whose_page_fails_is_read_again(shop, fault):
    fair = shop.fair
    await shop.connect()
    await shop.work()
    for n in range(120):
        fair.order(f"o{n}", "new")
    shop.later(minutes=3)
    fair.faults.extend([None, None, fault])  # the count, a page, and then
    before = await shop.ask("SELECT * FROM sync_cursors WHERE merchant_id = $1 ORDER BY id")
    await shop.work("shops.sync")
    after = await shop.ask("SELECT * FROM sync_cursors WHERE merchant_id = $1 ORDER BY id")
    assert after[0]["cursor_at"] == before[0]["cursor_at"]
    assert after[0]["problem"]
    await shop.pass_time(3)
    assert len(await shop.orders()) == 120
    assert await shop.problems() == []


async def test_a_ban_is_obeyed_by_all(shop):
    fair = shop.fair
    await shop.connect()
    await shop.work()
    shop.later(minutes=3)
    fair.faults.append(Refusal("limited", "one hour", seconds=3600))
    await shop.work("shops.sync")
    calls = len(fair.calls)
    await shop.pass_time(50, step=10)
    assert len(fair.calls) == calls
    shop.later(minutes=12)
    await shop.work()
    assert len(fair.calls) > calls
    assert await shop.problems() == []


async def test_a_record_that_makes_no_sense_is_set_aside_and_can_be_retried(shop):
    fair = shop.fair
    await shop.connect()
    await shop.work()
    for n in range(9):
        fair.order(f"o{n}", "new")
    fair.orders["o3"].spoilt = {"state": "puzzled"}  # the connector cannot read it
    fair.orders["o5"].spoilt = {"total": 2**70}  # the database cannot hold it
    await shop.pass_time(3)
    assert (await shop.orders()).keys() == {f"o{n}" for n in (0, 1, 2, 4, 6, 7, 8)}
    letters = await shop.ask("SELECT * FROM dead_letters WHERE merchant_id = $1 ORDER BY 5")
    assert {row["external_id"] for row in letters} == {"o3", "o5"}
    async with shop.merchant.read() as session:
        shown = {row["external_id"]: dead_letters.payload_of(session, row) for row in letters}
    assert '"puzzled"' in shown["o3"]
    assert str(2**70) in shown["o5"]

    fair.orders["o3"].spoilt = fair.orders["o5"].spoilt = {}
    async with shop.merchant.work() as w:
        for row in letters:
            await ask_again(w, row)
    await shop.work()
    assert len(await shop.orders()) == 9
    rows = await shop.ask("SELECT state FROM dead_letters WHERE merchant_id = $1")
    assert {row["state"] for row in rows} == {"settled"}


async def test_a_token_is_renewed_before_its_end_and_once(shop):
    fair = shop.fair
    told = fair.token(life=7200)
    fair.access["good"] = None
    await shop.connect(
        refresh=told["refresh"], expires_at=shop.merchant.clock() + timedelta(hours=2)
    )
    await shop.work()
    assert fair.called("token.renew") == []
    shop.later(minutes=61)
    await shop.work()
    assert len(fair.called("token.renew")) == 1
    (access,) = fair.access
    assert access.startswith("access-")
    await shop.pass_time(60, step=20)
    assert await shop.problems() == []
    rows = await shop.ask("SELECT action FROM audit_log WHERE merchant_id = $1")
    assert "shop.token_renewed" in {row["action"] for row in rows}


async def test_a_token_that_the_platform_has_dropped_is_renewed_or_asks_for_the_seller(shop):
    fair = shop.fair
    told = fair.token(life=10**6)
    fair.access = {"good": None}
    await shop.connect(
        refresh=told["refresh"], expires_at=shop.merchant.clock() + timedelta(days=11)
    )
    await shop.work()
    shop.later(minutes=15)
    fair.access = {}
    await shop.work()
    assert len(fair.called("token.renew")) == 1
    shop.later(minutes=1)
    await shop.work()
    assert await shop.problems() == []

    shop.later(minutes=15)
    fair.access, fair.renewable = {}, False
    await shop.work()
    async with shop.merchant.read() as session:
        (report,) = await reports(session)
    assert report.state == "needs_authorisation"
    assert "Connect the shop again" in report.cure
    calls = len(fair.calls)
    await shop.pass_time(60, step=30)
    assert len(fair.calls) == calls
    fair.access = {"good": None}
    fair.order("missed", "new")
    shop.later(hours=5)
    await shop.connect()
    await shop.work()
    assert await shop.orders() == {"missed": "new"}


async def test_one_shops_slowness_is_its_own(shop):
    """A call that hangs ends with its time; the other duties go on meanwhile."""
    fair = shop.fair
    await shop.connect()
    await shop.work()
    fair.ahead = 120
    shop.later(hours=1, minutes=1)
    await shop.work("shops.upkeep")
    assert abs((await shop.connection())["clock_ahead_ms"] - 120_000) < 5000
    fair.order("o1", "new")
    shop.later(seconds=61)
    await shop.work()
    # by our own clock the platform's order lies in the future
    assert await shop.orders() == {"o1": "new"}


def calls_of(shop, budgets, priority=Priority.PUSH, waits=None, merchants_on=0, app=None):
    async def sleep(seconds):
        (waits if waits is not None else []).append(seconds)
        shop.later(seconds=seconds)

    return Calls(
        shop.db, Buckets(shop.merchant.id + merchants_on, "fair", shop.merchant.shop_id, app),
        budgets, "Asia/Shanghai", priority, sleep,
    )  # fmt: skip


async def test_no_second_sees_more_calls_than_the_platform_allows(shop):
    budgets = (Budget("app", 50, 1), Budget("shop", 1000, 3600))
    clock, made = shop.merchant.clock, []
    workers = [calls_of(shop, budgets), calls_of(shop, budgets)]
    for n in range(100):
        await workers[n % 2].spend("orders.list")
        made.append(clock())
    for start in made:
        assert sum(start <= at < start + timedelta(seconds=1) for at in made) <= 50
    assert made[-1] - made[0] < timedelta(seconds=3)
    async with shop.merchant.read() as session:
        at = Buckets(shop.merchant.id, "fair", shop.merchant.shop_id)
        used = await usage(session, at, budgets)
    assert {(one.scope.split(":")[0], one.used) for one in used} == {("app", 100), ("shop", 100)}


async def test_the_past_leaves_calls_to_what_is_new(shop):
    budgets = (Budget("app", 100, 3600),)
    past = calls_of(shop, budgets, Priority.BACKFILL)
    for _ in range(5):
        await past.spend("orders.list")
    with pytest.raises(RetryLater) as refused:
        await past.spend("orders.list")
    assert refused.value.after > timedelta(0)
    for _ in range(4):
        await calls_of(shop, budgets, Priority.PUSH).spend("orders.get")


async def test_one_merchants_past_leaves_the_apps_calls_to_other_merchants(shop):
    """The app is the same for both, so that the platform counts their calls together."""
    budgets, past = (Budget("app", 100, 3600), Budget("shop", 900, 3600)), Priority.BACKFILL
    mine = calls_of(shop, budgets, past, app="one")
    for _ in range(5):
        await mine.spend("orders.list")
    with pytest.raises(RetryLater):
        await calls_of(shop, budgets, past, app="one", merchants_on=10**9).spend("orders.list")
    other = calls_of(shop, budgets, app="one", merchants_on=10**9)
    for _ in range(5):
        await other.spend("orders.get")
    with pytest.raises(RetryLater):
        await other.spend("orders.get")
    for app in ("another", None):
        await calls_of(shop, budgets, past, app=app, merchants_on=10**9).spend("orders.list")
    async with shop.merchant.read() as session:
        at = Buckets(shop.merchant.id, "fair", shop.merchant.shop_id, "one")
        used = {one.scope.split(":")[0]: one.used for one in await usage(session, at, budgets)}
    assert used == {"app": 10, "shop": 5}
    await mine.ban("orders.get", 7200)
    shop.later(seconds=3600)
    with pytest.raises(RetryLater):
        await calls_of(shop, budgets, app="one", merchants_on=10**9).spend("orders.get")


async def test_calls_begun_side_by_side_are_all_counted(shop):
    budgets = (Budget("app", 100, 3600),)
    calls = calls_of(shop, budgets)
    asked = [calls.spend("orders.get") for _ in range(12)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in results].count(RetryLater) == 2
    async with shop.merchant.read() as session:
        at = Buckets(shop.merchant.id, "fair", shop.merchant.shop_id)
        assert {one.used for one in await usage(session, at, budgets)} == {10}


async def test_a_banned_api_leaves_the_others_alone(shop):
    calls = calls_of(shop, ())
    await calls.ban("orders.list", 100)
    with pytest.raises(RetryLater):
        await calls.spend("orders.list")
    await calls.spend("orders.get")
    await calls.ban("app", 100)
    with pytest.raises(RetryLater):
        await calls.spend("orders.get")


@pytest.mark.parametrize("error", [RetryLater("x"), Unknown("x"), ReconnectNeeded("x")])
def test_pauses_grow_and_end_somewhere(error):
    assert pause_after(error, 0) <= timedelta(seconds=5)
    assert timedelta(minutes=7) < pause_after(error, 10**6) <= LAST_PAUSE
    assert pause_after(RetryLater("x", timedelta(hours=3)), 0) >= timedelta(hours=3)


async def test_an_order_that_a_refund_names_is_asked_for(shop):
    fair = shop.fair
    await shop.connect()
    await shop.work()
    fair.order("old", "paid", at=fair.now() - 300 * 86_400)
    fair.refund("r1", "old")
    await shop.pass_time(8)
    assert await shop.orders() == {"old": "paid"}
    rows = await shop.ask("SELECT state FROM refunds WHERE merchant_id = $1")
    assert [row["state"] for row in rows] == ["requested"]
    assert [told for told in await shop.events() if told[0] == "order.created"] == []
    assert Resource.REFUNDS in shop.registry.connectors["fair"].value.resources
