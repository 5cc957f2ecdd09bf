"""Joining, leaving and tiers: worked cases, and random orders against plain Python."""

import random
from datetime import date, timedelta

import pytest

import core.domain.members.review as review_module
from core.domain.members.membership import counts_by_day, join, leave
from core.domain.members.points import balances
from core.domain.members.programme import create_tier, get_programme, set_programme, update_tier
from core.domain.members.rules import Expiry
from core.domain.members.tiers import apply_changes, count_changes, find_changes, set_tier
from core.sdk import AlreadyExists, InvalidInput, Several, WrongState
from core.sdk.errors import HuikeError
from core.testing.fixtures import START

DAY = timedelta(days=1)
RULES = {"tiers": {"keep_days": 100}}


async def customer(w):
    return await w.sql.fetchval(
        """INSERT INTO customers (merchant_id, version, created_at, updated_at)
           VALUES ($1, 1, $2, $2) RETURNING id""",
        w.merchant_id, w.now,
    )  # fmt: skip


async def buy(merchant, w, pk, paid, at=None):
    """A completed order of so many yuan."""
    return await w.sql.fetchval(
        """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
               total, paid, refunded, ordered_at, paid_at, content_hash, taken_at)
           VALUES ($1, $2, gen_random_uuid()::text, $3, 'completed', 'CNY', $4, $4, 0, $5, $5, '',
                   $5) RETURNING id""",
        w.merchant_id, merchant.shop_id, pk, paid * 100, at or w.now,
    )  # fmt: skip


async def refund(merchant, order, amount):
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE orders SET refunded = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, order, amount * 100,
        )  # fmt: skip


async def set_up(w, rules=None):
    """A programme with silver from 1,000 yuan (kept with 500) and gold from 5,000."""
    await set_programme(w, "Club", "CNY", rules or RULES)
    silver = await create_tier(w, "Silver", 1, 100_000, 50_000, [])
    return silver, await create_tier(w, "Gold", 2, 500_000, None, [])


async def review(merchant):
    """Evaluate every member; returns the changes as {customer: (old, new, cause)}."""
    async with merchant.work() as w:
        programme = await get_programme(w)
        changes = await find_changes(
            w, programme.rules.tiers, programme.tiers, programme.currency, programme.zone
        )
        await apply_changes(w, programme.rules.tiers, changes)
    return {one.customer_id: (one.old_id, one.new_id, one.cause) for one in changes}


async def events(merchant, kind):
    async with merchant.read() as session:
        return await session.sql.fetchval(
            "SELECT count(*) FROM outbox_events WHERE merchant_id = $1 AND type = $2",
            merchant.id, kind,
        )  # fmt: skip


async def test_a_tier_follows_what_was_bought(merchant):
    async with merchant.work() as w:
        silver, gold = await set_up(w)
        pk = await customer(w)
        await buy(merchant, w, pk, 999)
        await join(w, pk, "page")
    assert await review(merchant) == {}
    async with merchant.work() as w:
        await buy(merchant, w, pk, 1)
    assert await review(merchant) == {pk: (None, silver, "upgrade")}
    async with merchant.work() as w:
        await buy(merchant, w, pk, 4000)
    assert await review(merchant) == {pk: (silver, gold, "upgrade")}
    # a tier is not lost before its period ends, though the orders leave the window
    merchant.clock.move(timedelta(days=99))
    assert await review(merchant) == {}
    merchant.clock.move(timedelta(days=1))
    assert await review(merchant) == {pk: (gold, gold, "kept")}
    merchant.clock.move(timedelta(days=265))
    assert await review(merchant) == {pk: (gold, None, "downgrade")}
    assert await events(merchant, "member.tier_changed") == 3


async def test_less_is_needed_to_keep_a_tier(merchant):
    async with merchant.work() as w:
        silver, _ = await set_up(w)
        one, two = await customer(w), await customer(w)
        for pk, later in ((one, 500), (two, 499)):
            await buy(merchant, w, pk, 1000, START - timedelta(days=300))
            await join(w, pk, "page")
            await buy(merchant, w, pk, later)
    merchant.clock.move(timedelta(days=100))
    assert await review(merchant) == {
        one: (silver, silver, "kept"), two: (silver, None, "downgrade"),
    }  # fmt: skip


async def test_what_was_refunded_never_reached_a_tier(merchant):
    async with merchant.work() as w:
        silver, gold = await set_up(w)
        pk = await customer(w)
        await join(w, pk, "agent")
        await buy(merchant, w, pk, 1500)
        order = await buy(merchant, w, pk, 4000)
    assert await review(merchant) == {pk: (None, gold, "upgrade")}
    await refund(merchant, order, 400)
    assert await review(merchant) == {}
    await refund(merchant, order, 3000)
    assert await review(merchant) == {pk: (gold, silver, "refund")}
    assert await review(merchant) == {}


async def test_a_tier_by_hand_ends_when_its_time_is_over(merchant):
    async with merchant.work() as w:
        silver, gold = await set_up(w)
        pk = await customer(w)
        await join(w, pk, "shop", shop_id=merchant.shop_id)
        await buy(merchant, w, pk, 1200)
        await set_tier(w, pk, gold, START + 30 * DAY)
    assert await review(merchant) == {}
    merchant.clock.move(30 * DAY)
    assert await review(merchant) == {pk: (gold, silver, "ended")}


async def test_a_preview_changes_nothing(merchant):
    async with merchant.work() as w:
        await set_up(w)
        for paid in (900, 1100, 6000):
            pk = await customer(w)
            await buy(merchant, w, pk, paid)
            await join(w, pk, "import")
        programme = await get_programme(w)
        lower = [tier.__class__(tier.id, tier.rank, tier.threshold // 2, None)
                 for tier in programme.tiers]  # fmt: skip
        given = w, programme.rules.tiers, lower, programme.currency, programme.zone
        assert await count_changes(*given) == {"upgrade": 1}
        assert [change.cause for change in await find_changes(*given)] == ["upgrade"]
    assert await review(merchant) == {}


async def test_who_comes_back_keeps_points_and_gets_no_second_welcome(merchant):
    async with merchant.work() as w:
        await set_up(w, {"welcome_points": 50, "points": {"expiry": {"kind": "never"}}})
        pk = await customer(w)
        await join(w, pk, "page", card_number="A1")
        with pytest.raises(AlreadyExists, match="member already"):
            await join(w, pk, "page")
        other = await customer(w)
        with pytest.raises(AlreadyExists, match="card number"):
            await join(w, other, "page", card_number="A1")
        await leave(w, pk, "platform")
        with pytest.raises(WrongState):
            await leave(w, pk, "platform")
        await join(w, pk, "sms")
        with pytest.raises(InvalidInput, match="source"):
            await join(w, other, "pigeon")
    async with merchant.read() as session:
        assert (await balances(session, [pk]))[pk].available == 50
        counted = await counts_by_day(session, date(2026, 6, 15), date(2026, 6, 15))
    assert counted == [
        (date(2026, 6, 15), "page", 1, 0), (date(2026, 6, 15), "platform", 0, 1),
        (date(2026, 6, 15), "sms", 1, 0),
    ]  # fmt: skip


async def test_tiers_stand_in_order(merchant):
    async with merchant.work() as w:
        with pytest.raises(WrongState):
            await get_programme(w)
        await set_up(w)
        with pytest.raises(InvalidInput, match="Gold of rank 2"):
            await create_tier(w, "Platinum", 3, 500_000, None, [])
        with pytest.raises(InvalidInput, match="keeps"):
            await create_tier(w, "Platinum", 3, 600_000, 600_001, [])
        with pytest.raises(AlreadyExists):
            await create_tier(w, "Other", 2, None, None, [])
        with pytest.raises((HuikeError, Several)):
            await set_programme(w, "Club", "CNY", {"tiers": {"window": "lunar"}})


@pytest.mark.parametrize(("expiry", "start", "end"), [
    (Expiry(kind="year_end", count=0), "2026-12-31T15:59:00+00:00", "2026-12-31T16:00:00+00:00"),
    (Expiry(kind="year_end", count=1), "2026-12-31T16:00:00+00:00", "2028-12-31T16:00:00+00:00"),
    (Expiry(kind="month_end", count=0), "2026-02-01T00:00:00+00:00", "2026-02-28T16:00:00+00:00"),
    (Expiry(kind="month_end", count=1), "2026-11-30T16:00:00+00:00", "2027-01-31T16:00:00+00:00"),
    (Expiry(kind="days", count=30), "2026-06-15T04:00:00+00:00", "2026-07-15T04:00:00+00:00"),
])  # fmt: skip
def test_points_end_with_the_merchants_month_or_year(expiry, start, end):
    from datetime import datetime
    from zoneinfo import ZoneInfo

    found = expiry.after(datetime.fromisoformat(start), ZoneInfo("Asia/Shanghai"))
    assert found == datetime.fromisoformat(end)


@pytest.mark.parametrize("measure", ["net_spend", "purchases"])
async def test_random_histories_agree_with_plain_python(merchant, measure):
    r = random.Random(measure)
    unit = 100_000 if measure == "net_spend" else 3
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", {
            "tiers": {"measure": measure, "keep_days": 40, "window_days": 90}
        })  # fmt: skip
        tiers = [
            (await create_tier(w, str(n), n, n * unit, n * unit * 2 // 3, []), n * unit)
            for n in (1, 2, 3)
        ]
        people = {await customer(w): [] for _ in range(12)}
        for pk in people:
            await join(w, pk, "page")
    state = dict.fromkeys(people)
    for _ in range(20):
        merchant.clock.move(timedelta(days=r.choice([1, 5, 20])))
        now = merchant.clock()
        async with merchant.work() as w:
            for pk, orders in people.items():
                if r.random() < 0.5:
                    orders.append((await buy(merchant, w, pk, r.randint(1, 900)), now))
        async with merchant.read() as session:
            paid = dict(await session.sql.fetch(
                "SELECT id, paid FROM orders WHERE merchant_id = $1", merchant.id
            ))  # fmt: skip
        await review(merchant)
        for pk, orders in people.items():
            inside = [(order, at) for order, at in orders if at > now - timedelta(days=90)]
            measured = (
                sum(paid[order] for order, _ in inside) if measure == "net_spend"
                else len({at for _, at in inside})
            )  # fmt: skip
            deserved = max((n for n, (_, needed) in enumerate(tiers, 1) if measured >= needed),
                           default=0)  # fmt: skip
            rank, until = state[pk] or (0, None)
            if deserved > rank:
                state[pk] = (deserved, now + timedelta(days=40))
            elif rank and until <= now:
                kept = measured >= rank * unit * 2 // 3
                rank = rank if kept else deserved
                state[pk] = (rank, now + timedelta(days=40)) if rank else None
        async with merchant.read() as session:
            rows = dict(await session.sql.fetch(
                """SELECT i.customer_id, t.rank FROM tier_intervals i
                   JOIN tiers t ON t.merchant_id = $1 AND t.id = i.tier_id
                   WHERE i.merchant_id = $1 AND i.valid_to IS NULL""",
                merchant.id,
            ))  # fmt: skip
        assert rows == {pk: kept[0] for pk, kept in state.items() if kept}


async def test_new_rules_move_everybody_and_ended_periods_those_concerned(merchant, monkeypatch):
    monkeypatch.setattr(review_module, "CHUNK", 2)
    db = merchant.installation.db
    async with merchant.work() as w:
        _, gold = await set_up(w)
        people = [await customer(w) for _ in range(5)]
        for pk in people:
            await join(w, pk, "page")
            await buy(merchant, w, pk, 1200)
    assert merchant.id in await review_module.merchants_due(db)
    await review_module.review_due(db, merchant.id)
    assert merchant.id not in await review_module.merchants_due(db)
    assert await events(merchant, "member.tier_changed") == 5
    async with merchant.work() as w:
        await update_tier(w, gold, {"threshold": 120_000})
    assert merchant.id in await review_module.merchants_due(db)
    await review_module.review_due(db, merchant.id)
    assert await events(merchant, "member.tier_changed") == 10
    merchant.clock.move(timedelta(days=100))
    assert merchant.id in await review_module.merchants_due(db)
    await review_module.review_due(db, merchant.id)
    assert merchant.id not in await review_module.merchants_due(db)
