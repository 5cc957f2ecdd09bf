"""What a customer said about what it bought."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from core.domain.orders.reviews import STARS
from core.domain.segments.facets.choices import check_choices
from core.domain.segments.facets.filters import Window, in_brackets
from core.domain.segments.facets.orders import bounds_or_some, check_some, count_or_some
from core.sdk.facets import Facet, Fault, Query, Rows, Say, Text, check_bounds


class AskedReviewSign(Enum):
    """A sign that reviews are asked for."""

    GOOD = "GOOD"
    NEUTRAL = "NEUTRAL"
    BAD = "BAD"


SIGNS = {AskedReviewSign.GOOD: 1, AskedReviewSign.NEUTRAL: 0, AskedReviewSign.BAD: -1}
WORDS = {
    AskedReviewSign.GOOD: Text("good", "好评"),
    AskedReviewSign.NEUTRAL: Text("neutral", "中评"),
    AskedReviewSign.BAD: Text("bad", "差评"),
}


@dataclass(frozen=True)
class ReviewedRule:
    """Who gave a review that fits, or so many. Lists: any of these; keywords stand anywhere in its
    text. negative: whether it needs care, by its sign or one of the merchant's words."""

    at_least: int | None = None
    at_most: int | None = None
    signs: list[AskedReviewSign] | None = None
    stars_at_least: int | None = None
    stars_at_most: int | None = None
    keywords: list[str] | None = None
    negative: bool | None = None
    within: Window | None = None
    shop_ids: list[int] | None = None


class Reviewed(Facet):
    """How many reviews the customer gave."""

    name: ClassVar[str] = "reviewed"
    title: ClassVar[Text] = Text("Reviews", "评价")
    rule: ClassVar[type] = ReviewedRule

    def check(self, rule: ReviewedRule) -> Fault | None:
        for name in ("signs", "keywords", "shop_ids"):
            if fault := check_choices(getattr(rule, name), name):
                return fault
        if any(not word.strip() for word in rule.keywords or ()):
            return Fault("a keyword is empty", ("keywords",))
        if (rule.stars_at_least, rule.stars_at_most) != (None, None) and (
            fault := check_bounds(rule.stars_at_least, rule.stars_at_most, STARS, 1)
        ):
            return Fault(fault.message.replace("at_", "stars_at_"), ("stars_at_least",))
        return check_some(rule.at_least, rule.at_most)

    def sql(self, rule: ReviewedRule, q: Query) -> str:
        return count_or_some(q, rule.at_least, rule.at_most, lambda: self._rows(rule, q))

    def found(self, rule: ReviewedRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "count(*)")

    def explain(self, rule: ReviewedRule, say: Say) -> str:
        which = []
        if rule.negative is not None:
            which.append(
                say("that needs care", "需关怀") if rule.negative
                else say("that needs no care", "无需关怀")
            )  # fmt: skip
        if (rule.stars_at_least, rule.stars_at_most) != (None, None):
            stars = say.bounds(rule.stars_at_least, rule.stars_at_most, Text("stars", "星"))
            which.append(say(f"of {stars}", stars))
        if rule.keywords is not None:
            words = say.either([f"“{word}”" for word in rule.keywords])
            which.append(say(f"that has {words}", f"含{words}"))
        when = [rule.within.explain(say)] if rule.within is not None else []
        if rule.shop_ids is not None:
            names = say.either([say.name("shop", number) for number in rule.shop_ids])
            when.append(say(f"in {names}", f"在店铺{names}"))
        times = bounds_or_some(say, rule.at_least, rule.at_most, Text("times", "次"))
        kind = Text("a review", "评价") if rule.signs is None else _kinds(rule.signs, say)
        en = " ".join(["gave", kind.en, *([times] if times else []), *when, *which])
        return say(en, f"{''.join(when)}给过{times}{kind.zh}{in_brackets(which)}")

    def _rows(self, rule: ReviewedRule, q: Query) -> Rows:
        where = []
        if rule.signs is not None:
            where.append(q.one_of("r.sign", [SIGNS[sign] for sign in rule.signs], "smallint"))
        if rule.stars_at_least is not None:
            where.append(f"r.stars >= {q.arg(rule.stars_at_least, 'smallint')}")
        if rule.stars_at_most is not None:
            where.append(f"r.stars <= {q.arg(rule.stars_at_most, 'smallint')}")
        if rule.keywords is not None:
            words = q.arg([word.strip().lower() for word in rule.keywords], "text[]")
            where.append(f"""EXISTS (SELECT 1 FROM unnest({words}) k (word) WHERE
                strpos(lower(concat_ws(' ', r.text, r.later_text)), k.word) > 0)""")
        if rule.negative is not None:
            where.append(f"r.negative IS {'NOT ' if rule.negative else ''}NULL")
        if rule.within is not None:
            where += rule.within.sql("r.at", q, "r.shop_id")
        if rule.shop_ids is not None:
            where.append(q.one_of("r.shop_id", rule.shop_ids, "bigint"))
        return Rows("reviews r", "r.customer_id", where)


def _kinds(signs: Sequence[AskedReviewSign], say: Say) -> Text:
    said = say.either([say(*WORDS[one]) for one in signs])
    return Text(f"a {said} review", said)
