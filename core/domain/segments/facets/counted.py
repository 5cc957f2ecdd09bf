"""Orders and purchases that count, and the stored figures that spare adding them up.

An order counts when it was paid and was neither closed nor fully refunded since. A purchase is one
customer's counted orders of one day of one shop's calendar in one currency; its time is the first
payment of that day.
"""

from dataclasses import replace

from core.domain.orders.facts import COUNTED
from core.domain.segments.facets.filters import EVERY_ORDER, OrderFilter, day_of
from core.sdk.facets import Query, Rows

PURCHASES = "p.at, p.shop_id, p.currency"
"""The order of purchases; none stand beside each other in it."""
LATEST = "p.at DESC, p.shop_id DESC, p.currency DESC"


def counted(q: Query, orders: OrderFilter | None, *more: str) -> Rows:
    """The orders `o` that count as bought, with further conditions."""
    where = [COUNTED, *(orders or EVERY_ORDER).sql(q), *more]
    return Rows("orders o", "o.customer_id", where, existing=True)


def bought(q: Query, *wanted: OrderFilter | None) -> tuple[Rows, list[str]]:
    """Orders `o` that count and fit any of the filters, and the condition of each.

    Where products are asked for each time, and for all customers at once, their lines `l` are
    where to start: an order has a row for each line that fits.
    """
    filters = [one or EVERY_ORDER for one in wanted]
    lines = [one.line_sql(q) for one in filters]
    if all(lines) and not q.one_by_one:
        source = (
            "orders o JOIN order_lines l ON l.merchant_id = o.merchant_id AND l.order_id = o.id"
        )
        each = [[*one.order_sql(q), *some] for one, some in zip(filters, lines, strict=True)]
    else:
        source, each = "orders o", [one.sql(q) for one in filters]
    fits = [f"({' AND '.join(where) or 'TRUE'})" for where in each]
    where = [COUNTED, f"({' OR '.join(fits)})"]
    return Rows(source, "o.customer_id", where, existing=True), fits


def facts(q: Query, orders: OrderFilter | None, *more: str, by_day: bool = False) -> Rows:
    """The stored figures `f` of orders that only shops tell apart: one row per currency.

    For questions `by_day` they are of single shops, unless all shops have the same days.
    """
    shops = (orders or EVERY_ORDER).shop_sql(q, "f.shop_id")
    apart = shops or (by_day and not q.one_zone)
    where = ["f.shop_id > 0" if apart else "f.shop_id = 0", *shops, *more]
    return Rows("customer_facts f", "f.customer_id", where, existing=True, few=not apart)


def no_others(q: Query, rows: Rows, orders: OrderFilter | None, *tests: str) -> str:
    """A condition on stored figures `f` that `facts` gave: of the customer's figures of the same
    orders there are none, called `b`, for which the tests hold."""
    same = "b.shop_id = 0" if "f.shop_id = 0" in rows.where else "b.shop_id > 0"
    shops = (orders or EVERY_ORDER).shop_sql(q, "b.shop_id")
    whose = ["b.merchant_id = $1", "b.customer_id = f.customer_id", same, *shops]
    return f"NOT EXISTS (SELECT 1 FROM customer_facts b WHERE {' AND '.join([*whose, *tests])})"


def stored(orders: OrderFilter | None) -> bool:
    """Whether stored figures answer for such orders."""
    return (orders or EVERY_ORDER).only_shops


def single(orders: OrderFilter | None) -> bool:
    """Whether stored figures answer by one row per currency: of one shop, or of all."""
    asked = orders or EVERY_ORDER
    one_shop = asked.shop_ids is None or len(set(asked.shop_ids)) == 1
    return asked.only_shops and asked.platforms is None and one_shop


def purchases(q: Query, orders: OrderFilter | None, hit: str = "TRUE") -> Rows:
    """The purchases `p` of such orders: `at`, `day`, `shop_id`, `currency`, and `hit`: whether a
    condition holds for any of its orders."""
    rows = counted(q, orders)
    source = f"""(
        SELECT o.merchant_id, o.customer_id, o.shop_id, o.currency,
               {day_of("o.paid_at", q, "o.shop_id")} AS day, min(o.paid_at) AS at,
               bool_or({hit}) AS hit
        FROM {rows.source} WHERE o.merchant_id = $1 AND {" AND ".join(rows.where)}
        GROUP BY 1, 2, 3, 4, 5) p"""
    return Rows(source, "p.customer_id", existing=True)


def first_two(q: Query, orders: OrderFilter | None) -> Rows:
    """Purchases `p`, among them the first two of a customer's, from the stored figures `f`."""
    rows = facts(q, orders, "p.at IS NOT NULL", by_day=True)
    source = f"""{rows.source} CROSS JOIN LATERAL (
        VALUES (f.first_purchase_at, f.shop_id, f.currency),
               (f.second_purchase_at, f.shop_id, f.currency)) p (at, shop_id, currency)"""
    return replace(rows, source=source, few=False)


def only_one(
    q: Query, rows: Rows, total: str, bounds: tuple[str | None, str | None], none: bool
) -> str:
    """As `q.between`, for rows of which a customer has at most one: nothing is to be grouped."""
    low, high = bounds
    test = " AND ".join(
        f"{total} {sign} {bound}" for sign, bound in ((">=", low), ("<=", high)) if bound
    )
    kept = [*rows.where, f"NOT ({test})" if none else test]
    has = q.has(replace(rows, where=kept))
    return f"(NOT {has})" if none else has
