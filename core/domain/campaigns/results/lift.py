"""What a run added, and who responded to it: from its ledger and the orders afterwards.

Treated are the customers whose message was meant to go out, control those held out; whoever policy
forbids to write to is in neither. Both are followed over the same time: of a broadcast from its
planning until the longest window after its last message, of a journey from coming in for as long as
its steps can take and the longest window on top.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from core.domain.campaigns import chance
from core.domain.campaigns.flows import stored_flow
from core.domain.campaigns.results.bootstrap import Group, Lift, Spend, lift_of
from core.domain.campaigns.results.figures import NET
from core.domain.campaigns.results.holdout import HOLDOUT
from core.domain.campaigns.results.windows import longest, windows
from core.domain.lifecycle.calendar import Calendar
from core.domain.orders.facts import COUNTED
from core.sdk.errors import NotFound
from core.sdk.flows import Flow, Wait, WaitFor
from core.storage.database import Session

GROUPS = 100
"""Buyers are grouped by what they spent into about so many groups of equal sums."""

CURVE_POINTS = 20
SCORE_DAYS = 365

BROADCAST = f"""
    SELECT d.customer_id, d.reason IS NOT DISTINCT FROM '{HOLDOUT}' AS held,
           $3::timestamptz AS since, $4::timestamptz AS until
    FROM deliveries d WHERE d.merchant_id = $1 AND d.run_id = $2
      -- a row skipped after it was taken in hand was meant to go out
      AND (d.state <> 'skipped' OR d.reason = '{HOLDOUT}' OR d.attempts > 0)
      AND $7::bigint > 0
"""

JOURNEY = f"""
    SELECT DISTINCT ON (e.customer_id) e.customer_id,
           e.reason IS NOT DISTINCT FROM '{HOLDOUT}' AS held, e.entered_at AS since,
           e.entered_at + ($4::timestamptz - $3::timestamptz) AS until
    FROM enrolments e WHERE e.merchant_id = $1 AND e.run_id = $2 AND e.campaign_id = $7
    ORDER BY e.customer_id, e.entered_at, e.id
"""


class Score(Enum):
    """By what customers are ordered, as it was when the run began: net sales of the year before,
    number of orders in it, or how recent the last of them was."""

    NET_SALES = "NET_SALES"
    ORDERS = "ORDERS"
    RECENCY = "RECENCY"


SCORES = {
    Score.NET_SALES: f"sum({NET})::bigint",
    Score.ORDERS: "count(*)",
    Score.RECENCY: "EXTRACT(epoch FROM max(o.paid_at))::bigint",
}
"""Of a customer's orders; 0 without any."""


@dataclass(frozen=True)
class Run:
    """A run as its figures need it; `longest` is the longest window when it began."""

    id: int
    campaign_id: int
    shop_id: int | None
    kind: str
    flow: Flow
    began_at: datetime
    finished_at: datetime | None
    longest: timedelta


async def read_run(session: Session, run_id: int) -> Run:
    """Raises NotFound."""
    row = await session.sql.fetchrow(
        """SELECT r.*, c.shop_id, c.kind FROM campaign_runs r
           JOIN campaigns c ON c.merchant_id = r.merchant_id AND c.id = r.campaign_id
           WHERE r.merchant_id = $1 AND r.id = $2""",
        session.merchant_id, run_id,
    )  # fmt: skip
    if row is None:
        raise NotFound(f"there is no run {run_id}", ("id",))
    began = row["planned_at"] or row["created_at"]
    flow = stored_flow(row["flow"])
    channels = {send.channel for send in flow.sends().values()}
    return Run(
        row["id"], row["campaign_id"], row["shop_id"], row["kind"], flow, began,
        row["finished_at"], longest(await windows(session), began, channels),
    )  # fmt: skip


def flow_length(flow: Flow) -> timedelta:
    """The longest that a customer can be on the way, waits until a time of day not counted."""
    after: dict[int, timedelta] = {}

    def length(number: int) -> timedelta:
        if number not in after:
            step, own = flow.steps[number], timedelta()
            if isinstance(step, Wait):
                own = step.span.span
            elif isinstance(step, WaitFor):
                own = step.timeout.span
            after[number] = own + max(map(length, flow.targets(number)), default=timedelta())
        return after[number]

    return length(0)


async def lift_of_run(session: Session, calendar: Calendar, run: Run) -> Lift | None:
    """What the run added in the currency and shop of the calendar; None without a holdout.

    A run that goes on is compared as far as it has come.
    """
    until = run.began_at + flow_length(run.flow) + run.longest
    if run.kind != "journey":
        last = await session.sql.fetchval(
            "SELECT max(sent_at) FROM deliveries WHERE merchant_id = $1 AND run_id = $2",
            session.merchant_id, run.id,
        )  # fmt: skip
        until = (last or run.began_at) + run.longest
    people = JOURNEY if run.kind == "journey" else BROADCAST
    rows = await session.sql.fetch(
        f"""WITH people AS MATERIALIZED ({people}),
            spent AS (
                SELECT p.held, sum({NET}) AS net FROM people p
                JOIN orders o ON o.merchant_id = $1 AND o.customer_id = p.customer_id
                 AND o.paid_at >= p.since AND o.paid_at < p.until
                 -- of everybody, so that an index finds the orders of the time
                 AND o.paid_at >= (SELECT min(since) FROM people)
                 AND o.paid_at < (SELECT max(until) FROM people)
                WHERE o.currency = $5 AND ($6::bigint = 0 OR o.shop_id = $6) AND {COUNTED}
                GROUP BY p.held, p.customer_id),
            placed AS (
                SELECT held, net, (sum(net) OVER w - net) * {GROUPS}
                       / NULLIF(sum(net) OVER (PARTITION BY held), 0) AS place
                FROM spent WINDOW w AS (PARTITION BY held ORDER BY net ROWS UNBOUNDED PRECEDING))
            SELECT held, FALSE AS bought, count(*) AS n, 0 AS net FROM people GROUP BY held
            UNION ALL
            SELECT held, TRUE, count(*), sum(net)::bigint FROM placed
            GROUP BY held, floor(COALESCE(place, 0)) ORDER BY held, bought, net""",
        session.merchant_id, run.id, run.began_at, until, calendar.currency, calendar.shop_id,
        run.campaign_id,
    )  # fmt: skip
    treated, control = (_group([row for row in rows if row["held"] == held])
                        for held in (False, True))  # fmt: skip
    if not control.customers:
        return None
    return await asyncio.to_thread(lift_of, treated, control, run.id)


def _group(rows: list[Mapping[str, Any]]) -> Group:
    customers = sum(row["n"] for row in rows if not row["bought"])
    return Group(customers, [Spend(row["n"], row["net"]) for row in rows if row["bought"]])


@dataclass(frozen=True)
class CurvePoint:
    """The first `customers` in the order hold so many of the responders."""

    percent: int
    customers: int
    responders: int


async def lift_curve(
    session: Session, calendar: Calendar, run: Run, score: Score
) -> list[CurvePoint]:
    """How many of the run's responders are among its best customers, in steps of 5 percent.

    Responders clicked or bought. The best x percent of n customers are the first ceil(x * n / 100);
    equal scores are ordered by chance, the same each time. Empty when nothing was sent.
    """
    rows = await session.sql.fetch(
        f"""WITH people AS MATERIALIZED (
                SELECT d.customer_id, bool_or(d.clicked_at IS NOT NULL OR s.delivery_id IS NOT NULL)
                           AS responded
                FROM deliveries d LEFT JOIN (
                    SELECT DISTINCT a.delivery_id FROM attributions a
                    JOIN orders o ON o.merchant_id = $1 AND o.id = a.order_id
                    WHERE a.merchant_id = $1 AND a.run_id = $2 AND {COUNTED}) s
                  ON s.delivery_id = d.id
                WHERE d.merchant_id = $1 AND d.run_id = $2 AND d.state = 'sent'
                GROUP BY d.customer_id),
            scores AS (
                SELECT o.customer_id, {SCORES[score]} AS score FROM orders o
                WHERE o.merchant_id = $1 AND o.paid_at >= $3 AND o.paid_at < $4
                  AND o.currency = $5 AND ($6::bigint = 0 OR o.shop_id = $6) AND {COUNTED}
                  AND o.customer_id IN (SELECT customer_id FROM people)
                GROUP BY o.customer_id),
            ranked AS (
                SELECT p.responded, row_number() OVER (
                    ORDER BY COALESCE(s.score, 0) DESC,
                             {chance.share_sql("p.customer_id", "$7::text")}, p.customer_id
                    ) AS place
                FROM people p LEFT JOIN scores s ON s.customer_id = p.customer_id)
            SELECT (place - 1) * {CURVE_POINTS} / n + 1 AS point, count(*) AS customers,
                   count(*) FILTER (WHERE responded) AS responders
            FROM ranked, (SELECT count(*) AS n FROM people) all_of_them
            GROUP BY point ORDER BY point""",
        session.merchant_id, run.id, run.began_at - timedelta(days=SCORE_DAYS), run.began_at,
        calendar.currency, calendar.shop_id, chance.salt(run.campaign_id, "lift"),
    )  # fmt: skip
    found = {row["point"]: row for row in rows}
    points, customers, responders = [], 0, 0
    for number in range(1, CURVE_POINTS + 1) if found else ():
        if number in found:
            customers += found[number]["customers"]
            responders += found[number]["responders"]
        points.append(CurvePoint(number * 100 // CURVE_POINTS, customers, responders))
    return points
