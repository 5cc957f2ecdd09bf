"""Disputes, evaluations and store coupons."""

from datetime import UTC, datetime, timedelta

import pytest

from core.sdk import (
    GiveCoupon,
    Identity,
    Kind,
    RefundKind,
    RefundState,
    Refused,
    Resource,
    RetryLater,
    Unknown,
    Window,
    WriteRemark,
)
from tests.plugins.aliexpress.followed import followed
from tests.plugins.aliexpress.kit import NOW, pulled
from tests.plugins.taobao.kit import SHOP_ID

LOGIN = "es1000000001abc"
SEND = "aliexpress/message/send"
COUPON = {
    "id": 800000001, "activity_name": "Back again", "status": "releasing", "denomination": 300,
    "min_order_amount": 2500, "num_per_buyer": 1, "released_num": 498, "total_release_num": 500,
    "acquire_start_date": "02/01/2026 00:00:00", "acquire_end_date": "02/28/2026 23:59:59",
}  # fmt: skip


def issue(order, status="processing", at=NOW, number=60000000001, **more):
    return {
        "issue_id": number, "order_id": order + 500_000, "parent_order_id": order,
        "buyer_login_id": LOGIN, "issue_status": status, "reason_chinese": "尺寸不符",
        "reason_english": "Size does not fit", "gmt_create": at - timedelta(hours=1),
        "gmt_modified": at,
    } | more  # fmt: skip


def offer(amount="10.00", currency="USD", **more):
    money = {"amount": amount, "currency_code": currency}
    return {"id": 1, "solution_type": "refund", "refund_money": money, "status": "reached"} | more


async def test_a_dispute(platform):
    number = platform.world.order(platform.shop)
    platform.shop.issues.append(issue(number, buyer=[offer(status="wait_seller_accept")]))
    async with platform.open() as session:
        (found,) = await pulled(session, Resource.REFUNDS)
        assert await session.fetch(Resource.REFUNDS, "60000000001") == [found]
        assert await session.fetch(Resource.REFUNDS, "1") == []
        assert await pulled(session, Resource.REFUNDS, Window(NOW - timedelta(days=9), NOW),
                            Kind.BACKFILL) == [found]  # fmt: skip
    assert (found.external_id, found.order_external_id) == ("60000000001", str(number))
    assert found.line_external_id == str(number + 500_000)
    assert (found.state, found.amount, found.kind) == (
        RefundState.REQUESTED, 1000, RefundKind.REFUND_ONLY,
    )  # fmt: skip
    assert (found.reason, found.requested_at) == ("尺寸不符", NOW - timedelta(hours=1))


async def test_the_orders_number_is_found_on_either_side(platform):
    number = platform.world.order(platform.shop)
    platform.shop.issues.append(issue(number, order_id=number, parent_order_id=number + 500_000))
    async with platform.open() as session:
        (found,) = await pulled(session, Resource.REFUNDS)
    assert (found.order_external_id, found.line_external_id) == (
        str(number), str(number + 500_000),
    )  # fmt: skip


@pytest.mark.parametrize(("status", "offers", "state", "amount"), [
    ("canceled_issue", [], RefundState.CANCELLED, 0),
    ("finish", [], RefundState.RESOLVED, 0),
    ("finish", [offer()], RefundState.REFUNDED, 1000),
    ("finish", [offer(status="refused")], RefundState.RESOLVED, 1000),
    ("finish", [offer(amount="900", currency="RUB", refund_money_post={
        "amount": "9.90", "currency_code": "USD"})], RefundState.REFUNDED, 990),
    ("finish", [offer(solution_type="return_and_refund")], RefundState.REFUNDED, 1000),
])  # fmt: skip
async def test_ends_of_disputes(platform, status, offers, state, amount):
    number = platform.world.order(platform.shop)
    platform.shop.issues.append(issue(number, status, seller=offers))
    async with platform.open() as session:
        (found,) = await pulled(session, Resource.REFUNDS)
    assert (found.state, found.amount) == (state, amount)
    assert (found.refunded_at == NOW) is (state is RefundState.REFUNDED)


async def test_many_disputes_are_read_to_the_end_and_old_ones_left_out(platform):
    number = platform.world.order(platform.shop)
    platform.shop.issues += [
        issue(number, at=NOW - timedelta(minutes=n), number=n + 1) for n in range(120)
    ]
    async with platform.open() as session:
        found = await pulled(session, Resource.REFUNDS)
    assert {int(one.external_id) for one in found} == set(range(1, 32))


def evaluation(order, **more):
    return {
        "parent_order_id": order, "order_id": order + 500_000, "product_id": 1,
        "buyer_login_id": LOGIN, "buyer_evaluation": "2", "buyer_feedback": "Too small",
        "buyer_fb_date": NOW - timedelta(days=1), "valid_date": NOW, "seller_reply": "",
        "gmt_modified": NOW,
    } | more  # fmt: skip


async def test_an_evaluation(platform):
    number = 1100000000000000009
    platform.shop.evaluations += [
        evaluation(number), evaluation(number + 1, buyer_evaluation=""),
        evaluation(number + 2, valid_date=NOW - timedelta(days=2), buyer_evaluation="5"),
    ]  # fmt: skip
    async with platform.open() as session:
        (found,) = await pulled(session, Resource.REVIEWS)
        assert await session.fetch(Resource.REVIEWS, str(number)) == [found]
        assert await session.fetch(Resource.REVIEWS, found.external_id) == [found]
        assert await session.fetch(Resource.REVIEWS, "1") == []
        (best,) = await session.fetch(Resource.REVIEWS, str(number + 2))
    assert found.external_id == f"{number}:{number + 500_000}"
    assert (found.sign, found.stars, found.text, found.reply) == (-1, 2, "Too small", None)
    assert (found.at, found.modified_at) == (NOW - timedelta(days=1), NOW)
    assert found.identities == [Identity("shop", SHOP_ID, "buyer_login_id", LOGIN)]
    assert (best.sign, best.stars) == (1, 5)


async def test_coupons_are_listed_with_their_cents(platform):
    platform.shop.activities += [
        COUPON | {"id": n, "status": status}
        for n, status in enumerate(["releasing", "closed", "not_started", "release_end"] * 10)
    ]
    async with platform.open() as session:
        found = await session.coupons()
    assert len(found) == 20
    assert (found[0].amount, found[0].threshold, found[0].currency) == (300, 2500, "USD")
    assert (found[0].name, found[0].left) == ("Back again", 2)
    assert found[0].starts_at == datetime(2026, 2, 1, 8, 0, tzinfo=UTC)
    assert found[0].ends_at == datetime(2026, 3, 1, 7, 59, 59, tzinfo=UTC)


async def test_a_coupon_is_handed_over_in_a_message(platform):
    platform.shop.activities.append(dict(COUPON))
    for login in ("a", "b", "c"):
        platform.world.order(platform.shop, buyer_login_id=login)
    async with platform.open() as session:
        done = await session.act(GiveCoupon("k", "800000001", ["a", "stranger", "b", "c"]))
    assert [(one.subject, one.done) for one in done] == [
        ("a", True), ("stranger", False), ("b", True), ("c", False),
    ]  # fmt: skip
    assert "SYN_NO_STOCK" in done[-1].reason
    assert [m["template_id"] for m in platform.shop.sent] == [21004, 21004]


@pytest.mark.parametrize(("fault", "error"), [
    ("after_write", Unknown), ("limited:2", RetryLater), ("forbidden", None),
])  # fmt: skip
async def test_a_coupon_that_was_perhaps_given_is_not_given_again(platform, fault, error):
    platform.shop.activities.append(dict(COUPON))
    platform.world.order(platform.shop)
    platform.world.fault(SEND, fault)
    async with platform.open() as session:
        if error is None:
            (done,) = await session.act(GiveCoupon("k", "800000001", [LOGIN]))
            assert not done.done
        else:
            with pytest.raises(error):
                await session.act(GiveCoupon("k", "800000001", [LOGIN]))
    assert len(platform.world.calls_of(SEND)) == 1


@pytest.mark.parametrize("action", [GiveCoupon("k", "benefit:1", ["a"]), WriteRemark("1", "x")])
async def test_what_cannot_be_done(platform, action):
    async with platform.open() as session:
        with pytest.raises(Refused):
            await session.act(action)


async def test_disputes_and_evaluations_find_their_order(merchant):
    kinds = (Resource.ORDERS, Resource.REFUNDS, Resource.REVIEWS)
    async with followed(merchant, kinds) as shop:
        await shop.connect()
        await shop.work()
        shop.later(minutes=2)
        number = shop.order(order_status="IN_ISSUE", fund_status="PAY_SUCCESS",
                            gmt_pay_time=shop.world.now(), issue_status="IN_ISSUE")  # fmt: skip
        now = shop.world.now()
        shop.platform.shop.issues.append(issue(number, at=now, buyer=[offer(status="wait")]))
        shop.platform.shop.evaluations.append(
            evaluation(number, valid_date=now, buyer_fb_date=now, gmt_modified=now)
        )
        await shop.pass_time(90, step=30)
        assert await shop.problems() == []
        assert await shop.states() == {number: ("to_ship", True)}
        (refund,) = await shop.ask("SELECT * FROM refunds WHERE merchant_id = $1")
        (review,) = await shop.ask("SELECT * FROM reviews WHERE merchant_id = $1")
        (order,) = await shop.ask("SELECT * FROM orders WHERE merchant_id = $1")
        assert (refund["order_id"], refund["amount"]) == (order["id"], 1000)
        assert review["customer_id"] == order["customer_id"]
