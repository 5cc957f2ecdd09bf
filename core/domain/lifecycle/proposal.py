"""The 5221 model: thresholds proposed by how soon customers came back a second time.

Half of those who bought twice did so within the first threshold, a further fifth within the second,
a further fifth within the third; the last tenth took longer (50, 20, 20, 10).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from core.domain.customers.suppressions import check_reason
from core.domain.lifecycle.calendar import ALL_SHOPS, Calendar
from core.domain.lifecycle.thresholds import (
    DEFAULT,
    MAX_THRESHOLD,
    Source,
    Thresholds,
    set_thresholds,
    thresholds_in_force,
)
from core.sdk.errors import Faults, InvalidInput, WrongState
from core.storage.database import Session, Work

ENOUGH = 30
"""Of fewer who came back nothing is concluded."""
QUANTILES = (Fraction(5, 10), Fraction(7, 10), Fraction(9, 10))
BAR_DAYS = 7

GAPS = """
    WITH buyers AS (
        SELECT customer_id, min(first_purchase_at) AS first_at,
               min(second_purchase_at) AS second_at, count(*) AS currencies
        FROM customer_facts
        WHERE merchant_id = $1 AND shop_id = $2 AND first_purchase_at IS NOT NULL
        GROUP BY customer_id),
    days AS (
        SELECT (first_at AT TIME ZONE $3)::date AS first_day,
               CASE WHEN currencies = 1 THEN (second_at AT TIME ZONE $3)::date
                    ELSE (  -- the second of all currencies may be the first of another one
                        SELECT min((one.at AT TIME ZONE $3)::date)
                        FROM customer_facts f, LATERAL (
                            VALUES (f.first_purchase_at), (f.second_purchase_at)) AS one (at)
                        WHERE f.merchant_id = $1 AND f.customer_id = buyers.customer_id
                          AND f.shop_id = $2 AND (one.at AT TIME ZONE $3)::date
                              > (buyers.first_at AT TIME ZONE $3)::date)
               END AS second_day
        FROM buyers WHERE first_at < $5
        OFFSET 0)  -- the days of a customer are worked out once, not at each place below
    SELECT second_day - first_day AS gap,
           CASE WHEN second_day IS NULL THEN $4::date - first_day END AS age,
           count(*)::int AS customers
    FROM days WHERE second_day > first_day OR second_day IS NULL
    GROUP BY 1, 2
"""
"""How many customers came back after `gap` days, and how many bought once, `age` days ago."""


@dataclass(frozen=True)
class Bar:
    """How many customers came back after `from_days` to `to_days` days; None: or later."""

    from_days: int
    to_days: int | None
    customers: int


@dataclass(frozen=True)
class Proposal:
    """What the model proposes, and what it rests on.

    `source` is "default" when too few came back, and the thresholds are the configured ones.
    `unripe` is the share of all first buyers who did not come back yet and could still do so
    within the last threshold: the more, the more the gaps are underestimated.
    """

    thresholds: Thresholds
    source: Source
    sample: int
    mean: Fraction | None
    bars: list[Bar]
    first_buyers: int
    unripe: int
    min_age_days: int


def nearest_rank(counts: Mapping[int, int], share: Fraction) -> int:
    """The element number ⌈share·n⌉ of a sorted list that is given as value -> number of times."""
    left = share * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    raise ValueError("a quantile of nothing")


def concluded(
    gaps: Mapping[int, int], ages: Mapping[int, int], fallback: Thresholds, min_age_days: int
) -> Proposal:
    """The proposal from gaps (days -> customers who came back) and ages of those who did not."""
    sample = sum(gaps.values())
    enough = sample >= ENOUGH
    thresholds = fallback
    if enough:
        thresholds = Thresholds(*(nearest_rank(gaps, share) for share in QUANTILES))
    return Proposal(
        thresholds=thresholds,
        source="model" if enough else "default",
        sample=sample,
        mean=Fraction(sum(gap * n for gap, n in gaps.items()), sample) if sample else None,
        bars=_bars(gaps, thresholds.sleeping),
        first_buyers=sample + sum(ages.values()),
        unripe=sum(n for age, n in ages.items() if age < thresholds.sleeping),
        min_age_days=min_age_days,
    )


def _bars(gaps: Mapping[int, int], last_threshold: int) -> list[Bar]:
    """Weeks up to half as long again as the last threshold, and one bar for the rest."""
    end = -(-last_threshold * 3 // (2 * BAR_DAYS)) * BAR_DAYS
    starts = range(1, end, BAR_DAYS)
    bars = [
        Bar(start, start + BAR_DAYS - 1,
            sum(gaps.get(day, 0) for day in range(start, start + BAR_DAYS)))
        for start in starts
    ]  # fmt: skip
    return [*bars, Bar(end + 1, None, sum(n for gap, n in gaps.items() if gap > end))]


async def propose(session: Session, calendar: Calendar, min_age_days: int = 0) -> Proposal:
    """What the model proposes for a shop now; one statement over the customers' figures.

    `min_age_days` leaves out customers whose first purchase is fewer days ago: they had less time
    to come back. Raises InvalidInput.
    """
    if not 0 <= min_age_days <= MAX_THRESHOLD:
        raise InvalidInput(
            f"minAgeDays is from 0 to {MAX_THRESHOLD} days", ("input", "min_age_days")
        )
    rows = await session.sql.fetch(
        GAPS, session.merchant_id, calendar.shop_id, calendar.zone, calendar.today,
        calendar.end_of(calendar.today - timedelta(days=min_age_days)),
    )  # fmt: skip
    gaps = {row["gap"]: row["customers"] for row in rows if row["gap"] is not None}
    ages = {row["age"]: row["customers"] for row in rows if row["gap"] is None}
    configured = await thresholds_in_force(session, ALL_SHOPS, calendar.today)
    fallback = DEFAULT if calendar.shop_id == ALL_SHOPS else configured.thresholds
    return concluded(gaps, ages, fallback, min_age_days)


async def apply_proposal(
    w: Work,
    calendar: Calendar,
    reason: str,
    min_age_days: int = 0,
    if_version: int | None = None,
) -> tuple[int, Proposal]:
    """Let what the model proposes now hold from today on; returns the row's id and the proposal.

    Raises InvalidInput, Conflict, and WrongState when the proposed days do not rise.
    """
    faults = Faults()
    with faults:
        check_reason(reason)
    with faults:
        proposal = await propose(w, calendar, min_age_days)
    faults.tell()
    days = proposal.thresholds
    if not 0 < days.active < days.silent < days.sleeping:
        raise WrongState(
            f"the proposed days {days.active}, {days.silent}, {days.sleeping} do not rise: too "
            "many customers came back after the same time; set thresholds of your own"
        )
    made = await set_thresholds(
        w, calendar, days, reason, source=proposal.source, sample=proposal.sample,
        min_age_days=min_age_days, if_version=if_version,
    )  # fmt: skip
    return made, proposal
