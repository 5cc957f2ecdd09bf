"""Which products a customer has used up, by the products' own cycles."""

from dataclasses import dataclass
from typing import ClassVar

from core.domain.orders.facts import COUNTED
from core.domain.segments.facets.choices import check_choices
from core.domain.segments.facets.place import in_shop
from core.sdk.facets import MAX_DAYS, Facet, Fault, Query, Rows, Say, Text, check_bounds


@dataclass(frozen=True)
class ReplenishmentDueRule:
    """Whose last purchase of a product is used up in so many days, by the product's own cycle;
    negative: days ago. Only products with a measured cycle count."""

    at_least: int | None = None
    at_most: int | None = None
    product_ids: list[str] | None = None
    shop_id: int | None = None


class ReplenishmentDue(Facet):
    """Whether a product that the customer bought, and did not buy again since, is due."""

    name: ClassVar[str] = "replenishment_due"
    title: ClassVar[Text] = Text("Replenishment due", "商品补货周期到期")
    rule: ClassVar[type] = ReplenishmentDueRule

    def check(self, rule: ReplenishmentDueRule) -> Fault | None:
        fault = check_bounds(rule.at_least, rule.at_most, MAX_DAYS, -MAX_DAYS)
        return fault or check_choices(rule.product_ids, "product_ids")

    def sql(self, rule: ReplenishmentDueRule, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: ReplenishmentDueRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "array_agg(DISTINCT l.product_id)")

    def explain(self, rule: ReplenishmentDueRule, say: Say) -> str:
        days = say.bounds(rule.at_least, rule.at_most)
        what_en, what_zh = "something", "商品"
        if rule.product_ids is not None:
            names = say.either(rule.product_ids)
            what_en, what_zh = f"product {names}", f"商品{names}"
        en, zh = in_shop(say, rule.shop_id)
        return say(
            f"is due to buy {what_en} again in {days} days{en}", f"{zh}{what_zh}{days}天后需要补货"
        )

    def _rows(self, rule: ReplenishmentDueRule, q: Query) -> Rows:
        zone = q.zone_of("o.shop_id")
        today = f"({q.arg(q.now, 'timestamptz')} AT TIME ZONE {zone})::date"
        where = [COUNTED]
        if rule.shop_id is not None:
            where.append(f"o.shop_id = {q.arg(rule.shop_id, 'bigint')}")
        if rule.product_ids is not None:
            where.append(f"l.product_id = ANY({q.arg(rule.product_ids)}::text[])")
        if rule.at_least is not None:
            first = f"{today} + {q.arg(rule.at_least, 'int')} - y.days"
            where.append(f"o.paid_at >= ({first})::timestamp AT TIME ZONE {zone}")
        if rule.at_most is not None:
            after = f"{today} + {q.arg(rule.at_most, 'int')} - y.days + 1"
            where.append(f"o.paid_at < ({after})::timestamp AT TIME ZONE {zone}")
        where.append(f"""NOT EXISTS (
            SELECT 1 FROM order_lines k
            JOIN (SELECT o.* FROM orders o WHERE {COUNTED}) again
                ON again.merchant_id = k.merchant_id AND again.id = k.order_id
            WHERE k.merchant_id = $1 AND k.product_id = l.product_id
              AND again.customer_id = o.customer_id AND again.shop_id = o.shop_id
              AND again.paid_at > o.paid_at)""")
        source = """orders o
            JOIN order_lines l ON l.merchant_id = o.merchant_id AND l.order_id = o.id
            JOIN product_cycles y ON y.merchant_id = o.merchant_id AND y.shop_id = o.shop_id
                AND y.product_id = l.product_id"""
        return Rows(source, "o.customer_id", where)
