"""What members are told ahead, each once."""

from datetime import timedelta

import orjson

import core.domain.members.reminders as reminders_module
from core.domain.members.membership import join
from core.domain.members.points import Lot, give, hold, take
from core.domain.members.reminders import merchants_to_remind, remind
from core.domain.members.tiers import set_tier
from core.sdk.events import NextTierNear, PointsExpiring, TierEnding
from core.testing.fixtures import START
from tests.members.test_membership import buy, customer, review, set_up

DAY = timedelta(days=1)


async def told(merchant, event):
    """The payloads of all such events so far, after a sweep."""
    await remind(merchant.installation.db, merchant.id)
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT payload FROM outbox_events
               WHERE merchant_id = $1 AND type = $2 ORDER BY id""",
            merchant.id, event.type,
        )  # fmt: skip
    return [event(**orjson.loads(row["payload"])) for row in rows]


async def test_points_that_expire_are_told_once_for_each_number_of_days(merchant, monkeypatch):
    monkeypatch.setattr(reminders_module, "CHUNK", 2)
    end = START + 40 * DAY
    async with merchant.work() as w:
        await set_up(w)
        people = [await customer(w) for _ in range(5)]
        for pk in people[:4]:
            await join(w, pk, "page")
        await give(w, "earn", [Lot(pk, 100, START, end) for pk in people])
        await give(w, "earn", [Lot(people[0], 20, START, end), Lot(people[0], 5, START)])
        await take(w, people[1], 100, "spend")
        await take(w, people[2], 60, "spend")
        await hold(w, people[3], 100, START + timedelta(minutes=5), "checkout")
    assert await told(merchant, PointsExpiring) == []
    merchant.clock.move(10 * DAY)
    first = [
        PointsExpiring(pk, points, end.isoformat(), 30)
        for pk, points in ((people[0], 120), (people[2], 40), (people[3], 100))
    ]
    assert await told(merchant, PointsExpiring) == first
    assert await told(merchant, PointsExpiring) == first
    merchant.clock.move(25 * DAY)
    assert [one.days for one in (await told(merchant, PointsExpiring))[3:]] == [7, 7, 7]
    merchant.clock.move(5 * DAY)
    assert len(await told(merchant, PointsExpiring)) == 6


async def test_a_tier_about_to_end_tells_what_would_keep_it(merchant):
    async with merchant.work() as w:
        silver, gold = await set_up(w, {"tiers": {"keep_days": 100, "grace_days": 10}})
        keeps, misses, by_hand = [await customer(w) for _ in range(3)]
        for pk, later in ((keeps, 500), (misses, 380), (by_hand, 0)):
            await buy(merchant, w, pk, 1000, START - 300 * DAY)
            await join(w, pk, "page")
            await buy(merchant, w, pk, later)
        await set_tier(w, by_hand, gold, START + 100 * DAY)
    merchant.clock.move(79 * DAY)
    assert await told(merchant, TierEnding) == []
    merchant.clock.move(DAY)
    ends_at = (START + 110 * DAY).isoformat()
    assert await told(merchant, TierEnding) == [
        TierEnding(misses, silver, ends_at, 30, 12_000),
        TierEnding(by_hand, gold, ends_at, 30, None),
    ]
    async with merchant.work() as w:
        await buy(merchant, w, misses, 120)
    merchant.clock.move(30 * DAY)
    changes = await review(merchant)
    assert (changes[misses], changes[by_hand]) == (
        (silver, silver, "kept"), (gold, None, "ended")
    )  # fmt: skip


async def test_the_next_tier_is_told_when_little_is_missing_to_it(merchant):
    async with merchant.work() as w:
        silver, gold = await set_up(w)
        near, far, reached = [await customer(w) for _ in range(3)]
        for pk, paid in ((near, 900), (far, 899), (reached, 4600)):
            await join(w, pk, "page")
            await buy(merchant, w, pk, paid)
    await review(merchant)
    expected = {NextTierNear(near, silver, 10_000), NextTierNear(reached, gold, 40_000)}
    assert set(await told(merchant, NextTierNear)) == expected
    assert set(await told(merchant, NextTierNear)) == expected
    async with merchant.work() as w:
        await buy(merchant, w, near, 3700)
    await review(merchant)
    assert (await told(merchant, NextTierNear))[2:] == [NextTierNear(near, gold, 40_000)]


async def test_members_are_looked_at_once_a_day_of_the_merchants_calendar(merchant):
    db = merchant.installation.db
    async with merchant.work() as w:
        await set_up(w)
    assert merchant.id in await merchants_to_remind(db)
    await remind(db, merchant.id)
    merchant.clock.move(timedelta(hours=11, minutes=59))  # noon in Shanghai at first
    assert merchant.id not in await merchants_to_remind(db)
    merchant.clock.move(timedelta(minutes=1))
    assert merchant.id in await merchants_to_remind(db)
