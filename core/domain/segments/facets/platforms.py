"""What platforms tell of a customer as a member of shops there."""

from dataclasses import dataclass
from typing import ClassVar

from core.domain.segments.facets.choices import check_choices
from core.domain.segments.facets.filters import OrderFilter, Window, in_brackets
from core.domain.segments.facets.orders import MAX_COUNT
from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text, check_bounds

MAX_GRADE = 32_767


@dataclass(frozen=True)
class ShopsOfPlatforms:
    """In which shops. Lists: any of these."""

    shop_ids: list[int] | None = None
    platforms: list[str] | None = None

    def check(self) -> Fault | None:
        """What is wrong with the lists, or None."""
        return check_choices(self.shop_ids, "shop_ids") or check_choices(
            self.platforms, "platforms"
        )

    def sql(self, column: str, q: Query) -> list[str]:
        """Conditions on a column with a shop's id."""
        return OrderFilter(shop_ids=self.shop_ids, platforms=self.platforms).shop_sql(q, column)

    def words(self, say: Say) -> list[str]:
        """Where, in words."""
        made = []
        if self.shop_ids is not None:
            names = say.either([say.name("shop", number) for number in self.shop_ids])
            made.append(say(f"in {names}", f"在店铺{names}"))
        if self.platforms is not None:
            names = say.either(self.platforms)
            made.append(say(f"on {names}", f"在平台{names}"))
        return made


@dataclass(frozen=True)
class PlatformMemberRule(ShopsOfPlatforms):
    """Who is a member of a platform's own programme, in any shop unless told in which; of such a
    grade there; who joined in that time. left: who left it in that time and is none there now."""

    grade_at_least: int | None = None
    grade_at_most: int | None = None
    joined: Window | None = None
    left: Window | None = None


class PlatformMember(Facet):
    """Membership of a platform's own programme, and the grade in it."""

    name: ClassVar[str] = "platform_member"
    title: ClassVar[Text] = Text("Member on a platform", "平台会员")
    rule: ClassVar[type] = PlatformMemberRule

    def check(self, rule: PlatformMemberRule) -> Fault | None:
        if rule.joined is not None and rule.left is not None:
            return Fault("give joined or left, not both", ("left",))
        grades = (rule.grade_at_least, rule.grade_at_most)
        if grades != (None, None) and (fault := check_bounds(*grades, MAX_GRADE)):
            return Fault(fault.message.replace("at_", "grade_at_"), ("grade_at_least",))
        return rule.check()

    def sql(self, rule: PlatformMemberRule, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: PlatformMemberRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "max(p.grade)")

    def explain(self, rule: PlatformMemberRule, say: Say) -> str:
        which = []
        if (rule.grade_at_least, rule.grade_at_most) != (None, None):
            grade = say.bounds(rule.grade_at_least, rule.grade_at_most)
            which.append(say(f"of grade {grade}", f"等级{grade}"))
        if rule.left is not None:
            when, en, zh = rule.left.explain(say), "left the platform's members", "退出平台会员"
        elif rule.joined is not None:
            when, en, zh = rule.joined.explain(say), "joined the platform's members", "成为平台会员"
        else:
            when, en, zh = "", "is a member on a platform", "是平台会员"
        where = rule.words(say)
        return say(
            " ".join([en, *([when] if when else []), *where, *which]),
            f"{when}{''.join(where)}{zh}{in_brackets(which)}",
        )

    def _rows(self, rule: PlatformMemberRule, q: Query) -> Rows:
        where = ["p.member IS FALSE" if rule.left is not None else "p.member"]
        if rule.grade_at_least is not None:
            where.append(f"p.grade >= {q.arg(rule.grade_at_least, 'smallint')}")
        if rule.grade_at_most is not None:
            where.append(f"p.grade <= {q.arg(rule.grade_at_most, 'smallint')}")
        if rule.joined is not None:
            where += rule.joined.sql("p.joined_at", q, "p.shop_id")
        if rule.left is not None:
            where += rule.left.sql("p.left_at", q, "p.shop_id")
        return Rows("platform_members p", "p.customer_id", [*where, *rule.sql("p.shop_id", q)])


@dataclass(frozen=True)
class PlatformTradesRule(ShopsOfPlatforms):
    """Who has made so many purchases by the platforms' own count, which reaches back further than
    the orders here; who is not known there made none."""

    at_least: int | None = None
    at_most: int | None = None


class PlatformTrades(Facet):
    """How often the customer bought, as the platforms count it."""

    name: ClassVar[str] = "platform_trades"
    title: ClassVar[Text] = Text("Purchases by the platform's count", "平台交易笔数")
    rule: ClassVar[type] = PlatformTradesRule

    def check(self, rule: PlatformTradesRule) -> Fault | None:
        return rule.check() or check_bounds(rule.at_least, rule.at_most, MAX_COUNT)

    def sql(self, rule: PlatformTradesRule, q: Query) -> str:
        low = None if rule.at_least is None else q.arg(rule.at_least, "bigint")
        high = None if rule.at_most is None else q.arg(rule.at_most, "bigint")
        return q.between(self._rows(rule, q), TRADES, low, high, none=not rule.at_least)

    def found(self, rule: PlatformTradesRule, q: Query) -> str:
        return f"COALESCE({q.value(self._rows(rule, q), TRADES)}, 0)"

    def explain(self, rule: PlatformTradesRule, say: Say) -> str:
        times = say.bounds(rule.at_least, rule.at_most, Text("times", "次"))
        where = rule.words(say)
        return say(
            " ".join(["bought", times, "by the platform's count", *where]),
            f"{''.join(where)}平台统计购买{times}",
        )

    def _rows(self, rule: PlatformTradesRule, q: Query) -> Rows:
        where = ["p.trade_count IS NOT NULL", *rule.sql("p.shop_id", q)]
        return Rows("platform_members p", "p.customer_id", where)


TRADES = "sum(p.trade_count)"
