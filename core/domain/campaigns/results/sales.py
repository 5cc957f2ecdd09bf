"""CRM sales of a period: what was credited to messages, of all that a shop sold."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from core.domain.campaigns.results.figures import NET, share
from core.domain.lifecycle.calendar import Calendar
from core.domain.orders.facts import COUNTED
from core.sdk.errors import InvalidInput
from core.storage.database import Session

MAX_DAYS = 400

SOLD = f"""count(*) FILTER (WHERE {COUNTED}) AS orders, COALESCE(sum({NET}), 0)::bigint AS sales,
    count(*) FILTER (WHERE {COUNTED} AND a.order_id IS NOT NULL) AS crm_orders,
    COALESCE(sum({NET}) FILTER (WHERE a.order_id IS NOT NULL), 0)::bigint AS crm_sales,
    count(DISTINCT o.customer_id) FILTER (WHERE {COUNTED} AND a.order_id IS NOT NULL)
        AS crm_buyers"""


@dataclass(frozen=True)
class Sales:
    """Net sales in minor units of one currency, and the part credited to messages."""

    orders: int
    sales: int
    crm_orders: int
    crm_sales: int
    crm_buyers: int

    @property
    def share(self) -> Decimal | None:
        """CRM sales by all sales; None if nothing was sold."""
        return share(self.crm_sales, self.sales)


@dataclass(frozen=True)
class CampaignSales:
    """What was credited to one campaign's messages on one channel."""

    campaign_id: int
    channel: str
    orders: int
    buyers: int
    sales: int


@dataclass(frozen=True)
class SalesReport:
    """The days from `first` to `last` in one currency; days without a payment are left out."""

    currency: str
    first: date
    last: date
    total: Sales
    days: dict[date, Sales]
    campaigns: list[CampaignSales]


NOTHING = Sales(0, 0, 0, 0, 0)


async def crm_sales(
    session: Session, calendar: Calendar, first: date, last: date, currency: str | None = None
) -> SalesReport:
    """What a shop (or all) sold in these days of its calendar, by the day of payment.

    Without a currency in that of the shop. Raises InvalidInput.
    """
    if not first <= last < first + timedelta(days=MAX_DAYS):
        raise InvalidInput(f"a report has from 1 to {MAX_DAYS} days", ("to",))
    currency = currency or calendar.currency
    # each currency's sums are its own; the shop is left out of the condition where all are meant
    shop = "AND o.shop_id = $6" if calendar.shop_id else "AND $6::bigint = 0"
    where = f"""o.merchant_id = $1 AND o.currency = $2 AND o.paid_at >= $3 AND o.paid_at < $4
        AND o.state <> 'closed_unpaid' {shop}"""
    arguments = (
        session.merchant_id, currency, calendar.start_of(first), calendar.end_of(last),
        calendar.zone, calendar.shop_id,
    )  # fmt: skip
    rows = await session.sql.fetch(
        f"""SELECT (o.paid_at AT TIME ZONE $5)::date AS day, {SOLD}
            FROM orders o LEFT JOIN attributions a ON a.merchant_id = $1 AND a.order_id = o.id
            WHERE {where} GROUP BY GROUPING SETS ((day), ()) ORDER BY day""",
        *arguments,
    )
    campaigns = await session.sql.fetch(
        f"""SELECT r.campaign_id, d.channel, count(*) FILTER (WHERE {COUNTED}) AS orders,
                   count(DISTINCT o.customer_id) FILTER (WHERE {COUNTED}) AS buyers,
                   sum({NET})::bigint AS sales
            FROM orders o
            JOIN attributions a ON a.merchant_id = $1 AND a.order_id = o.id
            JOIN deliveries d ON d.merchant_id = $1 AND d.id = a.delivery_id
            JOIN campaign_runs r ON r.merchant_id = $1 AND r.id = a.run_id
            WHERE {where} AND $5 <> '' GROUP BY 1, 2 ORDER BY sales DESC, 1, 2""",
        *arguments,
    )
    made = {row["day"]: Sales(*list(row.values())[1:]) for row in rows}
    total = made.pop(None, NOTHING)
    return SalesReport(
        currency, first, last, total, made, [CampaignSales(**row) for row in campaigns]
    )
