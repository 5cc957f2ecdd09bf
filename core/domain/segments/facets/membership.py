"""Whether a customer is in another segment, or was on a given day."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar

from core.domain.segments.tree import SEGMENT
from core.sdk.facets import Facet, Query, Rows, Say, Text


@dataclass(frozen=True)
class InSegmentRule:
    """Who is in another segment now; on_day: who was in it when that day ended."""

    segment_id: int
    on_day: date | None = None


class InSegment(Facet):
    """Membership of another segment.

    A dynamic segment is asked by its own rule (see tree.py), so that it is never behind; members
    that are kept, and those of a past day, are looked up.
    """

    name: ClassVar[str] = SEGMENT
    title: ClassVar[Text] = Text("In a segment", "属于人群")
    rule: ClassVar[type] = InSegmentRule

    def sql(self, rule: InSegmentRule, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: InSegmentRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "max(m.entered_at)")

    def explain(self, rule: InSegmentRule, say: Say) -> str:
        name = say.name("segment", rule.segment_id)
        if rule.on_day is None:
            return say(f"is in the segment {name}", f"属于人群{name}")
        return say(f"was in the segment {name} on {rule.on_day}", f"{rule.on_day}属于人群{name}")

    def _rows(self, rule: InSegmentRule, q: Query) -> Rows:
        where = [f"m.segment_id = {q.arg(rule.segment_id, 'bigint')}"]
        if rule.on_day is None:
            where.append("m.left_at IS NULL")
        else:
            end = q.midnight(rule.on_day + timedelta(days=1))
            where.append(f"m.entered_at < {end} AND (m.left_at IS NULL OR m.left_at >= {end})")
        return Rows("segment_members m", "m.customer_id", where)
