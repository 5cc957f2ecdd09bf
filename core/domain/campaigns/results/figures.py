"""What became of messages, and what they cost and earned: one statement for each table of figures.

Revenue is net sales of the orders credited to the messages: paid less refunded, booked to the day
of payment. Amounts are by currency: revenue in minor units, cost in millionths of the major unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson

from core.domain.campaigns.facets import DELIVERED
from core.domain.campaigns.results.holdout import HOLDOUT
from core.domain.lifecycle.calendar import Calendar
from core.domain.orders.facts import COUNTED, REFUNDED
from core.sdk.money import from_minor
from core.storage.database import Session

OPT_OUT_DAYS = 5
"""Who refuses further messages within so many days of one is said to have refused because of it."""

MILLION = 1_000_000
NET = f"o.paid - {REFUNDED}"


class By(Enum):
    """What figures of messages are grouped by, as SQL of a delivery `d`; none of it is NULL."""

    ALL = ("TRUE AS all_of_them",)
    RUN = ("d.run_id",)
    STEP = ("d.step",)
    VARIANT = ("d.step", "COALESCE(d.variant, -1) AS variant")
    CHANNEL = ("d.channel",)
    PROVIDER = ("d.channel", "COALESCE(d.provider, '') AS provider")

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [one.rpartition(" ")[2].removeprefix("d.") for one in self.value]


@dataclass(frozen=True)
class Figures:
    """Messages by what became of them, and their sales.

    `target` is the sum of held out, skipped, pending, sent, failed and unknown. `delivered` are
    those with a receipt, `bought` those that an order is credited to, `responded` those clicked or
    bought. `orders` and `buyers` are of orders that still count; `revenue` of all that were paid.
    """

    target: int
    held_out: int
    skipped: int
    pending: int
    sent: int
    failed: int
    unknown: int
    delivered: int
    undelivered: int
    opened: int
    clicked: int
    bought: int
    responded: int
    opted_out: int
    orders: int
    buyers: int
    revenue: Mapping[str, int]
    cost: Mapping[str, int]

    @property
    def arrival(self) -> Decimal | None:
        """Receipts of delivery by messages that the provider accepted; None if none was."""
        return share(self.delivered, self.sent)

    @property
    def response(self) -> Decimal | None:
        """Messages that were clicked or bought upon, by those delivered.

        By those sent where the provider tells nothing of deliveries.
        """
        return share(self.responded, self.delivered or self.sent)

    def returned(self, currency: str) -> Decimal | None:
        """Revenue for each unit of money spent in that currency; None if nothing was spent."""
        cost = self.cost.get(currency, 0)
        if not cost:
            return None
        earned = from_minor(self.revenue.get(currency, 0), currency)
        return round(earned * MILLION / cost, 2)


EMPTY = Figures(
    target=0, held_out=0, skipped=0, pending=0, sent=0, failed=0, unknown=0, delivered=0,
    undelivered=0, opened=0, clicked=0, bought=0, responded=0, opted_out=0, orders=0, buyers=0,
    revenue={}, cost={},
)  # fmt: skip


def share(part: int, whole: int) -> Decimal | None:
    """A part of a whole with four decimals; None of nothing."""
    return round(Decimal(part) / whole, 4) if whole else None


FILTERS = {
    "held_out": f"d.state = 'skipped' AND d.reason = '{HOLDOUT}'",
    "skipped": f"d.state = 'skipped' AND d.reason <> '{HOLDOUT}'",
    "pending": "d.state IN ('pending', 'sending')",
    "sent": "d.state = 'sent'",
    "failed": "d.state = 'failed'",
    "unknown": "d.state = 'unknown'",
    "delivered": DELIVERED,
    "undelivered": "d.receipt IN ('undelivered', 'bounced')",
    "opened": "d.opened_at IS NOT NULL",
    "clicked": "d.clicked_at IS NOT NULL",
}
"""What is told of each message by itself."""

REFUSED = f"""
    SELECT DISTINCT last.id AS delivery_id FROM consent_events e CROSS JOIN LATERAL (
        SELECT d.id, d.run_id, d.sent_at FROM deliveries d
        WHERE d.merchant_id = $1 AND d.customer_id = e.customer_id AND d.channel = e.channel
          AND d.state = 'sent' AND d.sent_at <= e.at
        ORDER BY d.sent_at DESC, d.id DESC LIMIT 1) last
    WHERE e.merchant_id = $1 AND e.status = 'denied' AND e.purpose = 'marketing'
      AND e.source <> 'merge' AND last.run_id = ANY($2)
      AND e.at < last.sent_at + interval '{OPT_OUT_DAYS * 24} hours'
      AND e.at >= (SELECT min(created_at) FROM campaign_runs
                   WHERE merchant_id = $1 AND id = ANY($2))
"""
"""The last message by the channel before a customer refused further ones."""


async def figures_by(
    session: Session, run_ids: Sequence[int], by: By
) -> dict[tuple[Any, ...], Figures]:
    """The figures of these runs' messages, by the values of what they are grouped by."""
    columns, names = ", ".join(by.value), ", ".join(by.names)
    counts = ", ".join(f"count(*) FILTER (WHERE {what}) AS {n}" for n, what in FILTERS.items())
    sums = ", ".join(f"sum({name})::bigint AS {name}" for name in ("target", *FILTERS))
    rows = await session.sql.fetch(
        f"""WITH sales AS MATERIALIZED (
                SELECT {columns}, a.delivery_id, d.clicked_at, o.customer_id, o.currency,
                       {NET} AS net, {COUNTED} AS counted
                FROM attributions a
                JOIN orders o ON o.merchant_id = $1 AND o.id = a.order_id
                JOIN deliveries d ON d.merchant_id = $1 AND d.id = a.delivery_id
                WHERE a.merchant_id = $1 AND a.run_id = ANY($2)),
            messages AS (  -- all by themselves; few were bought upon or refused, see below
                SELECT {columns}, d.currency, count(*) AS target, {counts},
                       sum(d.cost)::bigint AS cost
                FROM deliveries d WHERE d.merchant_id = $1 AND d.run_id = ANY($2)
                GROUP BY {names}, d.currency),
            revenues AS (
                SELECT {names}, jsonb_object_agg(currency, net) AS revenue
                FROM (SELECT {names}, currency, sum(net) AS net FROM sales
                      GROUP BY {names}, currency) one GROUP BY {names}),
            buyers AS (
                SELECT {names}, count(*) AS orders, count(DISTINCT customer_id) AS buyers,
                       count(DISTINCT delivery_id) AS bought,
                       count(DISTINCT delivery_id) FILTER (WHERE clicked_at IS NULL) AS unclicked
                FROM sales WHERE counted GROUP BY {names}),
            refusals AS (
                SELECT {columns}, count(*) AS opted_out FROM ({REFUSED}) r
                JOIN deliveries d ON d.merchant_id = $1 AND d.id = r.delivery_id GROUP BY {names})
            SELECT m.*, COALESCE(b.orders, 0) AS orders, COALESCE(b.buyers, 0) AS buyers,
                   COALESCE(b.bought, 0) AS bought,
                   m.clicked + COALESCE(b.unclicked, 0) AS responded,
                   COALESCE(x.opted_out, 0) AS opted_out, COALESCE(r.revenue, '{{}}') AS revenue
            FROM (SELECT {names}, {sums}, COALESCE(
                      jsonb_object_agg(currency, cost) FILTER (WHERE cost > 0), '{{}}') AS cost
                  FROM messages GROUP BY {names}) m
            LEFT JOIN revenues r USING ({names}) LEFT JOIN buyers b USING ({names})
            LEFT JOIN refusals x USING ({names})
            ORDER BY {names}""",
        session.merchant_id, list(run_ids),
    )  # fmt: skip
    return {tuple(row[name] for name in by.names): _figures(row) for row in rows}


async def figures_of(session: Session, run_ids: Sequence[int]) -> Figures:
    """The figures of these runs' messages together."""
    found = await figures_by(session, run_ids, By.ALL)
    return next(iter(found.values()), EMPTY)


def _figures(row: Mapping[str, Any]) -> Figures:
    values = {one.name: row[one.name] for one in fields(Figures)}
    for name in ("revenue", "cost"):
        values[name] = orjson.loads(values[name])
    return Figures(**values)


@dataclass(frozen=True)
class ShopSales:
    """What customers bought in one shop and currency, credited to messages."""

    shop_id: int
    currency: str
    orders: int
    buyers: int
    revenue: int


async def sales_by_shop(session: Session, run_ids: Sequence[int]) -> list[ShopSales]:
    """The sales credited to these runs, by the shop of the order."""
    rows = await session.sql.fetch(
        f"""SELECT o.shop_id, o.currency, count(*) FILTER (WHERE {COUNTED}) AS orders,
                   count(DISTINCT o.customer_id) FILTER (WHERE {COUNTED}) AS buyers,
                   sum({NET})::bigint AS revenue
            FROM attributions a JOIN orders o ON o.merchant_id = $1 AND o.id = a.order_id
            WHERE a.merchant_id = $1 AND a.run_id = ANY($2)
            GROUP BY o.shop_id, o.currency ORDER BY o.shop_id, o.currency""",
        session.merchant_id, list(run_ids),
    )  # fmt: skip
    return [ShopSales(**row) for row in rows]


@dataclass(frozen=True)
class Day:
    """What happened on a day: each by its own time, sales by the time of payment."""

    day: date
    sent: int
    delivered: int
    opened: int
    clicked: int
    orders: int
    revenue: Mapping[str, int]


async def figures_by_day(session: Session, calendar: Calendar, run_ids: Sequence[int]) -> list[Day]:
    """What happened on each day of the calendar on which anything did."""
    rows = await session.sql.fetch(
        f"""WITH happened AS (
                SELECT (x.at AT TIME ZONE $3)::date AS day, x.what, count(*) AS n
                FROM deliveries d CROSS JOIN LATERAL (VALUES
                    ('sent', d.sent_at), ('delivered', d.delivered_at), ('opened', d.opened_at),
                    ('clicked', d.clicked_at)) x (what, at)
                WHERE d.merchant_id = $1 AND d.run_id = ANY($2) AND x.at IS NOT NULL
                GROUP BY 1, 2),
            sold AS (
                SELECT (o.paid_at AT TIME ZONE $3)::date AS day, o.currency,
                       count(*) FILTER (WHERE {COUNTED}) AS orders, sum({NET})::bigint AS net
                FROM attributions a JOIN orders o ON o.merchant_id = $1 AND o.id = a.order_id
                WHERE a.merchant_id = $1 AND a.run_id = ANY($2) GROUP BY 1, 2)
            SELECT day,
                   (SELECT jsonb_object_agg(what, n) FROM happened h WHERE h.day = d.day) AS counts,
                   (SELECT sum(orders)::bigint FROM sold s WHERE s.day = d.day) AS orders,
                   (SELECT jsonb_object_agg(currency, net) FROM sold s WHERE s.day = d.day)
                       AS revenue
            FROM (SELECT day FROM happened UNION SELECT day FROM sold) d ORDER BY day""",
        session.merchant_id, list(run_ids), calendar.zone,
    )  # fmt: skip
    return [_day(row) for row in rows]


def _day(row: Mapping[str, Any]) -> Day:
    counts = orjson.loads(row["counts"] or "{}")
    names = ("sent", "delivered", "opened", "clicked")
    return Day(
        day=row["day"],
        **{name: counts.get(name, 0) for name in names},
        orders=row["orders"] or 0,
        revenue=orjson.loads(row["revenue"] or "{}"),
    )


@dataclass(frozen=True)
class Period:
    """The messages sent in a period by one channel and provider, and how many arrived."""

    channel: str
    provider: str
    sent: int
    delivered: int
    undelivered: int
    clicked: int

    @property
    def arrival(self) -> Decimal | None:
        """Receipts of delivery by messages that the provider accepted; None if none was."""
        return share(self.delivered, self.sent)


async def arrivals(session: Session, since: datetime, until: datetime) -> list[Period]:
    """How many of the messages sent from `since` until before `until` arrived, by provider."""
    rows = await session.sql.fetch(
        f"""SELECT d.channel, COALESCE(d.provider, '') AS provider, count(*) AS sent,
                   count(*) FILTER (WHERE {FILTERS["delivered"]}) AS delivered,
                   count(*) FILTER (WHERE {FILTERS["undelivered"]}) AS undelivered,
                   count(*) FILTER (WHERE {FILTERS["clicked"]}) AS clicked
            FROM deliveries d
            WHERE d.merchant_id = $1 AND d.state = 'sent' AND d.sent_at >= $2 AND d.sent_at < $3
            GROUP BY 1, 2 ORDER BY 1, 2""",
        session.merchant_id, since, until,
    )  # fmt: skip
    return [Period(**row) for row in rows]


WIN_BACK = timedelta(days=30)


@dataclass(frozen=True)
class WinBack:
    """Of the customers who asked for a refund, those who took it back or bought again soon."""

    applicants: int
    cancelled: int
    bought_again: int
    won_back: int

    @property
    def rate(self) -> Decimal | None:
        """Won back by applicants; None if there were none."""
        return share(self.won_back, self.applicants)


async def win_back(session: Session, shop_id: int, since: datetime, until: datetime) -> WinBack:
    """Who asked a shop (0: any) for a refund from `since` until before `until`, and was won back.

    That is who cancelled one of these, or paid another order that counts within 30 times 24 hours.
    """
    row = await session.figures(
        f"""SELECT count(*) AS applicants, count(*) FILTER (WHERE cancelled) AS cancelled,
                   count(*) FILTER (WHERE again) AS bought_again,
                   count(*) FILTER (WHERE cancelled OR again) AS won_back
            FROM (SELECT about.customer_id, bool_or(f.state = 'cancelled') AS cancelled,
                         bool_or(EXISTS (
                             SELECT 1 FROM orders o WHERE o.merchant_id = $1
                                AND o.customer_id = about.customer_id AND o.id <> about.id
                                AND ($2::bigint = 0 OR o.shop_id = $2) AND {COUNTED}
                                AND o.paid_at > f.requested_at
                                AND o.paid_at <= f.requested_at + $5::interval)) AS again
                  FROM refunds f
                  JOIN orders about ON about.merchant_id = $1 AND about.id = f.order_id
                  WHERE f.merchant_id = $1 AND ($2 = 0 OR f.shop_id = $2)
                    AND f.requested_at >= $3 AND f.requested_at < $4
                    AND about.customer_id IS NOT NULL
                  GROUP BY about.customer_id) one""",
        session.merchant_id, shop_id, since, until, WIN_BACK,
    )  # fmt: skip
    return WinBack(**row)
