"""The tags on a customer."""

from dataclasses import dataclass
from typing import ClassVar

from core.domain.segments.facets.choices import check_choices
from core.domain.segments.facets.filters import Window
from core.sdk.facets import SHOWN, Facet, Fault, Query, Rows, Say, Text


@dataclass(frozen=True)
class TagRule:
    """Who has any of these tags, all of these, and none of these; with no list, any tag at all.

    within and sources say which tags count: those put on in that time, and by whom ("staff",
    "import", "rule" or a plugin's name). An empty any_of matches nobody.
    """

    any_of: list[str] | None = None
    all_of: list[str] | None = None
    none_of: list[str] | None = None
    within: Window | None = None
    sources: list[str] | None = None


class Tag(Facet):
    """The tags on the customer."""

    name: ClassVar[str] = "tag"
    title: ClassVar[Text] = Text("Tag", "标签")
    rule: ClassVar[type] = TagRule

    def check(self, rule: TagRule) -> Fault | None:
        for name in ("any_of", "all_of", "none_of", "sources"):
            if fault := check_choices(getattr(rule, name), name):
                return fault
        return None

    def sql(self, rule: TagRule, q: Query) -> str:
        made = []
        if rule.any_of is not None:
            made.append(q.has(self._rows(rule, q, rule.any_of)))
        if rule.all_of:
            wanted = sorted(set(rule.all_of))
            # a customer has each tag once
            number = q.arg(len(wanted), "bigint")
            made.append(q.between(self._rows(rule, q, wanted), "count(*)", number, None))
        if rule.none_of:
            made.append(f"NOT {q.has(self._rows(rule, q, rule.none_of))}")
        if (rule.any_of, rule.all_of, rule.none_of) == (None, None, None):
            made.append(q.has(self._rows(rule, q)))
        return made[0] if len(made) == 1 else f"({' AND '.join(made) or 'TRUE'})"

    def found(self, rule: TagRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "array_agg(t.tag ORDER BY t.tag)")

    def explain(self, rule: TagRule, say: Say) -> str:
        how = []
        if rule.within is not None:
            when = rule.within.explain(say)
            how.append(say(f" {when}", f"{when}"))
        if rule.sources is not None:
            names = say.either(rule.sources)
            how.append(say(f" by {names}", f"由{names}"))
        by = "".join(how)
        put = say("is tagged", f"{by}打上标签" if by else "带有标签")
        said = []
        if rule.any_of is not None:
            said.append(say("{} {}{}", "{}{}").format(put, say.either(rule.any_of), by))
        if rule.all_of is not None:
            tags = _each(rule.all_of, say)
            said.append(say("{} {}{}", "{}{}").format(put, tags, by))
        if rule.none_of is not None:
            tags = say.either(rule.none_of)
            zh = f"没有{by}打上的标签{tags}" if by else f"未带有标签{tags}"
            said.append(say(f"is not tagged {tags}{by}", zh))
        if not said:
            said.append(say(f"has a tag{by and ' put on'}{by}", f"{put}(任意)"))
        return say(" and ", "且").join(said)

    def _rows(self, rule: TagRule, q: Query, tags: list[str] | None = None) -> Rows:
        where = []
        if tags is not None:
            where.append(q.one_of("t.tag", tags))
        if rule.within is not None:
            where += rule.within.sql("t.created_at", q)
        if rule.sources is not None:
            where.append(f"t.source = ANY({q.arg(rule.sources)}::text[])")
        return Rows("customer_tags t", "t.customer_id", where, existing=True)


def _each(tags: list[str], say: Say) -> str:
    """ "a and b", cut short after ten."""
    shown = say(" and ", "和").join(tags[:SHOWN])
    if len(tags) > SHOWN:
        shown += say(f" and {len(tags) - SHOWN} others", f"等{len(tags)}个")
    return shown or say("nothing in particular", "(不限)")
