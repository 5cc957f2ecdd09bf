"""Products' own cycles: after how many days customers buy the same product again."""

from core.domain.orders.facts import COUNTED
from core.storage.database import Work

MIN_SAMPLE = 20
"""Of fewer gaps between purchases of a product nothing is concluded."""

BOUGHT_AGAIN = f"""
    WITH again AS (  -- who bought once at all bought nothing again
        SELECT customer_id FROM customer_facts WHERE merchant_id = $1 AND shop_id = 0
        GROUP BY customer_id HAVING sum(purchases) > 1),
    bought AS (
        SELECT o.shop_id, l.product_id, o.customer_id,
               (o.paid_at AT TIME ZONE s.time_zone)::date AS day
        FROM orders o
        JOIN order_lines l ON l.merchant_id = o.merchant_id AND l.order_id = o.id
        JOIN shops s ON s.merchant_id = o.merchant_id AND s.id = o.shop_id
        JOIN again ON again.customer_id = o.customer_id
        WHERE o.merchant_id = $1 AND l.product_id IS NOT NULL AND {COUNTED}),
    gaps AS (
        SELECT shop_id, product_id, customer_id,
               day - lag(day) OVER (PARTITION BY shop_id, product_id, customer_id ORDER BY day)
                   AS days
        FROM bought)
    SELECT shop_id, product_id, percentile_disc(0.5) WITHIN GROUP (ORDER BY days) AS days,
           count(*)::int AS sample, count(DISTINCT customer_id)::int AS customers
    FROM gaps WHERE days > 0
    GROUP BY shop_id, product_id HAVING count(*) >= $2::int
"""
"""The median gap of each product of merchant $1 that was bought again at least $2 times."""


async def measure_cycles(w: Work) -> int:
    """Bring the products' cycles in line with the orders; returns how many products have one."""
    measured: int = await w.sql.fetchval(
        f"""WITH measured AS ({BOUGHT_AGAIN}),
            stored AS (
                INSERT INTO product_cycles
                    (merchant_id, shop_id, product_id, days, sample, customers, at)
                SELECT $1, shop_id, product_id, days, sample, customers, $3 FROM measured
                ON CONFLICT (merchant_id, shop_id, product_id) DO UPDATE SET
                    days = excluded.days, sample = excluded.sample,
                    customers = excluded.customers, at = excluded.at
                RETURNING 1),
            gone AS (
                DELETE FROM product_cycles p
                WHERE p.merchant_id = $1 AND NOT EXISTS (
                    SELECT 1 FROM measured m
                    WHERE m.shop_id = p.shop_id AND m.product_id = p.product_id))
            SELECT count(*) FROM stored""",
        w.merchant_id, MIN_SAMPLE, w.now,
    )  # fmt: skip
    return measured
