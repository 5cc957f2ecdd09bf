"""Coupons that follow from carts and referrals, by recipes that run through the real engine."""

from datetime import timedelta

import pytest

from core.domain.campaigns.journeys.custom_events import record_event
from core.domain.orders.refunds import ingest_refunds
from core.domain.shops.shops import find_shop
from core.sdk import (
    LineRecord,
    NotFound,
    OrderState,
    RefundKind,
    RefundRecord,
    RefundState,
    Several,
)
from core.sdk.errors import HuikeError
from core.sdk.events import MemberJoined, ReferralEntered, ReferralGranted
from tests.journey_kit import order, take_orders
from tests.plugins.coupons.kit import template
from tests.recipe_kit import Stage


@pytest.fixture
async def stage(merchant):
    return await Stage(merchant).set_up()


async def customers(stage, *numbers, **more):
    """Customers with these last digits of their phones, who have bought before; their ids."""
    for number in numbers:
        await stage.ordered(number, OrderState.COMPLETED, **more)
    async with stage.merchant.read() as session:
        return [
            await session.sql.fetchval(
                "SELECT customer_id FROM orders WHERE merchant_id = $1 AND external_id = $2",
                session.merchant_id, number,
            )
            for number in numbers
        ]  # fmt: skip


async def codes(stage):
    async with stage.merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT customer_id, code FROM coupons_coupons WHERE merchant_id = $1 ORDER BY id",
            session.merchant_id,
        )
    return [tuple(row) for row in rows]


async def test_who_leaves_a_cart_gets_a_coupon_unless_he_buys(stage):
    await template(stage.merchant, handle="cart", per_item=True)
    buys, leaves = await customers(stage, "1", "2")
    await stage.on("coupons_cart", template="cart")
    async with stage.merchant.work() as w:
        for one in (buys, leaves, leaves):
            await record_event(w, "custom.cart", one, None, {"product": "tea"})
    await stage.later(hours=2, step=timedelta(hours=1))
    same = {"phone": "+8613800000001", "buyer_id": "buyer-1", "email": "1@example.com"}
    await take_orders(stage.merchant, order("3", OrderState.TO_SHIP, at=stage.clock(), **same))
    await stage.later(hours=30, step=timedelta(hours=6))
    ((person, code),) = await codes(stage)
    assert person == leaves
    ((when, to, content),) = stage.note.sent
    assert (when, to[-2:]) == ("06-16 14:00", "02")
    assert f"您的优惠券Ten off：{code}" in content["text"]
    with pytest.raises((HuikeError, Several)):
        await stage.on("coupons_cart", template="cart", event="order.created")


async def test_who_sent_it_back_for_the_reason_is_made_up_with(stage):
    await template(stage.merchant, handle="sorry")
    tea = LineRecord(external_id="1", title="tea", quantity=1, amount=1000, product_id="tea")
    ids = await customers(stage, "1", "2", lines=[tea])
    refunds = [
        RefundRecord(
            f"R{number}", number, RefundState.REFUNDED, 1000, stage.clock(), RefundKind.RETURN,
            reason=reason, modified_at=stage.clock(),
        )
        for number, reason in (("1", "too small"), ("2", "changed my mind"))
    ]  # fmt: skip
    async with stage.merchant.work() as w:
        await ingest_refunds(w, await find_shop(w, str(stage.merchant.shop_id)), refunds, True)
    await stage.on(
        "coupons_return_reason", template="sorry", product_ids=["tea"], reasons=["too small"]
    )
    await stage.later(hours=1)
    assert [person for person, _ in await codes(stage)] == [ids[0]]


async def test_a_coupon_that_is_not_there_is_told_at_the_start(stage):
    with pytest.raises(NotFound, match="no coupon template 'cart'") as caught:
        await stage.on("coupons_cart", template="cart")
    assert caught.value.path == ("input", "flow", "steps", "1", "settings", "template")
    await template(stage.merchant, handle="cart")
    await stage.on("coupons_cart", template="cart")


async def test_who_joins_without_a_shop_is_welcome_in_a_shop(stage):
    await template(stage.merchant, handle="welcome")
    first, second = await customers(stage, "1", "2")
    await stage.on("coupons_welcome", template="welcome", shop_id=stage.merchant.shop_id)
    async with stage.merchant.work() as w:
        w.emit(MemberJoined(first, "agent", None, False))
        w.emit(MemberJoined(second, "agent", 10**9, False))
    await stage.turn()
    assert [person for person, _ in await codes(stage)] == [first]


async def test_both_sides_of_a_referral_get_theirs(stage):
    for handle in ("friend", "thanks"):
        await template(stage.merchant, handle=handle, name=handle)
    referrer, friend = await customers(stage, "1", "2")
    await stage.on("coupons_referral_friend", template="friend")
    await stage.on("coupons_referral_thanks", template="thanks")
    async with stage.merchant.work() as w:
        w.emit(ReferralEntered(7, friend, referrer))
    await stage.turn()
    assert [person for person, _ in await codes(stage)] == [friend]
    async with stage.merchant.work() as w:
        w.emit(ReferralGranted(7, friend, referrer))
    await stage.turn()
    given = await codes(stage)
    assert [person for person, _ in given] == [friend, referrer]
    assert [to[-2:] for _, to, _ in stage.note.sent] == ["02", "01"]
    for (_, code), (_, _, content) in zip(given, stage.note.sent, strict=True):
        assert code in content["text"]
