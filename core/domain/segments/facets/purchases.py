"""When a customer purchases: how often, the first time, the last, and how far apart.

What a purchase is stands in counted.py. Days are calendar days of the order's shop.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ClassVar

from core.domain.segments.facets.counted import (
    LATEST,
    PURCHASES,
    counted,
    facts,
    first_two,
    no_others,
    purchases,
    stored,
)
from core.domain.segments.facets.filters import (
    EVERY_ORDER,
    OrderFilter,
    OrderWindow,
    Window,
    day_of,
)
from core.domain.segments.facets.orders import MAX_COUNT, count_sql, ever_bought
from core.sdk.facets import MAX_DAYS, Facet, Fault, Query, Rows, Say, Text, check_bounds

MAX_PLACE = 1_000


@dataclass(frozen=True)
class PurchaseCountRule:
    """Who purchased so many times; the orders of one day in one shop are one purchase."""

    at_least: int | None = None
    at_most: int | None = None
    orders: OrderFilter | None = None


class PurchaseCount(Facet):
    """How many purchases the customer made."""

    name: ClassVar[str] = "purchase_count"
    title: ClassVar[Text] = Text("Number of purchases", "购买次数")
    rule: ClassVar[type] = PurchaseCountRule

    def check(self, rule: PurchaseCountRule) -> Fault | None:
        return check_bounds(rule.at_least, rule.at_most, MAX_COUNT)

    def sql(self, rule: PurchaseCountRule, q: Query) -> str:
        return count_sql(
            q, rule.at_least, rule.at_most,
            lambda: ever_bought(rule.orders, q), lambda: self._rows(rule, q),
        )  # fmt: skip

    def found(self, rule: PurchaseCountRule, q: Query) -> str:
        return f"COALESCE({q.value(*self._rows(rule, q))}, 0)"

    def explain(self, rule: PurchaseCountRule, say: Say) -> str:
        times = say.bounds(rule.at_least, rule.at_most)
        en, zh = f"made {times} purchases", f"按天合并购买{times}次"
        return (rule.orders or EVERY_ORDER).explain(say, en, zh)

    def _rows(self, rule: PurchaseCountRule, q: Query) -> tuple[Rows, str]:
        if stored(rule.orders):
            return facts(q, rule.orders), "sum(f.purchases)"
        return purchases(q, rule.orders), "count(*)"


@dataclass(frozen=True, kw_only=True)
class FirstPurchaseRule:
    """Whose first purchase lies within a time, and has an order that fits; orders says which
    orders count at all."""

    within: OrderWindow | None = None
    having: OrderFilter | None = None
    orders: OrderFilter | None = None


@dataclass(frozen=True, kw_only=True)
class LastPurchaseRule(FirstPurchaseRule):
    """Whose last purchase lies within a time, and has an order that fits; orders says which
    orders count at all."""


@dataclass(frozen=True, kw_only=True)
class NthPurchaseRule(FirstPurchaseRule):
    """Whose n-th purchase lies within a time, and has an order that fits; orders says which
    orders count at all. Who has fewer purchases is not meant."""

    n: int


class FirstPurchase(Facet):
    """The customer's first purchase: when it was, and what was bought."""

    name: ClassVar[str] = "first_purchase"
    title: ClassVar[Text] = Text("First purchase", "首次购买")
    rule: ClassVar[type] = FirstPurchaseRule
    order: ClassVar[str] = PURCHASES
    """How purchases are put in order before one is taken."""

    def check(self, rule: Any) -> Fault | None:
        if rule.within is None and rule.having is None:
            return Fault("give within, having or both")
        return None

    def place(self, rule: Any) -> int:
        """Which one in that order is taken."""
        return 1

    def words(self, rule: Any) -> Text:
        """What the purchase is called."""
        return Text("the first purchase", "首次购买")

    def sql(self, rule: Any, q: Query) -> str:
        place, figures = self.place(rule), rule.having is None and stored(rule.orders)
        if figures and place == 1:
            return q.has(self._by_facts(rule, q))
        if figures and place == 2:
            rows = first_two(q, rule.orders)
            hits = rule.within.sql("p.at", q, "p.shop_id", rows.customer)
        else:
            having = rule.having or EVERY_ORDER
            rows = purchases(q, rule.orders, " AND ".join(having.sql(q)) or "TRUE")
            hits = ["p.hit"]
            if rule.within is not None:
                hits += rule.within.sql("p.at", q, "p.shop_id", rows.customer)
        return q.between(rows, self._taken(rule, " AND ".join(hits)), "TRUE", None)

    def found(self, rule: Any, q: Query) -> str:
        return q.value(purchases(q, rule.orders), self._taken(rule, "p.at"))

    def explain(self, rule: Any, say: Say) -> str:
        called = self.words(rule)
        made = (rule.orders or EVERY_ORDER).explain(say, f"made {called.en}", called.zh)
        when = "" if rule.within is None else rule.within.explain(say)
        if rule.having is None:
            return say(f"{made} {when}", f"{made}在{when}")
        having = rule.having.explain(say, "with an order", "含订单")
        joint = f"在{when},且" if when else ""
        return say(" ".join(filter(None, [made, when, having])), f"{made}{joint}{having}")

    def _taken(self, rule: Any, what: str) -> str:
        return f"(array_agg({what} ORDER BY {self.order}))[{self.place(rule)}]"

    def _by_facts(self, rule: Any, q: Query) -> Rows:
        """The stored times that lie within, unless there is an earlier or a later one."""
        first = self.order == PURCHASES
        name, sign = ("first_purchase_at", "<") if first else ("last_purchase_at", ">")
        within = rule.within.sql(f"f.{name}", q, "f.shop_id", "f.customer_id")
        rows = facts(q, rule.orders, *within, by_day=True)
        other = f"(b.{name}, b.shop_id, b.currency) {sign} (f.{name}, f.shop_id, f.currency)"
        return replace(rows, where=[*rows.where, no_others(q, rows, rule.orders, other)])


class LastPurchase(FirstPurchase):
    """The customer's last purchase: when it was, and what was bought."""

    name: ClassVar[str] = "last_purchase"
    title: ClassVar[Text] = Text("Last purchase", "最近一次购买")
    rule: ClassVar[type] = LastPurchaseRule
    order: ClassVar[str] = LATEST

    def words(self, rule: LastPurchaseRule) -> Text:
        return Text("the last purchase", "最近一次购买")


class NthPurchase(FirstPurchase):
    """The customer's second purchase, or third, and so on."""

    name: ClassVar[str] = "nth_purchase"
    title: ClassVar[Text] = Text("N-th purchase", "第N次购买")
    rule: ClassVar[type] = NthPurchaseRule

    def check(self, rule: NthPurchaseRule) -> Fault | None:
        if not 1 <= rule.n <= MAX_PLACE:
            return Fault(f"n must be from 1 to {MAX_PLACE}", ("n",))
        return super().check(rule)

    def place(self, rule: NthPurchaseRule) -> int:
        return rule.n

    def words(self, rule: NthPurchaseRule) -> Text:
        return Text(f"purchase no. {rule.n}", f"第{rule.n}次购买")


@dataclass(frozen=True)
class DaysSinceLastPurchaseRule:
    """Whose last purchase is so many days ago; who never bought is never meant."""

    at_least: int | None = None
    at_most: int | None = None
    orders: OrderFilter | None = None


class DaysSinceLastPurchase(Facet):
    """How many calendar days ago the customer's last purchase was."""

    name: ClassVar[str] = "days_since_last_purchase"
    title: ClassVar[Text] = Text("Days since last purchase", "距上次购买天数")
    rule: ClassVar[type] = DaysSinceLastPurchaseRule

    def check(self, rule: DaysSinceLastPurchaseRule) -> Fault | None:
        return check_bounds(rule.at_least, rule.at_most, MAX_DAYS)

    def sql(self, rule: DaysSinceLastPurchaseRule, q: Query) -> str:
        # there is one in the time, and none after it: nothing has to be grouped
        within = Window(days_ago_at_least=rule.at_least, days_ago_at_most=rule.at_most)
        since = Window(last_days=rule.at_least - 1) if rule.at_least else None
        if stored(rule.orders):
            times = within.sql("f.last_purchase_at", q, "f.shop_id")
            rows = facts(q, rule.orders, *times, by_day=True)
            if since is not None:
                later = since.sql("b.last_purchase_at", q, "b.shop_id")
                rows = replace(rows, where=[*rows.where, no_others(q, rows, rule.orders, *later)])
            return q.has(rows)
        has, *after = (
            q.has(counted(q, rule.orders, *one.sql("o.paid_at", q, "o.shop_id")))
            for one in (within, since)
            if one is not None
        )
        return f"({has} AND NOT {after[0]})" if after else has

    def found(self, rule: DaysSinceLastPurchaseRule, q: Query) -> str:
        rows = counted(q, rule.orders)
        now = q.arg(q.now, "timestamptz")
        today, day = day_of(now, q, "o.shop_id"), day_of("o.paid_at", q, "o.shop_id")
        return q.value(rows, f"min({today} - {day})")

    def explain(self, rule: DaysSinceLastPurchaseRule, say: Say) -> str:
        days = say.bounds(rule.at_least, rule.at_most)
        made = (rule.orders or EVERY_ORDER).explain(say, "last bought", "上次购买")
        return say(f"{made} {days} days ago", f"{made}在{days}天前")


class GapKind(Enum):
    """Which of the times between purchases is meant."""

    AVERAGE = "AVERAGE"
    FIRST = "FIRST"
    LAST = "LAST"


_GAPS = {
    GapKind.AVERAGE: Text("on average", "平均购买间隔"),
    GapKind.FIRST: Text("between the first and the second", "首次与第二次购买间隔"),
    GapKind.LAST: Text("between the last two", "最近两次购买间隔"),
}


@dataclass(frozen=True)
class PurchaseGapRule:
    """Whose purchases lie so many days apart: on average, the first two, or the last two. Who has
    fewer than two purchases is never meant."""

    gap: GapKind = GapKind.AVERAGE
    at_least: int | None = None
    at_most: int | None = None
    orders: OrderFilter | None = None


class PurchaseGap(Facet):
    """How many days lie between the customer's purchases."""

    name: ClassVar[str] = "purchase_gap"
    title: ClassVar[Text] = Text("Days between purchases", "购买间隔天数")
    rule: ClassVar[type] = PurchaseGapRule

    def check(self, rule: PurchaseGapRule) -> Fault | None:
        return check_bounds(rule.at_least, rule.at_most, MAX_DAYS)

    def sql(self, rule: PurchaseGapRule, q: Query) -> str:
        low = None if rule.at_least is None else q.arg(rule.at_least, "int")
        high = None if rule.at_most is None else q.arg(rule.at_most, "int")
        return q.between(*self._rows(rule, q), low, high)

    def found(self, rule: PurchaseGapRule, q: Query) -> str:
        rows, total = self._rows(rule, q)
        return q.value(rows, f"round({total}, 1)" if rule.gap is GapKind.AVERAGE else total)

    def explain(self, rule: PurchaseGapRule, say: Say) -> str:
        days = say.bounds(rule.at_least, rule.at_most, Text("days", "天"))
        gap = _GAPS[rule.gap]
        en, zh = f"purchases {days} apart {gap.en}", f"{gap.zh}{days}"
        return (rule.orders or EVERY_ORDER).explain(say, en, zh)

    def _rows(self, rule: PurchaseGapRule, q: Query) -> tuple[Rows, str]:
        if rule.gap is GapKind.AVERAGE and stored(rule.orders):
            first = day_of("f.first_purchase_at", q, "f.shop_id")
            last = day_of("f.last_purchase_at", q, "f.shop_id")
            rows = facts(q, rule.orders, by_day=True)
            return (
                rows,
                f"((max({last}) - min({first}))::numeric / NULLIF(sum(f.purchases) - 1, 0))",
            )
        if rule.gap is GapKind.FIRST and stored(rule.orders):
            rows, day = first_two(q, rule.orders), day_of("p.at", q, "p.shop_id")
        else:
            rows, day = purchases(q, rule.orders), "p.day"
        if rule.gap is GapKind.AVERAGE:
            return rows, "((max(p.day) - min(p.day))::numeric / NULLIF(count(*) - 1, 0))"
        order = PURCHASES if rule.gap is GapKind.FIRST else LATEST
        days = f"(array_agg({day} ORDER BY {order}))"
        return rows, f"abs({days}[2] - {days}[1])"
