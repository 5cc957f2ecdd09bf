"""What a customer is worth: its rank by net sales, its RFM scores and group.

Boundaries come from the database inside the statement, as they were measured last; the customer's
figures are those of now.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from core.domain.lifecycle.rfm import GROUPS, SCORES, WINDOW_DAYS, RfmGroup
from core.domain.orders.facts import COUNTED, REFUNDED
from core.domain.segments.facets.place import Place, in_shop
from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text

RFM_GROUPS = {
    RfmGroup.IMPORTANT_VALUE: Text("important, of value", "重要价值"),
    RfmGroup.IMPORTANT_DEVELOP: Text("important, to develop", "重要发展"),
    RfmGroup.IMPORTANT_KEEP: Text("important, to keep", "重要保持"),
    RfmGroup.IMPORTANT_WIN_BACK: Text("important, to win back", "重要挽留"),
    RfmGroup.GENERAL_VALUE: Text("general, of value", "一般价值"),
    RfmGroup.GENERAL_DEVELOP: Text("general, to develop", "一般发展"),
    RfmGroup.GENERAL_KEEP: Text("general, to keep", "一般保持"),
    RfmGroup.GENERAL_WIN_BACK: Text("general, to win back", "一般挽留"),
}


class Measured:
    """The boundaries in force for a shop and a currency, as SQL; NULL before the first measuring.

    Without a currency given it is that of the shop, or of the merchant.
    """

    def __init__(self, q: Query, place: Place, currency: str | None) -> None:
        self._place = place
        self.currency = (
            q.arg(currency, "text") if currency else
            f"""COALESCE((SELECT s.currency FROM shops s WHERE s.merchant_id = $1
                AND s.id = {place.shop}), (SELECT m.currency FROM merchants m WHERE m.id = $1))"""
        )  # fmt: skip

    def value(self, column: str) -> str:
        """A column of the row in force, such as "f_bounds[2]"."""
        return f"""(SELECT m.{column} FROM rfm_models m WHERE m.merchant_id = $1
            AND m.shop_id = {self._place.shop} AND m.currency = {self.currency}
            AND m.valid_to IS NULL)"""


@dataclass(frozen=True)
class ValuePercentileRule:
    """Who is among the best so many percent of buyers by net sales of all time, as measured last;
    the currency is the shop's or the merchant's if not given."""

    top: int
    shop_id: int | None = None
    currency: str | None = None


class ValuePercentile(Facet):
    """The rank by net sales. Who spent exactly as much as the boundary is not above it, so that
    never more than the percentage are meant."""

    name: ClassVar[str] = "value_percentile"
    title: ClassVar[Text] = Text("Best customers in percent", "消费额排名前百分之")
    rule: ClassVar[type] = ValuePercentileRule

    def check(self, rule: ValuePercentileRule) -> Fault | None:
        if not 1 <= rule.top <= 99:
            return Fault("top must be from 1 to 99", ("top",))
        return _currency_fault(rule.currency)

    def sql(self, rule: ValuePercentileRule, q: Query) -> str:
        rows, net, measured = self._rows(rule, q)
        above = f"{net} > {measured.value(f'percentiles[{100 - rule.top}]')}"
        return q.has(replace(rows, where=[*rows.where, above]))

    def found(self, rule: ValuePercentileRule, q: Query) -> str:
        rows, net, measured = self._rows(rule, q)
        rank = f"100 - width_bucket({net} - 1, {measured.value('percentiles')})"
        return q.value(rows, f"max({rank})")

    def explain(self, rule: ValuePercentileRule, say: Say) -> str:
        en, zh = in_shop(say, rule.shop_id)
        money = f" ({rule.currency})" if rule.currency else ""
        return say(
            f"is among the best {rule.top}% by net sales{money}{en}",
            f"{zh}净消费额{money}排名前{rule.top}%",
        )

    def _rows(self, rule: ValuePercentileRule, q: Query) -> tuple[Rows, str, Measured]:
        place = Place(q, rule.shop_id)
        measured = Measured(q, place, rule.currency)
        rows = place.facts(f"f.currency = {measured.currency}")
        return rows, "(f.paid - f.refunded)", measured


def _currency_fault(currency: str | None) -> Fault | None:
    if currency is None or (
        len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()
    ):
        return None
    return Fault("currency is not a currency code; write it as CNY", ("currency",))


class Figures:
    """R, F and M of the orders of the window, as aggregates over the orders `o` of a customer."""

    def __init__(self, q: Query, shop_id: int | None, currency: str | None) -> None:
        self._q, self._shop_id = q, shop_id
        self._place = Place(q, shop_id)
        self.measured = Measured(q, self._place, currency)

    @cached_property
    def r(self) -> str:
        """Days since the last purchase."""
        place = self._place
        return f"({place.today} - (max(o.paid_at) AT TIME ZONE {place.zone})::date)"

    @cached_property
    def f(self) -> str:
        """The number of purchases: days of a shop on which something was bought."""
        day = f"(o.paid_at AT TIME ZONE {self._q.zone_of('o.shop_id')})::date"
        if self._shop_id is not None:
            return f"count(DISTINCT {day})"
        # shop and day as one number, which is sorted far faster than a row of both
        return f"count(DISTINCT o.shop_id * 100000 + ({day} - DATE '2000-01-01'))"

    @cached_property
    def m(self) -> str:
        """Net sales."""
        return f"sum(o.paid - {REFUNDED})"

    def all_hold(self, tests: Sequence[str]) -> str:
        """A condition about the customer: it bought in the window, and the tests hold."""
        since = self._place.start(f"{self._place.today} - {WINDOW_DAYS}")
        where = [COUNTED, f"o.currency = {self.measured.currency}", f"o.paid_at >= {since}"]
        if self._shop_id is not None:
            where.append(f"o.shop_id = {self._place.shop}")
        rows = Rows("orders o", "o.customer_id", where, existing=True)
        both = " AND ".join(["count(*) > 0", *tests])
        return self._q.between(rows, f"({both})::int", self._q.arg(1, "int"), None)


@dataclass(frozen=True)
class RfmScoreRule:
    """Whose scores of recency, frequency and money of the last 365 days lie in these bounds, each
    from 1 to 5 and 5 the best. Who did not buy in that time is never meant."""

    r_at_least: int | None = None
    r_at_most: int | None = None
    f_at_least: int | None = None
    f_at_most: int | None = None
    m_at_least: int | None = None
    m_at_most: int | None = None
    shop_id: int | None = None
    currency: str | None = None


class RfmScore(Facet):
    """The RFM scores by the boundaries in force."""

    name: ClassVar[str] = "rfm_score"
    title: ClassVar[Text] = Text("RFM scores", "RFM评分")
    rule: ClassVar[type] = RfmScoreRule

    def check(self, rule: RfmScoreRule) -> Fault | None:
        bounds = self._bounds(rule)
        if all(pair == (None, None) for pair in bounds.values()):
            return Fault("give at least one bound")
        for name, (low, high) in bounds.items():
            for end, score in (("at_least", low), ("at_most", high)):
                if score is not None and not 1 <= score <= SCORES:
                    return Fault(f"a score is from 1 to {SCORES}", (f"{name}_{end}",))
            if low is not None and high is not None and low > high:
                return Fault(f"{name}_at_least is greater than {name}_at_most: nobody could match",
                             (f"{name}_at_least",))  # fmt: skip
        return _currency_fault(rule.currency)

    def sql(self, rule: RfmScoreRule, q: Query) -> str:
        figures = Figures(q, rule.shop_id, rule.currency)
        tests = []
        for name, (low, high) in self._bounds(rule).items():
            if name == "r":  # the fewer days the better
                low, high = high and SCORES + 1 - high, low and SCORES + 1 - low
            bound = figures.measured.value
            # a score is one more than the boundaries below the value
            if low is not None and low > 1:
                tests.append(f"{getattr(figures, name)} > {bound(f'{name}_bounds[{low - 1}]')}")
            if high is not None and high < SCORES:
                tests.append(f"{getattr(figures, name)} <= {bound(f'{name}_bounds[{high}]')}")
        return figures.all_hold(tests)

    def explain(self, rule: RfmScoreRule, say: Say) -> str:
        said = [
            f"{name.upper()} {say.bounds(low, high, Text('', '分'))}"
            for name, (low, high) in self._bounds(rule).items()
            if (low, high) != (None, None)
        ]
        scores = say(", ", "、").join(said)
        en, zh = in_shop(say, rule.shop_id)
        money = f" ({rule.currency})" if rule.currency else ""
        return say(f"scores {scores}{money}{en}", f"{zh}RFM评分{money}{scores}")

    def _bounds(self, rule: RfmScoreRule) -> dict[str, tuple[int | None, int | None]]:
        return {
            "r": (rule.r_at_least, rule.r_at_most),
            "f": (rule.f_at_least, rule.f_at_most),
            "m": (rule.m_at_least, rule.m_at_most),
        }


@dataclass(frozen=True)
class RfmGroupRule:
    """Whose RFM group is any of these; an empty list matches nobody."""

    any_of: list[RfmGroup]
    shop_id: int | None = None
    currency: str | None = None


class InRfmGroup(Facet):
    """The group by recency, frequency and money at or above their means."""

    name: ClassVar[str] = "rfm_group"
    title: ClassVar[Text] = Text("RFM group", "RFM分组")
    rule: ClassVar[type] = RfmGroupRule

    def check(self, rule: RfmGroupRule) -> Fault | None:
        return _currency_fault(rule.currency)

    def sql(self, rule: RfmGroupRule, q: Query) -> str:
        if not rule.any_of:
            return "FALSE"
        figures = Figures(q, rule.shop_id, rule.currency)
        good = {
            name: f"{getattr(figures, name)} {sign} {figures.measured.value(f'{name}_mean')}"
            for name, sign in (("r", "<="), ("f", ">="), ("m", ">="))
        }
        groups = [
            " AND ".join(
                good[name] if wanted else f"NOT {good[name]}"
                for name, wanted in zip("rfm", key, strict=True)
            )
            for key, group in GROUPS.items()
            if group in rule.any_of
        ]
        return figures.all_hold([f"({' OR '.join(f'({one})' for one in groups)})"])

    def explain(self, rule: RfmGroupRule, say: Say) -> str:
        names = say.either([say(*RFM_GROUPS[group]) for group in rule.any_of])
        en, zh = in_shop(say, rule.shop_id)
        money = f" ({rule.currency})" if rule.currency else ""
        return say(f"is in the RFM group {names}{money}{en}", f"{zh}RFM分组{money}为{names}")
