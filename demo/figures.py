"""What the stored orders say about the shop, and a chart of it for the terminal."""

from dataclasses import dataclass
from datetime import date, timedelta

from core.storage.database import Session
from demo.shop_data import YEAR, Figures

BAR_WIDTH = 44

# A purchase is what a customer bought on one day; the first one makes a new customer, later ones
# are an old customer's.
PURCHASES = """
    WITH bought AS (
        SELECT customer_id, (paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day,
               sum(paid - refunded) AS net
        FROM orders
        WHERE merchant_id = $1 AND paid_at IS NOT NULL AND refunded < paid
          AND state NOT IN ('closed_unpaid', 'closed_refunded')
        GROUP BY 1, 2),
    purchases AS (
        SELECT customer_id, day, net, min(day) OVER (PARTITION BY customer_id) AS first_day
        FROM bought)"""


@dataclass(frozen=True)
class Month:
    """Net sales of a month in fen, from new and from old customers."""

    name: str
    new: int
    old: int


async def figures_of(session: Session, end: date) -> Figures:
    """The two figures of the year that ends with `end`."""
    row = await session.sql.fetchrow(
        f"""{PURCHASES}
            SELECT (sum(net) FILTER (WHERE day > first_day) / sum(net))::float AS old_share,
                   count(DISTINCT customer_id) FILTER (WHERE first_day < $2)::float
                   / (SELECT count(DISTINCT customer_id) FROM purchases WHERE day < $2)
                       AS old_repurchase
            FROM purchases WHERE day BETWEEN $2 AND $3""",
        session.merchant_id, end - timedelta(days=YEAR - 1), end,
    )  # fmt: skip
    return Figures(row["old_share"], row["old_repurchase"])


async def months_of(session: Session, count: int = 12) -> list[Month]:
    """The last months with sales."""
    rows = await session.sql.fetch(
        f"""{PURCHASES}
            SELECT to_char(day, 'YYYY-MM') AS month,
                   COALESCE(sum(net) FILTER (WHERE day = first_day), 0)::bigint AS new,
                   COALESCE(sum(net) FILTER (WHERE day > first_day), 0)::bigint AS old
            FROM purchases GROUP BY 1 ORDER BY 1 DESC LIMIT $2""",
        session.merchant_id, count,
    )  # fmt: skip
    return [Month(row["month"], row["new"], row["old"]) for row in reversed(rows)]


def chart(months: list[Month]) -> list[str]:
    """Lines of a bar chart, new customers' sales first."""
    most = max((month.new + month.old for month in months), default=0) or 1
    lines = []
    for month in months:
        new = round(BAR_WIDTH * month.new / most)
        old = round(BAR_WIDTH * (month.new + month.old) / most) - new
        bar = "█" * new + "░" * old
        lines.append(f"{month.name}  {bar:<{BAR_WIDTH}}  ¥{(month.new + month.old) // 100:>9,}")
    return lines
