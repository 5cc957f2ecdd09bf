"""Which of a group of enrolments fulfil a condition, asked in one statement."""

from collections.abc import Sequence

from core.domain.campaigns.journeys.asking import new_query, rule_sql
from core.registry import Registry
from core.sdk.facets import Query
from core.sdk.flows import Condition, OrderIs
from core.storage.database import Work


async def fulfilling(
    w: Work, registry: Registry, condition: Condition, enrolment_ids: Sequence[int]
) -> set[int]:
    """Those whose customer fulfils the rule and whose order is so. Raises Several."""
    q = await new_query(w)
    rule = await rule_sql(w, registry, q, condition.rule)
    order = order_is_sql(condition.order, q) if condition.order else "TRUE"
    rows = await w.sql.fetch(
        f"""SELECT e.id FROM enrolments e
            JOIN customers c ON c.merchant_id = e.merchant_id AND c.id = e.customer_id
            WHERE e.merchant_id = $1 AND e.id = ANY({q.arg(list(enrolment_ids), "bigint[]")})
              AND {rule} AND {order}""",
        *q.args,
    )
    return {row["id"] for row in rows}


def order_is_sql(asked: OrderIs, q: Query) -> str:
    """What is asked of the order of enrolment `e`, as SQL; false where there is none."""
    made = ["o.merchant_id = $1", "o.id = e.order_id"]
    if asked.states is not None:
        made.append(f"o.state = ANY({q.arg([str(s) for s in asked.states], 'text[]')})")
    if asked.shop_ids is not None:
        made.append(f"o.shop_id = ANY({q.arg(asked.shop_ids, 'bigint[]')})")
    if asked.total_at_least is not None:
        made.append(f"o.total >= {q.arg(asked.total_at_least, 'bigint')}")
    if asked.total_at_most is not None:
        made.append(f"o.total <= {q.arg(asked.total_at_most, 'bigint')}")
    for column, values in (("product_id", asked.product_ids), ("category", asked.categories)):
        if values is not None:
            made.append(f"""EXISTS (
                SELECT 1 FROM order_lines l WHERE l.merchant_id = $1 AND l.order_id = o.id
                   AND l.{column} = ANY({q.arg(values, "text[]")}))""")
    if asked.parcels_at_least is not None:
        made.append(f"""(SELECT count(*) FROM parcels p WHERE p.merchant_id = $1
            AND p.order_id = o.id) >= {q.arg(asked.parcels_at_least, "int")}""")
    if asked.parcels_signed is not None:
        made.append(f"""{"NOT " * asked.parcels_signed}EXISTS (
            SELECT 1 FROM parcels p WHERE p.merchant_id = $1 AND p.order_id = o.id
               AND p.state IS DISTINCT FROM 'signed')""")
    return f"EXISTS (SELECT 1 FROM orders o WHERE {' AND '.join(made)})"
