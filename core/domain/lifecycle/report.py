"""Stages as of past days: from the orders until then, and the thresholds that held then.

Refunds, merges and erasures count as they are known today; everything else is as it was, so that a
report of the past comes out the same each time it is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum

from core.domain.lifecycle.calendar import Calendar
from core.domain.lifecycle.stages import LifecycleStage, Move, moves_of, stage_sql
from core.domain.lifecycle.thresholds import Thresholds, threshold_sql
from core.domain.orders.facts import COUNTED
from core.sdk.errors import InvalidInput
from core.storage.database import Session

MAX_POINTS = 120
IN_FORCE = ", ".join(
    f"{threshold_sql(name, '$2::bigint', 'd.day')} AS {name}"
    for name in ("active", "silent", "sleeping")
)
"""The thresholds in force on the day of rows `d`."""

BOUGHT = f"""o.merchant_id = $1 AND ($2::bigint = 0 OR o.shop_id = $2) AND o.customer_id IS NOT NULL
    AND {COUNTED}"""


class Step(Enum):
    """How far the days of a report are apart; months end on their last day."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


@dataclass(frozen=True)
class StageCounts:
    """How many customers were in each stage when a day ended, and by what thresholds."""

    day: date
    thresholds: Thresholds
    customers: dict[LifecycleStage, int]


def report_days(first: date, last: date, step: Step) -> list[date]:
    """The days of a report: each day, each seventh, or each month's last, and always `last`.

    Raises InvalidInput for too many, or none.
    """
    if first > last:
        raise InvalidInput("from is after to", ("input", "from"))
    apart = {Step.DAY: 1, Step.WEEK: 7, Step.MONTH: 28}[step]
    if (last - first).days // apart > MAX_POINTS * 2:
        raise _too_many()
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    if step is Step.WEEK:
        days = days[(len(days) - 1) % 7 :: 7]
    if step is Step.MONTH:
        days = [day for day in days if (day + timedelta(days=1)).day == 1 or day == last]
    if len(days) > MAX_POINTS:
        raise _too_many()
    return days


def _too_many() -> InvalidInput:
    return InvalidInput(f"a report has at most {MAX_POINTS} days; take longer steps", ("step",))


async def stage_report(
    session: Session, calendar: Calendar, days: Sequence[date]
) -> list[StageCounts]:
    """How many customers were in each stage when these days ended; one statement.

    Raises InvalidInput for days to come.
    """
    _check_past(calendar, days)
    ends = [calendar.end_of(day) for day in days]
    rows = await session.sql.fetch(
        f"""WITH points AS MATERIALIZED (
                SELECT d.place - 1 AS place, d.day, {IN_FORCE}
                FROM unnest($4::date[]) WITH ORDINALITY AS d (day, place)),
            last AS (  -- of the purchases between two of the days only the last one is seen
                SELECT o.customer_id, width_bucket(o.paid_at, $5::timestamptz[]) AS place,
                       max(o.paid_at) AS at
                FROM orders o WHERE {BOUGHT} AND o.paid_at < $6
                GROUP BY 1, 2),
            purchases AS (
                SELECT at, place, lead(place) OVER (PARTITION BY customer_id ORDER BY place) AS next
                FROM last),
            firsts AS (
                SELECT customer_id, min(first_purchase_at) AS at FROM customer_facts
                WHERE merchant_id = $1 AND shop_id = $2 GROUP BY customer_id),
            spans AS (  -- from a purchase until the next one, or from being known until the first
                SELECT (at AT TIME ZONE $3)::date AS day, place, next, TRUE AS bought,
                       count(*)::int AS customers
                FROM purchases GROUP BY 1, 2, 3
                UNION ALL
                SELECT NULL, width_bucket(c.created_at, $5), width_bucket(f.at, $5), FALSE,
                       count(*)::int
                FROM customers c LEFT JOIN firsts f ON f.customer_id = c.id
                WHERE c.merchant_id = $1 AND c.created_at < $6
                  AND (f.at > c.created_at) IS NOT FALSE
                GROUP BY 2, 3)
            SELECT p.day, p.active, p.silent, p.sleeping,
                   COALESCE(sum(s.customers) FILTER (WHERE NOT s.bought), 0)::int AS never,
                   COALESCE(sum(s.customers) FILTER (
                       WHERE s.bought AND p.day - s.day <= p.active), 0)::int AS within_active,
                   COALESCE(sum(s.customers) FILTER (
                       WHERE s.bought AND p.day - s.day <= p.silent), 0)::int AS within_silent,
                   COALESCE(sum(s.customers) FILTER (
                       WHERE s.bought AND p.day - s.day <= p.sleeping), 0)::int AS within_sleeping,
                   COALESCE(sum(s.customers) FILTER (WHERE s.bought), 0)::int AS ever
            FROM points p
            LEFT JOIN spans s ON s.place <= p.place AND (s.next IS NULL OR p.place < s.next)
            GROUP BY p.day, p.active, p.silent, p.sleeping ORDER BY p.day""",
        session.merchant_id, calendar.shop_id, calendar.zone, list(days), ends, ends[-1],
    )  # fmt: skip
    return [
        StageCounts(
            row["day"],
            Thresholds(row["active"], row["silent"], row["sleeping"]),
            {
                LifecycleStage.POTENTIAL: row["never"],
                LifecycleStage.ACTIVE: row["within_active"],
                LifecycleStage.SILENT: row["within_silent"] - row["within_active"],
                LifecycleStage.SLEEPING: row["within_sleeping"] - row["within_silent"],
                LifecycleStage.CHURNED: row["ever"] - row["within_sleeping"],
            },
        )
        for row in rows
    ]


async def stage_moves(session: Session, calendar: Calendar, first: date, last: date) -> list[Move]:
    """Who was in which stage when the first day ended and when the last did; one statement.

    Raises InvalidInput.
    """
    _check_past(calendar, [first, last])
    if first > last:
        raise InvalidInput("from is after to", ("input", "from"))
    sides = [
        stage_sql(f"(d.day - s.{side})", "d.active", "d.silent", "d.sleeping")
        for side in ("before", "after")
    ]
    rows = await session.sql.fetch(
        f"""WITH points AS (
                SELECT d.day, {IN_FORCE} FROM unnest(ARRAY[$4::date, $5::date]) AS d (day)),
            last AS (
                SELECT o.customer_id, max(o.paid_at) AS after,
                       max(o.paid_at) FILTER (WHERE o.paid_at < $6) AS before
                FROM orders o WHERE {BOUGHT} AND o.paid_at < $7
                GROUP BY o.customer_id),
            spans AS (
                SELECT (l.before AT TIME ZONE $3)::date AS before,
                       (l.after AT TIME ZONE $3)::date AS after,
                       l.before IS NOT NULL OR c.created_at < $6 AS known, count(*) AS customers
                FROM customers c LEFT JOIN last l ON l.customer_id = c.id
                WHERE c.merchant_id = $1 AND (l.after IS NOT NULL OR c.created_at < $7)
                GROUP BY 1, 2, 3)
            SELECT CASE WHEN s.known THEN
                       (SELECT {sides[0]} FROM points d WHERE d.day = $4 LIMIT 1) END AS from_stage,
                   (SELECT {sides[1]} FROM points d WHERE d.day = $5 LIMIT 1) AS to_stage,
                   sum(s.customers)::int AS customers
            FROM spans s GROUP BY 1, 2""",
        session.merchant_id, calendar.shop_id, calendar.zone, first, last,
        calendar.end_of(first), calendar.end_of(last),
    )  # fmt: skip
    return moves_of(rows)


def _check_past(calendar: Calendar, days: Sequence[date]) -> None:
    if not days or min(days).year < 1970 or max(days) > calendar.today:
        raise InvalidInput("a report is about days from 1970 until today", ("input", "to"))
