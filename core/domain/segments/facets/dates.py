"""Days of a customer's life that come round each year.

They are days of the merchant's calendar. Who was born on 29 February has the birthday on the 28th
in years without a 29th.
"""

from calendar import isleap
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar

from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text, check_bounds

MAX_NEXT_DAYS = 364
"""So that each day comes round at most once."""
PLACES = 1300
"""After the last place of a year, 1231, the first comes again; see place_in_year."""
MAX_AGE = 150
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


def check_next_days(days: int | None) -> Fault | None:
    """What is wrong with a number of days to look ahead."""
    if days is not None and not 0 <= days <= MAX_NEXT_DAYS:
        return Fault(f"next_days must be from 0 to {MAX_NEXT_DAYS}", ("next_days",))
    return None


def comes_round(day: str, q: Query, next_days: int) -> str:
    """A condition: the yearly return of an SQL date is today or in so many days after it."""
    first, last = place_in_year(q.today()), _last_place(q.today() + timedelta(days=next_days))
    after = f"({place_sql(day)} - {q.arg(first, 'int')} + {PLACES}) % {PLACES}"
    return f"({after} <= {q.arg((last - first) % PLACES, 'int')})"


def say_next_days(days: int, say: Say) -> str:
    """ "today" or "in the next 7 days"."""
    return say(f"in the next {days} days", f"未来{days}天内") if days else say("today", "今天")


def place_in_year(day: date) -> int:
    """A day's place in the year, by month and day alone: 615 is 15 June."""
    return day.month * 100 + day.day


def _last_place(day: date) -> int:
    """The last place that has come on a day: 28 February stands for the 29th if there is none."""
    return 229 if place_in_year(day) == 228 and not isleap(day.year) else place_in_year(day)


def place_sql(day: str) -> str:
    """`place_in_year` as SQL of an expression with a date."""
    return f"(date_part('month', {day}) * 100 + date_part('day', {day}))::int"


@dataclass(frozen=True)
class BirthdayRule:
    """Whose birthday is today or within the next so many days, or in a month (1 to 12).

    29 February counts as the 28th in years without it; in a month, always as February.
    """

    next_days: int | None = None
    month: int | None = None


class Birthday(Facet):
    """When the customer's birthday is; who gave none is never meant."""

    name: ClassVar[str] = "birthday"
    title: ClassVar[Text] = Text("Birthday", "生日")
    rule: ClassVar[type] = BirthdayRule

    def check(self, rule: BirthdayRule) -> Fault | None:
        if (rule.next_days is None) == (rule.month is None):
            return Fault("give next_days or month")
        if rule.month is not None and not 1 <= rule.month <= 12:
            return Fault("month must be from 1 to 12", ("month",))
        return check_next_days(rule.next_days)

    def sql(self, rule: BirthdayRule, q: Query) -> str:
        if rule.next_days is not None:
            fits = comes_round("c.birthday", q, rule.next_days)
        else:
            fits = f"date_part('month', c.birthday) = {q.arg(rule.month, 'int')}"
        return f"(c.birthday IS NOT NULL AND {fits})"

    def found(self, rule: BirthdayRule, q: Query) -> str:
        return "c.birthday"

    def explain(self, rule: BirthdayRule, say: Say) -> str:
        if rule.month is not None:
            return say(f"has the birthday in {MONTHS[rule.month - 1]}", f"{rule.month}月生日")
        days = say_next_days(rule.next_days or 0, say)
        return say(f"has the birthday {days}", f"{days}生日")


@dataclass(frozen=True)
class AgeRule:
    """Who is so many completed years old today; who gave no birthday is never meant."""

    at_least: int | None = None
    at_most: int | None = None


class Age(Facet):
    """How old the customer is."""

    name: ClassVar[str] = "age"
    title: ClassVar[Text] = Text("Age", "年龄")
    rule: ClassVar[type] = AgeRule

    def check(self, rule: AgeRule) -> Fault | None:
        return check_bounds(rule.at_least, rule.at_most, MAX_AGE)

    def sql(self, rule: AgeRule, q: Query) -> str:
        low, age = q.arg(rule.at_least or 0, "int"), self.found(rule, q)
        fits = f"{age} >= {low}"
        if rule.at_most is not None:
            fits = f"{age} BETWEEN {low} AND {q.arg(rule.at_most, 'int')}"
        return f"(c.birthday IS NOT NULL AND {fits})"

    def found(self, rule: AgeRule, q: Query) -> str:
        year, place = q.arg(q.today().year, "int"), q.arg(_last_place(q.today()), "int")
        return f"""({year} - date_part('year', c.birthday)
            - CASE WHEN {place_sql("c.birthday")} > {place} THEN 1 ELSE 0 END)::int"""

    def explain(self, rule: AgeRule, say: Say) -> str:
        years = say.bounds(rule.at_least, rule.at_most, Text("years", "岁"))
        return say(f"is {years} old", f"年龄{years}")


@dataclass(frozen=True)
class FirstPurchaseAnniversaryRule:
    """Whose first purchase will be one or more full years ago today or within the next so many
    days."""

    next_days: int


class FirstPurchaseAnniversary(Facet):
    """The yearly return of the day of the customer's first purchase, in whichever shop."""

    name: ClassVar[str] = "first_purchase_anniversary"
    title: ClassVar[Text] = Text("Anniversary of the first purchase", "首购周年")
    rule: ClassVar[type] = FirstPurchaseAnniversaryRule

    def check(self, rule: FirstPurchaseAnniversaryRule) -> Fault | None:
        return check_next_days(rule.next_days)

    def sql(self, rule: FirstPurchaseAnniversaryRule, q: Query) -> str:
        day = f"(f.first_purchase_at AT TIME ZONE {q.zone_of()})::date"
        where = [
            "f.shop_id = 0",
            # today's first purchase has no anniversary within a year
            f"f.first_purchase_at < {q.days_ago(0)}",
            comes_round(day, q, rule.next_days),
            # there are figures for each currency
            """NOT EXISTS (SELECT 1 FROM customer_facts e WHERE e.merchant_id = $1
                AND e.customer_id = f.customer_id AND e.shop_id = 0
                AND e.first_purchase_at < f.first_purchase_at)""",
        ]
        return q.has(Rows("customer_facts f", "f.customer_id", where))

    def found(self, rule: FirstPurchaseAnniversaryRule, q: Query) -> str:
        rows = Rows("customer_facts f", "f.customer_id", ["f.shop_id = 0"])
        return q.value(rows, f"(min(f.first_purchase_at) AT TIME ZONE {q.zone_of()})::date")

    def explain(self, rule: FirstPurchaseAnniversaryRule, say: Say) -> str:
        days = say_next_days(rule.next_days, say)
        return say(f"has the anniversary of the first purchase {days}", f"{days}为首购周年日")
