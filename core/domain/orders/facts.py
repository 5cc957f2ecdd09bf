"""What a customer's orders add up to, kept current in the transaction that changes an order.

A *purchase* is one customer's paid and not fully refunded orders of one day of the shop's calendar
taken together: split orders and several warehouses would otherwise fake a repurchase. Its time is
the first payment of that day. Net sales are paid less refunded; of an order no more than was paid
counts as refunded.
"""

from collections.abc import Collection, Iterable
from typing import Any

from core.domain.customers.identify import lock_customers
from core.domain.shops.shops import REFRESH_KIND
from core.storage.database import Database, Work
from core.storage.jobs import Job

CHUNK = 2000

REFUNDED = "CASE WHEN o.state = 'closed_refunded' THEN o.paid ELSE LEAST(o.refunded, o.paid) END"
"""What was paid back of order `o`, in minor units."""

COUNTED = """o.paid_at IS NOT NULL AND o.state NOT IN ('closed_unpaid', 'closed_refunded')
    AND (o.paid = 0 OR o.refunded < o.paid)"""
"""Whether order `o` counts as bought: paid, and not fully refunded or closed since."""

FACTS = (
    "orders", "purchases", "first_purchase_at", "second_purchase_at", "last_purchase_at",
    "days_between", "paid", "refunded", "refunds",
)  # fmt: skip

COMPUTED = f"""
    WITH paid_orders AS (
        SELECT o.customer_id, o.shop_id, o.currency, o.paid, o.paid_at, {REFUNDED} AS refunded,
               {COUNTED} AS counted, (o.paid_at AT TIME ZONE s.time_zone)::date AS day
        FROM unnest($2::bigint[]) AS wanted (id)
        CROSS JOIN LATERAL (  -- by customer, whatever the planner thinks of a table that fills
            SELECT * FROM orders
            WHERE merchant_id = $1 AND customer_id = wanted.id
              AND paid_at IS NOT NULL AND state <> 'closed_unpaid' OFFSET 0) o
        JOIN shops s ON s.merchant_id = $1 AND s.id = o.shop_id),
    days AS (
        SELECT customer_id, shop_id, currency,
               CASE WHEN bool_or(counted) THEN day END AS day,
               min(paid_at) FILTER (WHERE counted) AS at,
               count(*) FILTER (WHERE counted) AS orders, sum(paid)::bigint AS paid,
               sum(refunded)::bigint AS refunded, count(*) FILTER (WHERE refunded > 0) AS refunds
        FROM paid_orders GROUP BY customer_id, shop_id, currency, paid_orders.day)
    SELECT customer_id, COALESCE(shop_id, 0) AS shop_id, currency, sum(orders)::int AS orders,
           count(at)::int AS purchases, min(at) AS first_purchase_at,
           (array_agg(at ORDER BY at))[2] AS second_purchase_at, max(at) AS last_purchase_at,
           CASE WHEN count(at) > 1 THEN max(day) - min(day) END AS days_between,
           sum(paid)::bigint AS paid, sum(refunded)::bigint AS refunded,
           sum(refunds)::int AS refunds
    FROM days
    GROUP BY GROUPING SETS ((customer_id, shop_id, currency), (customer_id, currency))
"""
"""The facts of customers $2 of merchant $1, from their orders: per shop, and over all as shop 0."""


INSERT = f"""
    INSERT INTO customer_facts (merchant_id, customer_id, shop_id, currency, {", ".join(FACTS)})
    SELECT $1, customer_id, shop_id, currency, {", ".join(FACTS)} FROM ({COMPUTED}) computed
"""

UPSERT = f"""{INSERT}
    ON CONFLICT (merchant_id, customer_id, shop_id, currency) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in FACTS)}
    WHERE ({", ".join(f"customer_facts.{name}" for name in FACTS)})
          IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in FACTS)})
"""

FORGET = """
    DELETE FROM customer_facts f
    USING unnest($2::bigint[]) AS wanted (id)
    WHERE f.merchant_id = $1 AND f.customer_id = wanted.id
      AND NOT EXISTS (
          SELECT 1 FROM orders o
          WHERE o.merchant_id = $1 AND o.customer_id = f.customer_id AND o.currency = f.currency
            AND (o.shop_id = f.shop_id OR f.shop_id = 0)
            AND o.paid_at IS NOT NULL AND o.state <> 'closed_unpaid')
"""
"""Takes away the facts of customers who have no paid order left in that shop and currency."""


async def refresh_facts(w: Work, customer_ids: Iterable[int], shrinking: bool = True) -> None:
    """Bring the stored facts of these customers in line with their orders.

    With `shrinking` false no customer lost an order since the facts were right, which saves a
    statement.
    """
    ids = list(set(customer_ids))
    if ids:
        await w.sql.execute(UPSERT, w.merchant_id, ids)
    if ids and shrinking:
        await w.sql.execute(FORGET, w.merchant_id, ids)


async def first_facts(w: Work, customer_ids: Collection[int]) -> None:
    """Store the facts of customers who have none, as those whom this transaction has made.

    Without the look for facts that are there already it takes a fifth less time.
    """
    if customer_ids:
        await w.sql.execute(INSERT, w.merchant_id, list(customer_ids))


class FactsRefresh:
    """The job kind "facts.refresh": figures of a shop's customers anew, since its days moved."""

    name = REFRESH_KIND

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Go through the shop's customers by their ids; the result is how many there were."""
        while True:
            async with job.step(db) as w:
                await lock_customers(w)  # an import that goes on uses the new days
                rows = await w.sql.fetch(
                    """SELECT DISTINCT customer_id FROM customer_facts
                       WHERE merchant_id = $1 AND shop_id = $2 AND customer_id > $3
                       ORDER BY customer_id LIMIT $4""",
                    w.merchant_id, job.params["shop_id"], job.checkpoint.get("after", 0), CHUNK,
                )  # fmt: skip
                ids = [row[0] for row in rows]
                await refresh_facts(w, ids, shrinking=False)
                job.done += len(ids)
                if ids:
                    job.checkpoint = {"after": ids[-1]}
            if len(ids) < CHUNK:
                return {"customers": job.done}
