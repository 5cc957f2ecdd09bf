"""The driver follows a shop on the stand-in: past and present, by lists and by messages."""

from datetime import timedelta

import pytest_asyncio

from tests.plugins.aliexpress.followed import followed

LIST = "aliexpress.trade.seller.orderlist.get"
PAID = {"fund_status": "PAY_SUCCESS", "logistics_status": "WAIT_SELLER_SEND_GOODS"}


@pytest_asyncio.fixture(loop_scope="session")
async def shop(merchant):
    async with followed(merchant) as shop:
        yield shop


async def test_a_life(shop):
    """The past comes in without events, the present with them, and both ends are told apart."""
    now = shop.world.now()
    old = shop.order(at_time=now - timedelta(days=1), order_status="FINISH")
    await shop.connect()
    await shop.work()
    assert await shop.problems() == []
    assert await shop.orders() == shop.truth()
    assert await shop.events() == []

    shop.later(minutes=2)
    good, bad, never = (shop.order() for _ in range(3))
    await shop.pass_time(4, step=2)
    for number in (good, bad):
        shop.order(number, order_status="WAIT_SELLER_SEND_GOODS", gmt_pay_time=shop.world.now(),
                   **PAID)  # fmt: skip
    await shop.pass_time(4, step=2)
    reasons = {good: "buyer_accept_goods", bad: "cancel_order_close_trade", never: "pay_timeout"}
    for number, reason in reasons.items():
        shop.order(number, order_status="FINISH", end_reason=reason)
    await shop.pass_time(4, step=2)
    assert await shop.states() == {
        old: ("closed_unpaid", False), good: ("completed", False),
        bad: ("closed_refunded", False), never: ("closed_unpaid", False),
    }  # fmt: skip
    events = await shop.events()
    assert len(events) == len(set(events)) == 3 + 2 + 3
    (identity,) = await shop.ask("SELECT * FROM customer_identities WHERE merchant_id = $1")
    assert (identity["kind"], identity["value"]) == ("buyer_login_id", "es1000000001abc")
    assert await shop.problems() == []


async def test_a_dispute_hides_the_state_and_changes_nothing_of_it(shop):
    await shop.connect()
    await shop.work()
    shop.later(minutes=2)
    held = shop.order(order_status="RISK_CONTROL", gmt_pay_time=shop.world.now(), **PAID)
    unseen = shop.order(order_status="IN_CANCEL", gmt_pay_time=shop.world.now(), **PAID)
    await shop.pass_time(4, step=2)
    assert await shop.states() == {held: ("paid_on_hold", False), unseen: ("to_ship", True)}
    shop.order(held, order_status="IN_FROZEN", frozen_status="IN_FROZEN")
    await shop.pass_time(4, step=2)
    assert (await shop.states())[held] == ("paid_on_hold", True)
    shop.order(held, order_status="WAIT_SELLER_SEND_GOODS", frozen_status="NO_FROZEN")
    await shop.pass_time(4, step=2)
    assert (await shop.states())[held] == ("to_ship", False)


async def test_a_list_that_shifts_while_it_is_read_loses_nothing(shop):
    await shop.connect()
    await shop.work()
    numbers = [shop.order() for _ in range(130)]
    shop.later(minutes=2)
    turns = []

    def shift(_):
        if len(turns) < 20:
            shop.order(numbers[len(turns)], order_status="FINISH", end_reason="pay_timeout")
            turns.append(1)

    shop.world.after[LIST].append(shift)
    await shop.pass_time(4, step=2)
    shop.world.after[LIST].clear()
    await shop.pass_time(4, step=2)
    assert len(turns) > 10
    assert await shop.orders() == shop.truth()


async def test_a_row_that_lists_show_late_is_found(shop):
    await shop.connect()
    await shop.work()
    await shop.pass_time(4, step=2)
    shop.order(late=timedelta(minutes=8))
    await shop.pass_time(6, step=2)
    assert await shop.orders() == {}
    await shop.pass_time(16, step=2)
    assert await shop.orders() == shop.truth()


async def test_nobody_calls_the_list_while_a_ban_lasts(shop):
    await shop.connect()
    await shop.work()
    shop.later(minutes=2)
    shop.order()
    shop.world.fault(LIST, "limited:90")
    await shop.work()
    calls = len(shop.world.calls)
    shop.later(seconds=80)
    await shop.work()
    assert len(shop.world.calls) == calls
    await shop.pass_time(6, step=2)
    assert await shop.orders() == shop.truth()


async def test_a_token_is_renewed_until_the_seller_has_to_come_back(shop):
    shop.world.life, shop.world.refresh_life = 3 * 86_400, 6 * 86_400
    await shop.connect()
    await shop.work()
    for _ in range(5):
        shop.later(days=1)
        shop.order()
        await shop.work()
    await shop.pass_time(6, step=3)
    assert (await shop.connection())["state"] == "connected"
    assert await shop.orders() == shop.truth()
    assert len(shop.world.grants) > 1
    shop.later(days=5)
    await shop.work()
    assert (await shop.connection())["state"] != "connected"


async def test_one_row_that_makes_no_sense_stops_nothing(shop):
    await shop.connect()
    await shop.work()
    shop.later(minutes=2)
    bad = shop.order(pay_amount={"amount": "1.005", "currency_code": "USD"})
    good = shop.order()
    await shop.pass_time(6, step=2)
    assert await shop.orders() == {str(good): "PLACE_ORDER_SUCCESS"}
    (letter,) = await shop.ask("SELECT * FROM dead_letters WHERE merchant_id = $1")
    assert letter["external_id"] == str(bad)
