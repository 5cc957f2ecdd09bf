"""Which orders, and when: parameters that the facets about orders share."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from enum import Enum
from functools import cached_property

from core.domain.customers.places import province_of
from core.domain.orders.facts import REFUNDED
from core.domain.segments.facets.choices import check_choices
from core.domain.segments.facets.money import MoneyRange
from core.domain.segments.facets.states import AskedOrderState, among, either
from core.sdk.facets import MAX_DAYS, Fault, Query, Say, Text

NET = f"(o.paid - {REFUNDED})"
"""What was paid for order `o` and not paid back, in minor units."""


@dataclass(frozen=True)
class Window:
    """A time in whole days, today being 0: last_days 30 reaches back to the start of the day 30
    days before today; days_ago_at_least and days_ago_at_most count back from today; from_day and
    to_day are calendar days, both included."""

    last_days: int | None = None
    days_ago_at_least: int | None = None
    days_ago_at_most: int | None = None
    from_day: date | None = None
    to_day: date | None = None

    def check(self) -> Fault | None:
        """What is wrong with the window, or None."""
        kinds = [
            self.last_days is not None,
            (self.days_ago_at_least, self.days_ago_at_most) != (None, None),
            (self.from_day, self.to_day) != (None, None),
        ]
        if sum(kinds) != 1:
            return Fault(
                "give last_days, or days_ago_at_least and days_ago_at_most, or from_day and to_day"
            )
        if self.last_days is not None and not 0 <= self.last_days <= MAX_DAYS:
            return Fault(f"last_days must be from 0 to {MAX_DAYS}", ("last_days",))
        if self.from_day is not None and self.to_day is not None and self.from_day > self.to_day:
            return Fault("from_day is after to_day: no day matches", ("from_day",))
        for name in ("from_day", "to_day"):
            day = getattr(self, name)
            if day is not None and not 1 < day.year < 9998:
                return Fault(f"{name} is of the years 2 to 9997", (name,))
        return check_days("days_ago", self.days_ago_at_least, self.days_ago_at_most)

    def sql(self, column: str, q: Query, shop: str | None = None) -> list[str]:
        """Conditions on a column of times, in days of the shop that column `shop` names."""
        made = []
        oldest = self.last_days if self.last_days is not None else self.days_ago_at_most
        if oldest is not None:
            made.append(f"{column} >= {q.days_ago(oldest, shop)}")
        if self.days_ago_at_least is not None:
            made.append(f"{column} < {q.days_ago(self.days_ago_at_least - 1, shop)}")
        if self.from_day is not None:
            made.append(f"{column} >= {q.midnight(self.from_day, shop)}")
        if self.to_day is not None:
            made.append(f"{column} < {q.midnight(self.to_day + timedelta(days=1), shop)}")
        return made

    def explain(self, say: Say) -> str:
        """The window in words, such as "in the last 30 days" and "近30天"."""
        if self.last_days == 0:
            return say("today", "今天")
        if self.last_days is not None:
            return say(f"in the last {self.last_days} days", f"近{self.last_days}天")
        low, high = self.days_ago_at_least, self.days_ago_at_most
        if low is not None or high is not None:
            days = say.bounds(low, high)
            return say(f"{days} days ago", f"{days}天前")
        if self.to_day is None:
            return say(f"since {self.from_day}", f"{self.from_day}起")
        if self.from_day is None:
            return say(f"until {self.to_day}", f"{self.to_day}止")
        return say(f"from {self.from_day} to {self.to_day}", f"{self.from_day}至{self.to_day}")


def check_days(name: str, low: int | None, high: int | None) -> Fault | None:
    """What is wrong with bounds of a number of days, `name`_at_least and `name`_at_most."""
    for which, days in ((f"{name}_at_least", low), (f"{name}_at_most", high)):
        if days is not None and not 0 <= days <= MAX_DAYS:
            return Fault(f"{which} must be from 0 to {MAX_DAYS}", (which,))
    if low is not None and high is not None and low > high:
        message = f"{name}_at_least is greater than {name}_at_most: no day matches"
        return Fault(message, (f"{name}_at_least",))
    return None


class CustomerEvent(Enum):
    """An event of a customer that days are counted from."""

    FIRST_PURCHASE = "FIRST_PURCHASE"
    SECOND_PURCHASE = "SECOND_PURCHASE"
    LAST_PURCHASE = "LAST_PURCHASE"
    FIRST_SEEN = "FIRST_SEEN"


@dataclass(frozen=True)
class OrderWindow(Window):
    """A time in whole days, as a window; or counted from the day of an event of the same customer,
    which is day 0: days_after_at_least and days_after_at_most count on from that of `event`; or the
    last_hours to the second, whatever the calendar says."""

    last_hours: int | None = None
    event: CustomerEvent | None = None
    days_after_at_least: int | None = None
    days_after_at_most: int | None = None

    def check(self) -> Fault | None:
        """What is wrong with the window, or None."""
        low, high = self.days_after_at_least, self.days_after_at_most
        if self.last_hours is not None:
            if any(
                getattr(self, o.name) is not None for o in fields(self) if o.name != "last_hours"
            ):
                return Fault("last_hours do not go together with other times", ("last_hours",))
            if not 1 <= self.last_hours <= 24 * MAX_DAYS:
                return Fault(f"last_hours must be from 1 to {24 * MAX_DAYS}", ("last_hours",))
            return None
        if self.event is None and low is None and high is None:
            return super().check()
        if self.event is None:
            return Fault("days are counted after an event: say which", ("event",))
        if low is None and high is None:
            return Fault("give days_after_at_least, days_after_at_most or both", ("event",))
        if any(getattr(self, one.name) is not None for one in fields(Window)):
            return Fault("days after an event do not go together with other days", ("event",))
        return check_days("days_after", low, high)

    def sql(
        self, column: str, q: Query, shop: str | None = None, customer: str = "o.customer_id"
    ) -> list[str]:
        """Conditions on a column of times, in days of the shop that column `shop` names.

        `customer` is the column with the id of the customer whose times they are.
        """
        if self.last_hours is not None:
            since = q.now - timedelta(hours=self.last_hours)
            return [f"{column} >= {q.arg(since, 'timestamptz')}"]
        if self.event is None:
            return super().sql(column, q, shop)
        found, key, at = _EVENTS[self.event]
        days = f"({day_of(column, q, shop)} - {day_of(at, q, shop)})"
        where = [f"{key} = {customer}", f"{days} >= {q.arg(self.days_after_at_least or 0, 'int')}"]
        if self.days_after_at_most is not None:
            where.append(f"{days} <= {q.arg(self.days_after_at_most, 'int')}")
        return [f"EXISTS (SELECT 1 FROM {found} AND {' AND '.join(where)})"]

    def explain(self, say: Say) -> str:
        """The window in words, such as "at most 30 days after the first purchase"."""
        if self.last_hours is not None:
            return say(f"in the last {self.last_hours} hours", f"近{self.last_hours}小时")
        if self.event is None:
            return super().explain(say)
        days = say.bounds(self.days_after_at_least, self.days_after_at_most)
        event = _NAMES[self.event]
        return say(f"{days} days after {event.en}", f"{event.zh}后{days}天")


_NAMES = {
    CustomerEvent.FIRST_PURCHASE: Text("the first purchase", "首次购买"),
    CustomerEvent.SECOND_PURCHASE: Text("the second purchase", "第二次购买"),
    CustomerEvent.LAST_PURCHASE: Text("the last purchase", "最近一次购买"),
    CustomerEvent.FIRST_SEEN: Text("first being known", "首次建档"),
}

_OTHERS = """FROM customer_facts b
    WHERE b.merchant_id = e.merchant_id AND b.customer_id = e.customer_id AND b.shop_id = 0"""
"""A customer's figures in all currencies."""

_EVENTS = {
    CustomerEvent.FIRST_PURCHASE: (
        f"""customer_facts e WHERE e.merchant_id = $1 AND e.shop_id = 0
            AND NOT EXISTS (SELECT 1 {_OTHERS} AND b.first_purchase_at < e.first_purchase_at)""",
        "e.customer_id", "e.first_purchase_at",
    ),
    CustomerEvent.SECOND_PURCHASE: (
        f"""customer_facts e CROSS JOIN LATERAL (
                SELECT t.at FROM (SELECT b.* {_OTHERS}) b
                CROSS JOIN LATERAL (VALUES (b.first_purchase_at), (b.second_purchase_at)) t (at)
                ORDER BY t.at OFFSET 1 LIMIT 1) second
            WHERE e.merchant_id = $1 AND e.shop_id = 0""",
        "e.customer_id", "second.at",
    ),
    CustomerEvent.LAST_PURCHASE: (
        f"""customer_facts e WHERE e.merchant_id = $1 AND e.shop_id = 0
            AND NOT EXISTS (SELECT 1 {_OTHERS} AND b.last_purchase_at > e.last_purchase_at)""",
        "e.customer_id", "e.last_purchase_at",
    ),
    CustomerEvent.FIRST_SEEN: ("customers e WHERE e.merchant_id = $1", "e.id", "e.created_at"),
}  # fmt: skip
"""Where each event is found (FROM and WHERE), the column of the customer, and the time."""


def day_of(column: str, q: Query, shop: str | None = None) -> str:
    """The calendar day of a time, as SQL."""
    return f"({column} AT TIME ZONE {q.zone_of(shop)})::date"


@dataclass(frozen=True)
class LineFilter:
    """Articles, all of whose given conditions hold. Lists: any of these."""

    product_ids: list[str] | None = None
    skus: list[str] | None = None
    categories: list[str] | None = None
    title_contains: str | None = None

    def check(self) -> Fault | None:
        """What is wrong with the filter, or None."""
        for name in ("product_ids", "skus", "categories"):
            if fault := check_choices(getattr(self, name), name):
                return fault
        if self.title_contains is not None and not self.title_contains.strip():
            return Fault("title_contains is empty", ("title_contains",))
        return None

    def line_sql(self, q: Query) -> list[str]:
        """Conditions on line `l` of an order."""
        lists = (
            ("l.product_id", self.product_ids), ("l.sku", self.skus),
            ("l.category", self.categories),
        )  # fmt: skip
        made = [q.one_of(column, one) for column, one in lists if one is not None]
        if self.title_contains is not None:
            text = q.arg(self.title_contains, "text")
            made.append(f"strpos(lower(l.title), lower({text})) > 0")
        return made

    def line_words(self, say: Say) -> list[str]:
        """The conditions in words."""
        lists = (
            (self.product_ids, "with product", "商品为"), (self.skus, "with SKU", "SKU为"),
            (self.categories, "with category", "类目为"),
        )  # fmt: skip
        made = [
            say(f"{en} {say.either(values)}", f"{zh}{say.either(values)}")
            for values, en, zh in lists
            if values is not None
        ]
        if self.title_contains is not None:
            text = self.title_contains
            made.append(say(f"with a title that has “{text}”", f"标题含“{text}”"))
        return made


@dataclass(frozen=True)
class OrderFilter(LineFilter):
    """Which orders are meant; all of the given conditions hold. Lists: any of these. What is asked
    of products is asked of one line of the order."""

    shop_ids: list[int] | None = None
    platforms: list[str] | None = None
    within: OrderWindow | None = None
    provinces: list[str] | None = None
    states: list[AskedOrderState] | None = None
    amount: MoneyRange | None = None
    in_dispute: bool | None = None

    def check(self) -> Fault | None:
        """What is wrong with the filter, or None."""
        for name in ("shop_ids", "platforms", "provinces", "states"):
            if fault := check_choices(getattr(self, name), name):
                return fault
        return super().check()

    @cached_property
    def only_shops(self) -> bool:
        """Whether it tells orders apart by their shops alone, as stored figures do."""
        return replace(self, shop_ids=None, platforms=None) == EVERY_ORDER

    def sql(self, q: Query, time: str = "o.paid_at", amount: str = NET) -> list[str]:
        """Conditions on order `o`; `within` is about the column `time`."""
        made = self.order_sql(q, time, amount)
        if lines := self.line_sql(q):
            # for one customer, a few orders are to be looked into, not all lines of a product
            fence = "OFFSET 0" if q.one_by_one else ""
            made.append(f"""EXISTS (SELECT 1 FROM order_lines l WHERE l.merchant_id = $1
                AND l.order_id = o.id AND {" AND ".join(lines)} {fence})""")
        return made

    def order_sql(self, q: Query, time: str = "o.paid_at", amount: str = NET) -> list[str]:
        """The same without what is asked of products."""
        made = self.shop_sql(q, "o.shop_id")
        if self.within is not None:
            made += self.within.sql(time, q, "o.shop_id")
        if self.provinces is not None:
            names = sorted({*self.provinces, *map(province_of, self.provinces)})
            made.append(f"o.province = ANY({q.arg(names)}::text[])")
        if self.states is not None:
            made.append(among("o.state", self.states, q))
        if self.amount is not None:
            made.append(f"o.currency = {q.arg(self.amount.currency, 'text')}")
            made += self.amount.sql(amount, q)
        if self.in_dispute is not None:
            made.append("o.in_dispute" if self.in_dispute else "NOT o.in_dispute")
        return made

    def shop_sql(self, q: Query, shop: str) -> list[str]:
        """Conditions on a column that holds a shop's id."""
        made = []
        if self.shop_ids is not None:
            made.append(q.one_of(shop, self.shop_ids, "bigint"))
        if self.platforms is not None:
            names = [name.strip().lower() for name in self.platforms]  # as shops have them
            made.append(f"""{shop} IN (SELECT s.id FROM shops s WHERE s.merchant_id = $1
                AND s.platform = ANY({q.arg(names)}::text[]))""")
        return made

    def explain(self, say: Say, en: str, zh: str) -> str:
        """A question about such orders in words, of which `en` and `zh` say what is asked.

        As in "bought at least 3 times in the last 180 days with product A1" and
        "近180天购买至少3次(商品为A1)".
        """
        when = [self.within.explain(say)] if self.within is not None else []
        if self.shop_ids is not None:
            names = say.either([say.name("shop", number) for number in self.shop_ids])
            when.append(say(f"in {names}", f"在店铺{names}"))
        if self.platforms is not None:
            names = say.either(self.platforms)
            when.append(say(f"on {names}", f"在平台{names}"))
        which = self.line_words(say)
        if self.provinces is not None:
            names = say.either(self.provinces)
            which.append(say(f"sent to {names}", f"收货地为{names}"))
        if self.states is not None:
            names = either(self.states, say)
            which.append(say(f"in state {names}", f"状态为{names}"))
        if self.amount is not None:
            amount = self.amount.explain(say)
            which.append(say(f"of {amount}", f"金额{amount}"))
        if self.in_dispute is not None:
            which.append(
                say("in dispute", "有纠纷") if self.in_dispute else say("not in dispute", "无纠纷")
            )
        return say(
            " ".join([en, *when, *which]),
            f"{''.join(when)}{zh}{in_brackets(which)}",
        )


EVERY_ORDER = OrderFilter()


def in_brackets(said: Sequence[str]) -> str:
    """What is said beside, in Chinese brackets; nothing of nothing."""
    return f"({','.join(said)})" if said else ""
