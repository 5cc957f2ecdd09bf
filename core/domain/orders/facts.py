"""What customers' orders add up to, per shop and currency and over all shops (shop 0).

A purchase is a customer's paid orders of one day of the shop, unless they were closed.
"""

from collections.abc import Sequence

from core.storage.database import Work


async def refresh_facts(w: Work, customer_ids: Sequence[int]) -> None:
    """Make the figures of these customers those of their stored orders."""
    if not customer_ids:
        return
    await w.sql.execute(
        "DELETE FROM customer_facts WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])",
        w.merchant_id, list(customer_ids),
    )  # fmt: skip
    await w.sql.execute(
        """WITH counted AS (
               SELECT o.customer_id, o.shop_id, o.currency, o.paid, o.refunded, o.paid_at,
                      (o.paid_at AT TIME ZONE s.time_zone)::date AS day,
                      o.paid_at IS NOT NULL
                          AND o.state NOT IN ('closed_unpaid', 'closed_refunded') AS bought
               FROM orders o JOIN shops s ON s.merchant_id = $1 AND s.id = o.shop_id
               WHERE o.merchant_id = $1 AND o.customer_id = ANY($2::bigint[])),
           spread AS (
               SELECT *, shop_id AS scope FROM counted UNION ALL SELECT *, 0 FROM counted),
           days AS (
               SELECT customer_id, scope, currency, min(paid_at) AS at,
                      row_number() OVER (PARTITION BY customer_id, scope, currency
                                         ORDER BY min(paid_at)) AS number
               FROM spread WHERE bought GROUP BY customer_id, scope, currency, shop_id, day),
           purchases AS (
               SELECT customer_id, scope, currency, count(*) AS purchases, min(at) AS first_at,
                      min(at) FILTER (WHERE number = 2) AS second_at, max(at) AS last_at
               FROM days GROUP BY 1, 2, 3)
           INSERT INTO customer_facts (merchant_id, customer_id, shop_id, currency, orders,
               purchases, first_purchase_at, second_purchase_at, last_purchase_at, days_between,
               paid, refunded, refunds)
           SELECT $1, x.customer_id, x.scope, x.currency, count(*), COALESCE(max(p.purchases), 0),
                  max(p.first_at), max(p.second_at), max(p.last_at),
                  CASE WHEN max(p.purchases) > 1
                       THEN (EXTRACT(EPOCH FROM max(p.last_at) - max(p.first_at)) / 86400
                             / (max(p.purchases) - 1))::int END,
                  sum(x.paid), sum(x.refunded), count(*) FILTER (WHERE x.refunded > 0)
           FROM spread x LEFT JOIN purchases p USING (customer_id, scope, currency)
           GROUP BY x.customer_id, x.scope, x.currency""",
        w.merchant_id, list(customer_ids),
    )  # fmt: skip
