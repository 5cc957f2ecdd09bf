"""Members who become one, and are two again."""

import random
from datetime import date, timedelta

import pytest

from core.domain.members.membership import counts_by_day, find_membership, join, leave
from core.domain.members.points import (
    Lot,
    NotEnoughPoints,
    balances,
    give,
    give_back,
    hold,
    take,
    take_back,
)
from core.domain.members.programme import get_programme
from core.domain.members.reacting import follow_event
from core.domain.members.standing import members_of
from core.domain.members.tiers import set_tier
from core.domain.orders.merging import merge_customers, unmerge_customers
from core.sdk.events import CustomersMerged, CustomersUnmerged, Occurrence
from core.testing.fixtures import START
from tests.members.test_membership import buy, customer, set_up

DAY = timedelta(days=1)
OWN = ("memberships", "tier_intervals", "points_entries", "points_holds")


async def merge(merchant, into, from_):
    async with merchant.work() as w:
        return await merge_customers(w, merchant.installation.registry, into, from_, "test")


async def unmerge(merchant, merge_id):
    async with merchant.work() as w:
        await unmerge_customers(w, merchant.installation.registry, merge_id)


async def follow(merchant, event):
    await follow_event(
        merchant.installation.db,
        Occurrence(1, merchant.id, event.type, merchant.clock(), event.payload()),
    )


async def rows(merchant):
    """Everything about members, as it is stored."""
    async with merchant.read() as session:
        return {
            table: [
                dict(row) for row in await session.sql.fetch(
                    f"SELECT * FROM {table} WHERE merchant_id = $1 ORDER BY id", merchant.id
                )
            ]
            for table in OWN
        }  # fmt: skip


async def tier_of(merchant, pk):
    async with merchant.read() as session:
        standing = await members_of(session, await get_programme(session), [pk])
    return standing[pk].tier_id if pk in standing else None


@pytest.mark.parametrize("better_first", [True, False])
async def test_the_higher_tier_wins_though_it_was_given_by_hand(merchant, better_first):
    async with merchant.work() as w:
        silver, gold = await set_up(w)
        one, two = await customer(w), await customer(w)
        await join(w, one, "page", card_number="ONE")
        await join(w, two, "page", card_number="TWO")
        better, worse = (one, two) if better_first else (two, one)
        await set_tier(w, better, gold, START + 90 * DAY)
        await buy(merchant, w, worse, 1200)
        await set_tier(w, worse, silver, None)
    before = await rows(merchant)
    merchant.clock.move(DAY)
    merge_id = await merge(merchant, one, two)
    await follow(merchant, CustomersMerged(merge_id, one, two))
    assert await tier_of(merchant, one) == gold
    assert await tier_of(merchant, two) is None
    async with merchant.read() as session:
        assert await find_membership(session, one) is not None
        # both cards are the one customer's
        assert await session.sql.fetchval(
            """SELECT count(*) FROM memberships WHERE merchant_id = $1 AND customer_id = $2
                  AND card_number IN ('ONE', 'TWO')""",
            merchant.id, one,
        ) == 2  # fmt: skip
        today = date(2026, 6, 16)
        assert await counts_by_day(session, today, today) == []
    await unmerge(merchant, merge_id)
    assert await rows(merchant) == before


async def test_what_was_bought_by_both_counts_together_until_they_are_two_again(merchant):
    async with merchant.work() as w:
        silver, gold = await set_up(w)
        one, two = await customer(w), await customer(w)
        for pk in (one, two):
            await join(w, pk, "page")
            await buy(merchant, w, pk, 2600)
    merge_id = await merge(merchant, one, two)
    await follow(merchant, CustomersMerged(merge_id, one, two))
    assert await tier_of(merchant, one) == gold
    merchant.clock.move(DAY)
    await unmerge(merchant, merge_id)
    await follow(merchant, CustomersUnmerged(merge_id, one, two))
    assert (await tier_of(merchant, one), await tier_of(merchant, two)) == (silver, silver)


@pytest.mark.parametrize("bought", [2600, 400])
async def test_periods_of_tiers_are_what_they_were_before_the_merge(merchant, bought):
    """Both reach gold together, or keep silver together; each alone does neither."""
    async with merchant.work() as w:
        silver, _ = await set_up(w)
        one, two = await customer(w), await customer(w)
        for pk in (one, two):
            await buy(merchant, w, pk, 1000)
            await join(w, pk, "page")
            merchant.clock.move(DAY)
    merchant.clock.move(50 * DAY)
    for pk in (one, two):
        async with merchant.work() as w:
            await buy(merchant, w, pk, bought)
    before = (await rows(merchant))["tier_intervals"]
    assert [row["tier_id"] for row in before] == [silver, silver]
    merge_id = await merge(merchant, one, two)
    await follow(merchant, CustomersMerged(merge_id, one, two))
    merchant.clock.move((70 if bought == 400 else 1) * DAY)
    await follow(merchant, CustomersMerged(merge_id, one, two))
    united = (await rows(merchant))["tier_intervals"]
    assert united[0] != before[0]
    await unmerge(merchant, merge_id)
    assert [row["review_at"] for row in (await rows(merchant))["tier_intervals"]][:2] == [
        row["review_at"] for row in before
    ]  # fmt: skip
    if bought == 400:
        return
    await follow(merchant, CustomersUnmerged(merge_id, one, two))
    assert (await rows(merchant))["tier_intervals"][:2] == before


async def test_who_left_as_one_has_left_as_both(merchant):
    async with merchant.work() as w:
        await set_up(w)
        one, two = await customer(w), await customer(w)
        await join(w, one, "page")
        await join(w, two, "page")
    merge_id = await merge(merchant, one, two)
    async with merchant.work() as w:
        await leave(w, one, "page")
    await unmerge(merchant, merge_id)
    async with merchant.read() as session:
        assert await find_membership(session, one) is None
        assert await find_membership(session, two) is None


async def test_a_chain_of_merges_is_undone_in_any_order(merchant):
    for order in ((0, 1), (1, 0)):
        async with merchant.work() as w:
            if order == (0, 1):
                _, gold = await set_up(w)
            people = [await customer(w) for _ in range(3)]
            for pk in people:
                await join(w, pk, "page")
            await set_tier(w, people[2], gold, None)
        before = await rows(merchant)
        merges = [
            await merge(merchant, people[1], people[2]), await merge(merchant, people[0], people[1])
        ]  # fmt: skip
        assert await tier_of(merchant, people[0]) == gold
        for number in order:
            await unmerge(merchant, merges[number])
        assert await rows(merchant) == before


@pytest.mark.parametrize("seed", range(8))
async def test_random_points_are_as_before_after_merging_and_undoing(merchant, seed):
    r = random.Random(seed)
    async with merchant.work() as w:
        people = [await customer(w) for _ in range(2)]
    for _ in range(25):
        merchant.clock.move(timedelta(hours=r.choice([1, 7, 30])))
        async with merchant.work() as w:
            pk, act = r.choice(people), r.choice(["give", "give", "take", "hold", "take_back"])
            points, now = r.randint(1, 40), w.now
            if act == "give":
                start = now + r.choice([0, 2]) * DAY
                end = r.choice([None, start + r.randint(1, 20) * DAY])
                (lot,) = await give(w, "earn", [Lot(pk, points, start, end)])
            elif act == "take":
                entry = await take(w, pk, points, "spend", debt=True)
                if r.random() < 0.3:
                    await give_back(w, entry, r.randint(1, points))
            elif act == "hold":
                (lot,) = await give(w, "earn", [Lot(pk, points, now)])
                held = (await balances(w, [pk]))[pk].available
                if held > 0:
                    await hold(w, pk, r.randint(1, held), now + timedelta(hours=9), "checkout")
            else:
                (lot,) = await give(w, "earn", [Lot(pk, points, now)])
                await take_back(w, lot, r.randint(1, points), "refund")
    moments = [merchant.clock() + n * DAY for n in range(-20, 20, 3)]

    async def told():
        async with merchant.read() as session:
            return [await balances(session, people, at) for at in moments]

    before, stored = await told(), await rows(merchant)
    merge_id = await merge(merchant, *people)
    for was, now in zip(before, await told(), strict=True):
        for figure in ("available", "pending", "held"):
            united = sum(getattr(was[pk], figure) for pk in people)
            assert getattr(now[people[0]], figure) == united
            assert getattr(now[people[1]], figure) == 0
    await unmerge(merchant, merge_id)
    assert await told() == before
    assert await rows(merchant) == stored


async def test_points_earned_as_one_and_spent_as_one_stay_balanced(merchant):
    async with merchant.work() as w:
        one, two = await customer(w), await customer(w)
        await give(w, "earn", [Lot(one, 50, START), Lot(two, 70, START, START + 5 * DAY)])
    merge_id = await merge(merchant, one, two)
    async with merchant.work() as w:
        with pytest.raises(NotEnoughPoints):
            await take(w, one, 121, "spend")
        await take(w, one, 100, "spend")
    await unmerge(merchant, merge_id)
    async with merchant.read() as session:
        found = await balances(session, [one, two])
    # spent were all points that expire first, which were the other's
    assert (found[one].available, found[two].available) == (20, 0)
