"""What is missing to a member's next tier, by the rules of the programme."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from core.domain.members.tiers import MEASURES
from core.domain.segments.facets.money import check_money, minor_arg
from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text, check_bounds

MAX_MISSING = 10**12


@dataclass(frozen=True)
class NextTierRule:
    """Which members miss so much to the next tier that is reached by itself: net spend of the
    currency, written as 99.00; without a currency purchases or points. It is as the programme
    measures, and a rule for another measure matches nobody."""

    at_least: Decimal | None = None
    at_most: Decimal | None = None
    currency: str | None = None


class NextTierMissing(Facet):
    """The gap to the next better tier; who is in the best one is never meant."""

    name: ClassVar[str] = "next_tier_missing"
    title: ClassVar[Text] = Text("Missing to the next tier", "距下一等级所差")
    rule: ClassVar[type] = NextTierRule

    def check(self, rule: NextTierRule) -> Fault | None:
        if rule.currency is not None:
            return check_money(rule.currency, rule.at_least, rule.at_most)
        for name, bound in (("at_least", rule.at_least), ("at_most", rule.at_most)):
            if bound is not None and bound != bound.to_integral_value():
                return Fault("purchases and points are whole numbers", (name,))
        return check_bounds(rule.at_least, rule.at_most, MAX_MISSING)

    def sql(self, rule: NextTierRule, q: Query) -> str:
        bounds = ((">=", rule.at_least), ("<=", rule.at_most))
        where = [
            f"{_missing(q)} {sign} {_bound(bound, rule, q)}"
            for sign, bound in bounds
            if bound is not None
        ]
        return q.has(self._rows(rule, q, where))

    def found(self, rule: NextTierRule, q: Query) -> str:
        missing = q.value(self._rows(rule, q, []), f"max({_missing(q)})")
        return missing if rule.currency is None else q.money(missing, rule.currency)

    def explain(self, rule: NextTierRule, say: Say) -> str:
        unit = rule.currency or ""
        missing = say.bounds(rule.at_least, rule.at_most, Text(unit, unit))
        return say(f"misses {missing} to the next tier", f"距下一等级差{missing}")

    def _rows(self, rule: NextTierRule, q: Query, where: list[str]) -> Rows:
        measured = "p.rules #>> '{tiers,measure}'"
        asked = (
            f"{measured} <> 'net_spend'"
            if rule.currency is None
            else f"{measured} = 'net_spend' AND p.currency = {q.arg(rule.currency, 'text')}"
        )
        source = "memberships m JOIN programmes p ON p.merchant_id = m.merchant_id"
        return Rows(source, "m.customer_id", ["m.left_at IS NULL", asked, *where])


def _bound(amount: Decimal, rule: NextTierRule, q: Query) -> str:
    if rule.currency is None:
        return q.arg(int(amount), "bigint")
    return minor_arg(amount, rule.currency, q) or "NULL"


def _missing(q: Query) -> str:
    """What the member `m` of programme `p` misses, in the programme's measure; at least 0."""
    now = q.arg(q.now, "timestamptz")
    year = q.midnight(date(q.today().year, 1, 1))
    start = f"""(CASE p.rules #>> '{{tiers,window}}'
        WHEN 'rolling' THEN {now} - (p.rules #>> '{{tiers,window_days}}')::int * interval '24 hours'
        ELSE {year} - interval '1 microsecond' END)"""
    cases = " ".join(
        f"WHEN '{name}' THEN ("
        + sql.replace("$2::text", "p.currency")
        .replace("$2", "p.currency")
        .format(customer="m.customer_id", start=start, end=now)
        + ")"
        for name, sql in MEASURES.items()
    )
    return f"""(SELECT CASE WHEN n.threshold IS NOT NULL THEN
            GREATEST(n.threshold - CASE p.rules #>> '{{tiers,measure}}' {cases} END, 0) END
        FROM (SELECT min(t.threshold) AS threshold FROM tiers t
              WHERE t.merchant_id = $1 AND t.threshold IS NOT NULL AND t.deleted_at IS NULL
                AND t.rank > COALESCE((
                    SELECT r.rank FROM tier_intervals i
                    JOIN tiers r ON r.merchant_id = $1 AND r.id = i.tier_id
                    WHERE i.merchant_id = $1 AND i.customer_id = m.customer_id
                      AND i.valid_to IS NULL), -1)) n)"""
