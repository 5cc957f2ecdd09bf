"""The parcels on their way to a customer."""

from dataclasses import dataclass
from typing import ClassVar

from core.domain.segments.facets.choices import check_choices
from core.domain.segments.facets.filters import EVERY_ORDER, OrderFilter, OrderWindow, in_brackets
from core.domain.segments.facets.orders import placed
from core.domain.segments.facets.states import AskedParcelState, among, either
from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text


@dataclass(frozen=True)
class ParcelRule:
    """Who has a parcel that fits; within is about its last scan, that of orders about when they
    were placed."""

    states: list[AskedParcelState] | None = None
    within: OrderWindow | None = None
    carriers: list[str] | None = None
    orders: OrderFilter | None = None


class Parcel(Facet):
    """A parcel of any order, and how far it has come."""

    name: ClassVar[str] = "parcel"
    title: ClassVar[Text] = Text("Parcel", "包裹")
    rule: ClassVar[type] = ParcelRule

    def check(self, rule: ParcelRule) -> Fault | None:
        return check_choices(rule.states, "states") or check_choices(rule.carriers, "carriers")

    def sql(self, rule: ParcelRule, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: ParcelRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "max(p.last_event_at)")

    def explain(self, rule: ParcelRule, say: Say) -> str:
        which = []
        if rule.states is not None:
            names = either(rule.states, say)
            which.append(say(f"that is {names}", f"状态为{names}"))
        if rule.carriers is not None:
            names = say.either(rule.carriers)
            which.append(say(f"with {names}", f"承运商为{names}"))
        if rule.within is not None:
            when = rule.within.explain(say)
            which.append(say(f"last scanned {when}", f"最后更新于{when}"))
        en = " ".join(["has a parcel", *which])
        zh = f"有包裹{in_brackets(which)}"
        if rule.orders in (None, EVERY_ORDER):
            return say(en, zh)
        orders = rule.orders.explain(say, "of an order", "订单")
        return say(f"{en} {orders}", f"{orders}{zh}")

    def _rows(self, rule: ParcelRule, q: Query) -> Rows:
        where = ["p.merchant_id = o.merchant_id", "p.order_id = o.id"]
        if rule.states is not None:
            where.append(among("p.state", rule.states, q))
        if rule.carriers is not None:
            where.append(f"p.carrier = ANY({q.arg(rule.carriers)}::text[])")
        if rule.within is not None:
            where += rule.within.sql("p.last_event_at", q, "o.shop_id")
        orders = placed(q, rule.orders)
        return Rows(
            f"{orders.source} CROSS JOIN parcels p", orders.customer, [*orders.where, *where]
        )
