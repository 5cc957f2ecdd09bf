"""Which orders, and when: parameters that the facets about orders share."""

from dataclasses import dataclass
from datetime import date, timedelta

from core.domain.customers.places import province_of
from core.domain.segments.facets.choices import check_choices
from core.sdk.facets import MAX_DAYS, Fault, Query, Say


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
        low, high = self.days_ago_at_least, self.days_ago_at_most
        kinds = [
            self.last_days is not None,
            low is not None or high is not None,
            self.from_day is not None or self.to_day is not None,
        ]
        if sum(kinds) != 1:
            return Fault(
                "give last_days, or days_ago_at_least and days_ago_at_most, or from_day and to_day"
            )
        for name in ("last_days", "days_ago_at_least", "days_ago_at_most"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= MAX_DAYS:
                return Fault(f"{name} must be from 0 to {MAX_DAYS}", (name,))
        if low is not None and high is not None and low > high:
            return Fault("days_ago_at_least is greater than days_ago_at_most: no day matches",
                         ("days_ago_at_least",))  # fmt: skip
        if self.from_day is not None and self.to_day is not None and self.from_day > self.to_day:
            return Fault("from_day is after to_day: no day matches", ("from_day",))
        for name in ("from_day", "to_day"):
            day = getattr(self, name)
            if day is not None and not 1 < day.year < 9998:
                return Fault(f"{name} is of the years 2 to 9997", (name,))
        return None

    def sql(self, column: str, q: Query, shop: str | None = None) -> list[str]:
        """Conditions on a column of times, in days of the shop that column `shop` names."""
        made = []
        oldest = self.last_days if self.last_days is not None else self.days_ago_at_most
        if oldest is not None:
            made.append(f"{column} >= {q.days_ago(oldest, shop)}")
        if self.days_ago_at_least:
            made.append(f"{column} < {q.days_ago(self.days_ago_at_least - 1, shop)}")
        if self.from_day is not None:
            made.append(f"{column} >= {q.midnight(self.from_day, shop)}")
        if self.to_day is not None:
            made.append(f"{column} < {q.midnight(self.to_day + timedelta(days=1), shop)}")
        return made

    def explain(self, say: Say) -> str:
        """The window in words, such as "in the last 30 days" and "近30天"."""
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


@dataclass(frozen=True)
class OrderFilter:
    """Which orders are meant; all of the given conditions hold. Lists: any of these."""

    shop_ids: list[int] | None = None
    platforms: list[str] | None = None
    within: Window | None = None
    product_ids: list[str] | None = None
    categories: list[str] | None = None
    provinces: list[str] | None = None

    def check(self) -> Fault | None:
        """What is wrong with the filter, or None."""
        for name in ("shop_ids", "platforms", "product_ids", "categories", "provinces"):
            if fault := check_choices(getattr(self, name), name):
                return fault
        return None

    def sql(self, q: Query, time: str = "o.paid_at") -> list[str]:
        """Conditions on order `o`; `within` is about the column `time`."""
        made = []
        if self.shop_ids is not None:
            made.append(f"o.shop_id = ANY({q.arg(self.shop_ids)}::bigint[])")
        if self.platforms is not None:
            made.append(f"""o.shop_id IN (SELECT s.id FROM shops s WHERE s.merchant_id = $1
                AND s.platform = ANY({q.arg(self.platforms)}::text[]))""")
        if self.within is not None:
            made += self.within.sql(time, q, "o.shop_id")
        if self.provinces is not None:
            names = sorted({*self.provinces, *map(province_of, self.provinces)})
            made.append(f"o.province = ANY({q.arg(names)}::text[])")
        lines = []
        if self.product_ids is not None:
            lines.append(f"l.product_id = ANY({q.arg(self.product_ids)}::text[])")
        if self.categories is not None:
            lines.append(f"l.category = ANY({q.arg(self.categories)}::text[])")
        if lines:
            made.append(f"""EXISTS (SELECT 1 FROM order_lines l WHERE l.merchant_id = $1
                AND l.order_id = o.id AND {" AND ".join(lines)})""")
        return made

    def explain(self, say: Say) -> str:
        """The filter in words, beginning with a blank in English, to stand after a verb."""
        said = []
        if self.within is not None:
            said.append(self.within.explain(say))
        if self.shop_ids is not None:
            names = say.either([say.name("shop", number) for number in self.shop_ids])
            said.append(say(f"in {names}", f"在店铺{names}"))
        for values, en, zh in (
            (self.platforms, "on {}", "在平台{}"),
            (self.product_ids, "of product {}", "商品{}"),
            (self.categories, "of category {}", "类目{}"),
            (self.provinces, "sent to {}", "收货地{}"),
        ):
            if values is not None:
                said.append(say(en, zh).format(say.either(values)))
        return say("".join(f" {one}" for one in said), "".join(said))


EVERY_ORDER = OrderFilter()
