"""Members, tiers and points at size: `python -m bench.members [MEMBERS] [ENTRIES_EACH]`.

Makes MEMBERS members (50,000 without it) in three tiers, with two orders and ENTRIES_EACH entries
of the ledger each (20 without it: twelve lots, of which eight were spent from), on an embedded
server of its own. Measures the balance of one member; sixteen clients who earn and spend for the
same hundred members, with a check that no entry was lost or made twice; and two nightly runs over
all members beside SQL written by hand: telling whose points expire, and evaluating tiers; and the
figures of a month.
Prints one JSON line per figure.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.large import quantile, show
from bench.turns import compared
from core.cli import run
from core.domain.members.figures import month_figures
from core.domain.members.points import Lot, NotEnoughPoints, balances, give, take
from core.domain.members.points_figures import points_month
from core.domain.members.programme import Programme, create_tier, get_programme, set_programme
from core.domain.members.reminders import remind
from core.domain.members.tiers import find_changes
from core.domain.shops.setup import set_up_merchant
from core.installation import Installation, open_installation
from core.settings import Settings

MEMBERS, ENTRIES_EACH = 50_000, 20
LOTS_SHARE = 0.6
CLIENTS, BUSY_MEMBERS = 16, 100
SECONDS = 10
TURNS = 5
EXPIRING = 100_000
"""So many lots expire within a week, if there are so many members."""

TIERS = (("Silver", 20_000), ("Gold", 60_000), ("Black", 100_000))
RULES = {
    "tiers": {"keep_days": 365},
    "points": {"orders": [{"key": "spend", "points": 1, "per_amount": 100}]},
    "reminders": {"points_days": [7], "tier_days": [], "next_tier_percent": None},
}


def main() -> None:
    """Make the data, measure, and print one JSON line per figure."""
    given = [int(word) for word in sys.argv[1:3] if word.isdecimal()]
    members = given[0] if given else MEMBERS
    each = given[1] if len(given) > 1 else ENTRIES_EACH
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        run(measure(Path(folder) / "home", members, each))


async def measure(home: Path, members: int, each: int) -> None:
    """All figures on one set of data."""
    async with open_installation(Settings(home=home), with_redis=False) as opened:
        made = await set_up_merchant(opened.db, opened.registry, "members", shop="shop")
        assert made.shop_id is not None
        merchant_id = made.merchant_id
        started = time.perf_counter()
        async with opened.db.work(merchant_id) as w:
            await set_programme(w, "Club", "CNY", RULES)
            tiers = [
                await create_tier(w, name, rank, threshold)
                for rank, (name, threshold) in enumerate(TIERS, 1)
            ]
        await _load(opened, merchant_id, made.shop_id, tiers, members, each)
        show("members_load_seconds", time.perf_counter() - started, "s", members=members,
             entries=members * each)  # fmt: skip
        await one_balance(opened, merchant_id, members)
        await earn_and_spend(opened, merchant_id)
        await evaluate_tiers(opened, merchant_id, members)
        await tell_expiring(opened, merchant_id, members)
        await month(opened, merchant_id)


async def _load(
    opened: Installation, merchant_id: int, shop_id: int, tiers: list[int], members: int, each: int
) -> None:
    lots = max(1, round(each * LOTS_SHARE))
    spends = each - lots
    async with opened.db.work(merchant_id) as w:
        for statement, args in (
            ("""INSERT INTO customers (merchant_id, id, version, created_at, updated_at)
                SELECT $1, n, 1, $2, $2 FROM generate_series(1, $3::int) n""", ()),
            ("""INSERT INTO memberships (merchant_id, customer_id, card_number, joined_at,
                    join_source)
                SELECT $1, n, 'C' || n, $2::timestamptz - interval '500 days', 'page'
                FROM generate_series(1, $3::int) n""", ()),
            # paid within the year, a tenth before it
            ("""INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state,
                    currency, total, paid, refunded, ordered_at, paid_at, content_hash, taken_at)
                SELECT $1, $4, n || '-' || k, n, 'completed', 'CNY', p.paid, p.paid, 0, p.at, p.at,
                       '', $2
                FROM generate_series(1, $3::int) n, generate_series(1, 2) k,
                     LATERAL (SELECT (n::bigint * 7919 + k * 104729) % 60000 AS paid,
                         $2::timestamptz - ((n * 31 + k * 17) % 400) * interval '1 day' AS at) p""",
             (shop_id,)),
            ("""INSERT INTO tier_intervals (merchant_id, customer_id, tier_id, valid_from,
                    review_at, threshold, cause)
                SELECT $1, n, ($4::bigint[])[1 + n % 3],
                       $2::timestamptz - (n % 380) * interval '1 day',
                       $2::timestamptz + (365 - n % 380) * interval '1 day', 20000, 'upgrade'
                FROM generate_series(1, $3::int) n WHERE n % 4 > 0""", (tiers,)),
            # lots of a member are made one after the other, one expires soon or not at all
            ("""INSERT INTO points_entries (merchant_id, customer_id, kind, points, lot, at,
                    available_at, expires_at, rule, actor)
                SELECT $1, n, 'earn', 100, TRUE, a.at, a.at,
                       CASE WHEN k = 1 AND n <= $5
                            THEN $2::timestamptz + interval '3 days'
                            ELSE a.at + interval '900 days' END, 'spend', 'bench'
                FROM generate_series(1, $4::int) k, generate_series(1, $3::int) n,
                     LATERAL (SELECT $2::timestamptz - (400 - k) * interval '1 day' AS at) a""",
             (lots, EXPIRING)),
        ):  # fmt: skip
            await w.sql.execute(statement, merchant_id, w.now, members, *args)
        # every spend takes from the lots that follow the first
        await w.sql.execute(
            """INSERT INTO points_entries (merchant_id, customer_id, kind, points, lot, at, actor,
                   settled)
               SELECT $1, n, 'spend', -50, FALSE, $2::timestamptz - (200 - k) * interval '1 hour',
                      'bench', TRUE
               FROM generate_series(1, $4::int) k, generate_series(1, $3::int) n""",
            merchant_id, w.now, members, spends,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO points_uses (merchant_id, entry_id, lot_id, points, at)
               SELECT $1, s.id, l.id, 50, s.at
               FROM (SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY id) AS place
                     FROM points_entries WHERE merchant_id = $1 AND NOT lot) s
               JOIN (SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY id) AS place
                     FROM points_entries WHERE merchant_id = $1 AND lot) l
                 ON l.customer_id = s.customer_id AND l.place = s.place + 1""",
            merchant_id,
        )
        for table in ("customers", "points_entries"):
            await w.sql.execute(
                f"""SELECT setval(pg_get_serial_sequence('{table}', 'id'),
                                  (SELECT max(id) FROM {table}))"""
            )
    async with opened.db.read(merchant_id) as session:
        await session.sql.execute("VACUUM (ANALYZE)")


async def one_balance(opened: Installation, merchant_id: int, members: int) -> None:
    """The balance of one member after the other."""
    r, taken = random.Random(1), []
    async with opened.db.read(merchant_id) as session:
        for _ in range(1000):
            pk = r.randrange(1, members + 1)
            started = time.perf_counter()
            await balances(session, [pk])
            taken.append((time.perf_counter() - started) * 1000)
    taken = taken[20:]  # the first ones plan the statement
    show("members_balance_ms", statistics.median(taken), "ms", p99=round(quantile(taken, 0.99), 2),
         worst=round(max(taken), 2), goal=1)  # fmt: skip


async def earn_and_spend(opened: Installation, merchant_id: int) -> None:
    """Sixteen clients earn and spend for the same members; nothing is lost and nothing doubled."""
    people = list(range(1, BUSY_MEMBERS + 1))
    async with opened.db.read(merchant_id) as session:
        before = {pk: one.available for pk, one in (await balances(session, people)).items()}
        entries = await session.sql.fetchval("SELECT max(id) FROM points_entries")
    moved = dict.fromkeys(people, 0)
    done = 0
    ends = time.perf_counter() + SECONDS

    async def client(number: int) -> None:
        nonlocal done
        r = random.Random(number)
        while time.perf_counter() < ends:
            pk, points = r.choice(people), r.randint(1, 20)
            try:
                async with opened.db.work(merchant_id) as w:
                    if r.random() < 0.5:
                        await give(w, "earn", [Lot(pk, points, w.now, w.now + timedelta(days=90))])
                    else:
                        points = -points
                        await take(w, pk, -points, "spend")
            except NotEnoughPoints:
                continue
            moved[pk] += points
            done += 1

    started, processor = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    async with opened.db.read(merchant_id) as session:
        after = {pk: one.available for pk, one in (await balances(session, people)).items()}
        made = await session.sql.fetchval(
            "SELECT count(*) FROM points_entries WHERE merchant_id = $1 AND id > $2",
            merchant_id, entries,
        )  # fmt: skip
    assert made == done, (made, done)
    assert after == {pk: before[pk] + moved[pk] for pk in people}
    show("members_earn_and_spend_per_second", done / seconds, "1/s", clients=CLIENTS,
         members=BUSY_MEMBERS, checked=done, goal=1000,
         per_second_of_the_workers_processor=round(done / processor))  # fmt: skip


BY_HAND_TIERS = """
    WITH spend AS (
        SELECT o.customer_id, sum(o.paid - LEAST(o.refunded, o.paid)) AS net
        FROM orders o
        WHERE o.merchant_id = $1 AND o.currency = 'CNY'
          AND o.paid_at > $2::timestamptz - interval '365 days' AND o.paid_at <= $2
          AND o.state NOT IN ('closed_unpaid', 'closed_refunded')
          AND (o.paid = 0 OR o.refunded < o.paid)
        GROUP BY 1),
    reached AS (
        SELECT i.customer_id, sum(o.paid - LEAST(o.refunded, o.paid)) AS net
        FROM tier_intervals i
        JOIN orders o ON o.merchant_id = $1 AND o.customer_id = i.customer_id
         AND o.currency = 'CNY' AND o.paid_at > i.valid_from - interval '365 days'
         AND o.paid_at <= i.valid_from AND o.state NOT IN ('closed_unpaid', 'closed_refunded')
         AND (o.paid = 0 OR o.refunded < o.paid)
        WHERE i.merchant_id = $1 AND i.valid_to IS NULL GROUP BY 1)
    SELECT m.customer_id, i.tier_id,
           (SELECT max(t.rank) FROM tiers t
            WHERE t.merchant_id = $1 AND t.threshold <= COALESCE(s.net, 0)) AS deserved
    FROM memberships m
    LEFT JOIN tier_intervals i ON i.merchant_id = $1 AND i.customer_id = m.customer_id
         AND i.valid_to IS NULL
    LEFT JOIN tiers c ON c.merchant_id = $1 AND c.id = i.tier_id
    LEFT JOIN spend s ON s.customer_id = m.customer_id
    LEFT JOIN reached r ON r.customer_id = m.customer_id
    WHERE m.merchant_id = $1 AND m.left_at IS NULL
      AND (COALESCE((SELECT max(t.rank) FROM tiers t
               WHERE t.merchant_id = $1 AND t.threshold <= COALESCE(s.net, 0)), -1)
               > COALESCE(c.rank, -1)
           OR i.threshold > COALESCE(r.net, 0) OR i.review_at <= $2)
"""
"""Whose tier ought to change or to be kept again, gathered in one pass over the orders."""


async def evaluate_tiers(opened: Installation, merchant_id: int, members: int) -> None:
    """The tiers that all members deserve, against SQL by hand."""
    ours, hands = [], []
    async with opened.db.read(merchant_id) as session:
        programme = await get_programme(session)
        for _ in range(TURNS):
            started = time.perf_counter()
            changes = await _changes(session, programme)
            ours.append((time.perf_counter() - started) * 1000)
            started = time.perf_counter()
            found = await session.sql.fetch(BY_HAND_TIERS, merchant_id, session.now)
            hands.append((time.perf_counter() - started) * 1000)
        assert len(changes) > members // 10
    compared("members_evaluate_tiers_ms", ours, hands, "SQL by hand", 1.3, members=members,
             changes=len(changes), found_by_hand=len(found))  # fmt: skip


async def _changes(session: Any, programme: Programme) -> list[Any]:
    return await find_changes(
        session, programme.rules.tiers, programme.tiers, programme.currency, programme.zone
    )


BY_HAND_EXPIRING = """
    WITH due AS (
        SELECT l.customer_id, l.expires_at,
               sum(l.points - COALESCE(u.used, 0))::bigint AS points
        FROM points_entries l
        LEFT JOIN LATERAL (SELECT sum(points) AS used FROM points_uses u
            WHERE u.merchant_id = $1 AND u.lot_id = l.id) u ON TRUE
        WHERE l.merchant_id = $1 AND l.lot AND l.available_at <= $2
          AND l.expires_at > $2 AND l.expires_at <= $2::timestamptz + interval '7 days'
        GROUP BY 1, 2 HAVING sum(l.points - COALESCE(u.used, 0)) > 0),
    told AS (
        INSERT INTO member_reminders (merchant_id, customer_id, kind, occasion, at)
        SELECT $1, customer_id, 'by.hand', expires_at::text || '/' || $3::int, $2 FROM due
        ON CONFLICT DO NOTHING RETURNING customer_id)
    INSERT INTO outbox_events (merchant_id, type, payload, created_at, next_at, handled_by,
                               attempts)
    SELECT $1, 'by.hand', jsonb_build_object('customer_id', d.customer_id, 'points', d.points,
           'expires_at', d.expires_at, 'days', 7), $2, $2, '[]', 0
    FROM due d JOIN told t ON t.customer_id = d.customer_id
"""


async def tell_expiring(opened: Installation, merchant_id: int, members: int) -> None:
    """The night before points expire: each member is told once, against one statement by hand.

    Expiry itself needs no work: a lot that has expired counts for nothing from that instant on.
    """
    ours, hands = [], []
    for turn in range(3):
        async with opened.db.work(merchant_id) as w:
            await w.sql.execute("DELETE FROM member_reminders WHERE merchant_id = $1", merchant_id)
        started = time.perf_counter()
        await remind(opened.db, merchant_id)
        ours.append((time.perf_counter() - started) * 1000)
        async with opened.db.work(merchant_id) as w:
            started = time.perf_counter()
            await w.sql.execute(BY_HAND_EXPIRING, merchant_id, w.now, turn)
        hands.append((time.perf_counter() - started) * 1000)
    async with opened.db.read(merchant_id) as session:
        told = await session.sql.fetchval(
            "SELECT count(*) FROM member_reminders WHERE merchant_id = $1 AND kind <> 'by.hand'",
            merchant_id,
        )
    compared("members_tell_expiring_ms", ours, hands, "one statement by hand", 1.3,
             lots=min(EXPIRING, members), told=told)  # fmt: skip


async def month(opened: Installation, merchant_id: int) -> None:
    """What a merchant asks of the present month: its points, and its tiers."""
    async with opened.db.read(merchant_id) as session:
        programme, today = await get_programme(session), session.now.date()
        for name, ask in (("points", points_month), ("tiers", month_figures)):
            taken = []
            for _ in range(TURNS):
                started = time.perf_counter()
                await ask(session, programme, today)
                taken.append((time.perf_counter() - started) * 1000)
            show(f"members_month_{name}_ms", statistics.median(taken), "ms")


if __name__ == "__main__":
    main()
