"""Rewards: what one can have, in one transaction, and how it is handed out."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from core.domain.members.handing_out import hand_out
from core.domain.members.membership import join
from core.domain.members.points import Lot, NotEnoughPoints, balances, give
from core.domain.members.redeeming import RewardUnavailable, cancel, fulfil, redeem
from core.domain.members.rewards import create_reward, update_reward
from core.domain.members.tiers import set_tier
from core.registry import CORE, Owned
from core.sdk import (
    AlreadyExists,
    InvalidInput,
    NoSettings,
    NotFound,
    Refused,
    Several,
    Text,
    Unknown,
    WrongState,
)
from core.sdk.errors import HuikeError
from core.sdk.events import Occurrence
from core.testing.fixtures import START
from tests.members.test_membership import customer, set_up

DAY = timedelta(days=1)


async def member(w, points=100):
    pk = await customer(w)
    await join(w, pk, "page")
    await give(w, "earn", [Lot(pk, points, w.now)])
    return pk


async def reward(merchant, w, provider="gift", **values):
    registry = merchant.installation.registry
    return await create_reward(w, registry, provider, {}, {"name": "Mug", "cost": 40, **values})


async def available(merchant, pk):
    async with merchant.read() as session:
        return (await balances(session, [pk]))[pk].available


async def row(merchant, table, pk):
    async with merchant.read() as session:
        return await session.sql.fetchrow(
            f"SELECT * FROM {table} WHERE merchant_id = $1 AND id = $2", merchant.id, pk
        )


async def test_a_redemption_takes_points_and_stock_and_a_cancelled_one_gives_them_back(merchant):
    async with merchant.work() as w:
        await set_up(w)
        pk, mug = await member(w), await reward(merchant, w, stock=2)
        first, second = await redeem(w, mug, pk), await redeem(w, mug, pk)
        with pytest.raises(RewardUnavailable, match="none left"):
            await redeem(w, mug, pk)
    assert await available(merchant, pk) == 20
    async with merchant.work() as w:
        await fulfil(w, first, "handed over")
        await cancel(w, second, "broken")
        for done in (first, second):
            with pytest.raises(WrongState):
                await cancel(w, done, "again")
            with pytest.raises(WrongState):
                await fulfil(w, done)
        with pytest.raises(NotFound):
            await fulfil(w, 10**9)
    assert await available(merchant, pk) == 60
    assert (await row(merchant, "rewards", mug))["stock"] == 1
    states = [(await row(merchant, "redemptions", one))["state"] for one in (first, second)]
    assert states == ["fulfilled", "cancelled"]


async def test_limits_tiers_and_times(merchant):
    async with merchant.work() as w:
        _, gold = await set_up(w)
        one, two, guest = await member(w), await member(w, 39), await customer(w)
        mug = await reward(merchant, w, per_customer=1, tier_ids=[gold],
                           valid_from=START + DAY, valid_until=START + 2 * DAY)  # fmt: skip
        with pytest.raises(WrongState, match="not a member"):
            await redeem(w, mug, guest)
        with pytest.raises(RewardUnavailable, match="offered from"):
            await redeem(w, mug, one)
    merchant.clock.move(DAY)
    async with merchant.work() as w:
        with pytest.raises(RewardUnavailable, match="other tiers"):
            await redeem(w, mug, one)
        for pk in (one, two):
            await set_tier(w, pk, gold, None)
        with pytest.raises(NotEnoughPoints):
            await redeem(w, mug, two)
        taken = await redeem(w, mug, one)
        with pytest.raises(RewardUnavailable, match="can have 1"):
            await redeem(w, mug, one)
        await cancel(w, taken, "changed his mind")
        await redeem(w, mug, one)
    merchant.clock.move(DAY)
    async with merchant.work() as w:
        with pytest.raises(RewardUnavailable, match="any more"):
            await redeem(w, mug, two)


async def test_what_a_catalogue_refuses(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        await set_up(w)
        mug = await reward(merchant, w)
        cup = await reward(merchant, w, name="Cup")
        with pytest.raises(AlreadyExists):
            await reward(merchant, w)
        with pytest.raises(AlreadyExists):
            await update_reward(w, cup, {"name": "Mug"})
        with pytest.raises(InvalidInput, match="provider"):
            await reward(merchant, w, provider="pigeon", name="x")
        with pytest.raises((HuikeError, Several)):
            await create_reward(w, registry, "gift", {"colour": 1}, {"name": "x", "cost": 1})
        for wrong in ({"cost": 0}, {"stock": -1}, {"per_customer": 0}, {"tier_ids": []},
                      {"valid_from": START, "valid_until": START}):  # fmt: skip
            with pytest.raises(InvalidInput):
                await update_reward(w, mug, wrong)
        with pytest.raises(NotFound):
            await update_reward(w, mug, {"tier_ids": [10**9]})
        await update_reward(w, mug, {"stock": 7, "cost": 30})
    kept = await row(merchant, "rewards", mug)
    assert (kept["stock"], kept["cost"], kept["name"]) == (7, 30, "Mug")


async def attempt(merchant, reward_id, pk):
    try:
        async with merchant.work() as w:
            return await redeem(w, reward_id, pk)
    except (RewardUnavailable, NotEnoughPoints) as error:
        return type(error)


async def test_the_last_one_goes_to_one_of_many(merchant):
    async with merchant.work() as w:
        await set_up(w)
        mug = await reward(merchant, w, stock=1)
        people = [await member(w) for _ in range(6)]
    done = await asyncio.gather(*(attempt(merchant, mug, pk) for pk in people))
    assert done.count(RewardUnavailable) == 5
    assert (await row(merchant, "rewards", mug))["stock"] == 0
    assert sorted([await available(merchant, pk) for pk in people]) == [60] + [100] * 5


async def test_nobody_gets_more_than_the_limit_or_the_points_allow_at_once(merchant):
    async with merchant.work() as w:
        await set_up(w)
        pk, other = await member(w, 1000), await member(w, 100)
        limited = await reward(merchant, w, per_customer=2)
        mugs = [await reward(merchant, w, name=str(n)) for n in range(4)]
    done = await asyncio.gather(*(attempt(merchant, limited, pk) for _ in range(5)))
    assert done.count(RewardUnavailable) == 3
    assert await available(merchant, pk) == 920
    # different rewards wait for nobody but the one customer
    done = await asyncio.gather(*(attempt(merchant, mug, other) for mug in mugs))
    assert done.count(NotEnoughPoints) == 2
    assert await available(merchant, other) == 20


async def test_cancelling_twice_at_once_gives_back_once(merchant):
    async with merchant.work() as w:
        await set_up(w)
        pk, mug = await member(w), await reward(merchant, w, stock=1)
        taken = await redeem(w, mug, pk)

    async def undo():
        async with merchant.work() as w:
            await cancel(w, taken, "x")

    done = await asyncio.gather(*(undo() for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(one, WrongState) for one in done) == 2
    assert await available(merchant, pk) == 100
    assert (await row(merchant, "rewards", mug))["stock"] == 1


class Coupons:
    """Gives a code for each redemption, or fails as it is told."""

    name, title, settings = "coupons", Text("Coupon", "优惠券"), NoSettings

    def __init__(self):
        self.fails, self.given = [], {}

    async def hand_out(self, context, settings, redeemed):
        if self.fails:
            raise self.fails.pop()
        return self.given.setdefault(redeemed.redemption_id, f"C{len(self.given)}")


async def test_what_a_provider_just_hands_out_is_not_cancelled(merchant):
    """Or the customer would have his points and the coupon."""
    db, registry = merchant.installation.db, merchant.installation.registry
    entered, leave = asyncio.Event(), asyncio.Event()

    class Slow(Coupons):
        async def hand_out(self, context, settings, redeemed):
            entered.set()
            await leave.wait()
            return await super().hand_out(context, settings, redeemed)

    coupons = Slow()
    registry = replace(registry, reward_providers={
        **registry.reward_providers, "coupons": Owned(CORE, coupons)
    })  # fmt: skip
    async with merchant.work() as w:
        await set_up(w)
        pk = await member(w, 40)
        taken = await redeem(
            w, await create_reward(w, registry, "coupons", {}, {"name": "C", "cost": 40}), pk
        )

    async def undo():
        async with merchant.work() as w:
            await cancel(w, taken, "changed his mind")

    event = Occurrence(1, merchant.id, "reward.requested", START, {"redemption_id": taken})
    handing = asyncio.create_task(hand_out(db, registry, event))
    await entered.wait()
    with pytest.raises(WrongState, match="being handed out"):
        await undo()
    coupons.fails = [TimeoutError()]
    leave.set()
    with pytest.raises(TimeoutError):
        await handing
    with pytest.raises(WrongState, match="being handed out"):
        await undo()  # nobody knows whether he has it, and it is tried again
    merchant.clock.move(2 * DAY)
    await undo()
    assert await available(merchant, pk) == 40
    await hand_out(db, registry, event)
    assert coupons.given == {}


async def test_a_provider_hands_out_after_the_commit(merchant):
    db, coupons = merchant.installation.db, Coupons()
    registry = merchant.installation.registry
    registry = replace(registry, reward_providers={
        **registry.reward_providers, "coupons": Owned(CORE, coupons)
    })  # fmt: skip
    async with merchant.work() as w:
        await set_up(w)
        pk = await member(w, 160)
        coupon = await create_reward(w, registry, "coupons", {}, {"name": "C", "cost": 40})
        taken = [await redeem(w, coupon, pk) for _ in range(3)]
        by_hand = await redeem(w, await reward(merchant, w), pk)

    async def tell(redemption_id):
        payload = {"redemption_id": redemption_id}
        await hand_out(db, registry, Occurrence(1, merchant.id, "reward.requested", START, payload))
        return await row(merchant, "redemptions", redemption_id)

    for _ in range(2):
        found = await tell(taken[0])
        assert (found["state"], found["given"]) == ("fulfilled", "C0")
    coupons.fails = [Refused("the coupon is over")]
    found = await tell(taken[1])
    assert (found["state"], found["reason"]) == ("cancelled", "the coupon is over")
    assert await available(merchant, pk) == 40
    coupons.fails = [Unknown("no answer")]
    found = await tell(taken[2])
    assert (found["state"], found["reason"]) == ("requested", "no answer")
    coupons.fails = [TimeoutError()]
    with pytest.raises(TimeoutError):
        await tell(taken[2])
    assert (await tell(taken[2]))["given"] == "C1"
    assert (await tell(by_hand))["state"] == "requested"
