"""Referrals: granted when the purchase is kept, refused for a reason, undone with the purchase."""

import asyncio
import itertools
from datetime import timedelta

import orjson
import pytest

from core.domain.members import referrals
from core.domain.members.membership import join, leave
from core.domain.members.points import balances, take
from core.domain.members.programme import set_programme
from core.domain.members.redeeming import fulfil
from core.domain.members.referral_checks import RefusalReason, fold_address
from core.domain.members.referral_codes import code_of, find_code, fold, make_code, shown
from core.domain.members.referrals import enter_code, refuse, settle_due
from core.domain.members.rewards import create_reward
from core.domain.orders.merging import merge_customers, unmerge_customers
from core.sdk import AlreadyExists, NotFound, Several, WrongState
from core.sdk.errors import HuikeError
from tests.members.test_earning import points, tell
from tests.members.test_membership import buy, customer, events, refund

DAY = timedelta(days=1)


def rules(**referral):
    both = {"referrer_points": 30, "customer_points": 10}
    return {"points": {"pending_days": 7, "expiry": {"kind": "never"}},
            "referral": {**both, **referral}}  # fmt: skip


async def member(w):
    pk = await customer(w)
    await join(w, pk, "page")
    return pk


async def refer(merchant, given=None, people=2):
    """Members of whom each entered the code of the one before, and the referrals."""
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", given or rules())
        made = [await member(w) for _ in range(people)]
        ids = [
            await enter_code(w, newer, await make_code(w, older))
            for older, newer in itertools.pairwise(made)
        ]
    merchant.clock.move(timedelta(hours=1))
    return made, ids


async def purchase(merchant, pk, amount=100):
    async with merchant.work() as w:
        order = await buy(merchant, w, pk, amount)
    await tell(merchant, order, pk)
    return order


async def settle(merchant, days=7):
    merchant.clock.move(days * DAY)
    await settle_due(merchant.installation.db, merchant.id)


async def stored(merchant, referral):
    async with merchant.read() as session:
        return await session.sql.fetchrow(
            "SELECT * FROM referrals WHERE merchant_id = $1 AND id = $2", merchant.id, referral
        )


async def ended(merchant, referral):
    row = await stored(merchant, referral)
    return row["state"], row["reason"]


def test_a_code_is_read_however_it_is_written():
    assert shown("0123ABCD") == "0123-ABCD"
    for written in ("o1l3-abcd", " 0113 ABCD ", "０１Ｉ３—ＡＢＣＤ"):
        assert fold(written) == "0113ABCD"


async def test_a_member_has_one_code(merchant):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", rules())
        pk, nobody = await member(w), await customer(w)
        with pytest.raises(WrongState):
            await make_code(w, nobody)

    async def ask():
        async with merchant.work() as w:
            return await make_code(w, pk)

    codes = set(await asyncio.gather(*(ask() for _ in range(4))))
    assert len(codes) == 1
    async with merchant.read() as session:
        assert await code_of(session, pk) in codes
        assert (await find_code(session, shown(*codes).lower())).customer_id == pk
        with pytest.raises(NotFound):
            await find_code(session, "")


async def test_both_get_theirs_once_the_purchase_is_kept(merchant):
    (referrer, friend), (referral,) = await refer(merchant)
    await purchase(merchant, friend)
    await settle(merchant, 6.9)
    assert await ended(merchant, referral) == ("waiting", None)
    await settle(merchant, 0.2)
    await settle(merchant, 0)
    assert await ended(merchant, referral) == ("granted", None)
    assert (await points(merchant, referrer), await points(merchant, friend)) == ((30, 0), (10, 0))
    assert await events(merchant, "referral.granted") == 1
    async with merchant.work() as w:
        with pytest.raises(AlreadyExists):
            await enter_code(w, friend, await make_code(w, referrer))


async def test_what_was_promised_when_the_code_was_entered_is_given(merchant):
    (referrer, friend), _ = await refer(merchant)
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", {"points": {"pending_days": 7}})
        with pytest.raises(WrongState, match="no rules for referrals"):
            await enter_code(w, await member(w), await make_code(w, referrer))
    await purchase(merchant, friend)
    await settle(merchant)
    assert (await points(merchant, referrer))[0] == 30


async def test_a_refund_before_lets_it_wait_and_one_after_undoes_it_exactly(merchant):
    (referrer, friend), (referral,) = await refer(merchant)
    first = await purchase(merchant, friend)
    await refund(merchant, first, 100)
    await tell(merchant, first, friend)
    assert (await stored(merchant, referral))["due_at"] is None
    await settle(merchant)
    assert await ended(merchant, referral) == ("waiting", None)
    # two orders of one day are one purchase, which stands as long as one of them does
    one, two = await purchase(merchant, friend), await purchase(merchant, friend)
    await settle(merchant)
    async with merchant.work() as w:
        await take(w, referrer, 25, "spend")
    await refund(merchant, one, 100)
    await tell(merchant, one, friend)
    assert await ended(merchant, referral) == ("granted", None)
    await refund(merchant, two, 100)
    await tell(merchant, two, friend)
    assert await ended(merchant, referral) == ("undone", None)
    assert (await points(merchant, referrer), await points(merchant, friend)) == ((-25, 0), (0, 0))
    assert await events(merchant, "referral.undone") == 1
    # a refund that was cancelled brings it back
    await refund(merchant, two, 50)
    await tell(merchant, two, friend)
    await settle(merchant, 0)
    assert await ended(merchant, referral) == ("granted", None)
    assert (await points(merchant, referrer), await points(merchant, friend)) == ((5, 0), (10, 0))


async def test_a_disputed_purchase_is_not_kept_yet(merchant):
    (_, friend), (referral,) = await refer(merchant)
    order = await purchase(merchant, friend)
    for disputed, state in ((True, "waiting"), (False, "granted")):
        async with merchant.work() as w:
            await w.sql.execute(
                "UPDATE orders SET in_dispute = $3 WHERE merchant_id = $1 AND id = $2",
                w.merchant_id, order, disputed,
            )  # fmt: skip
        await settle(merchant)
        assert (await ended(merchant, referral))[0] == state


async def test_rewards_cost_nothing_and_go_back_unless_they_were_handed_out(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", {})
        with pytest.raises(NotFound, match="there is no reward"):
            await set_programme(w, "Club", "CNY", rules(referrer_reward_id=1))
        for more in ({"shop_ids": [10**9]}, {"tier_ids": [10**9]}):
            doubled = {"points": {"multipliers": [{"key": "a", "percent": 200, **more}]}}
            with pytest.raises(NotFound, match=r"no (shop|tier) 1000000000"):
                await set_programme(w, "Club", "CNY", doubled)
        mug = await create_reward(w, registry, "gift", {}, {"name": "Mug", "cost": 50, "stock": 2})
    given = rules(referrer_points=0, customer_points=0, referrer_reward_id=mug,
                  customer_reward_id=mug)  # fmt: skip
    people, ids = await refer(merchant, given, people=3)
    orders = []
    for pk in people[1:]:
        orders.append(await purchase(merchant, pk))
        await settle(merchant)
    first, second = [await stored(merchant, one) for one in ids]
    assert (first["state"], first["note"], second["state"]) == ("granted", None, "granted")
    assert second["note"].count("there is none left") == 2
    async with merchant.work() as w:
        await fulfil(w, first["referrer_redemption_id"])
    await refund(merchant, orders[0], 100)
    await tell(merchant, orders[0], people[1])
    undone = await stored(merchant, ids[0])
    assert (undone["state"], undone["note"]) == (
        "undone", "the reward of the referrer was handed out already"
    )  # fmt: skip
    async with merchant.read() as session:
        assert await session.sql.fetchval(
            "SELECT stock FROM rewards WHERE merchant_id = $1 AND id = $2", merchant.id, mug
        ) == 1  # fmt: skip


async def test_limits_of_a_month_and_in_all(merchant):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", rules(per_month=1, in_all=2))
        referrer = await member(w)
        friends = [await member(w) for _ in range(4)]
        ids = [await enter_code(w, pk, await make_code(w, referrer)) for pk in friends]
    merchant.clock.move(timedelta(hours=1))
    found = []
    for days, pk, referral in zip((1, 1, 31, 31), friends, ids, strict=True):
        await purchase(merchant, pk)
        await settle(merchant, days=7)
        found.append(await ended(merchant, referral))
        merchant.clock.move(days * DAY)
    granted = ("granted", None)
    assert found == [
        granted, ("refused", "month_limit"), granted, ("refused", "total_limit"),
    ]  # fmt: skip
    async with merchant.read() as session:
        start = merchant.clock().date()
        counted = await referrals.counts(session, start - 120 * DAY, start)
    assert {(one.state, one.reason): one.referrals for one in counted} == {
        ("granted", None): 2, ("refused", "month_limit"): 1, ("refused", "total_limit"): 1
    }  # fmt: skip
    assert (await points(merchant, referrer))[0] == 60


# -- abuse --------------------------------------------------------------------------------------


async def know(w, pk, phone=None, email=None):
    for kind, value in (("phone", phone), ("email", email)):
        if value:
            index = w.keyring.blind_index(kind, w.merchant_id, value)
            await w.sql.execute(
                f"UPDATE customers SET {kind}_index = $3 WHERE merchant_id = $1 AND id = $2",
                w.merchant_id, pk, index,
            )  # fmt: skip


async def receive(w, order, **receiver):
    sealed = w.keyring.seal_bytes(
        orjson.dumps(receiver), f"orders.receiver|{w.merchant_id}|{order}"
    )
    await w.sql.execute(
        "UPDATE orders SET receiver_sealed = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, order, sealed,
    )  # fmt: skip


async def test_what_speaks_against_it_at_once(merchant):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", rules())
        referrer = await member(w)
        code = await make_code(w, referrer)
        await know(w, referrer, "+8613800138000", "ann@example.com")
        same_phone, same_email, buyer = [await member(w) for _ in range(3)]
        await know(w, same_phone, phone="+8613800138000")
        await know(w, same_email, email="ann@example.com")
        await buy(merchant, w, buyer, 1, w.now - DAY)
        with pytest.raises(NotFound, match="no such code"):
            await enter_code(w, buyer, "nonsense")
        with pytest.raises(WrongState, match="not a member"):
            await enter_code(w, await customer(w), code)
        found = {pk: await enter_code(w, pk, code)
                 for pk in (referrer, same_phone, same_email, buyer)}  # fmt: skip
        # who was refused may still come by another's code
        other = await make_code(w, await member(w))
        assert await enter_code(w, same_phone, other)
    reasons = [(await ended(merchant, one))[1] for one in found.values()]
    assert reasons == ["self", "same_phone", "same_email", "not_new"]
    assert await events(merchant, "referral.refused") == 4


@pytest.mark.parametrize(("mine", "theirs", "reason"), [
    ({"address": "浙江省 杭州市 西湖区文三路 1号"}, {"address": "浙江省杭州市西湖区文三路1号"},
     RefusalReason.SAME_ADDRESS),
    ({"phone": "13800138000"}, {"phone": "+86 138 0013 8000"}, RefusalReason.SAME_PHONE),
    ({"address": "杭州市西湖区***"}, {"address": "杭州市西湖区***"}, None),
    ({"address": "文三路 1号"}, {"address": "文三路 11号"}, None),
])  # fmt: skip
async def test_receivers_of_orders_give_a_household_away(merchant, mine, theirs, reason):
    (referrer, friend), (referral,) = await refer(merchant)
    for pk, receiver in ((referrer, mine), (friend, theirs)):
        order = await purchase(merchant, pk)
        async with merchant.work() as w:
            await receive(w, order, **receiver)
    await settle(merchant)
    assert await ended(merchant, referral) == (("refused", reason) if reason else ("granted", None))


def test_an_address_of_a_town_says_too_little():
    assert fold_address("杭州市") is None


async def test_rings_of_any_length_get_nothing(merchant):
    people, _ = await refer(merchant, people=4)
    async with merchant.work() as w:
        closing = await enter_code(w, people[0], await make_code(w, people[3]))
    assert await ended(merchant, closing) == ("refused", "ring")


async def test_a_ring_that_was_closed_at_the_same_time_gets_nothing(merchant):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", rules())
        people = [await member(w) for _ in range(3)]
        codes = [await make_code(w, pk) for pk in people]

    async def enter(place):
        async with merchant.work() as w:
            return await enter_code(w, people[place], codes[place - 1])

    ids = await asyncio.gather(*(enter(place) for place in range(3)))
    merchant.clock.move(timedelta(hours=1))
    for pk in people:
        await purchase(merchant, pk)
    await settle(merchant)
    found = [await ended(merchant, one) for one in ids]
    assert ("refused", "ring") in found


async def test_one_that_cannot_be_looked_at_holds_up_nobody(merchant):
    (_, middle, last), (broken, fine) = await refer(merchant, people=3)
    order = await purchase(merchant, middle)
    await purchase(merchant, last)
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE orders SET receiver_sealed = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, order, b"not sealed by us",
        )  # fmt: skip
    async with merchant.work() as w:  # the other's referrer is not the one of the broken order
        await w.sql.execute(
            "UPDATE referrals SET code_id = (SELECT code_id FROM referrals WHERE id = $2)"
            " WHERE merchant_id = $1 AND id = $3",
            w.merchant_id, broken, fine,
        )  # fmt: skip
    await settle(merchant, 8)
    assert [await ended(merchant, one) for one in (broken, fine)] == [
        ("waiting", None), ("granted", None),
    ]  # fmt: skip


async def test_who_left_or_became_one_with_the_referrer_gets_nothing(merchant):
    people, ids = await refer(merchant, people=3)
    for pk in people[1:]:
        await purchase(merchant, pk)
    registry = merchant.installation.registry
    async with merchant.work() as w:
        merge_id = await merge_customers(w, registry, people[0], people[1], "test")
    async with merchant.work() as w:
        await leave(w, people[2], "page")
    await settle(merchant)
    assert [await ended(merchant, one) for one in ids] == [("refused", "self"), ("refused", "left")]
    async with merchant.work() as w:
        await unmerge_customers(w, registry, merge_id)
    async with merchant.read() as session:
        found = await balances(session, people)
        codes = [await code_of(session, pk) for pk in people[:2]]
    assert [found[pk].available for pk in people] == [0, 0, 0]
    assert codes[0] != codes[1]


async def test_staff_can_refuse_one_that_waits(merchant):
    (_, friend), (referral,) = await refer(merchant)
    async with merchant.work() as w:
        await refuse(w, referral, "one household")
    await purchase(merchant, friend)
    await settle(merchant)
    row = await stored(merchant, referral)
    assert (row["state"], row["reason"], row["note"]) == ("refused", "staff", "one household")
    async with merchant.work() as w:
        with pytest.raises(WrongState, match="refused already"):
            await refuse(w, referral, "again")


async def test_a_referral_gives_something(merchant):
    async with merchant.work() as w:
        with pytest.raises((HuikeError, Several)) as caught:
            await set_programme(w, "Club", "CNY", {"referral": {"per_month": 1}})
    assert "one side at least" in caught.value.errors[0].message
