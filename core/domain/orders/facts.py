"""What a customer's orders add up to, kept current in the transaction that changes an order.

A *purchase* is one customer's paid and not fully refunded orders of one day of the shop's calendar
taken together: split orders and several warehouses would otherwise fake a repurchase. Its time is
the first payment of that day. Net sales are paid less refunded; of an order no more than was paid
counts as refunded.
"""

from collections.abc import Iterable

from core.storage.database import Work

REFUNDED = "CASE WHEN o.state = 'closed_refunded' THEN o.paid ELSE LEAST(o.refunded, o.paid) END"
"""What was paid back of order `o`, in minor units."""

COUNTED = f"""o.paid_at IS NOT NULL AND o.state NOT IN ('closed_unpaid', 'closed_refunded')
    AND (o.paid = 0 OR {REFUNDED} < o.paid)"""
"""Whether order `o` counts as bought: paid, and not fully refunded or closed since."""

FACTS = (
    "orders", "purchases", "first_purchase_at", "second_purchase_at", "last_purchase_at",
    "days_between", "paid", "refunded", "refunds",
)  # fmt: skip

COMPUTED = f"""
    WITH paid_orders AS MATERIALIZED (
        SELECT o.customer_id, o.shop_id, o.currency, o.paid, o.paid_at, {REFUNDED} AS refunded,
               {COUNTED} AS counted, (o.paid_at AT TIME ZONE s.time_zone)::date AS day
        FROM orders o JOIN shops s ON s.merchant_id = o.merchant_id AND s.id = o.shop_id
        WHERE o.merchant_id = $1 AND o.customer_id = ANY($2::bigint[])
          AND o.paid_at IS NOT NULL AND o.state <> 'closed_unpaid'),
    purchases AS (
        SELECT customer_id, shop_id, currency, day, min(paid_at) AS at
        FROM paid_orders WHERE counted GROUP BY customer_id, shop_id, currency, day),
    times AS (
        SELECT customer_id, COALESCE(shop_id, 0) AS shop_id, currency, count(*) AS purchases,
               min(at) AS first_purchase_at, (array_agg(at ORDER BY at))[2] AS second_purchase_at,
               max(at) AS last_purchase_at,
               CASE WHEN count(*) > 1 THEN max(day) - min(day) END AS days_between
        FROM purchases
        GROUP BY GROUPING SETS ((customer_id, shop_id, currency), (customer_id, currency))),
    sums AS (
        SELECT customer_id, COALESCE(shop_id, 0) AS shop_id, currency,
               count(*) FILTER (WHERE counted) AS orders, sum(paid) AS paid,
               sum(refunded) AS refunded, count(*) FILTER (WHERE refunded > 0) AS refunds
        FROM paid_orders
        GROUP BY GROUPING SETS ((customer_id, shop_id, currency), (customer_id, currency)))
    SELECT s.customer_id, s.shop_id, s.currency, s.orders, COALESCE(t.purchases, 0) AS purchases,
           t.first_purchase_at, t.second_purchase_at, t.last_purchase_at, t.days_between,
           s.paid, s.refunded, s.refunds
    FROM sums s LEFT JOIN times t USING (customer_id, shop_id, currency)
"""
"""The facts of customers $2 of merchant $1, from their orders: per shop, and over all as shop 0."""


async def refresh_facts(w: Work, customer_ids: Iterable[int]) -> None:
    """Bring the stored facts of these customers in line with their orders."""
    ids = list(set(customer_ids))
    if not ids:
        return
    columns = ", ".join(FACTS)
    await w.sql.execute(
        f"""WITH computed AS MATERIALIZED ({COMPUTED}),
            gone AS (
                DELETE FROM customer_facts f
                WHERE f.merchant_id = $1 AND f.customer_id = ANY($2::bigint[])
                  AND NOT EXISTS (
                      SELECT 1 FROM computed c WHERE c.customer_id = f.customer_id
                         AND c.shop_id = f.shop_id AND c.currency = f.currency))
            INSERT INTO customer_facts (merchant_id, customer_id, shop_id, currency, {columns})
            SELECT $1, customer_id, shop_id, currency, {columns} FROM computed
            ON CONFLICT (merchant_id, customer_id, shop_id, currency) DO UPDATE SET
                {", ".join(f"{name} = excluded.{name}" for name in FACTS)}
            WHERE ({", ".join(f"customer_facts.{name}" for name in FACTS)})
                  IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in FACTS)})""",
        w.merchant_id, ids,
    )  # fmt: skip
