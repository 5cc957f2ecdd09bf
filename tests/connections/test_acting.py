"""What is done on the platform is done once."""

import pytest

from core.domain.connections.acting import act, settle_deed
from core.sdk import Done, GiveCoupon, Refused, RetryLater, Unknown, WriteRemark, WrongState
from tests.connections.stand_in import Refusal


@pytest.fixture
async def do(shop):
    await shop.connect()

    async def do(action):
        return await act(shop.db, shop.registry, shop.merchant.id, shop.id, action)

    return do


async def test_a_coupon_is_given_once_and_each_buyer_has_an_answer(shop, do):
    shop.fair.refused_buyers = {"b2"}
    coupon = GiveCoupon("k1", "ten-off", ["b1", "b2"])
    first = await do(coupon)
    assert [(one.subject, one.done) for one in first] == [("b1", True), ("b2", False)]
    assert first[1].reason == "not for this buyer"
    assert await do(coupon) == first
    assert shop.fair.coupons == {("ten-off", "b1"): 1}


@pytest.mark.parametrize("fault", ["lost", 502, "broken"])
async def test_what_may_have_happened_is_not_done_again(shop, do, fault):
    coupon = GiveCoupon("k1", "ten-off", ["b1"])
    shop.fair.faults.append(fault)
    for _ in range(3):
        with pytest.raises(Unknown):
            await do(coupon)
    assert len(shop.fair.called("coupons.give")) == 1
    await settle_deed(shop.db, shop.merchant.id, shop.id, "k1", done=fault != 502)
    await do(coupon)
    assert shop.fair.coupons == {("ten-off", "b1"): 1}
    with pytest.raises(WrongState):
        await settle_deed(shop.db, shop.merchant.id, shop.id, "k1", done=True)


async def test_what_was_certainly_not_done_may_be_tried_again(shop, do):
    coupon = GiveCoupon("k1", "ten-off", ["b1"])
    for refusal, error in (
        (Refusal("no_such_coupon"), Refused), (Refusal("limited", "slow", seconds=60), RetryLater),
    ):  # fmt: skip
        shop.fair.faults.append(refusal)
        with pytest.raises(error):
            await do(coupon)
        shop.later(seconds=61)
    await do(coupon)
    assert shop.fair.coupons == {("ten-off", "b1"): 1}


async def test_a_remark_is_written(shop, do):
    shop.fair.order("o1", "paid")
    assert await do(WriteRemark("o1", "gift wrap")) == [Done("o1", True)]
    assert shop.fair.remarks == {"o1": "gift wrap"}
    with pytest.raises(Refused):
        await do(WriteRemark("nobody", "x"))
