"""RFM: recency, frequency and money of the last year, scored and grouped by stored boundaries.

R is the days since the last purchase, F the number of purchases and M their net sales, of customers
with at least one purchase in one currency within the last `WINDOW_DAYS` days. Scores go from 1 to
5: one more than the boundaries below the value, so that equal values score alike; R the other way
round. The same model holds 99 boundaries that rank the net sales of all time of all buyers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from itertools import pairwise
from typing import Any

from core.domain.lifecycle.calendar import Calendar
from core.domain.orders.facts import COUNTED, REFUNDED
from core.domain.shops.merchants import check_currency
from core.sdk.errors import Faults
from core.storage.database import Session, Work
from core.storage.versions import next_version, place

WINDOW_DAYS = 365
SCORES = 5
MAX_BOUND = 2**53
BOUNDS = "rfm"
"""The kind of setting, in places of shop and currency."""

NEAREST_RANK = "1e-12::float8"
"""Taken off a share before the database multiplies it: 0.07 * 100 must not become 8th of 100."""


class RfmGroup(Enum):
    """The eight groups by recency, frequency and money at or above their means. Important: much
    money; value: recent and often; develop: recent, seldom; keep: often, not recent; win back:
    neither."""

    IMPORTANT_VALUE = "IMPORTANT_VALUE"
    IMPORTANT_DEVELOP = "IMPORTANT_DEVELOP"
    IMPORTANT_KEEP = "IMPORTANT_KEEP"
    IMPORTANT_WIN_BACK = "IMPORTANT_WIN_BACK"
    GENERAL_VALUE = "GENERAL_VALUE"
    GENERAL_DEVELOP = "GENERAL_DEVELOP"
    GENERAL_KEEP = "GENERAL_KEEP"
    GENERAL_WIN_BACK = "GENERAL_WIN_BACK"


GROUPS = {
    (True, True, True): RfmGroup.IMPORTANT_VALUE,
    (True, False, True): RfmGroup.IMPORTANT_DEVELOP,
    (False, True, True): RfmGroup.IMPORTANT_KEEP,
    (False, False, True): RfmGroup.IMPORTANT_WIN_BACK,
    (True, True, False): RfmGroup.GENERAL_VALUE,
    (True, False, False): RfmGroup.GENERAL_DEVELOP,
    (False, True, False): RfmGroup.GENERAL_KEEP,
    (False, False, False): RfmGroup.GENERAL_WIN_BACK,
}
"""By whether R, F and M are good: at or above the mean, R at or below it."""


@dataclass(frozen=True)
class Bounds:
    """The merchant's own boundaries, four each, rising; money in minor units."""

    r: Sequence[int]
    f: Sequence[int]
    m: Sequence[int]

    def check(self) -> None:
        """Raises InvalidInput, Several."""
        faults = Faults()
        for name, values in vars(self).items():
            if len(values) != SCORES - 1:
                faults.wrong(f"{name} has {SCORES - 1} boundaries between scores", name)
            elif any(not 0 <= value <= MAX_BOUND for value in values):
                faults.wrong(f"a boundary is from 0 to {MAX_BOUND}", name)
            elif any(low > high for low, high in pairwise(values)):
                faults.wrong(f"the boundaries of {name} must rise", name)
        faults.tell()


def figures_sql(calendar: Calendar, only: str = "") -> str:
    """Rows (customer_id, r, f, m) of who bought in the window; see `_scope` for $1 to $6.

    `only` is a further condition on order `o`, beginning with AND.
    """
    shops, zone = "", "$4"
    if not calendar.one_zone:
        shops, zone = "JOIN shops s ON s.merchant_id = $1 AND s.id = o.shop_id", "s.time_zone"
    return f"""
        SELECT customer_id, $5::date - (max(at) AT TIME ZONE $4)::date AS r, count(*) AS f,
               sum(net)::bigint AS m
        FROM (SELECT o.customer_id, max(o.paid_at) AS at, sum(o.paid - {REFUNDED})::bigint AS net
              FROM orders o {shops}
              WHERE o.merchant_id = $1 AND ($2::bigint = 0 OR o.shop_id = $2) AND o.currency = $3
                AND o.customer_id IS NOT NULL AND {COUNTED} AND o.paid_at >= $6 {only}
              GROUP BY o.customer_id, o.shop_id, (o.paid_at AT TIME ZONE {zone})::date
             ) AS purchases
        GROUP BY customer_id"""


def _scope(session: Session, calendar: Calendar, currency: str) -> list[Any]:
    since = calendar.start_of(calendar.today - timedelta(days=WINDOW_DAYS))
    return [
        session.merchant_id, calendar.shop_id, currency, calendar.zone, calendar.today, since
    ]  # fmt: skip


VALUED = f"""
    1 + {SCORES - 1} - width_bucket(v.r::bigint - 1, model.r_bounds) AS r_score,
    1 + width_bucket(v.f - 1, model.f_bounds) AS f_score,
    1 + width_bucket(v.m - 1, model.m_bounds) AS m_score,
    v.r <= model.r_edge AS r_good, v.f >= model.f_edge AS f_good, v.m >= model.m_edge AS m_good"""
"""The scores of figures `v` by `model`: 1 and the number of boundaries below; and what is good."""

IN_FORCE = """(
    SELECT r_bounds, f_bounds, m_bounds, percentiles, floor(r_mean)::bigint AS r_edge,
           ceil(f_mean)::bigint AS f_edge, ceil(m_mean)::bigint AS m_edge
    FROM rfm_models
    WHERE merchant_id = $1 AND shop_id = $2 AND currency = $3 AND valid_to IS NULL
      AND customers > 0 OFFSET 0)"""
"""The boundaries in force; of whole numbers the mean divides as the next whole number does."""


async def rfm_model(session: Session, shop_id: int, currency: str) -> Mapping[str, Any] | None:
    """The boundaries in force for a shop (0: all) and currency, None before they are measured."""
    row: Mapping[str, Any] | None = await session.sql.fetchrow(
        """SELECT * FROM rfm_models
           WHERE merchant_id = $1 AND shop_id = $2 AND currency = $3 AND valid_to IS NULL""",
        session.merchant_id, shop_id, currency,
    )  # fmt: skip
    return row


async def measured_scopes(session: Session) -> list[tuple[int, str]]:
    """(shop, currency) that are measured: each shop and all in their currency, and what was once
    asked for."""
    rows = await session.sql.fetch(
        """SELECT 0 AS shop_id, currency FROM merchants WHERE id = $1
           UNION SELECT id, currency FROM shops WHERE merchant_id = $1
           UNION SELECT shop_id, currency FROM rfm_models
                 WHERE merchant_id = $1 AND valid_to IS NULL
           ORDER BY 1, 2""",
        session.merchant_id,
    )
    return [(row["shop_id"], row["currency"]) for row in rows]


def _quantiles(column: str, parts: int) -> str:
    shares = f"""(SELECT array_agg(n / {parts}::float8 - {NEAREST_RANK} ORDER BY n)
        FROM generate_series(1, {parts - 1}) AS n)"""
    return f"percentile_disc({shares}) WITHIN GROUP (ORDER BY {column})"


async def measure(w: Work, calendar: Calendar, currency: str) -> int:
    """Measure boundaries and means anew, from today on; returns the row's id.

    Fixed boundaries stay. One statement over the orders of the window and the customers' figures.
    """
    return await _store(w, calendar, currency, "model.fixed", [])


async def fix_bounds(
    w: Work,
    calendar: Calendar,
    currency: str,
    bounds: Bounds | None,
    if_version: int | None = None,
) -> int:
    """Score by the merchant's own boundaries from today on, or with None by quintiles again.

    Returns the row's id. Measuring makes no version. Raises InvalidInput, Conflict.
    """
    given, faults = list[Any](), Faults()
    with faults:
        check_currency(currency)
    if bounds is not None:
        with faults:
            bounds.check()
    faults.tell()
    if bounds is not None:
        given = [list(bounds.r), list(bounds.f), list(bounds.m)]
    await next_version(w, BOUNDS, place(calendar.shop_id, currency), if_version)
    made = await _store(w, calendar, currency, str(bounds is not None).upper(), given)
    w.audit(
        "rfm.thresholds_set",
        {"shop_id": calendar.shop_id, "currency": currency, "fixed": bounds is not None},
    )
    return made


async def _store(
    w: Work, calendar: Calendar, currency: str, fixed: str, given: Sequence[Any]
) -> int:
    """`fixed` is SQL for whether the boundaries are the merchant's, `model` being the row before;
    `given` are other ones."""
    await w.sql.execute("SELECT 1 FROM merchants WHERE id = $1 FOR NO KEY UPDATE", w.merchant_id)
    # measured by a statement of its own: parallel workers do not take part in one that writes
    found = await w.figures(
        f"""WITH figures AS MATERIALIZED ({figures_sql(calendar)}),
            quintiles AS (
                SELECT {_quantiles("r", SCORES)}::bigint[] AS r,
                       {_quantiles("f", SCORES)}::bigint[] AS f,
                       {_quantiles("m", SCORES)}::bigint[] AS m,
                       count(*)::int AS customers, avg(r) AS r_mean, avg(f) AS f_mean,
                       avg(m) AS m_mean
                FROM figures),
            ranked AS (
                SELECT count(*)::int AS buyers, {_quantiles("paid - refunded", 100)} AS percentiles
                FROM customer_facts
                WHERE merchant_id = $1 AND shop_id = $2 AND currency = $3 AND purchases > 0)
            SELECT * FROM quintiles CROSS JOIN ranked""",
        *_scope(w, calendar, currency),
    )
    measured = list(found.values())
    bounds = [f"model.{name}_bounds" for name in "rfm"]
    if given:
        bounds = [f"${number}::bigint[]" for number in (16, 17, 18)]
    kept = ", ".join(
        f"CASE WHEN {fixed} THEN {bound} ELSE ${number}::bigint[] END"
        for number, bound in zip((7, 8, 9), bounds, strict=True)
    )
    made: int = await w.sql.fetchval(
        f"""WITH model AS (
                UPDATE rfm_models SET valid_to = GREATEST(valid_from, $4)
                WHERE merchant_id = $1 AND shop_id = $2 AND currency = $3 AND valid_to IS NULL
                RETURNING *)
            INSERT INTO rfm_models (merchant_id, shop_id, currency, fixed, r_bounds, f_bounds,
                m_bounds, customers, r_mean, f_mean, m_mean, buyers, percentiles, actor, at,
                valid_from)
            SELECT $1, $2, $3, COALESCE({fixed}, FALSE), {kept}, $10::int, $11::numeric,
                   $12::numeric, $13::numeric, $14::int, $15::bigint[], $5, $6, $4::date
            FROM (SELECT) AS one LEFT JOIN model ON TRUE
            RETURNING id""",
        w.merchant_id, calendar.shop_id, currency, calendar.today, w.actor, w.now, *measured,
        *given,
    )  # fmt: skip
    return made


@dataclass(frozen=True)
class Value:
    """A customer's figures of the window, its scores and group, and its rank by net sales.

    `top_percent` n: among the best n percent of all buyers by net sales of all time.
    """

    days_since_last: int
    purchases: int
    net: int
    scores: tuple[int, int, int]
    group: RfmGroup
    top_percent: int


async def value_of(
    session: Session, calendar: Calendar, currency: str, customer_ids: Sequence[int]
) -> dict[int, Value]:
    """The values of these customers, of those with a purchase in the window."""
    rows = await session.sql.fetch(
        f"""SELECT v.customer_id, v.r, v.f, v.m, {VALUED},
                   100 - width_bucket(f.paid - f.refunded - 1, model.percentiles) AS top_percent
            FROM ({figures_sql(calendar, "AND o.customer_id = ANY($7::bigint[])")}) v
            JOIN customer_facts f ON f.merchant_id = $1 AND f.customer_id = v.customer_id
                AND f.shop_id = $2 AND f.currency = $3
            CROSS JOIN {IN_FORCE} model WHERE model.percentiles IS NOT NULL""",
        *_scope(session, calendar, currency), list(customer_ids),
    )  # fmt: skip
    return {
        row["customer_id"]: Value(
            row["r"], row["f"], row["m"], _scores(row), _group(row), row["top_percent"]
        )
        for row in rows
    }


def _scores(row: Mapping[str, Any]) -> tuple[int, int, int]:
    return row["r_score"], row["f_score"], row["m_score"]


def _group(row: Mapping[str, Any]) -> RfmGroup:
    return GROUPS[row["r_good"], row["f_good"], row["m_good"]]


@dataclass(frozen=True)
class Cell:
    """How many customers of a group have the three scores; their net sales in minor units."""

    scores: tuple[int, int, int]
    group: RfmGroup
    customers: int
    net: int


async def distribution(session: Session, calendar: Calendar, currency: str) -> list[Cell]:
    """All customers with a purchase in the window, by scores and group, as of now; the best first.

    One statement over the orders of the window; nothing before the first measuring.
    """
    rows = await session.sql.fetch(
        f"""SELECT {VALUED}, count(*)::int AS customers, sum(v.m)::bigint AS net
            FROM ({figures_sql(calendar)}) v CROSS JOIN {IN_FORCE} model
            GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1 DESC, 2 DESC, 3 DESC, 4 DESC, 5 DESC, 6 DESC""",
        *_scope(session, calendar, currency),
    )
    return [Cell(_scores(row), _group(row), row["customers"], row["net"]) for row in rows]
