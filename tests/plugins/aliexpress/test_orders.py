"""Orders: lists that shift, times that come twice, and what the fields mean."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from core.sdk import Kind, OrderState, ParcelState, Resource, Window
from plugins.aliexpress.orders import OPEN, order
from plugins.aliexpress.values import changed, moment, money, shown, span
from tests.plugins.aliexpress.kit import NOW, pulled
from tests.plugins.taobao.kit import last
from tests.stand_ins.aliexpress.shapes import at
from tests.stand_ins.aliexpress.world import new_order

LIST = "aliexpress.trade.seller.orderlist.get"
AUTUMN = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
"""One in the morning in summer time; it is one again an hour later."""
SPRING = datetime(2026, 3, 8, 10, 0, tzinfo=UTC)
"""The clock goes from 2 to 3."""


def queries(platform):
    return [orjson.loads(c["param_aeop_order_query"]) for c in platform.world.calls_of(LIST)]


def fill(platform, count, **changes):
    """Orders that changed one after the other within the last 25 minutes."""
    start, step = NOW - timedelta(minutes=25), timedelta(minutes=20) / count
    return [
        platform.world.order(platform.shop, at_time=(start + step * n).replace(microsecond=0),
                             **changes)
        for n in range(count)
    ]  # fmt: skip


async def test_every_state_is_asked_for_and_finished_ones_by_themselves(platform):
    numbers = [
        platform.world.order(platform.shop, at_time=NOW - timedelta(minutes=2), order_status=s)
        for s in (*OPEN, "FINISH")
    ]  # fmt: skip
    # received two months after it was bought
    old = platform.world.order(platform.shop, at_time=NOW - timedelta(days=70))
    platform.world.order(platform.shop, old, at_time=NOW - timedelta(minutes=2),
                         order_status="FINISH")  # fmt: skip
    async with platform.open() as session:
        found = await pulled(session)
    assert {int(record.external_id) for record in found} == {*numbers, old}
    for query in queries(platform):
        assert {"create_date_start", "create_date_end", "modified_date_start"} <= set(query)
        assert ("order_status" in query) != ("order_status_list" in query)


async def test_the_past_is_read_by_creation(platform):
    day = NOW - timedelta(days=100)
    window = Window(day, day + timedelta(days=7))
    numbers = [
        platform.world.order(platform.shop, at_time=day + timedelta(hours=n), order_status=status)
        for n, status in enumerate(["FINISH", "WAIT_BUYER_ACCEPT_GOODS"] * 60)
    ]
    platform.world.order(platform.shop, numbers[1], order_status="FINISH")
    async with platform.open() as session:
        found = await pulled(session, window=window, kind=Kind.BACKFILL)
        assert await session.count_orders(window) == 120
    assert {int(record.external_id) for record in found} == set(numbers)


@pytest.mark.parametrize("victim", [0, 60, 119])
async def test_a_row_that_leaves_while_the_list_is_read_takes_no_other_along(platform, victim):
    numbers = fill(platform, 120)
    moved = []

    def move(_):
        if len(platform.world.calls_of(LIST)) == 3 and not moved:
            moved.append(platform.world.order(platform.shop, numbers[victim]))

    platform.world.after[LIST].append(move)
    async with platform.open() as session:
        window = Window(NOW - timedelta(minutes=30), NOW - timedelta(minutes=1))
        found = await pulled(session, window=window)
    assert moved
    missing = set(numbers) - {int(record.external_id) for record in found}
    assert missing <= {numbers[victim]}


async def test_rows_that_the_list_does_not_count(platform):
    numbers = [*fill(platform, 50), *fill(platform, 70, sc=True)]
    async with platform.open() as session:
        found = await pulled(session)
    assert {int(record.external_id) for record in found} == set(numbers)


async def test_a_quiet_window_needs_the_fewest_calls(platform):
    async with platform.open() as session:
        assert await pulled(session) == []
    assert len(queries(platform)) == 1 + 7  # half a year, in months, of finished orders


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("start", range(-60, 150, 30))
async def test_no_order_is_lost_in_the_hour_that_comes_twice(platform, fold, start):
    platform.world.clock.move(AUTUMN + timedelta(hours=4) - NOW)
    platform.world.fold = fold
    window = Window(AUTUMN + timedelta(minutes=start), AUTUMN + timedelta(minutes=start + 30))
    number = platform.world.order(
        platform.shop, at_time=window.start + timedelta(minutes=10), order_status="FINISH"
    )
    async with platform.open() as session:
        for kind in Kind:
            found = await pulled(session, window=window, kind=kind)
            assert {int(record.external_id) for record in found} == {number}


async def test_no_order_is_lost_in_the_hour_that_there_is_not(platform):
    platform.world.clock.move(SPRING + timedelta(hours=4) - NOW)
    numbers = []
    found = set()
    async with platform.open() as session:
        for minutes in range(-60, 60, 30):
            window = Window(SPRING + timedelta(minutes=minutes),
                            SPRING + timedelta(minutes=minutes + 30))  # fmt: skip
            moments = (window.start, window.start + timedelta(minutes=10), window.end)
            numbers += [platform.world.order(platform.shop, at_time=one) for one in moments]
            records = await pulled(session, window=window)
            found |= {int(record.external_id) for record in records}
            assert {record.ordered_at for record in records} == set(moments)
    assert found == set(numbers)


def test_times():
    assert moment("2025-12-31 20:00:00") == NOW
    assert shown(datetime(2026, 7, 1, 4, 0, tzinfo=UTC)) == "2026-06-30 21:00:00"
    assert moment("2026-11-01 01:30:00") == AUTUMN + timedelta(minutes=30)
    assert moment("2026-03-08 02:30:00") == SPRING + timedelta(minutes=30)
    assert span(last(30, NOW)) == ("2025-12-31 19:30:00", "2025-12-31 20:00:00")
    half = timedelta(minutes=30)
    for begin in (AUTUMN + half, AUTUMN + 3 * half):
        assert span(Window(begin, begin))[0] == "2026-11-01 00:59:59"
        assert span(Window(begin, begin))[1] == "2026-11-01 02:00:00"


def test_a_later_change_never_seems_older():
    """Whatever is seen when, in the two hours that bear the same name."""
    for first in range(0, 120, 7):
        for second in range(first + 1, 120, 7):
            for pause in (0, 5, 50):
                one, two = (AUTUMN + timedelta(minutes=m) for m in (first, second))
                seen = min(one + timedelta(minutes=pause), two)
                before = changed(at(one), seen)
                after = changed(at(two), two + timedelta(minutes=pause))
                assert before <= after, (one, two, seen)


@pytest.mark.parametrize(("told", "minor"), [
    ({"amount": "23.45", "currency_code": "USD"}, (2345, "USD")),
    ({"cent": 2345, "cent_factor": 100, "currency_code": "EUR"}, (2345, "EUR")),
    ({"cent": 500, "cent_factor": 1, "currency_code": "JPY"}, (500, "JPY")),
    ({"amount": "500", "cent": 500, "cent_factor": 1, "currency_code": "KRW"}, (500, "KRW")),
    (None, None),
])  # fmt: skip
def test_money(told, minor):
    assert money(told) == minor


@pytest.mark.parametrize("told", [
    {"amount": "a lot", "currency_code": "USD"}, {"amount": "1.234", "currency_code": "USD"},
    {"cent": 1, "cent_factor": 0, "currency_code": "USD"},
])  # fmt: skip
def test_what_is_no_money(told):
    with pytest.raises(ValueError):
        money(told)


def read(**row):
    told = new_order(1, platform_shop, NOW) | row
    told["product_list"] = told.pop("lines")
    for name in ("gmt_create", "gmt_update"):
        told[name] = at(told[name])
    return order(told, NOW)


class platform_shop:
    nick = "cn1000000001"


@pytest.mark.parametrize(("row", "state", "paid"), [
    ({"order_status": "FINISH"}, OrderState.CLOSED_UNPAID, 0),
    ({"order_status": "FINISH", "fund_status": "PAY_SUCCESS"}, OrderState.COMPLETED, 2345),
    ({"order_status": "FINISH", "fund_status": "PAY_SUCCESS",
      "end_reason": "buyer_accept_goods"}, OrderState.COMPLETED, 2345),
    ({"order_status": "FINISH", "fund_status": "PAY_SUCCESS",
      "end_reason": "cancel_order_close_trade"}, OrderState.CLOSED_REFUNDED, 2345),
    ({"order_status": "FINISH", "fund_status": "NOT_PAY", "end_reason": "pay_timeout"},
     OrderState.CLOSED_UNPAID, 0),
    ({"order_status": "PLACE_ORDER_SUCCESS"}, OrderState.CREATED_UNPAID, 0),
    ({"order_status": "RISK_CONTROL", "fund_status": "PAY_SUCCESS"}, OrderState.PAID_ON_HOLD,
     2345),
    ({"order_status": "FUND_PROCESSING", "fund_status": "PAY_SUCCESS"}, OrderState.COMPLETED,
     2345),
    ({"order_status": "NEW_WORD", "fund_status": "PAY_SUCCESS"}, None, 2345),
])  # fmt: skip
def test_states(row, state, paid):
    record = read(**row)
    assert (record.state, record.paid, record.platform_state) == (state, paid, row["order_status"])


@pytest.mark.parametrize("status", ["IN_CANCEL", "IN_FROZEN", "IN_ISSUE"])
@pytest.mark.parametrize(("fund", "logistics", "first"), [
    ("NOT_PAY", "WAIT_SELLER_SEND_GOODS", OrderState.CREATED_UNPAID),
    ("PAY_SUCCESS", "WAIT_SELLER_SEND_GOODS", OrderState.TO_SHIP),
    ("PAY_SUCCESS", "SELLER_SEND_GOODS", OrderState.SHIPPED),
])  # fmt: skip
def test_states_that_hide_another(status, fund, logistics, first):
    record = read(order_status=status, fund_status=fund, logistics_status=logistics)
    assert (record.state, record.first_state, record.in_dispute) == (None, first, True)


@pytest.mark.parametrize(("row", "dispute"), [
    ({}, False), ({"issue_status": "IN_ISSUE"}, True), ({"issue_status": "END_ISSUE"}, False),
    ({"frozen_status": "IN_FROZEN"}, True),
])  # fmt: skip
def test_disputes(row, dispute):
    assert read(**row).in_dispute is dispute


async def test_parcels_come_with_orders_that_were_sent(platform):
    sent = NOW - timedelta(days=9)
    parcel = {
        "logistics_no": "LP00000000000001", "logistics_service_name": "Standard Shipping",
        "gmt_send": sent, "receive_status": "default",
    }  # fmt: skip
    number = platform.world.order(
        platform.shop, order_status="WAIT_BUYER_ACCEPT_GOODS", fund_status="PAY_SUCCESS",
        gmt_pay_time=sent, gmt_send_goods_time=sent, parcels=[parcel],
    )  # fmt: skip
    async with platform.open() as session:
        (record,) = await pulled(session)
        assert (record.state, record.shipped_at) == (OrderState.SHIPPED, sent)
        (found,) = record.parcels
        assert (found.tracking_number, found.carrier) == ("LP00000000000001", "Standard Shipping")
        assert [(e.kind, e.at) for e in found.events] == [(ParcelState.SHIPPED, sent)]
        platform.world.order(
            platform.shop, number,
            parcels=[parcel | {"gmt_received": NOW, "receive_status": "received"}],
        )  # fmt: skip
        (record,) = await session.fetch(Resource.PARCELS, str(number))
    assert record.state is OrderState.DELIVERED
    assert [e.kind for e in record.parcels[0].events] == [ParcelState.SHIPPED, ParcelState.SIGNED]


async def test_a_buyer_is_known_by_his_login(platform):
    number = platform.world.order(platform.shop)
    async with platform.open() as session:
        (listed,) = await pulled(session)
        (told,) = await session.fetch(Resource.ORDERS, str(number))
    assert listed.buyer_id == told.buyer_id == "es1000000001abc"
    # the receiver's masked name and hidden number are of no use
    assert (told.name, told.phone, told.city) == (None, None, "Madrid")
