"""Whether a customer is a member, in which tier, and with how many points.

What follows from time alone, such as points that expire, is right again at each refresh.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from core.domain.members.points import LEFT_OF_LOT, WORTH
from core.domain.segments.facets.choices import check_choices
from core.domain.segments.facets.filters import Window
from core.sdk.facets import MAX_DAYS, Facet, Fault, Query, Rows, Say, Text, check_bounds

MAX_POINTS = 10**12


@dataclass(frozen=True)
class MemberRule:
    """Who is a member now; joined: since a day in that time."""

    joined: Window | None = None


class Member(Facet):
    """Present membership of the programme."""

    name: ClassVar[str] = "member"
    title: ClassVar[Text] = Text("Member", "会员")
    rule: ClassVar[type] = MemberRule

    def sql(self, rule: MemberRule, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: MemberRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "max(m.joined_at)")

    def explain(self, rule: MemberRule, say: Say) -> str:
        if rule.joined is None:
            return say("is a member", "是会员")
        when = rule.joined.explain(say)
        return say(f"is a member who joined {when}", f"{when}入会的会员")

    def _rows(self, rule: MemberRule, q: Query) -> Rows:
        within = rule.joined.sql("m.joined_at", q) if rule.joined else []
        return Rows("memberships m", "m.customer_id", ["m.left_at IS NULL", *within])


@dataclass(frozen=True)
class MemberLeftRule:
    """Who left the programme in that time and is no member now."""

    within: Window


class MemberLeft(Facet):
    """A membership that ended, and no other one since."""

    name: ClassVar[str] = "member_left"
    title: ClassVar[Text] = Text("Left the programme", "退会")
    rule: ClassVar[type] = MemberLeftRule

    def sql(self, rule: MemberLeftRule, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: MemberLeftRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "max(m.left_at)")

    def explain(self, rule: MemberLeftRule, say: Say) -> str:
        when = rule.within.explain(say)
        return say(f"left the programme {when}", f"{when}退会")

    def _rows(self, rule: MemberLeftRule, q: Query) -> Rows:
        again = """NOT EXISTS (SELECT 1 FROM memberships p WHERE p.merchant_id = $1
            AND p.customer_id = m.customer_id AND p.left_at IS NULL)"""
        where = ["m.leave_source IS NOT NULL", *rule.within.sql("m.left_at", q), again]
        return Rows("memberships m", "m.customer_id", where)


@dataclass(frozen=True)
class MemberTierRule:
    """Who is in any of these tiers now; an empty list matches nobody."""

    tier_ids: list[int]


class MemberTier(Facet):
    """The present tier."""

    name: ClassVar[str] = "member_tier"
    title: ClassVar[Text] = Text("Tier", "会员等级")
    rule: ClassVar[type] = MemberTierRule

    def check(self, rule: MemberTierRule) -> Fault | None:
        return check_choices(rule.tier_ids, "tier_ids")

    def sql(self, rule: MemberTierRule, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: MemberTierRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "max(i.valid_from)")

    def explain(self, rule: MemberTierRule, say: Say) -> str:
        names = say.either([say.name("tier", number) for number in rule.tier_ids])
        return say(f"is in the tier {names}", f"会员等级为{names}")

    def _rows(self, rule: MemberTierRule, q: Query) -> Rows:
        where = ["i.valid_to IS NULL", q.one_of("i.tier_id", rule.tier_ids, "bigint")]
        return Rows("tier_intervals i", "i.customer_id", where)


@dataclass(frozen=True)
class TierEndsInRule:
    """Whose tier is looked at again in so many days, today being 0; who has none, or one for good,
    is never meant."""

    at_least: int | None = None
    at_most: int | None = None


class TierEndsIn(Facet):
    """In how many days the period ends for which the tier is kept."""

    name: ClassVar[str] = "tier_ends_in"
    title: ClassVar[Text] = Text("Days to the tier's review", "距等级评定天数")
    rule: ClassVar[type] = TierEndsInRule

    def check(self, rule: TierEndsInRule) -> Fault | None:
        return check_bounds(rule.at_least, rule.at_most, MAX_DAYS)

    def sql(self, rule: TierEndsInRule, q: Query) -> str:
        today = q.today()
        where = [f"i.review_at >= {q.midnight(today + timedelta(rule.at_least or 0))}"]
        if rule.at_most is not None:
            where.append(f"i.review_at < {q.midnight(today + timedelta(rule.at_most + 1))}")
        return q.has(self._rows(where))

    def found(self, rule: TierEndsInRule, q: Query) -> str:
        return q.value(self._rows([]), "max(i.review_at)")

    def explain(self, rule: TierEndsInRule, say: Say) -> str:
        days = say.bounds(rule.at_least, rule.at_most)
        return say(f"has a tier that ends in {days} days", f"等级将在{days}天后评定")

    def _rows(self, where: list[str]) -> Rows:
        return Rows("tier_intervals i", "i.customer_id", ["i.valid_to IS NULL", *where])


@dataclass(frozen=True)
class PointsBalanceRule:
    """Who can use so many points now; it may be less than 0 where debts are allowed."""

    at_least: int | None = None
    at_most: int | None = None


class PointsBalance(Facet):
    """The points that can be used at this instant."""

    name: ClassVar[str] = "points_balance"
    title: ClassVar[Text] = Text("Points", "可用积分")
    rule: ClassVar[type] = PointsBalanceRule

    def check(self, rule: PointsBalanceRule) -> Fault | None:
        return check_bounds(rule.at_least, rule.at_most, MAX_POINTS, -MAX_POINTS)

    def sql(self, rule: PointsBalanceRule, q: Query) -> str:
        low = None if rule.at_least is None else q.arg(rule.at_least, "bigint")
        high = None if rule.at_most is None else q.arg(rule.at_most, "bigint")
        nothing = (rule.at_least or 0) <= 0 <= (0 if rule.at_most is None else rule.at_most)
        return q.between(ENTRIES, self._sum(q), low, high, none=nothing)

    def found(self, rule: PointsBalanceRule, q: Query) -> str:
        return q.value(ENTRIES, f"COALESCE({self._sum(q)}, 0)")

    def explain(self, rule: PointsBalanceRule, say: Say) -> str:
        points = say.bounds(rule.at_least, rule.at_most, Text("points", "积分"))
        return say(f"has {points}", f"可用{points}")

    def _sum(self, q: Query) -> str:
        return f"sum({WORTH.format(now=q.arg(q.now, 'timestamptz'))})"


ENTRIES = Rows("points_entries e", "e.customer_id")


@dataclass(frozen=True)
class PointsExpiringRule:
    """Whose usable points expire today or within the next so many days: at_least of them."""

    next_days: int
    at_least: int = 1


class PointsExpiring(Facet):
    """Points that are soon gone."""

    name: ClassVar[str] = "points_expiring"
    title: ClassVar[Text] = Text("Points that expire", "即将过期积分")
    rule: ClassVar[type] = PointsExpiringRule

    def check(self, rule: PointsExpiringRule) -> Fault | None:
        if not 0 <= rule.next_days <= MAX_DAYS:
            return Fault(f"next_days must be from 0 to {MAX_DAYS}", ("next_days",))
        if not 1 <= rule.at_least <= MAX_POINTS:
            return Fault(f"at_least must be from 1 to {MAX_POINTS}", ("at_least",))
        return None

    def sql(self, rule: PointsExpiringRule, q: Query) -> str:
        return q.between(self._rows(rule, q), self._sum(q), q.arg(rule.at_least, "bigint"), None)

    def found(self, rule: PointsExpiringRule, q: Query) -> str:
        return q.value(self._rows(rule, q), self._sum(q))

    def explain(self, rule: PointsExpiringRule, say: Say) -> str:
        return say(
            f"has at least {rule.at_least} points that expire in the next {rule.next_days} days",
            f"未来{rule.next_days}天内至少{rule.at_least}积分过期",
        )

    def _rows(self, rule: PointsExpiringRule, q: Query) -> Rows:
        now = q.arg(q.now, "timestamptz")
        last = q.midnight(q.today() + timedelta(rule.next_days + 1))
        where = ["e.lot", f"e.available_at <= {now}", f"e.expires_at > {now}",
                 f"e.expires_at <= {last}"]  # fmt: skip
        return Rows("points_entries e", "e.customer_id", where)

    def _sum(self, q: Query) -> str:
        return f"sum({LEFT_OF_LOT.format(now=q.arg(q.now, 'timestamptz'))})"
