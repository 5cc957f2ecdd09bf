"""Segments from trivial to the worst that a marketer builds, each beside SQL written by hand.

The statements are what somebody writes who knows the tables and their indexes, has the stored
figures of customers at hand, and answers this one question only, right for whatever the merchant
may have.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Ago = Callable[[int], str]
"""SQL of the first instant of the day so many days before today."""

BOUGHT = """o.merchant_id = $1 AND o.paid_at IS NOT NULL
    AND o.state NOT IN ('closed_unpaid', 'closed_refunded')
    AND (o.paid = 0 OR o.refunded < o.paid)"""
NET = "sum(o.paid - LEAST(o.refunded, o.paid))"


@dataclass(frozen=True)
class Question:
    """A rule, and the hand-written count of the same customers; $1 is the merchant."""

    name: str
    rule: dict[str, Any]
    hand: Callable[[Ago], str]


SHOP = "JOIN shops s ON s.merchant_id = o.merchant_id AND s.id = o.shop_id"


def _of_products(*products: str, joined: str = "") -> str:
    names = ", ".join(f"'{one}'" for one in products)
    return f"""FROM order_lines l
        JOIN orders o ON o.merchant_id = l.merchant_id AND o.id = l.order_id {joined}
        WHERE l.merchant_id = $1 AND l.product_id IN ({names}) AND {BOUGHT}"""


def _within(days: int, **asked: Any) -> dict[str, Any]:
    return {"orders": {"within": {"last_days": days}, **asked}}


QUESTIONS = [
    Question(
        "province",
        {"province": {"any_of": ["浙江"]}},
        lambda ago: """SELECT count(*) FROM customers
            WHERE merchant_id = $1 AND province = '浙江省'""",
    ),
    Question(
        "phone_and_tag",
        {"all": [{"has_phone": {}}, {"tag": {"any_of": ["vip"]}}]},
        lambda ago: """SELECT count(*) FROM customer_tags t
            JOIN customers c ON c.merchant_id = t.merchant_id AND c.id = t.customer_id
            WHERE t.merchant_id = $1 AND t.tag = 'vip' AND c.phone_index IS NOT NULL""",
    ),
    Question(
        "twice_in_180_days",
        {"order_count": {"at_least": 2, **_within(180)}},
        lambda ago: f"""SELECT count(*) FROM (
            SELECT o.customer_id FROM orders o WHERE {BOUGHT} AND o.paid_at >= {ago(180)}
            GROUP BY o.customer_id HAVING count(*) >= 2) x WHERE customer_id IS NOT NULL""",
    ),
    Question(
        "spent_in_a_year",
        {"order_sum": {"currency": "CNY", "at_least": "1500", **_within(365)}},
        lambda ago: f"""SELECT count(*) FROM (
            SELECT o.customer_id FROM orders o
            WHERE {BOUGHT} AND o.currency = 'CNY' AND o.paid_at >= {ago(365)}
            GROUP BY o.customer_id HAVING {NET} >= 150000) x WHERE customer_id IS NOT NULL""",
    ),
    Question(
        "last_90_to_400_days_ago",
        {"days_since_last_purchase": {"at_least": 90, "at_most": 400}},
        lambda ago: f"""SELECT count(DISTINCT f.customer_id) FROM customer_facts f
            WHERE f.merchant_id = $1 AND f.shop_id = 0
              AND f.last_purchase_at >= {ago(400)} AND f.last_purchase_at < {ago(89)}
              AND NOT EXISTS (
                  SELECT 1 FROM customer_facts g WHERE g.merchant_id = $1 AND g.shop_id = 0
                    AND g.customer_id = f.customer_id AND g.last_purchase_at >= {ago(89)})""",
    ),
    Question(
        "this_and_never_that",
        {"all": [
            {"bought": {"orders": {"product_ids": ["P1"]}}},
            {"not": {"bought": {"orders": {"product_ids": ["P0"]}}}},
        ]},
        # the orders are read once for both
        lambda ago: f"""SELECT count(*) FROM (
            SELECT o.customer_id {_of_products("P0", "P1")} AND o.customer_id IS NOT NULL
            GROUP BY o.customer_id
            HAVING bool_or(l.product_id = 'P1') AND NOT bool_or(l.product_id = 'P0')) x""",
    ),
    Question(
        "this_then_that",
        {"bought_then": {
            "first": {"product_ids": ["P0"]}, "then": {"product_ids": ["P1"]}, "days_at_most": 30,
        }},
        lambda ago: f"""
            WITH bought AS MATERIALIZED (
                SELECT o.customer_id, l.product_id, o.paid_at,
                       (o.paid_at AT TIME ZONE s.time_zone)::date AS day
                {_of_products("P0", "P1", joined=SHOP)})
            SELECT count(DISTINCT later.customer_id)
            FROM bought first JOIN bought later USING (customer_id)
            WHERE first.product_id = 'P0' AND later.product_id = 'P1'
              AND later.paid_at > first.paid_at AND later.day - first.day <= 30""",
    ),
    Question(
        "average_order_of_a_year",
        {"order_average": {"currency": "CNY", "at_least": "550", **_within(365)}},
        lambda ago: f"""SELECT count(*) FROM (
            SELECT o.customer_id FROM orders o
            WHERE {BOUGHT} AND o.currency = 'CNY' AND o.paid_at >= {ago(365)}
            GROUP BY o.customer_id HAVING {NET} >= 55000 * count(*)) x
            WHERE customer_id IS NOT NULL""",
    ),
    Question(
        "nested",
        {"all": [
            {"any": [
                {"order_count": {"at_least": 3, **_within(365)}},
                {"order_sum": {"currency": "CNY", "at_least": "3000"}},
            ]},
            {"any": [{"tag": {"any_of": ["vip", "loyal"]}}, {"opted_in": {"channel": "sms"}}]},
            {"not": {"tag": {"any_of": ["complained"]}}},
        ]},
        lambda ago: f"""SELECT count(*) FROM (
            (SELECT o.customer_id FROM orders o WHERE {BOUGHT} AND o.paid_at >= {ago(365)}
             GROUP BY o.customer_id HAVING count(*) >= 3
             UNION
             SELECT f.customer_id FROM customer_facts f
             WHERE f.merchant_id = $1 AND f.shop_id = 0 AND f.currency = 'CNY'
               AND f.paid - f.refunded >= 300000)
            INTERSECT
            (SELECT t.customer_id FROM customer_tags t
             WHERE t.merchant_id = $1 AND t.tag IN ('vip', 'loyal')
             UNION
             SELECT a.customer_id FROM consents a
             WHERE a.merchant_id = $1 AND a.shop_id = 0 AND a.channel = 'sms'
               AND a.purpose = 'marketing' AND a.status = 'granted')
            EXCEPT
            SELECT t.customer_id FROM customer_tags t
            WHERE t.merchant_id = $1 AND t.tag = 'complained') x""",
    ),
    Question(
        "fifteen_clauses",
        {"all": [
            {"any": [
                {"province": {"any_of": ["浙江", "广东", "江苏", "四川"]}},
                {"bought": _within(720, provinces=["上海"])},
            ]},
            {"has_phone": {}},
            {"has_email": {}},
            {"any": [{"opted_in": {"channel": "sms"}}, {"opted_in": {"channel": "email"}}]},
            {"not": {"tag": {"any_of": ["wholesale", "complained"]}}},
            {"any": [
                {"order_count": {"at_least": 2, **_within(365)}},
                {"order_sum": {"currency": "CNY", "at_least": "800", **_within(180)}},
                {"tag": {"any_of": ["vip"]}},
            ]},
            {"order_count": {"at_most": 60}},
            {"days_since_last_purchase": {"at_least": 7, "at_most": 500}},
            {"any": [
                {"bought": _within(540, categories=["类目0", "类目1"])},
                {"custom_field": {"field": "custom.size", "any_of": ["M", "L"]}},
            ]},
            {"not": {"bought": _within(90, product_ids=["P0"])}},
        ]},
        # one pass over the orders for all that is asked of them, another for the lines
        lambda ago: f"""SELECT count(*) FROM customers c
            JOIN (SELECT o.customer_id,
                         count(*) FILTER (WHERE o.paid_at >= {ago(365)}) AS of_year,
                         {NET} FILTER (WHERE o.paid_at >= {ago(180)} AND o.currency = 'CNY')
                             AS spent,
                         bool_or(o.paid_at >= {ago(720)} AND o.province = '上海') AS shanghai
                  FROM orders o WHERE {BOUGHT} GROUP BY o.customer_id
                  HAVING count(*) <= 60 AND max(o.paid_at) >= {ago(500)}
                     AND max(o.paid_at) < {ago(6)}) b ON b.customer_id = c.id
            LEFT JOIN (SELECT o.customer_id,
                              bool_or(o.paid_at >= {ago(540)}
                                      AND l.category IN ('类目0', '类目1')) AS liked,
                              bool_or(o.paid_at >= {ago(90)} AND l.product_id = 'P0') AS had
                       FROM order_lines l
                       JOIN orders o ON o.merchant_id = l.merchant_id AND o.id = l.order_id
                       WHERE l.merchant_id = $1 AND o.paid_at >= {ago(540)} AND {BOUGHT}
                         AND (l.category IN ('类目0', '类目1') OR l.product_id = 'P0')
                       GROUP BY o.customer_id) s ON s.customer_id = c.id
            LEFT JOIN (SELECT customer_id, bool_or(tag = 'vip') AS vip,
                              bool_or(tag IN ('wholesale', 'complained')) AS bad
                       FROM customer_tags
                       WHERE merchant_id = $1 AND tag IN ('vip', 'wholesale', 'complained')
                       GROUP BY customer_id) t ON t.customer_id = c.id
            JOIN (SELECT DISTINCT customer_id FROM consents
                  WHERE merchant_id = $1 AND shop_id = 0 AND channel IN ('sms', 'email')
                    AND purpose = 'marketing' AND status = 'granted') a ON a.customer_id = c.id
            LEFT JOIN (SELECT v.customer_id FROM custom_field_values v
                       JOIN custom_fields f ON f.merchant_id = v.merchant_id AND f.id = v.field_id
                       WHERE v.merchant_id = $1 AND f.namespace = 'custom' AND f.key = 'size'
                         AND left(v.text, 64) IN ('M', 'L')) z ON z.customer_id = c.id
            WHERE c.merchant_id = $1 AND c.phone_index IS NOT NULL AND c.email_index IS NOT NULL
              AND (c.province IN ('浙江省', '广东省', '江苏省', '四川省') OR b.shanghai)
              AND (b.of_year >= 2 OR b.spent >= 80000 OR t.vip)
              AND t.bad IS NOT TRUE AND s.had IS NOT TRUE
              AND (s.liked OR z.customer_id IS NOT NULL)""",
    ),
]  # fmt: skip
