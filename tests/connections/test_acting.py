"""What is done on the platform is done once."""

import asyncio
import json

import pytest

from core.domain.connections import acting
from core.domain.connections.acting import act
from core.domain.connections.deeds import open_deeds, settle
from core.sdk import (
    Done,
    GiveCoupon,
    NotFound,
    Refused,
    RetryLater,
    Unknown,
    WriteRemark,
    WrongState,
)
from tests.connections.stand_in import Refusal


@pytest.fixture
async def do(shop):
    await shop.connect()

    async def do(action):
        return await act(shop.db, shop.registry, shop.merchant.id, shop.id, action)

    return do


async def waiting(shop):
    async with shop.merchant.read() as session:
        return await open_deeds(session, shop.id)


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
    coupon = GiveCoupon("k1", "ten-off", ["b1"], [7])
    shop.fair.faults.append(fault)
    for _ in range(3):
        with pytest.raises(Unknown):
            await do(coupon)
    assert len(shop.fair.called("coupons.give")) == 1
    (deed,) = await waiting(shop)
    assert (deed["subject"], deed["count"], deed["state"]) == ("ten-off", 1, "unknown")
    async with shop.merchant.work() as w:
        await settle(w, deed["id"], done=fault != 502)
    assert await waiting(shop) == []
    await do(coupon)
    assert shop.fair.coupons == {("ten-off", "b1"): 1}
    for number, error in ((deed["id"], WrongState), (999, NotFound)):
        with pytest.raises(error):
            async with shop.merchant.work() as w:
                await settle(w, number, done=True)
    (event,) = await shop.ask(
        "SELECT payload FROM outbox_events WHERE merchant_id = $1 AND type LIKE 'platform_deed.%'"
    )
    assert json.loads(event["payload"]) == {
        "deed_id": deed["id"], "shop_id": shop.id, "key": "k1", "about": [7],
        "done": fault != 502,
    }  # fmt: skip


async def test_what_somebody_died_in_waits_once_he_is_certainly_dead(shop, do, monkeypatch):
    async def dies(*_):
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(acting, "_do", dies)
        with pytest.raises(asyncio.CancelledError):
            await do(GiveCoupon("k1", "ten-off", ["b1"]))
    assert await waiting(shop) == []
    async with shop.merchant.work() as w:
        row = await w.sql.fetchrow(
            "SELECT id FROM platform_deeds WHERE merchant_id = $1", w.merchant_id
        )
        with pytest.raises(WrongState, match="under way"):
            await settle(w, row["id"], done=False)
    shop.later(minutes=10)
    (deed,) = await waiting(shop)
    assert deed["state"] == "trying"
    async with shop.merchant.work() as w:
        await settle(w, deed["id"], done=False)
    await do(GiveCoupon("k1", "ten-off", ["b1"]))
    assert shop.fair.coupons == {("ten-off", "b1"): 1}


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
