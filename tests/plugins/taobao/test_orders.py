"""Orders: lists that shift, and what the fields mean."""

from datetime import UTC, datetime, timedelta

import pytest

from core.sdk import (
    Identity,
    Kind,
    OrderState,
    RefundKind,
    RefundState,
    Resource,
    TooMuch,
    Window,
    app_scope_id,
)
from plugins.taobao.orders import STATES, order
from plugins.taobao.refunds import refund
from tests.plugins.taobao.kit import NOW, Platform, last, pulled
from tests.stand_ins.taobao.shapes import at

LIST = "taobao.trades.simple.sold.increment.get"


def fill(platform, count, minutes=25):
    """Orders that changed one after the other, ending `minutes` ago at the earliest."""
    start = NOW - timedelta(minutes=minutes)
    step = timedelta(minutes=minutes - 5) / count
    return [platform.world.trade(platform.shop, at_time=start + step * n) for n in range(count)]


async def test_pages_are_read_from_the_last_to_the_first(platform):
    tids = fill(platform, 120)
    async with platform.open() as session:
        found = await pulled(session)
    assert {record.external_id for record in found} == {str(tid) for tid in tids}
    calls = platform.world.calls_of(LIST)
    assert [call["page_no"] for call in calls] == ["1", "3", "2", "1"]
    assert [call["use_has_next"] for call in calls] == ["false", "true", "true", "false"]


async def test_one_call_is_enough_for_a_quiet_window(platform):
    fill(platform, 3)
    async with platform.open() as session:
        assert len(await pulled(session)) == 3
        assert await pulled(session, window=last(4)) == []
    assert len(platform.world.calls_of(LIST)) == 2


@pytest.mark.parametrize("victim", [0, 60, 119])
async def test_a_row_that_leaves_while_the_list_is_read_takes_no_other_along(platform, victim):
    tids = fill(platform, 120)

    def move(call):
        """After the second page an order changes again, and leaves the window."""
        if call["page_no"] == "2":
            platform.world.trade(platform.shop, tids[victim], status="TRADE_FINISHED")

    platform.world.after[LIST].append(move)
    async with platform.open() as session:
        found = await pulled(
            session, window=Window(NOW - timedelta(minutes=30), NOW - timedelta(minutes=1))
        )
    missing = {str(tid) for tid in tids} - {record.external_id for record in found}
    assert missing <= {str(tids[victim])}


async def test_a_row_that_turns_up_while_the_list_is_read_pushes_none_out(platform):
    tids = fill(platform, 100)
    late = []

    def insert(call):
        if call["page_no"] == "2" and not late:
            late.append(platform.world.trade(platform.shop, at_time=NOW - timedelta(minutes=6)))

    platform.world.after[LIST].append(insert)
    async with platform.open() as session:
        found = await pulled(session)
    assert {record.external_id for record in found} == {str(tid) for tid in [*tids, *late]}


async def test_a_row_that_the_list_shows_late_is_shown_at_once_by_its_detail(platform):
    tid = platform.world.trade(platform.shop, at_time=NOW - timedelta(minutes=5),
                               late=timedelta(minutes=8))  # fmt: skip
    async with platform.open() as session:
        assert await pulled(session) == []
        (now,) = await session.fetch(Resource.ORDERS, str(tid))
        platform.world.clock.move(timedelta(minutes=8))
        (later,) = await pulled(session)
    assert now == later


async def test_both_ends_of_a_window_belong_to_it(platform):
    for minutes in (30, 10):
        platform.world.trade(platform.shop, at_time=NOW - timedelta(minutes=minutes))
    async with platform.open() as session:
        window = Window(NOW - timedelta(minutes=30), NOW - timedelta(minutes=10))
        assert len(await pulled(session, window=window)) == 2


async def test_every_type_is_asked_for(platform):
    for kind in ("step", "fixed", "o2o_offlinetrade", "cod", "fenxiao"):
        platform.world.trade(platform.shop, type=kind, at_time=NOW - timedelta(minutes=2))
    async with platform.open() as session:
        assert len(await pulled(session)) == 5
        assert len(await pulled(session, kind=Kind.BACKFILL)) == 5


async def test_the_past_is_read_by_the_day_of_creation(platform):
    day = NOW - timedelta(days=30)
    tids = [
        platform.world.trade(platform.shop, at_time=day + timedelta(minutes=n)) for n in range(230)
    ]
    platform.world.trade(platform.shop, tids[0], status="TRADE_FINISHED")
    async with platform.open() as session:
        window = Window(day, day + timedelta(days=1))
        found = await pulled(session, window=window, kind=Kind.BACKFILL)
        assert await session.count_orders(window) == 230
    assert [r.external_id for r in found] == [str(tid) for tid in reversed(tids)]
    calls = platform.world.calls_of("taobao.trades.simple.sold.get")
    assert [call["page_no"] for call in calls][:3] == ["1", "2", "3"]


async def test_too_much_is_asked_for_in_halves(platform):
    platform.world.fault("taobao.trades.simple.sold.get", "too_much")
    async with platform.open() as session:
        with pytest.raises(TooMuch):
            await pulled(session, kind=Kind.BACKFILL)


async def test_a_crm_app_sees_no_receiver_and_a_full_one_no_ouid(world):
    crm, full = Platform(world), None
    tid = world.trade(crm.shop)
    async with crm.open() as session:
        (record,) = await session.fetch(Resource.ORDERS, str(tid))
    assert record.buyer_id == "AAGsynOuid0001"
    assert (record.phone, record.name, record.address) == (None, None, None)
    assert record.identities == [
        Identity("app", app_scope_id("12345678"), "open_uid", "AAHsynOpen0001")
    ]
    full = Platform(world, mode="full")
    tid = world.trade(full.shop, at_time=NOW - timedelta(minutes=3))
    async with full.open() as session:
        (record,) = await session.fetch(Resource.ORDERS, str(tid))
        assert await pulled(session) == [record]
    # what is masked is not taken for a name or a number
    assert (record.buyer_id, record.phone, record.name, record.address) == (None,) * 4
    assert record.identities[0].kind == "open_uid"
    assert (record.province, record.city) == ("浙江省", "杭州市")


async def test_a_day_is_counted_by_the_platform(platform):
    day = datetime(2025, 12, 30, 16, tzinfo=UTC)  # midnight in Shanghai
    for hours in (-1, 0, 1, 23.99, 24):
        platform.world.trade(platform.shop, at_time=day + timedelta(hours=hours))
    statistics = "taobao.jds.trades.statistics.get"
    async with platform.open() as session:
        whole = Window(day, day + timedelta(days=1) - timedelta(seconds=1))
        assert await session.count_orders(whole) == 3
        assert len(platform.world.calls_of(statistics)) == len(platform.world.calls) == 1
        platform.world.fault(statistics, "forbidden")
        assert await session.count_orders(whole) == 3
        assert await session.count_orders(Window(day, day + timedelta(hours=2))) == 2


FIXTURE = {
    "tid": 4100000000000000001, "ouid": "AAGsynOuid0001", "buyer_open_uid": "AAHsynOpen0001",
    "seller_nick": "示范店铺", "type": "fixed", "status": "WAIT_BUYER_CONFIRM_GOODS",
    "created": "2026-01-01 11:01:02", "pay_time": "2026-01-01 11:03:10",
    "consign_time": "2026-01-02 08:00:00", "modified": "2026-01-02 08:00:00",
    "payment": "128.00", "total_fee": "138.00", "receiver_state": "浙江省", "receiver_city": "",
    "receiver_district": "义乌市",
    "orders": {"order": [
        {"oid": 4100000000000000002, "num_iid": 600000000001, "sku_id": "5000000001",
         "outer_iid": "A-100", "title": "婴儿连体衣", "num": 2, "payment": "70.00",
         "divide_order_fee": "64.01", "status": "WAIT_BUYER_CONFIRM_GOODS",
         "refund_status": "WAIT_SELLER_AGREE", "cid": 50010001,
         "logistics_company": "顺丰速运", "invoice_no": "SF0000000000001"},
        {"oid": 4100000000000000003, "num_iid": 600000000002, "title": "婴儿帽", "num": 1,
         "payment": "63.99", "status": "WAIT_BUYER_CONFIRM_GOODS", "refund_status": "NO_REFUND",
         "logistics_company": "顺丰速运", "invoice_no": "SF0000000000001"}]},
}  # fmt: skip


def test_an_order_of_two_articles():
    record = order(FIXTURE, "12345678")
    assert record.external_id == "4100000000000000001"
    assert (record.state, record.platform_state) == (
        OrderState.SHIPPED, "WAIT_BUYER_CONFIRM_GOODS",
    )  # fmt: skip
    assert (record.total, record.paid, record.currency) == (12800, 12800, "CNY")
    assert record.ordered_at == datetime(2026, 1, 1, 3, 1, 2, tzinfo=UTC)
    assert record.in_dispute is True
    assert record.city == "义乌市"
    assert [(line.external_id, line.amount, line.quantity, line.sku) for line in record.lines] == [
        ("4100000000000000002", 6401, 2, "A-100"), ("4100000000000000003", 6399, 1, None),
    ]  # fmt: skip
    assert [(p.tracking_number, p.carrier) for p in record.parcels] == [
        ("SF0000000000001", "顺丰速运")
    ]


@pytest.mark.parametrize(("status", "step", "paid"), [
    ("WAIT_BUYER_PAY", None, 0), ("TRADE_CLOSED_BY_TAOBAO", None, 0),
    ("WAIT_BUYER_PAY", "FRONT_NOPAID_FINAL_NOPAID", 0),
    ("WAIT_BUYER_PAY", "FRONT_PAID_FINAL_NOPAID", 2000), ("WAIT_SELLER_SEND_GOODS", None, 12800),
    ("WAIT_SELLER_SEND_GOODS", "FRONT_PAID_FINAL_PAID", 12800), ("TRADE_CLOSED", None, 12800),
])  # fmt: skip
def test_what_is_paid(status, step, paid):
    row = FIXTURE | {"status": status, "step_trade_status": step, "step_paid_fee": "20.00"}
    assert order(row, "1").paid == paid


def test_all_states_of_the_platform_are_known():
    assert len(STATES) == 12
    assert set(STATES.values()) == set(OrderState)


def test_a_state_that_is_new_to_us_changes_none():
    record = order(FIXTURE | {"status": "SOMETHING_NEW"}, "1")
    assert (record.state, record.platform_state) == (None, "SOMETHING_NEW")


@pytest.mark.parametrize("spoilt", [
    {"payment": "12,80"}, {"payment": "1.005"}, {"created": "yesterday"}, {"payment": "NaN"},
    {"orders": {"order": [{"title": "no oid"}]}},
])  # fmt: skip
async def test_a_row_that_makes_no_sense_is_set_aside_alone(platform, spoilt):
    moment = NOW - timedelta(minutes=5)
    good = platform.world.trade(platform.shop, at_time=moment)
    bad = platform.world.trade(platform.shop, at_time=moment)
    row = platform.shop.trades[bad][-1][1]
    row |= spoilt
    if "orders" in spoilt:
        row["orders"] = spoilt["orders"]["order"]
    if "created" in spoilt:
        row["pay_time"], row["created"] = "yesterday", at(moment)
    async with platform.open() as session:
        (page,) = [p async for p in session.pull(Resource.ORDERS, last(30), Kind.INCREMENTAL)]
    assert [record.external_id for record in page.records] == [str(good)]
    (broken,) = page.broken
    assert broken.external_id == str(bad)
    assert str(bad) in broken.payload


# -- refunds ------------------------------------------------------------------------------------

REFUND = {
    "refund_id": "90000000000000001", "tid": 4100000000000000001, "oid": 4100000000000000002,
    "ouid": "AAGsynOuid0001", "status": "WAIT_SELLER_AGREE", "has_good_return": True,
    "refund_fee": "64.00", "payment": "64.00", "total_fee": "128.00", "reason": "尺寸不符",
    "refund_version": 1767330000000, "dispute_type": "REFUND_AND_RETURN", "title": "婴儿连体衣",
    "num": 1, "created": "2026-01-01 11:40:00", "modified": "2026-01-01 11:40:00",
}  # fmt: skip


@pytest.mark.parametrize(("status", "dispute", "state"), [
    ("WAIT_SELLER_AGREE", "REFUND", RefundState.REQUESTED),
    ("WAIT_BUYER_RETURN_GOODS", "REFUND_AND_RETURN", RefundState.AWAIT_RETURN),
    ("WAIT_SELLER_CONFIRM_GOODS", "REFUND_AND_RETURN", RefundState.RETURN_IN_TRANSIT),
    ("SELLER_REFUSE_BUYER", "REFUND", RefundState.REFUSED),
    ("SUCCESS", "REFUND", RefundState.REFUNDED), ("CLOSED", "REFUND", RefundState.CANCELLED),
    ("SUCCESS", "TMALL_EXCHANGE", RefundState.RESOLVED),
    ("SOMETHING_NEW", "REFUND", RefundState.REQUESTED),
])  # fmt: skip
def test_a_refunds_state(status, dispute, state):
    record = refund(REFUND | {"status": status, "dispute_type": dispute})
    assert (record.state, record.platform_state) == (state, status)
    assert (record.refunded_at is None) is (state is not RefundState.REFUNDED)


async def test_refunds(platform):
    platform.shop.refunds["90000000000000001"] = REFUND
    async with platform.open() as session:
        (record,) = await pulled(session, Resource.REFUNDS)
        assert await session.fetch(Resource.REFUNDS, "90000000000000001") == [record]
    assert (record.amount, record.kind) == (6400, RefundKind.RETURN)
    assert record.line_external_id == "4100000000000000002"
    assert record.reason == "尺寸不符"
