"""What a rule achieved: who got an insert against who was kept back by chance."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from core.domain.orders.facts import COUNTED
from core.sdk import InvalidInput
from plugins.packages.outcomes import Outcome

MOST_DAYS = 365


@dataclass(frozen=True)
class Arm:
    """Customers of whom something was decided first so, and how many of them bought again.

    `insert_id` is None for those who were kept back. `paid` is in minor units of the merchant's
    currency, of all that they bought again.
    """

    insert_id: int | None
    customers: int
    bought_again: int
    paid: int


async def results(session: Any, rule_id: int, days: int) -> list[Arm]:
    """What customers bought in so many days after the rule's first decision about them.

    Only those are counted whose days are over. Raises InvalidInput.
    """
    if not 1 <= days <= MOST_DAYS:
        raise InvalidInput(f"from 1 to {MOST_DAYS} days", ("days",))
    rows = await session.sql.fetch(
        f"""WITH first AS (
                SELECT DISTINCT ON (c.customer_id) c.customer_id, c.at, p.order_id,
                       CASE WHEN c.outcome = {Outcome.GIVEN:d} THEN c.insert_id END AS insert_id
                FROM packages_choices c
                JOIN packages_parcels p ON p.merchant_id = $1 AND p.id = c.parcel_id
                WHERE c.merchant_id = $1 AND c.rule_id = $2 AND c.customer_id IS NOT NULL
                  AND c.outcome IN ({Outcome.GIVEN:d}, {Outcome.HOLDOUT:d})
                ORDER BY c.customer_id, c.at, c.id)
            SELECT f.insert_id, count(*) AS customers,
                   count(*) FILTER (WHERE b.n > 0) AS bought_again,
                   COALESCE(sum(b.paid), 0)::bigint AS paid
            FROM first f CROSS JOIN LATERAL (
                SELECT count(*) AS n,
                       sum(o.paid - o.refunded) FILTER (WHERE o.currency = m.currency) AS paid
                FROM orders o JOIN merchants m ON m.id = $1
                WHERE o.merchant_id = $1 AND o.customer_id = f.customer_id AND o.id <> f.order_id
                  AND o.paid_at > f.at AND o.paid_at <= f.at + $3::interval AND {COUNTED}) b
            WHERE f.at <= $4::timestamptz - $3::interval
            GROUP BY f.insert_id ORDER BY f.insert_id NULLS LAST""",
        session.merchant_id, rule_id, timedelta(days=days), session.now,
    )  # fmt: skip
    return [Arm(**row) for row in rows]
