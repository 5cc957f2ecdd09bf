"""What a segment's rule can ask about inserts."""

from dataclasses import dataclass, field
from typing import ClassVar

from core.sdk import Facet, Fault, Query, Rows, Say, Text
from core.sdk.facets import MAX_DAYS
from plugins.packages.outcomes import Outcome


@dataclass(frozen=True)
class InsertRule:
    """Who got an insert in a packed parcel; inserts are named, without names any will do."""

    inserts: list[str] | None = field(
        default=None, metadata={"description": "One of these, by name; without it, any."}
    )
    within_days: int | None = field(
        default=None,
        metadata={"description": "Packed today or in the last so many days; without it, ever."},
    )


class GotInsert(Facet):
    """An insert in any packed parcel."""

    name: ClassVar[str] = "packages_insert"
    title: ClassVar[Text] = Text("Got an insert", "收到过包裹赠品")
    rule: ClassVar[type] = InsertRule

    def check(self, rule: InsertRule) -> Fault | None:
        if rule.inserts is not None and not 1 <= len(rule.inserts) <= 100:
            return Fault("name 1 to 100 inserts", ("inserts",))
        if rule.within_days is not None and not 0 <= rule.within_days <= MAX_DAYS:
            return Fault(f"within_days must be from 0 to {MAX_DAYS}", ("within_days",))
        return None

    def sql(self, rule: InsertRule, q: Query) -> str:
        return q.has(self._rows(rule, q))

    def found(self, rule: InsertRule, q: Query) -> str:
        return q.value(self._rows(rule, q), "max(y.packed_at)")

    def explain(self, rule: InsertRule, say: Say) -> str:
        names = say.either(rule.inserts) if rule.inserts else say("an insert", "包裹赠品")
        if rule.within_days is None:
            return say(f"got {names}", f"收到过{names}")
        days = rule.within_days
        return say(f"got {names} in the last {days} days", f"最近{days}天内收到过{names}")

    def _rows(self, rule: InsertRule, q: Query) -> Rows:
        where = [
            "y.merchant_id = x.merchant_id", "y.id = x.parcel_id", "y.packed_at IS NOT NULL",
            f"x.outcome = {Outcome.GIVEN:d}",
        ]  # fmt: skip
        if rule.within_days is not None:
            where.append(f"y.packed_at >= {q.days_ago(rule.within_days)}")
        if rule.inserts is not None:
            named = q.one_of("i.name", rule.inserts)
            where.append(f"""x.insert_id IN (SELECT i.id FROM packages_inserts i
                WHERE i.merchant_id = $1 AND {named})""")
        return Rows("packages_choices x, packages_parcels y", "x.customer_id", where)
