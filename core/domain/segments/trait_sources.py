"""What may make a segment special: attributes of customers, each as rows of customer and value.

One more is one more `TraitSource` in `SOURCES`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from core.domain.orders.facts import COUNTED
from core.sdk.facets import Query, Text
from core.storage.database import Session


@dataclass(frozen=True)
class TraitSource:
    """An attribute that some or all customers have, with one value or several.

    `rows` makes a SELECT of the distinct pairs (customer_id, value) of merchant $1, `value` a text;
    who has no row has no such attribute. How a value is shown comes from `values`, or from
    `names`, a SELECT of (value, name) with the wanted values as $2; else it is shown as it is.
    """

    name: str
    title: Text
    rows: Callable[[Query], str]
    values: Mapping[str, Text] = field(default_factory=dict)
    names: str = ""


def _own(column: str) -> Callable[[Query], str]:
    """A column of the customer itself."""
    return lambda q: (
        f"""SELECT c.id AS customer_id, {column} AS value FROM customers c
        WHERE c.merchant_id = $1 AND {column} IS NOT NULL"""
    )


def _figures(value: Callable[[Query], str]) -> Callable[[Query], str]:
    """An expression on what the customer's orders in all shops add up to, as `f`."""
    return lambda q: (
        f"""SELECT c.id AS customer_id, {value(q)} AS value FROM customers c
        LEFT JOIN (SELECT customer_id, sum(orders) AS orders, min(first_purchase_at) AS first_at,
                          max(last_purchase_at) AS last_at
                   FROM customer_facts WHERE merchant_id = $1 AND shop_id = 0
                   GROUP BY customer_id) f ON f.customer_id = c.id
        WHERE c.merchant_id = $1"""
    )


def _bought(column: str) -> Callable[[Query], str]:
    """A column of the lines of orders that count as bought."""
    return lambda q: (
        f"""SELECT DISTINCT o.customer_id, {column} AS value
        FROM orders o JOIN order_lines l ON l.merchant_id = o.merchant_id AND l.order_id = o.id
        WHERE o.merchant_id = $1 AND o.customer_id IS NOT NULL AND {column} IS NOT NULL
          AND {COUNTED}"""
    )


def _in_shops(column: str) -> Callable[[Query], str]:
    """A column of the shops in which the customer bought."""
    return lambda q: (
        f"""SELECT DISTINCT f.customer_id, {column} AS value
        FROM customer_facts f JOIN shops s ON s.merchant_id = f.merchant_id AND s.id = f.shop_id
        WHERE f.merchant_id = $1 AND f.orders > 0"""
    )


def _recency(q: Query) -> str:
    steps = "".join(f" WHEN f.last_at >= {q.days_ago(d)} THEN '{d}'" for d in (30, 90, 180, 365))
    return f"CASE WHEN f.last_at IS NULL THEN 'never'{steps} ELSE 'longer' END"


def _age(q: Query) -> str:
    years = f"extract(year FROM age({q.arg(q.today(), 'date')}, c.birthday))"
    steps = "".join(f" WHEN {years} < {end} THEN '{end}'" for end in (18, 25, 35, 45, 55))
    return f"""SELECT c.id AS customer_id, CASE{steps} ELSE 'older' END AS value
        FROM customers c WHERE c.merchant_id = $1 AND c.birthday IS NOT NULL"""


SOURCES: Sequence[TraitSource] = [
    TraitSource("country", Text("Country", "国家"), _own("c.country")),
    TraitSource("province", Text("Province", "省份"), _own("c.province")),
    TraitSource("city", Text("City", "城市"), _own("c.city")),
    TraitSource(
        "age", Text("Age", "年龄"), _age,
        values={
            "18": Text("under 18", "18岁以下"), "25": Text("18 to 24", "18至24岁"),
            "35": Text("25 to 34", "25至34岁"), "45": Text("35 to 44", "35至44岁"),
            "55": Text("45 to 54", "45至54岁"), "older": Text("55 or older", "55岁及以上"),
        },
    ),
    TraitSource(
        "tag", Text("Tag", "标签"),
        lambda q: """SELECT customer_id, tag AS value FROM customer_tags
            WHERE merchant_id = $1""",
    ),
    TraitSource(
        "consent", Text("Agreed to marketing by", "同意接收营销"),
        lambda q: """SELECT customer_id, channel AS value FROM consents
            WHERE merchant_id = $1 AND shop_id = 0 AND purpose = 'marketing'
              AND status = 'granted'""",
    ),
    TraitSource(
        "orders", Text("Number of orders", "订单数"),
        _figures(lambda q: """CASE WHEN COALESCE(f.orders, 0) <= 2
            THEN COALESCE(f.orders, 0)::text WHEN f.orders <= 5 THEN '3-5' ELSE '6' END"""),
        values={
            "0": Text("none", "0单"), "1": Text("1", "1单"), "2": Text("2", "2单"),
            "3-5": Text("3 to 5", "3至5单"), "6": Text("6 or more", "6单及以上"),
        },
    ),
    TraitSource(
        "last_purchase", Text("Last bought", "上次购买"), _figures(_recency),
        values={
            "never": Text("never", "从未购买"), "30": Text("in the last 30 days", "近30天"),
            "90": Text("31 to 90 days ago", "31至90天前"),
            "180": Text("91 to 180 days ago", "91至180天前"),
            "365": Text("181 to 365 days ago", "181至365天前"),
            "longer": Text("more than 365 days ago", "365天以前"),
        },
    ),
    TraitSource(
        "first_purchase", Text("Year of the first purchase", "首购年份"),
        lambda q: f"""SELECT customer_id, value
            FROM ({_figures(lambda q: f'''extract(year FROM f.first_at
                  AT TIME ZONE {q.zone_of()})::text''')(q)}) bought WHERE value IS NOT NULL""",
    ),
    TraitSource("platform", Text("Bought on the platform", "购买平台"), _in_shops("s.platform")),
    TraitSource(
        "shop", Text("Bought in the shop", "购买店铺"), _in_shops("s.id::text"),
        names="""SELECT id::text AS value, name FROM shops
            WHERE merchant_id = $1 AND id = ANY($2::text[]::bigint[])""",
    ),
    TraitSource(
        "product", Text("Bought the product", "购买商品"), _bought("l.product_id"),
        names="""SELECT wanted.value, l.title AS name
            FROM unnest($2::text[]) AS wanted (value)
            CROSS JOIN LATERAL (
                SELECT title FROM order_lines
                WHERE merchant_id = $1 AND product_id = wanted.value
                ORDER BY order_id DESC LIMIT 1) l""",
    ),
    TraitSource("category", Text("Bought of the category", "购买类目"), _bought("l.category")),
]  # fmt: skip


async def trait_sources(session: Session) -> list[TraitSource]:
    """All of them, with one for each custom field of few values that the merchant has."""
    rows = await session.sql.fetch(
        """SELECT id, namespace || '.' || key AS name, title, type FROM custom_fields
           WHERE merchant_id = $1 AND type IN ('choice', 'bool') ORDER BY namespace, key""",
        session.merchant_id,
    )
    return [*SOURCES, *(_custom_field(*row) for row in rows)]


def _custom_field(field_id: int, name: str, title: str, kind: str) -> TraitSource:
    return TraitSource(
        name,
        Text(title, title),
        lambda q: (
            f"""SELECT customer_id, text AS value FROM custom_field_values
            WHERE merchant_id = $1 AND field_id = {q.arg(field_id, "bigint")}
              AND text IS NOT NULL"""
        ),
        values={"true": Text("yes", "是"), "false": Text("no", "否")} if kind == "bool" else {},
    )
