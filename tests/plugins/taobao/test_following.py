"""The driver follows a shop on the stand-in: past and present, by lists and by messages."""

from datetime import timedelta

import pytest
import pytest_asyncio

from core.domain.connections import following
from plugins.taobao.connector import RESOURCES
from tests.plugins.taobao.followed import followed
from tests.plugins.taobao.test_ratings_members import MEMBER, RATING
from tests.stand_ins.taobao.shapes import at

LIST = "taobao.trades.simple.sold.increment.get"
ONE = "taobao.trade.simple.get"


@pytest_asyncio.fixture(loop_scope="session")
async def shop(merchant):
    async with followed(merchant) as shop:
        yield shop


async def test_a_life(shop):
    """Everything of a shop comes in: before it was connected without events, after with."""
    world, now = shop.world, shop.world.now()
    shop.platform.connector.resources = RESOURCES
    old = shop.trade(at_time=now - timedelta(days=40))
    shop.trade(old, at_time=now - timedelta(days=30), status="TRADE_FINISHED")
    shop.platform.shop.members["AAGsynOuid0001"] = MEMBER | {
        "last_trade_time": at(now - timedelta(days=40)), "modified": at(now - timedelta(days=30)),
    }  # fmt: skip
    shop.platform.shop.ratings.append(
        RATING | {"tid": old, "oid": old, "created": at(now - timedelta(days=20))}
    )
    await shop.connect()
    await shop.work()
    assert await shop.problems() == []
    assert await shop.orders() == shop.truth()
    assert await shop.events() == []
    (review,) = await shop.ask("SELECT * FROM reviews WHERE merchant_id = $1")
    (member,) = await shop.ask("SELECT * FROM platform_members WHERE merchant_id = $1")
    (customer,) = await shop.ask("SELECT * FROM customers WHERE merchant_id = $1")
    assert review["customer_id"] == member["customer_id"] == customer["id"]
    assert (customer["phone_sealed"], customer["name"]) == (None, None)

    shop.later(minutes=2)
    new = shop.trade()
    await shop.pass_time(3)
    shop.trade(new, status="WAIT_SELLER_SEND_GOODS", pay_time=at(world.now()))
    await shop.pass_time(3)
    assert await shop.events() == [
        ("order.created", str(new), "created_unpaid"),
        ("order.state_changed", str(new), "to_ship"),
    ]
    assert await shop.problems() == []


async def test_a_list_that_shifts_while_it_is_read_loses_nothing(shop):
    await shop.connect()
    await shop.work()
    tids = [shop.trade() for _ in range(130)]
    shop.later(minutes=2)
    turns = []

    def shift(_):
        if len(turns) < 20:
            shop.trade(tids[len(turns)], status="WAIT_SELLER_SEND_GOODS")
            turns.append(1)

    shop.world.after[LIST].append(shift)
    await shop.pass_time(3)
    shop.world.after[LIST].clear()
    await shop.pass_time(3)
    assert turns
    assert await shop.orders() == shop.truth()


async def test_a_row_that_lists_show_late_is_found(shop):
    await shop.connect()
    await shop.work()
    await shop.pass_time(5)
    shop.trade(late=timedelta(minutes=8))
    await shop.pass_time(7)
    assert await shop.orders() == {}
    await shop.pass_time(14)
    assert await shop.orders() == shop.truth()


async def test_a_message_is_quicker_than_the_list_and_counts_once(shop):
    await shop.connect()
    await shop.work()
    shop.world.disorder = True
    tid = shop.trade(late=timedelta(minutes=8), topic="taobao_trade_TradeCreate")
    shop.trade(tid, late=timedelta(minutes=8), status="WAIT_SELLER_SEND_GOODS",
               topic="taobao_trade_TradeBuyerPay")  # fmt: skip
    shop.later(seconds=5)
    await shop.work()
    assert await shop.orders() == {str(tid): "WAIT_SELLER_SEND_GOODS"}
    assert len(shop.world.calls_of(ONE)) == 1  # two messages about one order
    await shop.pass_time(20, step=5)
    assert await shop.events() == [("order.created", str(tid), "to_ship")]
    assert all(message.confirmed for message in shop.world.messages)


async def test_messages_that_are_not_confirmed_come_again_and_change_nothing(shop):
    await shop.connect()
    await shop.work()
    shop.world.fault("taobao.tmc.messages.confirm", "dropped", 3)
    tid = shop.trade(topic="taobao_trade_TradeCreate")
    await shop.pass_time(30, step=6)
    assert await shop.events() == [("order.created", str(tid), "created_unpaid")]
    assert all(message.confirmed for message in shop.world.messages)


async def test_nobody_calls_while_a_ban_lasts(shop):
    await shop.connect()
    await shop.work()
    shop.later(minutes=2)
    shop.trade()
    shop.world.fault("*", "limited:90")
    await shop.work()
    calls = len(shop.world.calls)
    shop.later(seconds=80)
    await shop.work()
    assert len(shop.world.calls) == calls
    await shop.pass_time(4)
    assert await shop.orders() == shop.truth()


async def test_a_token_is_renewed_before_it_ends(shop):
    shop.world.life[""] = 36 * 3600
    await shop.connect()
    await shop.work()
    for _ in range(4):
        shop.later(hours=10)
        shop.trade()
        await shop.work()
    await shop.pass_time(5)
    assert (await shop.connection())["state"] == "connected"
    assert await shop.orders() == shop.truth()
    assert len(shop.world.grants) > 1


async def test_a_pasted_token_that_ends_needs_the_seller(shop):
    shop.platform.app.renews = False
    shop.world.life[""] = 86_400
    await shop.connect()
    await shop.work()
    shop.later(hours=25)
    missed = shop.trade()
    await shop.work()
    assert (await shop.connection())["state"] != "connected"
    calls = len(shop.world.calls)
    await shop.pass_time(10, step=5)
    assert len(shop.world.calls) == calls
    await shop.connect()
    await shop.work()
    await shop.pass_time(5)
    assert str(missed) in await shop.orders()


async def test_a_seller_who_withdraws_is_left_alone(shop):
    await shop.connect()
    await shop.work()
    shop.later(minutes=1)
    shop.world.tell(shop.platform.shop, "taobao_top_AuthCancel", {"open_id": 1})
    await shop.work()
    assert (await shop.connection())["state"] == "revoked"
    calls = len(shop.world.calls)
    await shop.pass_time(10, step=5)
    assert len(shop.world.calls) == calls


@pytest.mark.parametrize("page", ["3", "2"])
async def test_a_worker_that_dies_in_the_middle_of_a_window(shop, page):
    await shop.connect()
    await shop.work()
    shop.later(minutes=2)
    for _ in range(130):
        shop.trade()
    shop.later(minutes=2)

    follow = following.follow_shop(shop.db, shop.registry, shop.merchant.id, shop.id)
    await shop.dying_at(
        follow, lambda call: call.get("page_no") == page and call["use_has_next"] == "true"
    )
    await shop.pass_time(5)
    assert await shop.orders() == shop.truth()
    created = [event for event in await shop.events() if event[0] == "order.created"]
    assert len(created) == len(set(created)) == 130


async def test_one_row_that_makes_no_sense_stops_nothing(shop):
    await shop.connect()
    await shop.work()
    shop.later(minutes=2)
    bad = shop.trade(payment="a lot")
    good = shop.trade()
    await shop.pass_time(5)
    assert await shop.orders() == {str(good): "WAIT_BUYER_PAY"}
    (letter,) = await shop.ask("SELECT * FROM dead_letters WHERE merchant_id = $1")
    assert letter["external_id"] == str(bad)
