"""Tiers by month: the worked example, and random histories against plain Python."""

import random
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest

from core.domain.members.figures import Standing, TierState, month_figures
from core.domain.members.programme import get_programme
from core.domain.orders.merging import merge_customers
from core.schema.member_figures import figures_of
from core.sdk import InvalidInput
from tests.members.test_membership import buy, customer, set_up

MAY = datetime(2026, 4, 30, 16, tzinfo=UTC)
JUNE = datetime(2026, 5, 31, 16, tzinfo=UTC)
"""When May and June began in Shanghai."""
DAY = timedelta(days=1)
NONE, EXITED, NEW = (Standing(state) for state in (TierState.NONE, TierState.EXITED, TierState.NEW))


async def member(w, joined, left=None):
    pk = await customer(w)
    await w.sql.execute(
        """INSERT INTO memberships (merchant_id, customer_id, joined_at, join_source, left_at,
               leave_source) VALUES ($1, $2, $3, 'page', $4, $5)""",
        w.merchant_id, pk, joined, left, left and "page",
    )  # fmt: skip
    return pk


async def tier(w, pk, tier_id, start, end=None):
    await w.sql.execute(
        """INSERT INTO tier_intervals (merchant_id, customer_id, tier_id, valid_from, valid_to,
               cause) VALUES ($1, $2, $3, $4, $5, 'upgrade')""",
        w.merchant_id, pk, tier_id, start, end,
    )  # fmt: skip


async def figures(merchant, month=date(2026, 5, 17)):
    async with merchant.read() as session:
        return await month_figures(session, await get_programme(session), month)


def moved(found, before, after):
    return sum(m.customers for m in found.moves if (m.before, m.after) == (before, after))


async def test_the_worked_example(merchant):
    start, within = MAY - DAY, MAY + 10 * DAY
    async with merchant.work() as w:
        silver, gold = await set_up(w)
        for _ in range(90):
            await tier(w, await member(w, start), silver, start)
        for _ in range(8):
            pk = await member(w, start)
            await tier(w, pk, silver, start, within)
            await tier(w, pk, gold, within)
        for _ in range(2):
            await tier(w, await member(w, start, within), silver, start, within)
        for _ in range(17):
            await tier(w, await member(w, start), gold, start)
        for _ in range(3):
            pk = await member(w, start)
            await tier(w, pk, gold, start, within)
            await tier(w, pk, silver, within)
        for _ in range(30):
            await tier(w, await member(w, within), silver, within)
    found = await figures(merchant)
    silver, gold = (Standing(TierState.TIER, pk) for pk in (silver, gold))
    assert found.began() == {silver: 100, gold: 20, NEW: 30}
    assert found.ended() == {silver: 123, gold: 25, EXITED: 2}
    assert (moved(found, silver, silver), moved(found, silver, gold)) == (90, 8)
    assert (moved(found, silver, EXITED), moved(found, NEW, silver)) == (2, 30)
    assert (moved(found, gold, gold), moved(found, gold, silver)) == (17, 3)
    assert (found.upgraded(), found.downgraded(), found.exited(), found.joined()) == (8, 3, 2, 30)
    shown = figures_of(found, {})
    assert (shown.members_before, shown.members_after) == (120, 148)
    assert {str(one.share) for one in shown.shares} == {"0.8311", "0.1689"}
    assert (str(shown.upgrade_rate), str(shown.downgrade_rate)) == ("0.0667", "0.0250")
    rates = [one.rate for one in shown.moves]
    assert [
        str(rates[found.moves.index(move)])
        for move in found.moves
        if (move.before, move.after) in ((silver, gold), (gold, silver))
    ] == ["0.0800", "0.1500"]
    with pytest.raises(InvalidInput, match="not begun"):
        await figures(merchant, date(2026, 7, 1))


async def test_sales_are_by_the_tier_at_payment(merchant):
    start, within = MAY - DAY, MAY + 10 * DAY
    async with merchant.work() as w:
        silver, gold = await set_up(w)
        pk, plain, guest = await member(w, start), await member(w, within), await customer(w)
        await tier(w, pk, silver, start, within)
        await tier(w, pk, gold, within)
        for at, paid in ((MAY - timedelta(microseconds=1), 1), (MAY, 10), (within, 100),
                         (JUNE, 1000)):  # fmt: skip
            await buy(merchant, w, pk, paid, at)
        await buy(merchant, w, plain, 7, within - DAY)  # before he joined
        await buy(merchant, w, plain, 70, within + DAY)
        order = await buy(merchant, w, guest, 30, within)
        await w.sql.execute(
            "UPDATE orders SET refunded = 500 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, order,
        )  # fmt: skip
    found = await figures(merchant)
    silver, gold = (Standing(TierState.TIER, pk) for pk in (silver, gold))
    assert found.sales == {silver: 1000, gold: 10_000, NONE: 7000}
    assert found.shop_sales == 18_000 + 700 + 2500
    # silver when the month began, and bought in it
    assert found.active()[silver] == 1
    assert found.began() == {silver: 1, NEW: 1}


async def test_who_was_merged_counts_once_in_the_higher_tier(merchant):
    async with merchant.work() as w:
        silver, gold = await set_up(w)
        one, two = await member(w, MAY - DAY), await member(w, MAY + DAY)
        await tier(w, one, silver, MAY - DAY)
        await tier(w, two, gold, MAY + DAY)
        await merge_customers(w, merchant.installation.registry, one, two, "test")
    found = await figures(merchant)
    silver, gold = (Standing(TierState.TIER, pk) for pk in (silver, gold))
    assert [(m.before, m.after, m.customers) for m in found.moves] == [(silver, gold, 1)]


@pytest.mark.parametrize("seed", range(4))
async def test_random_histories_agree_with_plain_python(merchant, seed):
    r = random.Random(seed)
    people = []
    async with merchant.work() as w:
        tiers = [*await set_up(w)]
        for _ in range(60):
            cuts = sorted(MAY + r.randint(-40, 40) * DAY for _ in range(4))
            joined, left = cuts[0], r.choice([None, cuts[3]])
            pk = await member(w, joined, left)
            spans = []
            for start, end in ((cuts[0], cuts[1]), (cuts[1], r.choice([left, cuts[2]]))):
                if r.random() < 0.7 and (end is None or start < end):
                    spans.append((r.choice(tiers), start, end))
                    await tier(w, pk, *spans[-1])
            buys = [(MAY + r.randint(-5, 35) * DAY, r.randint(1, 99)) for _ in range(3)]
            for at, paid in buys:
                await buy(merchant, w, pk, paid, at)
            people.append((joined, left, spans, buys))

    def standing(person, at):
        joined, left, spans, _ = person
        if joined >= at:
            return NEW
        if left is not None and left < at:
            return EXITED
        held = [one for one, start, end in spans if start < at and (end is None or end >= at)]
        return Standing(TierState.TIER, max(held, key=tiers.index)) if held else NONE

    counted, bought, sales = {}, {}, {}
    for person in people:
        if person[0] < JUNE:
            key = (standing(person, MAY), standing(person, JUNE))
            counted[key] = counted.get(key, 0) + 1
            any_ = any(MAY <= at < JUNE for at, _ in person[3])
            bought[key] = bought.get(key, 0) + any_
        for at, paid in person[3]:
            then = standing(person, at + timedelta(microseconds=1))
            if MAY <= at < JUNE and then.member:
                sales[then] = sales.get(then, 0) + paid * 100
    found = await figures(merchant)
    assert {(m.before, m.after): m.customers for m in found.moves} == counted
    assert {(m.before, m.after): m.bought for m in found.moves} == bought
    assert found.sales == sales
    assert Fraction(sum(found.sales.values()), found.shop_sales) <= 1
