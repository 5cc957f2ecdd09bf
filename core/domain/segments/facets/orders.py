"""What a customer bought: how often, for how much, how long ago.

An order counts when it was paid and was neither closed nor fully refunded since. Days are calendar
days of the order's shop.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from core.domain.orders.facts import COUNTED, REFUNDED
from core.domain.segments.facets.filters import EVERY_ORDER, OrderFilter
from core.sdk.facets import MAX_DAYS, Facet, Fault, Query, Rows, Say, Text, check_bounds
from core.sdk.money import to_minor

MAX_COUNT = 1_000_000
MAX_SUM = 2**63 - 1


def counted(q: Query, orders: OrderFilter | None) -> Rows:
    """The orders that count as bought."""
    return Rows("orders o", "o.customer_id", [COUNTED, *(orders or EVERY_ORDER).sql(q)])


@dataclass(frozen=True)
class OrderCountRule:
    """Who bought so many times; orders says which orders count."""

    at_least: int | None = None
    at_most: int | None = None
    orders: OrderFilter | None = None


class OrderCount(Facet):
    """How many orders the customer paid."""

    name: ClassVar[str] = "order_count"
    title: ClassVar[Text] = Text("Number of orders", "订单数")
    rule: ClassVar[type] = OrderCountRule
    version: ClassVar[int] = 2

    def check(self, rule: OrderCountRule) -> Fault | None:
        return check_bounds(rule.at_least, rule.at_most, MAX_COUNT)

    def sql(self, rule: OrderCountRule, q: Query) -> str:
        low = q.arg(rule.at_least, "bigint") if rule.at_least else None
        high = None if rule.at_most is None else q.arg(rule.at_most, "bigint")
        if low is None and high is None:
            return "TRUE"
        rows, total = self._rows(rule, q)
        return q.between(rows, total, low, high, none=not rule.at_least)

    def found(self, rule: OrderCountRule, q: Query) -> str:
        return f"COALESCE({q.value(*self._rows(rule, q))}, 0)"

    def explain(self, rule: OrderCountRule, say: Say) -> str:
        times = say.bounds(rule.at_least, rule.at_most, Text("times", "次"))
        which = (rule.orders or EVERY_ORDER).explain(say)
        return say(f"bought {times}{which}", f"{which}购买{times}")

    def upgrade(self, params: dict[str, Any], version: int) -> dict[str, Any]:
        return _with_orders(params)

    def _rows(self, rule: OrderCountRule, q: Query) -> tuple[Rows, str]:
        if rule.orders in (None, EVERY_ORDER):
            return Rows("customer_facts f", "f.customer_id", ["f.shop_id = 0"]), "sum(f.orders)"
        return counted(q, rule.orders), "count(*)"


@dataclass(frozen=True)
class OrderSumRule:
    """Who spent so much in one currency, refunds subtracted; amounts as 99.00, not in cents."""

    currency: str
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    orders: OrderFilter | None = None


class OrderSum(Facet):
    """How much the customer paid, less what was refunded."""

    name: ClassVar[str] = "order_sum"
    title: ClassVar[Text] = Text("Money spent", "消费金额")
    rule: ClassVar[type] = OrderSumRule
    version: ClassVar[int] = 2

    def check(self, rule: OrderSumRule) -> Fault | None:
        return check_money(rule.currency, rule.at_least, rule.at_most)

    def sql(self, rule: OrderSumRule, q: Query) -> str:
        low = minor_arg(rule.at_least, rule.currency, q)
        high = minor_arg(rule.at_most, rule.currency, q)
        none = (rule.at_least is None or rule.at_least <= 0) and (
            rule.at_most is None or rule.at_most >= 0
        )
        return q.between(*self._rows(rule, q), low, high, none=none)

    def found(self, rule: OrderSumRule, q: Query) -> str:
        return f"COALESCE({q.value(*self._rows(rule, q))}, 0)"

    def explain(self, rule: OrderSumRule, say: Say) -> str:
        amount = say.bounds(rule.at_least, rule.at_most, Text(rule.currency, rule.currency))
        which = (rule.orders or EVERY_ORDER).explain(say)
        return say(f"spent {amount}{which}", f"{which}消费{amount}")

    def upgrade(self, params: dict[str, Any], version: int) -> dict[str, Any]:
        return _with_orders(params)

    def _rows(self, rule: OrderSumRule, q: Query) -> tuple[Rows, str]:
        currency = q.arg(rule.currency, "text")
        if rule.orders in (None, EVERY_ORDER):
            where = ["f.shop_id = 0", f"f.currency = {currency}"]
            return Rows("customer_facts f", "f.customer_id", where), "sum(f.paid - f.refunded)"
        rows = counted(q, rule.orders)
        where = [*rows.where, f"o.currency = {currency}"]
        return Rows(rows.source, rows.customer, where), f"sum(o.paid - {REFUNDED})"


@dataclass(frozen=True)
class DaysSinceLastPurchaseRule:
    """Whose last purchase is so many days ago; who never bought is never meant."""

    at_least: int | None = None
    at_most: int | None = None


class DaysSinceLastPurchase(Facet):
    """How many calendar days ago the customer's last purchase was."""

    name: ClassVar[str] = "days_since_last_purchase"
    title: ClassVar[Text] = Text("Days since last purchase", "距上次购买天数")
    rule: ClassVar[type] = DaysSinceLastPurchaseRule

    def check(self, rule: DaysSinceLastPurchaseRule) -> Fault | None:
        return check_bounds(rule.at_least, rule.at_most, MAX_DAYS)

    def sql(self, rule: DaysSinceLastPurchaseRule, q: Query) -> str:
        oldest = None if rule.at_most is None else q.days_ago(rule.at_most)
        newest = q.days_ago(rule.at_least - 1) if rule.at_least else None
        # among the figures of several currencies the latest purchase counts
        rows = Rows("customer_facts f", "f.customer_id", ["f.shop_id = 0"])
        return q.between(rows, "max(f.last_purchase_at)", oldest, newest, before_high=True)

    def found(self, rule: DaysSinceLastPurchaseRule, q: Query) -> str:
        rows = Rows("customer_facts f", "f.customer_id", ["f.shop_id = 0"])
        zone = q.zone_of()
        last = q.value(rows, f"(max(f.last_purchase_at) AT TIME ZONE {zone})::date")
        return f"({q.arg(q.today(), 'date')} - {last})"

    def explain(self, rule: DaysSinceLastPurchaseRule, say: Say) -> str:
        days = say.bounds(rule.at_least, rule.at_most)
        return say(f"last bought {days} days ago", f"上次购买在{days}天前")


def check_money(currency: str, low: Decimal | None, high: Decimal | None) -> Fault | None:
    """What is wrong with bounds of an amount in a currency."""
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()
            and currency.isupper()):  # fmt: skip
        return Fault("currency is not a currency code; write it as CNY", ("currency",))
    minor: dict[str, int | None] = {}
    for name, value in (("at_least", low), ("at_most", high)):
        try:
            minor[name] = None if value is None else to_minor(value, currency)
        except ValueError as error:
            return Fault(str(error), (name,))
    return check_bounds(minor["at_least"], minor["at_most"], MAX_SUM)


def minor_arg(amount: Decimal | None, currency: str, q: Query) -> str | None:
    """An amount as a parameter in minor units, None for no bound."""
    return None if amount is None else q.arg(to_minor(amount, currency), "bigint")


def _with_orders(params: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew within_days and shop_id alone."""
    days, shop = params.pop("within_days", None), params.pop("shop_id", None)
    orders = {
        **({} if days is None else {"within": {"last_days": days}}),
        **({} if shop is None else {"shop_ids": [shop]}),
    }
    return {**params, **({"orders": orders} if orders else {})}
