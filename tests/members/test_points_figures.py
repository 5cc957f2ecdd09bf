"""A month's points: they add up, agree with the balances, and stay what they were."""

import random
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest

from core.domain.members.points import (
    Lot,
    NotEnoughPoints,
    balances,
    give,
    give_back,
    hold,
    release_lapsed,
    take,
    take_back,
    transfer,
)
from core.domain.members.points_figures import points_month
from core.domain.members.programme import get_programme, set_programme
from core.sdk import InvalidInput
from core.testing.fixtures import START
from tests.members.test_membership import customer

DAY = timedelta(days=1)
JULY = datetime(2026, 6, 30, 16, tzinfo=UTC)
AUGUST = datetime(2026, 7, 31, 16, tzinfo=UTC)
"""When July and August began in Shanghai; START is in June."""


async def figures(merchant, month):
    async with merchant.read() as session:
        return await points_month(session, await get_programme(session), month)


def until(merchant, at):
    merchant.clock.move(at - merchant.clock())


async def worth(merchant, per_1000):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", {"points": {"value_per_1000": per_1000}})


async def test_a_worked_month(merchant):
    await worth(merchant, 2000)
    async with merchant.work() as w:
        pk = await customer(w)
        await give(w, "earn", [Lot(pk, 100, START, JULY + DAY)])
        await give(w, "import", [Lot(pk, 400, START)])
        await take(w, pk, 40, "spend")
    until(merchant, JULY + 2 * DAY)
    async with merchant.work() as w:
        (lot,) = await give(w, "earn", [Lot(pk, 200, w.now, w.now + 300 * DAY)])
        await take_back(w, lot, 50, "refund")
        await take(w, pk, 10, "adjust", reason="a mistake")
        spent = await take(w, pk, 30, "spend")
        await give_back(w, spent, 20)
        await hold(w, pk, 15, AUGUST + DAY, "checkout")
    until(merchant, AUGUST)
    await worth(merchant, 5000)
    found = await figures(merchant, date(2026, 7, 9))
    assert (found.before, found.after, found.held) == (460, 515, 15)
    assert (found.earned, found.imported, found.adjusted) == (200, 0, -10)
    assert (found.taken_back, found.spent, found.expired) == (50, 25, 60)
    # of 100 points that expired in the year before, 60 were unused; 115 of the others expire
    assert (found.breakage, found.expiring) == (Fraction(3, 5), 115)
    assert found.expected_breakage == 69
    # by the rules of that time: a thousand are worth 20 yuan
    assert found.worth(found.after + found.held) == 1060
    assert (await figures(merchant, date(2026, 6, 1))).imported == 400
    with pytest.raises(InvalidInput, match="not begun"):
        await figures(merchant, date(2026, 9, 1))


@pytest.mark.parametrize("seed", range(3))
async def test_random_months_add_up_and_never_change(merchant, seed):
    r = random.Random(seed)
    await worth(merchant, 1000)
    async with merchant.work() as w:
        people = [await customer(w) for _ in range(4)]
    lots, told = [], {}
    while merchant.clock() < AUGUST + 40 * DAY:
        merchant.clock.move(timedelta(hours=r.randint(1, 60)))
        async with merchant.work() as w:
            pk, act, points = r.choice(people), r.randrange(8), r.randint(1, 60)
            try:
                if act < 3:
                    end = r.choice([None, w.now + r.randint(1, 40) * DAY])
                    start = w.now + r.choice([0, 0, 5]) * DAY
                    if end is None or end > start:
                        kind = r.choice(["earn", "adjust", "import"])
                        lots += [(one, points) for one in await give(
                            w, kind, [Lot(pk, points, start, end)]
                        )]  # fmt: skip
                elif act == 3:
                    spent = await take(w, pk, points, "spend", debt=r.random() < 0.3)
                    if r.random() < 0.4:
                        await give_back(w, spent, r.randint(1, points))
                elif act == 4 and lots:
                    lot, whole = lots.pop(r.randrange(len(lots)))
                    await take_back(w, lot, r.randint(1, whole), "refund")
                elif act == 5:
                    await hold(w, pk, points, w.now + timedelta(hours=r.randint(1, 90)), "checkout")
                elif act == 6:
                    await transfer(w, *r.sample(people, 2), points, "family")
                elif act == 7:
                    await release_lapsed(w)
            except NotEnoughPoints:
                pass
        month = merchant.clock().astimezone(UTC).date().replace(day=1)
        if month not in told and merchant.clock() > JULY + DAY:
            past = (month - DAY).replace(day=1)
            told[past] = await figures(merchant, past)
    assert len(told) >= 2
    left = None
    for month, was in sorted(told.items()):
        found = await figures(merchant, month)
        assert found == was
        assert left in (None, found.before)
        left = found.after
        assert found.after == (
            found.before + found.earned + found.imported + found.adjusted
            - found.taken_back - found.spent - found.expired
        )  # fmt: skip
        last = JULY if month.month == 6 else AUGUST if month.month == 7 else None
        if last is not None:
            async with merchant.read() as session:
                balance = await balances(session, people, last - timedelta(microseconds=1))
                gone = await session.sql.fetchval(
                    """SELECT count(*) FROM points_entries
                       WHERE merchant_id = $1 AND expires_at = $2""", merchant.id, last
                )  # fmt: skip
            assert gone == 0
            assert found.after == sum(one.available + one.pending for one in balance.values())
            assert found.held == sum(one.held for one in balance.values())
