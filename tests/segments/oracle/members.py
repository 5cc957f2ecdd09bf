"""Who is a member, in which tier, and with how many points."""

import random
from datetime import timedelta

from hypothesis import strategies as st

from core.testing.fixtures import START
from tests.segments.oracle.customers import WINDOWS, in_window
from tests.segments.oracle.kit import bounded, days_ago, within

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
AGES = [0, 1, 2, 29, 30, 31, 89, 90, 365]
TIERS: list[int] = []
"""The ids of the three tiers, filled when the first person is stored."""


def fill(r: random.Random, person: dict) -> None:
    joined = START - r.choice(AGES) * DAY
    left = r.choice([None, None, joined + r.choice([1, 20]) * HOUR])
    earlier = (joined - DAY, joined)
    person["memberships"] = r.choice([[], [(joined, left)], [earlier, (joined, left)]])
    person["tier"] = r.choice([None, 0, 1, 2])
    review_at = START + r.choice([-1, *AGES]) * DAY + r.choice([0, 11, 13]) * HOUR
    person["review_at"] = r.choice([None, review_at])
    # (points, usable from, until, of them spent)
    person["lots"] = [
        (points := r.randint(1, 60), START + r.choice([-9, -1, 0, 1]) * DAY,
         r.choice([None, *(START + n * DAY for n in (-1, 0, 1, 7, 30))]), r.randint(0, points))
        for _ in range(r.randint(0, 3))
    ]  # fmt: skip
    person["debt"] = r.choice([0, 0, 25])
    # whether what was left is set aside, and that time is over
    person["hold"] = r.choice([None, False, True])


async def store(w, person: dict) -> None:
    if not await w.sql.fetchval("SELECT count(*) FROM tiers WHERE merchant_id = $1", w.merchant_id):
        TIERS[:] = [
            row["id"] for row in await w.sql.fetch(
                """INSERT INTO tiers (merchant_id, name, rank, benefits, created_at, updated_at)
                   SELECT $1, n::text, n, '[]', $2, $2 FROM generate_series(1, 3) n RETURNING id""",
                w.merchant_id, START,
            )
        ]  # fmt: skip
    for joined, left in person["memberships"]:
        await w.sql.execute(
            """INSERT INTO memberships (merchant_id, customer_id, joined_at, join_source, left_at,
                   leave_source) VALUES ($1, $2, $3, 'page', $4, $5)""",
            w.merchant_id, person["id"], joined, left, left and "page",
        )  # fmt: skip
    if person["tier"] is not None:
        for tier, end in ((0, START - HOUR), (person["tier"], None)):
            await w.sql.execute(
                """INSERT INTO tier_intervals (merchant_id, customer_id, tier_id, valid_from,
                       valid_to, review_at, cause) VALUES ($1, $2, $3, $4, $5, $6, 'manual')""",
                w.merchant_id, person["id"], TIERS[tier], START - DAY, end, person["review_at"],
            )  # fmt: skip
    for points, start, end, spent in person["lots"]:
        lot = await _enter(w, person, points, True, start, end)
        if spent:
            await _use(w, await _enter(w, person, -spent), lot, spent)
        if person["hold"] is not None and points > spent:
            held = await _enter(w, person, spent - points)
            await _use(w, held, lot, points - spent)
            await w.sql.execute(
                """INSERT INTO points_holds (merchant_id, customer_id, entry_id, expires_at)
                   VALUES ($1, $2, $3, $4)""",
                w.merchant_id, person["id"], held, START + (-HOUR if person["hold"] else HOUR),
            )  # fmt: skip
    if person["debt"]:
        await _enter(w, person, -person["debt"])


async def _enter(w, person, points, lot=False, start=None, end=None):
    return await w.sql.fetchval(
        """INSERT INTO points_entries (merchant_id, customer_id, kind, points, lot, at,
               available_at, expires_at, actor)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'test') RETURNING id""",
        w.merchant_id, person["id"], "earn" if lot else "spend", points, lot, START - 9 * DAY,
        start, end,
    )  # fmt: skip


async def _use(w, entry, lot, points):
    await w.sql.execute(
        """INSERT INTO points_uses (merchant_id, entry_id, lot_id, points, at)
           VALUES ($1, $2, $3, $4, $5)""",
        w.merchant_id, entry, lot, points, START - 9 * DAY,
    )  # fmt: skip


def usable(one: dict) -> list[tuple]:
    """(points left, until when) of the lots that can be used now."""
    left = [(points - spent, start, end) for points, start, end, spent in one["lots"]]
    if one["hold"] is False:
        left = [(0, start, end) for _, start, end in left]
    return [(n, end) for n, start, end in left if start <= START and (not end or end > START)]


def present(one: dict) -> list:
    return [joined for joined, left in one["memberships"] if left is None]


def member(params: dict, one: dict) -> bool:
    return any(in_window(params.get("joined"), joined) for joined in present(one))


def gone(params: dict, one: dict) -> bool:
    ends = [left for _, left in one["memberships"] if left is not None]
    return not present(one) and any(in_window(params["within"], left) for left in ends)


def in_tier(params: dict, one: dict) -> bool:
    return one["tier"] is not None and TIERS[one["tier"]] in params["tier_ids"]


def ends_in(params: dict, one: dict) -> bool:
    if one["tier"] is None or one["review_at"] is None:
        return False
    days = -days_ago(one["review_at"])
    return days >= 0 and within(params, days)


def balance(params: dict, one: dict) -> bool:
    return within(params, sum(n for n, _ in usable(one)) - one["debt"])


def expiring(params: dict, one: dict) -> bool:
    last = [n for n, end in usable(one) if end and -days_ago(end) <= params["next_days"]]
    return sum(last) >= params.get("at_least", 1)


LEAVES = st.one_of(
    st.just({"member": {}}),
    WINDOWS.map(lambda window: {"member": {"joined": window}}),
    WINDOWS.map(lambda window: {"member_left": {"within": window}}),
    st.lists(st.integers(0, 2), max_size=2, unique=True).map(
        lambda places: {"member_tier": {"tier_ids": [TIERS[place] for place in places]}}
    ),
    bounded(0, 40).map(lambda days: {"tier_ends_in": days}),
    bounded(-30, 100).map(lambda points: {"points_balance": points}),
    st.builds(
        lambda days, least: {"points_expiring": {"next_days": days, **least}},
        st.sampled_from([0, 1, 6, 7, 8, 30]),
        st.fixed_dictionaries({}, optional={"at_least": st.integers(1, 60)}),
    ),
)
EVALUATE = {
    "member": member,
    "member_left": gone,
    "member_tier": in_tier,
    "tier_ends_in": ends_in,
    "points_balance": balance,
    "points_expiring": expiring,
}
