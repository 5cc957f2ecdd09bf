"""What a customer sent back or asked money back for."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from core.domain.orders.facts import REFUNDED
from core.domain.segments.facets.choices import check_choices
from core.domain.segments.facets.counted import facts, stored
from core.domain.segments.facets.filters import (
    EVERY_ORDER,
    LineFilter,
    OrderFilter,
    OrderWindow,
    in_brackets,
)
from core.domain.segments.facets.money import check_currency
from core.domain.segments.facets.orders import (
    bounds_or_some,
    check_some,
    count_or_some,
    placed,
)
from core.domain.segments.facets.states import AskedRefundKind, AskedRefundState, among, either
from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text, check_bounds

DECIMALS = 4
"""Of a percentage."""


@dataclass(frozen=True)
class RefundCountRule(LineFilter):
    """Who asked for a refund or return that fits, or for so many. within is about when it was
    asked for, that of orders about when they were placed; what is asked of products is asked of the
    refunded line, or of any line where the whole order was refunded."""

    at_least: int | None = None
    at_most: int | None = None
    kinds: list[AskedRefundKind] | None = None
    states: list[AskedRefundState] | None = None
    reasons: list[str] | None = None
    within: OrderWindow | None = None
    orders: OrderFilter | None = None


class RefundCount(Facet):
    """How many refunds and returns the customer asked for."""

    name: ClassVar[str] = "refund_count"
    title: ClassVar[Text] = Text("Refunds and returns", "退款退货")
    rule: ClassVar[type] = RefundCountRule

    def check(self, rule: RefundCountRule) -> Fault | None:
        for name in ("kinds", "states", "reasons"):
            if fault := check_choices(getattr(rule, name), name):
                return fault
        return rule.check() or check_some(rule.at_least, rule.at_most)

    def sql(self, rule: RefundCountRule, q: Query) -> str:
        return count_or_some(q, rule.at_least, rule.at_most, lambda: self._rows(rule, q))

    def found(self, rule: RefundCountRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "count(*)")

    def explain(self, rule: RefundCountRule, say: Say) -> str:
        which = rule.line_words(say)
        if rule.kinds is not None:
            names = either(rule.kinds, say)
            which.append(say(f"of kind {names}", f"类型为{names}"))
        if rule.states is not None:
            names = either(rule.states, say)
            which.append(say(f"in state {names}", f"状态为{names}"))
        if rule.reasons is not None:
            names = say.either(rule.reasons)
            which.append(say(f"for the reason {names}", f"原因为{names}"))
        when = [rule.within.explain(say)] if rule.within is not None else []
        times = bounds_or_some(say, rule.at_least, rule.at_most, Text("times", "次"))
        en = " ".join(["asked for a refund", *([times] if times else []), *when, *which])
        zh = f"申请退款{times}" if times else "申请过退款"
        zh = f"{''.join(when)}{zh}{in_brackets(which)}"
        if rule.orders in (None, EVERY_ORDER):
            return say(en, zh)
        orders = rule.orders.explain(say, "of an order", "的订单")
        return say(f"{en} {orders}", f"{orders}{zh}")

    def _rows(self, rule: RefundCountRule, q: Query) -> Rows:
        where = ["r.merchant_id = o.merchant_id", "r.order_id = o.id"]
        if rule.kinds is not None:
            where.append(among("r.kind", rule.kinds, q))
        if rule.states is not None:
            where.append(among("r.state", rule.states, q))
        if rule.reasons is not None:
            where.append(f"r.reason = ANY({q.arg(rule.reasons)}::text[])")
        if rule.within is not None:
            where += rule.within.sql("r.requested_at", q, "o.shop_id")
        if lines := rule.line_sql(q):
            where.append(f"""EXISTS (SELECT 1 FROM order_lines l WHERE l.merchant_id = $1
                AND l.order_id = o.id AND (r.line_id IS NULL OR l.id = r.line_id)
                AND {" AND ".join(lines)})""")
        orders = placed(q, rule.orders)
        return Rows(
            f"{orders.source} CROSS JOIN refunds r", orders.customer, [*orders.where, *where]
        )


@dataclass(frozen=True)
class RefundRateRule:
    """Of whose payments in one currency so many percent were paid back; who paid nothing in it is
    never meant."""

    currency: str
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    orders: OrderFilter | None = None


class RefundRate(Facet):
    """Which part of the money that the customer paid was paid back."""

    name: ClassVar[str] = "refund_rate"
    title: ClassVar[Text] = Text("Share refunded", "退款率")
    rule: ClassVar[type] = RefundRateRule

    def check(self, rule: RefundRateRule) -> Fault | None:
        if fault := check_currency(rule.currency) or check_bounds(rule.at_least, rule.at_most, 100):
            return fault
        for name, value in (("at_least", rule.at_least), ("at_most", rule.at_most)):
            if value is not None and value != round(value, DECIMALS):
                return Fault(f"a percentage has at most {DECIMALS} decimals", (name,))
        return None

    def sql(self, rule: RefundRateRule, q: Query) -> str:
        low = None if rule.at_least is None else q.arg(rule.at_least, "numeric")
        high = None if rule.at_most is None else q.arg(rule.at_most, "numeric")
        return q.between(*self._rows(rule, q), low, high)

    def found(self, rule: RefundRateRule, q: Query) -> str:
        rows, total = self._rows(rule, q)
        return q.value(rows, f"round({total}, 2)")

    def explain(self, rule: RefundRateRule, say: Say) -> str:
        percent = say.bounds(rule.at_least, rule.at_most)
        en = f"got back {percent} % of what was paid in {rule.currency}"
        zh = f"{rule.currency}退款率{percent}%"
        return (rule.orders or EVERY_ORDER).explain(say, en, zh)

    def _rows(self, rule: RefundRateRule, q: Query) -> tuple[Rows, str]:
        currency = q.arg(rule.currency, "text")
        if stored(rule.orders):
            rows = facts(q, rule.orders, f"f.currency = {currency}")
            return rows, "(100 * sum(f.refunded) / NULLIF(sum(f.paid), 0))"
        where = [
            *(rule.orders or EVERY_ORDER).sql(q), f"o.currency = {currency}",
            "o.paid_at IS NOT NULL", "o.state <> 'closed_unpaid'",
        ]  # fmt: skip
        total = f"(100 * sum({REFUNDED}) / NULLIF(sum(o.paid), 0))"
        return Rows("orders o", "o.customer_id", where), total
