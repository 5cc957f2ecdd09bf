"""The points ledger: worked cases, and random histories against a ledger in plain Python."""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from core.domain.members.points import (
    Lot,
    NotEnoughPoints,
    balances,
    give,
    give_back,
    hold,
    release_lapsed,
    settle_hold,
    take,
    take_back,
    transfer,
)
from core.sdk import InvalidInput, WrongState
from core.testing.fixtures import START

DAY = timedelta(days=1)


async def customer(w):
    return await w.sql.fetchval(
        """INSERT INTO customers (merchant_id, version, created_at, updated_at)
           VALUES ($1, 1, $2, $2) RETURNING id""",
        w.merchant_id, w.now,
    )  # fmt: skip


async def balance(merchant, pk, at=None):
    async with merchant.read() as session:
        return (await balances(session, [pk], at))[pk]


async def test_the_points_that_expire_first_go_first(merchant):
    async with merchant.work() as w:
        pk = await customer(w)
        await give(w, "earn", [
            Lot(pk, 100, START, START + 30 * DAY), Lot(pk, 50, START, START + 10 * DAY),
            Lot(pk, 30, START), Lot(pk, 20, START + 5 * DAY, START + 6 * DAY),
        ])  # fmt: skip
        await take(w, pk, 60, "spend")
    now = await balance(merchant, pk)
    assert (now.available, now.pending) == (120, 20)
    assert (now.expiring, now.expires_at) == (90, START + 30 * DAY)
    assert (await balance(merchant, pk, START + 5 * DAY)).available == 140
    # each is gone at the very instant at which it expires
    assert (await balance(merchant, pk, START + 6 * DAY)).available == 120
    assert (await balance(merchant, pk, START + 30 * DAY)).available == 30


async def test_what_is_given_back_goes_where_it_came_from(merchant):
    async with merchant.work() as w:
        pk = await customer(w)
        await give(w, "earn", [Lot(pk, 10, START, START + DAY), Lot(pk, 10, START)])
        spent = await take(w, pk, 15, "spend")
        with pytest.raises(InvalidInput, match="15 points of this entry"):
            await give_back(w, spent, 16)
    merchant.clock.move(2 * DAY)
    async with merchant.work() as w:
        await give_back(w, spent, 7)
        await give_back(w, spent)
    # five came from the lot without end, ten from one that has expired since
    assert (await balance(merchant, pk)).available == 10
    async with merchant.work() as w:
        with pytest.raises(InvalidInput, match="0 points"):
            await give_back(w, spent, 1)


async def test_a_debt_is_covered_by_the_next_points(merchant):
    async with merchant.work() as w:
        pk = await customer(w)
        (lot,) = await give(w, "earn", [Lot(pk, 100, START, order_id=7)])
        await take(w, pk, 80, "spend")
        await take_back(w, lot, 100, "the order was refunded")
        with pytest.raises(InvalidInput, match="0 points"):
            await take_back(w, lot, 1, "again")
    assert (await balance(merchant, pk)).available == -80
    async with merchant.work() as w:
        with pytest.raises(NotEnoughPoints, match="has -80 points"):
            await take(w, pk, 1, "spend")
        await give(w, "earn", [Lot(pk, 100, START, START + DAY)])
    assert (await balance(merchant, pk)).available == 20
    # the debt was paid, so only what was left of the lot expires
    assert (await balance(merchant, pk, START + 2 * DAY)).available == 0


async def test_a_hold_lapses_at_its_instant_whoever_looks(merchant):
    async with merchant.work() as w:
        pk = await customer(w)
        await give(w, "earn", [Lot(pk, 100, START)])
        held = await hold(w, pk, 60, START + timedelta(minutes=15), "checkout")
        other = await hold(w, pk, 40, START + timedelta(minutes=20), "checkout")
        await settle_hold(w, other, spend=True)
    now = await balance(merchant, pk)
    assert (now.available, now.held) == (0, 60)
    later = await balance(merchant, pk, START + timedelta(minutes=15))
    assert (later.available, later.held) == (60, 0)
    merchant.clock.move(timedelta(minutes=16))
    with pytest.raises(WrongState):
        async with merchant.work() as w:
            await settle_hold(w, held, spend=True)
    async with merchant.work() as w:
        assert await release_lapsed(w) == 1
        assert await release_lapsed(w) == 0
    assert (await balance(merchant, pk)).available == 60
    assert (await balance(merchant, pk, START + timedelta(minutes=14))).available == 0


async def test_points_keep_their_dates_when_they_change_hands(merchant):
    async with merchant.work() as w:
        one, two = await customer(w), await customer(w)
        await give(w, "earn", [Lot(one, 10, START, START + DAY), Lot(one, 10, START)])
        await transfer(w, one, two, 15, "family")
        with pytest.raises(InvalidInput):
            await transfer(w, one, one, 1, "self")
    assert (await balance(merchant, one)).available == 5
    assert (await balance(merchant, two)).available == 15
    assert (await balance(merchant, two, START + DAY)).available == 5


async def test_nobody_spends_the_same_points_twice(merchant):
    async with merchant.work() as w:
        pk = await customer(w)
        await give(w, "earn", [Lot(pk, 100, START)])

    async def spend():
        try:
            async with merchant.work() as w:
                await take(w, pk, 30, "spend")
        except NotEnoughPoints:
            return 0
        return 30

    assert sum(await asyncio.gather(*(spend() for _ in range(8)))) == 90
    assert (await balance(merchant, pk)).available == 10


async def test_a_transaction_that_began_before_the_other_spends_nothing_twice(merchant):
    async with merchant.work() as w:
        pk = await customer(w)
        await give(w, "earn", [Lot(pk, 100, START)])
    began, other_done = asyncio.Event(), asyncio.Event()

    async def early():
        async with merchant.work() as w:
            began.set()
            await other_done.wait()
            await take(w, pk, 60, "spend")

    task = asyncio.create_task(early())
    await began.wait()
    merchant.clock.move(timedelta(seconds=1))
    async with merchant.work() as w:
        await take(w, pk, 60, "spend")
    other_done.set()
    with pytest.raises(NotEnoughPoints, match="has 40 points"):
        await task


async def test_two_at_once_give_back_once(merchant):
    async with merchant.work() as w:
        pk = await customer(w)
        await give(w, "earn", [Lot(pk, 100, START)])
        spent = await take(w, pk, 50, "spend")

    async def back():
        async with merchant.work() as w:
            await give_back(w, spent, 50)

    done = await asyncio.gather(*(back() for _ in range(4)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["InvalidInput"] * 3 + ["NoneType"]
    assert (await balance(merchant, pk)).available == 100


# -- random histories ---------------------------------------------------------------------------


@dataclass
class PlainLot:
    points: int
    start: datetime
    end: datetime | None
    uses: list = field(default_factory=list)
    taken_back: int = 0

    def left(self, at=None):
        return self.points - sum(n for n, when in self.uses if at is None or when <= at)

    def usable(self, at):
        return self.start <= at and (self.end is None or self.end > at)


@dataclass
class PlainEntry:
    """`points` taken (negative: given back) at an instant, and from which lots."""

    points: int
    at: datetime
    uses: list = field(default_factory=list)
    returns: list = field(default_factory=list)

    def debt(self, at=None):
        return self.points - sum(n for _, n, when in self.uses if at is None or when <= at)

    def open_debt(self):
        return self.debt() + sum(back.debt() for back in self.returns)

    def to_return(self):
        return self.points + sum(back.points for back in self.returns)


class PlainLedger:
    """One customer's points, lot by lot and entry by entry."""

    def __init__(self):
        self.lots, self.entries = [], []

    def balance(self, at):
        left = sum(lot.left(at) for lot in self.lots if lot.usable(at))
        return left - sum(entry.debt(at) for entry in self.entries if entry.at <= at)

    def give(self, points, start, end, now):
        self.lots.append(PlainLot(points, start, end))
        self.cover_debts(now)

    def take(self, points, now):
        self.entries.append(PlainEntry(points, now))
        self.cover(self.entries[-1], points, now)

    def cover(self, entry, points, now):
        for lot in self.by_end(lot for lot in self.lots if lot.usable(now)):
            used = min(points, lot.left())
            if used > 0:
                self.use(entry, lot, used, now)
                points -= used

    def take_back(self, lot, points, now):
        entry = PlainEntry(points, now)
        self.entries.append(entry)
        lot.taken_back += points
        own = min(points, lot.left())
        if own > 0:
            self.use(entry, lot, own, now)
        if own < points:
            self.cover(entry, points - max(own, 0), now)

    def give_back(self, entry, points, now):
        back = PlainEntry(-points, now)
        self.entries.append(back)
        entry.returns.append(back)
        of_entry = [use for one in (entry, *entry.returns) for use in one.uses]
        for lot in reversed(self.by_end({id(lot): lot for lot, _, _ in of_entry}.values())):
            returned = min(points, sum(n for one, n, _ in of_entry if one is lot))
            if returned > 0:
                self.use(back, lot, -returned, now)
                points -= returned
        self.cover_debts(now)

    def cover_debts(self, now):
        lots = [lot for lot in self.by_end(self.lots) if lot.end is None or lot.end > now]
        for entry in self.entries:
            for lot in sorted(lots, key=lambda x: x.start):
                paid = min(entry.open_debt(), lot.left())
                if paid > 0:
                    self.use(entry, lot, paid, max(now, lot.start))

    def use(self, entry, lot, points, at):
        entry.uses.append((lot, points, at))
        lot.uses.append((points, at))

    def by_end(self, lots):
        return sorted(lots, key=lambda x: (x.end is None, x.end or START, self.lots.index(x)))


@pytest.mark.parametrize("seed", range(12))
async def test_random_histories_agree_with_a_plain_ledger(merchant, seed):
    r = random.Random(seed)
    plain, lot_ids, entry_ids, taken_at = PlainLedger(), {}, {}, []
    async with merchant.work() as w:
        pk = await customer(w)
    for _ in range(60):
        merchant.clock.move(timedelta(hours=r.choice([0, 1, 7, 24, 50])))
        async with merchant.work() as w:
            now, act = w.now, r.choice(["give", "give", "take", "take_back", "give_back"])
            if act == "give":
                start = now + r.choice([0, 0, 2]) * DAY
                end = r.choice([None, start + r.randint(1, 9) * DAY])
                points = r.randint(1, 50)
                (lot_id,) = await give(w, "earn", [Lot(pk, points, start, end)])
                plain.give(points, start, end, now)
                lot_ids[lot_id] = plain.lots[-1]
            elif act == "take":
                points, debt = r.randint(1, 60), r.random() < 0.3
                if debt or points <= plain.balance(now):
                    entry_id = await take(w, pk, points, "spend", debt=debt)
                    plain.take(points, now)
                    entry_ids[entry_id] = plain.entries[-1]
                else:
                    with pytest.raises(NotEnoughPoints):
                        await take(w, pk, points, "spend")
            elif act == "take_back" and lot_ids:
                lot_id = r.choice(list(lot_ids))
                lot = lot_ids[lot_id]
                points = r.randint(0, lot.points - lot.taken_back)
                if points:
                    await take_back(w, lot_id, points, "refund")
                    plain.take_back(lot, points, now)
            elif act == "give_back" and entry_ids:
                entry_id = r.choice(list(entry_ids))
                points = r.randint(0, entry_ids[entry_id].to_return())
                if points:
                    await give_back(w, entry_id, points)
                    plain.give_back(entry_ids[entry_id], points, now)
        taken_at.append((now, (await balance(merchant, pk, now)).available))
        assert taken_at[-1][1] == plain.balance(now)
    for ahead in range(12):
        at = merchant.clock() + ahead * DAY
        assert (await balance(merchant, pk, at)).available == plain.balance(at)
    # the past stays as it was, but for what happened later within the same instant
    for at, found in dict(taken_at).items():
        assert (await balance(merchant, pk, at)).available == found
    async with merchant.read() as session:
        overdrawn = await session.sql.fetchval(
            """SELECT count(*) FROM points_entries l WHERE l.merchant_id = $1 AND l.lot
                  AND NOT (SELECT COALESCE(sum(u.points), 0) FROM points_uses u
                      WHERE u.merchant_id = $1 AND u.lot_id = l.id) BETWEEN 0 AND l.points""",
            merchant.id,
        )  # fmt: skip
        settled_too_soon = await session.sql.fetchval(
            """SELECT count(*) FROM points_entries e WHERE e.merchant_id = $1 AND e.settled
                  AND abs(e.points) <> abs((SELECT COALESCE(sum(u.points), 0) FROM points_uses u
                      WHERE u.merchant_id = $1 AND (u.lot_id = e.id OR u.entry_id = e.id)))""",
            merchant.id,
        )  # fmt: skip
    assert overdrawn == 0
    assert settled_too_soon == 0
