"""What is done in a shop: coupons, benefits, remarks."""

import pytest

from core.sdk import Done, GiveCoupon, Refused, RetryLater, Unknown, WriteRemark
from tests.plugins.taobao.test_ratings_members import MEMBER

SEND = "taobao.promotion.coupon.send"
BENEFIT = "taobao.promotion.benefit.activity.send"
COUPON = {
    "coupon_id": 50000001, "denominations": 500, "condition": 5000,
    "creat_time": "2026-01-01 00:00:00", "end_time": "2026-02-01 00:00:00",
    "create_channel": "自己创建",
}  # fmt: skip


@pytest.fixture
def shop(platform):
    platform.shop.coupons[50000001] = COUPON | {"stock": 2, "given": []}
    for name in ("a", "b", "c"):
        platform.shop.members[name] = MEMBER | {"ouid": name}
    return platform.shop


async def test_success_is_told_for_each_buyer(platform, shop):
    async with platform.open() as session:
        done = await session.act(GiveCoupon("k", "50000001", ["a", "stranger", "b", "c"]))
    assert [(one.subject, one.done, one.reason) for one in done] == [
        ("a", True, None), ("stranger", False, "NOT_SHOP_MEMBER"), ("b", True, None),
        ("c", False, "NO_STOCK"),
    ]  # fmt: skip
    assert done[0].reference
    assert shop.coupons[50000001]["given"] == ["a", "b"]


async def test_a_coupon_is_not_given_twice_when_nobody_knows(platform, shop):
    platform.world.fault(SEND, "after_write")
    async with platform.open() as session:
        with pytest.raises(Unknown):
            await session.act(GiveCoupon("k", "50000001", ["a"]))
    assert shop.coupons[50000001]["given"] == ["a"]
    assert len(platform.world.calls_of(SEND)) == 1


@pytest.mark.parametrize("coupon", ["benefit:7:8:1", "right:ename1"])
async def test_a_benefit_is_known_again_by_its_key(platform, shop, coupon):
    api = BENEFIT if coupon.startswith("b") else "alibaba.benefit.send"
    platform.world.fault(api, "after_write")
    action = GiveCoupon("k", coupon, ["a", "b"])
    async with platform.open() as session:
        with pytest.raises(RetryLater):
            await session.act(action)
        done = await session.act(action)
        assert await session.act(action) == done
    assert [one.done for one in done] == [True, True]
    assert len(platform.world.benefits) == 2


async def test_a_benefit_that_ran_out(platform, shop):
    platform.world.benefit_stock["7"] = 1
    async with platform.open() as session:
        first, second = await session.act(GiveCoupon("k", "benefit:7:8:1", ["a", "b"]))
        (again,) = await session.act(GiveCoupon("k", "benefit:7:8:1", ["b"]))
    assert (first.done, second.done, second.reason) == (True, False, "SYN_NO_STOCK")
    assert again == second


@pytest.mark.parametrize(("coupon", "buyers"), [
    ("", 1), ("benefit:7", 1), ("x", 1), ("50000001:1", 1), ("50000001", 101), ("99", 1),
])  # fmt: skip
async def test_what_cannot_be_given(platform, shop, coupon, buyers):
    async with platform.open() as session:
        with pytest.raises(Refused):
            await session.act(GiveCoupon("k", coupon, ["a"] * buyers))


async def test_nobody_is_given_nothing(platform, shop):
    async with platform.open() as session:
        assert await session.act(GiveCoupon("k", "50000001", [])) == []
    assert platform.world.calls == []


async def test_the_sellers_coupons(platform, shop):
    for number in range(30):
        shop.coupons[number] = COUPON | {"coupon_id": number, "stock": 1, "given": []}
    shop.coupons[99] = COUPON | {"coupon_id": 99, "end_time": "2025-12-31 23:59:59"}
    async with platform.open() as session:
        found = await session.coupons()
    assert len(found) == 31
    (one,) = [coupon for coupon in found if coupon.external_id == "50000001"]
    assert (one.name, one.amount, one.threshold) == ("5元，满50元可用", 500, 5000)


async def test_a_remark(platform):
    tid = platform.world.trade(platform.shop)
    async with platform.open() as session:
        done = await session.act(WriteRemark(str(tid), "老客户", 5))
        await session.act(WriteRemark(str(tid), "再来"))
        for order, text, flag in (
            (tid, "字" * 334, None), (tid, "x", 6), (tid, "", None), (4999999999999999999, "x", 1),
        ):  # fmt: skip
            with pytest.raises(Refused):
                await session.act(WriteRemark(str(order), text, flag))
    assert done == [Done(str(tid), True)]
    row = platform.shop.trades[tid][-1][1]
    assert (row["seller_memo"], row["seller_flag"]) == ("再来", 5)
