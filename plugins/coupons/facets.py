"""Questions about customers' coupons."""

from dataclasses import dataclass, field

from core.sdk import Facet, Fault, Query, Rows, Say, Text, check_bounds

MAX_DAYS = 3660
TEMPLATE = {"description": "The handle of a template; without it, any will do."}
SOURCE = """coupons_coupons u JOIN coupons_templates ut
    ON ut.merchant_id = u.merchant_id AND ut.id = u.template_id"""


@dataclass(frozen=True)
class UnusedRule:
    """Who has a coupon that can still be used: of a template (its handle) or of any, and if wanted
    one that expires within so many days."""

    template: str | None = field(default=None, metadata=TEMPLATE)
    expires_within_days: int | None = field(
        default=None,
        metadata={"description": "In so many days from now, 0 to 3660; without it, whenever."},
    )


class Unused(Facet):
    name = "coupons_unused"
    title = Text("Has an unused coupon", "有未使用的优惠券")
    rule = UnusedRule

    def check(self, rule: UnusedRule) -> Fault | None:
        return _days(rule.expires_within_days, "expires_within_days")

    def sql(self, rule: UnusedRule, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: UnusedRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "count(*)")

    def _rows(self, rule: UnusedRule, q: Query) -> Rows:
        now = q.arg(q.now, "timestamptz")
        where = ["u.state = 'granted'", f"(u.expires_at IS NULL OR u.expires_at > {now})"]
        if rule.expires_within_days is not None:
            days = q.arg(rule.expires_within_days, "int")
            where.append(f"u.expires_at <= {now} + make_interval(days => {days})")
        return _rows(where, rule.template, q)

    def explain(self, rule: UnusedRule, say: Say) -> str:
        en, zh = _which(rule.template)
        days = rule.expires_within_days
        if days is None:
            return say(f"has an unused coupon{en}", f"有未使用的{zh}")
        return say(
            f"has an unused coupon{en} that expires within {days} days",
            f"有{days}天内到期的未使用{zh}",
        )


@dataclass(frozen=True)
class RedeemedRule:
    """Who has redeemed a coupon: of a template (its handle) or of any, and if wanted within so
    many days."""

    template: str | None = field(default=None, metadata=TEMPLATE)
    within_days: int | None = field(
        default=None,
        metadata={
            "description": "In the last so many days, 0 to 3660; 0 is today. Without it, ever."
        },
    )


class Redeemed(Facet):
    name = "coupons_redeemed"
    title = Text("Has redeemed a coupon", "使用过优惠券")
    rule = RedeemedRule

    def check(self, rule: RedeemedRule) -> Fault | None:
        return _days(rule.within_days, "within_days")

    def sql(self, rule: RedeemedRule, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: RedeemedRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "max(u.redeemed_at)")

    def _rows(self, rule: RedeemedRule, q: Query) -> Rows:
        where = ["u.state = 'redeemed'"]
        if rule.within_days is not None:
            where.append(f"u.redeemed_at >= {q.days_ago(rule.within_days)}")
        return _rows(where, rule.template, q)

    def explain(self, rule: RedeemedRule, say: Say) -> str:
        en, zh = _which(rule.template)
        days = rule.within_days
        if days is None:
            return say(f"has redeemed a coupon{en}", f"使用过{zh}")
        return say(f"has redeemed a coupon{en} in the last {days} days", f"最近{days}天使用过{zh}")


def _rows(where: list[str], template: str | None, q: Query) -> Rows:
    if template is None:
        return Rows("coupons_coupons u", "u.customer_id", tuple(where), existing=True)
    named = f"ut.handle = {q.arg(template, 'text')}"
    return Rows(SOURCE, "u.customer_id", (*where, named), existing=True)


def _days(days: int | None, name: str) -> Fault | None:
    if days is None:
        return None
    fault = check_bounds(days, None, MAX_DAYS)
    return None if fault is None else Fault(f"{name} must be from 0 to {MAX_DAYS}", (name,))


def _which(template: str | None) -> tuple[str, str]:
    return ("", "优惠券") if template is None else (f" of {template}", f"优惠券{template}")
