"""Where a customer stands in its lifecycle, and when the next purchase is expected.

Thresholds come from the database inside the statement, as subqueries that are the same for every
customer. Days are those of the shop asked for, or of the merchant.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from core.domain.lifecycle.stages import BUYERS, LifecycleStage, next_day_sql, stage_sql
from core.domain.lifecycle.thresholds import Name
from core.domain.segments.facets.place import Place, in_shop
from core.sdk.facets import MAX_DAYS, Facet, Fault, Query, Rows, Say, Text, check_bounds

NAMES: tuple[Name, ...] = ("active", "silent", "sleeping")
STAGES = {
    LifecycleStage.POTENTIAL: Text("potential", "潜客"),
    LifecycleStage.ACTIVE: Text("active", "活跃"),
    LifecycleStage.SILENT: Text("silent", "沉默"),
    LifecycleStage.SLEEPING: Text("sleeping", "睡眠"),
    LifecycleStage.CHURNED: Text("churned", "流失"),
}


@dataclass(frozen=True)
class LifecycleStageRule:
    """Whose stage is any of these, by the thresholds in force; in a shop, by its purchases and
    thresholds. An empty list matches nobody."""

    any_of: list[LifecycleStage]
    shop_id: int | None = None


class InStage(Facet):
    """The stage by the days since the last purchase."""

    name: ClassVar[str] = "lifecycle_stage"
    title: ClassVar[Text] = Text("Lifecycle stage", "生命周期阶段")
    rule: ClassVar[type] = LifecycleStageRule

    def sql(self, rule: LifecycleStageRule, q: Query) -> str:
        place = Place(q, rule.shop_id)
        wanted = [place_of for place_of, stage in enumerate(BUYERS) if stage in rule.any_of]
        tests = [
            q.has(self._between(place, min(run), max(run)))
            for run in ([one for _, one in group] for _, group in groupby(
                enumerate(wanted), lambda pair: pair[1] - pair[0]))
        ]  # fmt: skip
        if LifecycleStage.POTENTIAL in rule.any_of:
            tests.append(f"NOT {q.has(place.facts())}")
        return f"({' OR '.join(tests)})" if tests else "FALSE"

    def found(self, rule: LifecycleStageRule, q: Query) -> str:
        place = Place(q, rule.shop_id)
        last = q.value(place.facts(), f"(max(f.last_purchase_at) AT TIME ZONE {place.zone})::date")
        days = f"({place.today} - {last})"
        return stage_sql(days, *(place.threshold(name) for name in NAMES))

    def explain(self, rule: LifecycleStageRule, say: Say) -> str:
        names = say.either([say(*STAGES[stage]) for stage in rule.any_of])
        en, zh = in_shop(say, rule.shop_id)
        return say(f"is {names}{en}", f"{zh}生命周期为{names}")

    def _between(self, place: Place, first: int, last: int) -> Rows:
        """Figures that put their customer into the stages from number `first` to `last`."""
        where = []
        if last < len(NAMES):
            oldest = place.start(f"{place.today} - {place.threshold(NAMES[last])}")
            where.append(f"f.last_purchase_at >= {oldest}")
        if first > 0:
            later = place.start(f"{place.today} - {place.threshold(NAMES[first - 1])}")
            # the planner takes two unknown bounds of a column for one half of a percent of it,
            # which it would look up one by one; IS NOT FALSE keeps it from seeing a pair
            where.append(f"(f.last_purchase_at < {later}) IS NOT FALSE")
            # among the figures of several currencies the latest purchase counts
            where.append(f"""NOT EXISTS (SELECT 1 FROM customer_facts g
                WHERE g.merchant_id = $1 AND g.customer_id = f.customer_id
                  AND g.shop_id = {place.shop} AND g.last_purchase_at >= {later})""")
        return place.facts(*where)


@dataclass(frozen=True)
class DaysToNextPurchaseRule:
    """Whose next purchase is expected in so many days; negative: it is overdue. Who never bought
    is never meant."""

    at_least: int | None = None
    at_most: int | None = None
    shop_id: int | None = None


class DaysToNextPurchase(Facet):
    """In how many days the next purchase is expected: the last one and the customer's mean gap,
    or before its third purchase the days up to which customers count as active."""

    name: ClassVar[str] = "days_to_next_purchase"
    title: ClassVar[Text] = Text("Days to next purchase", "距预计下次购买天数")
    rule: ClassVar[type] = DaysToNextPurchaseRule

    def check(self, rule: DaysToNextPurchaseRule) -> Fault | None:
        return check_bounds(rule.at_least, rule.at_most, MAX_DAYS, -MAX_DAYS)

    def sql(self, rule: DaysToNextPurchaseRule, q: Query) -> str:
        low = None if rule.at_least is None else q.arg(rule.at_least, "int")
        high = None if rule.at_most is None else q.arg(rule.at_most, "int")
        return q.between(*self._rows(rule, q), low, high)

    def found(self, rule: DaysToNextPurchaseRule, q: Query) -> str:
        return q.value(*self._rows(rule, q))

    def explain(self, rule: DaysToNextPurchaseRule, say: Say) -> str:
        days = say.bounds(rule.at_least, rule.at_most)
        en, zh = in_shop(say, rule.shop_id)
        return say(f"is expected to buy again in {days} days{en}", f"{zh}预计{days}天后再次购买")

    def _rows(self, rule: DaysToNextPurchaseRule, q: Query) -> tuple[Rows, str]:
        place = Place(q, rule.shop_id)
        expected = next_day_sql(
            f"(max(f.last_purchase_at) AT TIME ZONE {place.zone})::date",
            f"(min(f.first_purchase_at) AT TIME ZONE {place.zone})::date",
            "sum(f.purchases)", place.threshold("active"),
        )  # fmt: skip
        return place.facts(), f"({expected} - {place.today})"
