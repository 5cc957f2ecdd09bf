"""The stage of a customer's lifecycle: how long ago the last purchase was, against thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any

from core.domain.lifecycle.calendar import Calendar
from core.domain.lifecycle.thresholds import Thresholds, thresholds_in_force
from core.storage.database import Session

OWN_GAP_PURCHASES = 3
"""From so many purchases on, a customer's own mean gap tells when the next one is expected."""


class LifecycleStage(Enum):
    """Potential: never bought. Active, silent, sleeping and churned: by the days since the last
    purchase."""

    POTENTIAL = "POTENTIAL"
    ACTIVE = "ACTIVE"
    SILENT = "SILENT"
    SLEEPING = "SLEEPING"
    CHURNED = "CHURNED"


BUYERS = (
    LifecycleStage.ACTIVE, LifecycleStage.SILENT, LifecycleStage.SLEEPING, LifecycleStage.CHURNED,
)  # fmt: skip
"""The stages of those who bought, by growing days since the last purchase."""


def stage_sql(days: str, active: str, silent: str, sleeping: str) -> str:
    """The name of the stage as SQL; `days` since the last purchase are NULL for who never bought.

    All four are SQL expressions.
    """
    return f"""CASE WHEN {days} IS NULL THEN 'POTENTIAL' WHEN {days} <= {active} THEN 'ACTIVE'
        WHEN {days} <= {silent} THEN 'SILENT' WHEN {days} <= {sleeping} THEN 'SLEEPING'
        ELSE 'CHURNED' END"""


def next_day_sql(last_day: str, first_day: str, purchases: str, usual: str) -> str:
    """The day of the expected next purchase as SQL: the last one and the usual gap.

    The gap is the customer's own mean, rounded to days, or with too few purchases `usual`.
    """
    return f"""({last_day} + CASE WHEN {purchases} >= {OWN_GAP_PURCHASES}
        THEN round(({last_day} - {first_day})::numeric / ({purchases} - 1))::int
        ELSE {usual} END)"""


@dataclass(frozen=True)
class Standing:
    """Where a customer stands in a shop or in all; days and dates are None before a purchase."""

    stage: LifecycleStage
    days_since_last: int | None
    next_purchase: date | None
    thresholds: Thresholds


async def standing_of(
    session: Session, calendar: Calendar, customer_ids: Sequence[int]
) -> dict[int, Standing]:
    """Where each of these customers stands today."""
    thresholds = (await thresholds_in_force(session, calendar.shop_id, calendar.today)).thresholds
    rows = await session.sql.fetch(
        f"""WITH days AS (
                SELECT customer_id, (max(last_purchase_at) AT TIME ZONE $4)::date AS last_day,
                       (min(first_purchase_at) AT TIME ZONE $4)::date AS first_day,
                       sum(purchases) AS purchases
                FROM customer_facts
                WHERE merchant_id = $1 AND shop_id = $2 AND customer_id = ANY($3::bigint[])
                  AND last_purchase_at IS NOT NULL
                GROUP BY customer_id)
            SELECT customer_id, $5::date - last_day AS days,
                   {next_day_sql("last_day", "first_day", "purchases", "$6::int")} AS next_day,
                   {stage_sql("($5::date - last_day)", "$6::int", "$7::int", "$8::int")} AS stage
            FROM days""",
        session.merchant_id, calendar.shop_id, list(customer_ids), calendar.zone, calendar.today,
        thresholds.active, thresholds.silent, thresholds.sleeping,
    )  # fmt: skip
    found = {
        row["customer_id"]: Standing(
            LifecycleStage(row["stage"]), row["days"], row["next_day"], thresholds
        )
        for row in rows
    }
    never = Standing(LifecycleStage.POTENTIAL, None, None, thresholds)
    return {one: found.get(one, never) for one in customer_ids}


@dataclass(frozen=True)
class Move:
    """How many customers are in one stage by one measure and in another by another.

    None as `from_stage` are those who were no customers yet.
    """

    from_stage: LifecycleStage | None
    to_stage: LifecycleStage
    customers: int


async def effect_of(session: Session, calendar: Calendar, wanted: Thresholds) -> list[Move]:
    """What other thresholds would make of today's buyers: stage in force, stage then, how many.

    Raises InvalidInput.
    """
    wanted.check()
    now = (await thresholds_in_force(session, calendar.shop_id, calendar.today)).thresholds
    rows = await session.sql.fetch(
        f"""WITH last AS (
                SELECT max(last_purchase_at) AS at FROM customer_facts
                WHERE merchant_id = $1 AND shop_id = $2 AND last_purchase_at IS NOT NULL
                GROUP BY customer_id),
            ages AS (
                SELECT $4::date - (at AT TIME ZONE $3)::date AS days, count(*) AS customers
                FROM last GROUP BY 1)
            SELECT {stage_sql("days", "$5::int", "$6::int", "$7::int")} AS from_stage,
                   {stage_sql("days", "$8::int", "$9::int", "$10::int")} AS to_stage,
                   sum(customers)::int AS customers
            FROM ages GROUP BY 1, 2""",
        session.merchant_id, calendar.shop_id, calendar.zone, calendar.today,
        now.active, now.silent, now.sleeping, wanted.active, wanted.silent, wanted.sleeping,
    )  # fmt: skip
    return moves_of(rows)


def moves_of(rows: Sequence[Mapping[str, Any]]) -> list[Move]:
    """Moves of rows with from_stage, to_stage and customers, in the order of the stages."""
    order = [None, *(stage.value for stage in LifecycleStage)]
    return [
        Move(
            LifecycleStage(row["from_stage"]) if row["from_stage"] else None,
            LifecycleStage(row["to_stage"]),
            row["customers"],
        )
        for row in sorted(
            rows, key=lambda row: (order.index(row["from_stage"]), order.index(row["to_stage"]))
        )
    ]
