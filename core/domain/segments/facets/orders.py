"""What a customer ordered: how often, for how much, and what.

What counts as bought is said in counted.py. Days are calendar days of the order's shop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from core.domain.segments.facets.counted import (
    bought,
    counted,
    facts,
    only_one,
    single,
    stored,
)
from core.domain.segments.facets.filters import EVERY_ORDER, NET, OrderFilter, check_days, day_of
from core.domain.segments.facets.money import check_money, minor_arg
from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text, check_bounds

MAX_COUNT = 1_000_000


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
        return count_sql(
            q, rule.at_least, rule.at_most,
            lambda: ever_bought(rule.orders, q), lambda: self._rows(rule, q),
        )  # fmt: skip

    def found(self, rule: OrderCountRule, q: Query) -> str:
        return f"COALESCE({q.value(*self._rows(rule, q))}, 0)"

    def explain(self, rule: OrderCountRule, say: Say) -> str:
        times = say.bounds(rule.at_least, rule.at_most, Text("times", "次"))
        return (rule.orders or EVERY_ORDER).explain(say, f"bought {times}", f"购买{times}")

    def upgrade(self, params: dict[str, Any], version: int) -> dict[str, Any]:
        return _with_orders(params)

    def _rows(self, rule: OrderCountRule, q: Query) -> tuple[Rows, str]:
        if stored(rule.orders):
            return facts(q, rule.orders), "sum(f.orders)"
        return counted(q, rule.orders), "count(*)"


def ever_bought(orders: OrderFilter | None, q: Query) -> str:
    """A condition: the customer bought at least one such order."""
    return q.has(facts(q, orders, "f.orders > 0") if stored(orders) else bought(q, orders)[0])


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
        bounds = _minor_bounds(rule, q)
        none = not rule.at_least  # who bought nothing spent 0
        if single(rule.orders):
            rows = _money_facts(rule, q)
            return only_one(q, rows, "(f.paid - f.refunded)", bounds, none)
        return q.between(*self._rows(rule, q), *bounds, none=none)

    def found(self, rule: OrderSumRule, q: Query) -> str:
        return q.money(f"COALESCE({q.value(*self._rows(rule, q))}, 0)", rule.currency)

    def explain(self, rule: OrderSumRule, say: Say) -> str:
        amount = say.bounds(rule.at_least, rule.at_most, Text(rule.currency, rule.currency))
        return (rule.orders or EVERY_ORDER).explain(say, f"spent {amount}", f"消费{amount}")

    def upgrade(self, params: dict[str, Any], version: int) -> dict[str, Any]:
        return _with_orders(params)

    def _rows(self, rule: OrderSumRule, q: Query) -> tuple[Rows, str]:
        if stored(rule.orders):
            return _money_facts(rule, q), "sum(f.paid - f.refunded)"
        return _counted_in(rule, q), f"sum({NET})"


@dataclass(frozen=True)
class OrderAverageRule:
    """Whose orders in one currency are of so much on average, refunds subtracted; who bought
    nothing in it is never meant."""

    currency: str
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    orders: OrderFilter | None = None


class OrderAverage(Facet):
    """What the customer pays for an order on average."""

    name: ClassVar[str] = "order_average"
    title: ClassVar[Text] = Text("Average order", "平均订单金额")
    rule: ClassVar[type] = OrderAverageRule

    def check(self, rule: OrderAverageRule) -> Fault | None:
        return check_money(rule.currency, rule.at_least, rule.at_most)

    def sql(self, rule: OrderAverageRule, q: Query) -> str:
        bounds = _minor_bounds(rule, q)
        if single(rule.orders):
            average = "((f.paid - f.refunded)::numeric / NULLIF(f.orders, 0))"
            return only_one(q, _money_facts(rule, q), average, bounds, none=False)
        return q.between(*self._rows(rule, q), *bounds)

    def found(self, rule: OrderAverageRule, q: Query) -> str:
        rows, total = self._rows(rule, q)
        return q.money(q.value(rows, f"round({total})"), rule.currency)

    def explain(self, rule: OrderAverageRule, say: Say) -> str:
        amount = say.bounds(rule.at_least, rule.at_most, Text(rule.currency, rule.currency))
        en, zh = f"spent {amount} per order on average", f"平均每单{amount}"
        return (rule.orders or EVERY_ORDER).explain(say, en, zh)

    def _rows(self, rule: OrderAverageRule, q: Query) -> tuple[Rows, str]:
        if stored(rule.orders):
            return (
                _money_facts(rule, q),
                "(sum(f.paid - f.refunded)::numeric / NULLIF(sum(f.orders), 0))",
            )
        return _counted_in(rule, q), f"avg({NET})"


@dataclass(frozen=True)
class OrderLargestRule:
    """Whose largest order in one currency is of so much, refunds subtracted; who bought nothing in
    it is never meant."""

    currency: str
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    orders: OrderFilter | None = None


class OrderLargest(Facet):
    """What the customer paid for the largest single order."""

    name: ClassVar[str] = "order_largest"
    title: ClassVar[Text] = Text("Largest order", "最大单笔金额")
    rule: ClassVar[type] = OrderLargestRule

    def check(self, rule: OrderLargestRule) -> Fault | None:
        return check_money(rule.currency, rule.at_least, rule.at_most)

    def sql(self, rule: OrderLargestRule, q: Query) -> str:
        low, high = _minor_bounds(rule, q)
        if low and high is None:
            return q.has(_counted_in(rule, q, f"{NET} >= {low}"))
        return q.between(_counted_in(rule, q), f"max({NET})", low, high)

    def found(self, rule: OrderLargestRule, q: Query) -> str:
        return q.money(q.value(_counted_in(rule, q), f"max({NET})"), rule.currency)

    def explain(self, rule: OrderLargestRule, say: Say) -> str:
        amount = say.bounds(rule.at_least, rule.at_most, Text(rule.currency, rule.currency))
        en, zh = f"spent {amount} on the largest single order", f"单笔最高消费{amount}"
        return (rule.orders or EVERY_ORDER).explain(say, en, zh)


@dataclass(frozen=True)
class BoughtRule:
    """Who bought an order that fits; without orders, who ever bought."""

    orders: OrderFilter | None = None


class Bought(Facet):
    """Whether the customer bought something in particular."""

    name: ClassVar[str] = "bought"
    title: ClassVar[Text] = Text("Bought", "购买过")
    rule: ClassVar[type] = BoughtRule

    def sql(self, rule: BoughtRule, q: Query) -> str:
        return ever_bought(rule.orders, q)

    def found(self, rule: BoughtRule, q: Query) -> str:
        return q.value(counted(q, rule.orders), "max(o.paid_at)")

    def explain(self, rule: BoughtRule, say: Say) -> str:
        return (rule.orders or EVERY_ORDER).explain(say, "bought", "购买过")


@dataclass(frozen=True)
class BoughtThenRule:
    """Who bought an order that fits `first`, and later one that fits `then`, so many days after."""

    first: OrderFilter
    then: OrderFilter
    days_at_least: int | None = None
    days_at_most: int | None = None


class BoughtThen(Facet):
    """Whether the customer bought one thing after another."""

    name: ClassVar[str] = "bought_then"
    title: ClassVar[Text] = Text("Bought one after another", "先后购买")
    rule: ClassVar[type] = BoughtThenRule

    def check(self, rule: BoughtThenRule) -> Fault | None:
        return check_days("days", rule.days_at_least, rule.days_at_most)

    def sql(self, rule: BoughtThenRule, q: Query) -> str:
        return q.between(*self._last(rule, q), None, None)

    def found(self, rule: BoughtThenRule, q: Query) -> str:
        return q.value(*self._last(rule, q))

    def explain(self, rule: BoughtThenRule, say: Say) -> str:
        first = rule.first.explain(say, "bought", "购买")
        then = rule.then.explain(say, "bought", "购买")
        if rule.days_at_least is None and rule.days_at_most is None:
            return say(f"{first}, and {then} later", f"先{first},之后{then}")
        days = say.bounds(rule.days_at_least, rule.days_at_most)
        return say(f"{first}, and {then} {days} days later", f"先{first},{days}天后{then}")

    def _last(self, rule: BoughtThenRule, q: Query) -> tuple[Rows, str]:
        """The orders of both kinds, read once, and the last time of one of `then` that follows."""
        rows, (first, then) = bought(q, rule.first, rule.then)
        some = f"min(o.paid_at) FILTER (WHERE {first}) < max(o.paid_at) FILTER (WHERE {then})"
        bounds = ((">=", rule.days_at_least), ("<=", rule.days_at_most))
        days = [f"{sign} {q.arg(bound, 'int')}" for sign, bound in bounds if bound is not None]
        last = f"max(o.paid_at) FILTER (WHERE {then})"
        if days:
            later, before = (day_of(f"{one}.at", q, "b.shop_id") for one in "ba")
            last = f"""(SELECT max(b.at)
                FROM unnest(array_agg(o.paid_at) FILTER (WHERE {first})) a (at)
                JOIN unnest(array_agg(o.paid_at) FILTER (WHERE {then}),
                            array_agg(o.shop_id) FILTER (WHERE {then})) b (at, shop_id)
                  ON a.at < b.at {"".join(f" AND {later} - {before} {one}" for one in days)})"""
        return rows, f"(CASE WHEN {some} THEN {last} END)"


@dataclass(frozen=True)
class OrderedRule:
    """Who placed an order that fits, paid or not; or so many of them. In orders, within is about
    when an order was placed, amount about its total."""

    at_least: int | None = None
    at_most: int | None = None
    orders: OrderFilter | None = None


class Ordered(Facet):
    """Orders in any state: unpaid and closed ones too."""

    name: ClassVar[str] = "ordered"
    title: ClassVar[Text] = Text("Placed an order", "下过单")
    rule: ClassVar[type] = OrderedRule

    def check(self, rule: OrderedRule) -> Fault | None:
        return check_some(rule.at_least, rule.at_most)

    def sql(self, rule: OrderedRule, q: Query) -> str:
        return count_or_some(q, rule.at_least, rule.at_most, lambda: placed(q, rule.orders))

    def found(self, rule: OrderedRule, q: Query) -> str:
        return q.value(placed(q, rule.orders), "count(*)")

    def explain(self, rule: OrderedRule, say: Say) -> str:
        times = bounds_or_some(say, rule.at_least, rule.at_most, Text("orders", "单"))
        en = f"placed {times or 'an order'}"
        return (rule.orders or EVERY_ORDER).explain(say, en, f"下单{times}" if times else "下过单")


def placed(q: Query, orders: OrderFilter | None, *more: str) -> Rows:
    """The orders `o` in any state, by the time they were placed."""
    where = (orders or EVERY_ORDER).sql(q, "o.ordered_at", "o.total")
    return Rows("orders o", "o.customer_id", [*where, *more], existing=True)


def check_some(at_least: int | None, at_most: int | None) -> Fault | None:
    """What is wrong with bounds of a count; without any, one at least is meant."""
    if at_least is None and at_most is None:
        return None
    return check_bounds(at_least, at_most, MAX_COUNT)


def count_or_some(
    q: Query, at_least: int | None, at_most: int | None, rows: Callable[[], Rows]
) -> str:
    """A condition: the customer has so many such rows, at least one if nothing is said."""
    low = 1 if at_least is None and at_most is None else at_least
    return count_sql(q, low, at_most, lambda: q.has(rows()), lambda: (rows(), "count(*)"))


def count_sql(
    q: Query,
    at_least: int | None,
    at_most: int | None,
    some: Callable[[], str],
    total: Callable[[], tuple[Rows, str]],
) -> str:
    """A condition on a count of rows, asked the cheapest way.

    `some` makes the condition that there is any at all, `total` the rows and how they are counted.
    """
    if not at_least and at_most is None:
        return "TRUE"
    if (at_least, at_most) == (1, None):
        return some()
    if not at_least and at_most == 0:
        return f"(NOT {some()})"
    low = q.arg(at_least, "bigint") if at_least else None
    high = None if at_most is None else q.arg(at_most, "bigint")
    return q.between(*total(), low, high, none=not at_least)


def bounds_or_some(say: Say, at_least: int | None, at_most: int | None, unit: Text) -> str:
    """The bounds of a count in words, nothing where one at least is meant."""
    return "" if at_least is None and at_most is None else say.bounds(at_least, at_most, unit)


_Money = OrderSumRule | OrderAverageRule | OrderLargestRule


def _minor_bounds(rule: _Money, q: Query) -> tuple[str | None, str | None]:
    return (
        minor_arg(rule.at_least, rule.currency, q),
        minor_arg(rule.at_most, rule.currency, q),
    )


def _money_facts(rule: _Money, q: Query) -> Rows:
    return facts(q, rule.orders, f"f.currency = {q.arg(rule.currency, 'text')}")


def _counted_in(rule: _Money, q: Query, *more: str) -> Rows:
    return counted(q, rule.orders, f"o.currency = {q.arg(rule.currency, 'text')}", *more)


def _with_orders(params: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew within_days and shop_id alone."""
    days, shop = params.pop("within_days", None), params.pop("shop_id", None)
    orders = {
        **({} if days is None else {"within": {"last_days": days}}),
        **({} if shop is None else {"shop_ids": [shop]}),
    }
    return {**params, **({"orders": orders} if orders else {})}
