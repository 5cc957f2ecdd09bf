"""The value of a custom field."""

from dataclasses import dataclass, fields
from datetime import date, timedelta
from decimal import Decimal
from typing import ClassVar
from zoneinfo import ZoneInfo

from core.domain.customers.field_values import MAX_DECIMAL
from core.domain.customers.fields import INDEXED
from core.domain.segments.facets.choices import check_choices
from core.domain.segments.facets.dates import check_next_days, comes_round, say_next_days
from core.sdk.facets import Facet, Fault, Query, Say, Text, midnight


@dataclass(frozen=True)
class CustomFieldRule:
    """Whose custom field has such a value; give operators of the field's type, or is_set.

    next_days is about a date that comes round each year: today, or within so many days.
    """

    field: str
    any_of: list[str] | None = None
    starts_with: str | None = None
    is_true: bool | None = None
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    from_day: date | None = None
    to_day: date | None = None
    next_days: int | None = None
    is_set: bool | None = None


FIELD_OPERATORS = {
    "text": {"any_of", "starts_with"}, "choice": {"any_of"}, "bool": {"is_true"},
    "int": {"at_least", "at_most"}, "decimal": {"at_least", "at_most"},
    "date": {"from_day", "to_day", "next_days"}, "datetime": {"from_day", "to_day"},
}  # fmt: skip
"""What can be asked of each type of custom field, beside is_set."""


class CustomField(Facet):
    """The value of a custom field."""

    name: ClassVar[str] = "custom_field"
    title: ClassVar[Text] = Text("Custom field", "自定义字段")
    rule: ClassVar[type] = CustomFieldRule

    def check(self, rule: CustomFieldRule) -> Fault | None:
        given = asked_operators(rule)
        if not given:
            return Fault("give at least one operator, for instance any_of, at_least or is_set")
        if len({group for one in given for group in _GROUPS if one in group}) > 1:
            return Fault(f"{' and '.join(sorted(given))} do not go together: a field has one type")
        if rule.starts_with == "":
            return Fault("starts_with is empty", ("starts_with",))
        if rule.at_least is not None and rule.at_most is not None and rule.at_least > rule.at_most:
            return Fault("at_least is greater than at_most: nobody could match", ("at_least",))
        if rule.from_day is not None and rule.to_day is not None and rule.from_day > rule.to_day:
            return Fault("from_day is after to_day: nobody could match", ("from_day",))
        if any(n is not None and abs(n) > MAX_DECIMAL for n in (rule.at_least, rule.at_most)):
            return Fault(f"at_least and at_most are at most {MAX_DECIMAL:f}")
        if any(day is not None and not 1 < day.year < 9999 for day in (rule.from_day, rule.to_day)):
            return Fault("from_day and to_day are of the years 2 to 9998")
        return check_next_days(rule.next_days) or check_choices(rule.any_of)

    def sql(self, rule: CustomFieldRule, q: Query) -> str:
        namespace, _, key = rule.field.partition(".")
        where = f"""f.merchant_id = $1 AND f.namespace = {q.arg(namespace)}::text
            AND f.key = {q.arg(key)}::text"""
        conditions = [
            "v.merchant_id = c.merchant_id", "v.customer_id = c.id",
            f"v.field_id = (SELECT f.id FROM custom_fields f WHERE {where})",
            *_value_conditions(rule, q, where),
        ]  # fmt: skip
        found = f"EXISTS (SELECT 1 FROM custom_field_values v WHERE {' AND '.join(conditions)})"
        return f"(NOT {found})" if rule.is_set is False else found

    def found(self, rule: CustomFieldRule, q: Query) -> str:
        namespace, _, key = rule.field.partition(".")
        return f"""(SELECT COALESCE(to_jsonb(v.text), to_jsonb(v.number), to_jsonb(v.moment))
            FROM custom_field_values v JOIN custom_fields f
              ON f.merchant_id = v.merchant_id AND f.id = v.field_id
            WHERE v.merchant_id = c.merchant_id AND v.customer_id = c.id
              AND f.namespace = {q.arg(namespace)}::text AND f.key = {q.arg(key)}::text)"""

    def explain(self, rule: CustomFieldRule, say: Say) -> str:
        said = []
        if rule.any_of is not None:
            said.append(say.either(rule.any_of))
        if rule.starts_with is not None:
            head = rule.starts_with
            said.append(say(f"a text that begins with {head!r}", f"以“{head}”开头的文本"))
        if rule.is_true is not None:
            said.append(say("yes", "是") if rule.is_true else say("no", "否"))
        if rule.at_least is not None or rule.at_most is not None:
            said.append(say.bounds(rule.at_least, rule.at_most))
        if rule.from_day is not None:
            said.append(say(f"from {rule.from_day}", f"从{rule.from_day}起"))
        if rule.to_day is not None:
            said.append(say(f"to {rule.to_day}", f"到{rule.to_day}止"))
        if rule.next_days is not None:
            days = say_next_days(rule.next_days, say)
            said.append(say(f"a day that comes round {days}", f"{days}到来的周年日"))
        if rule.is_set is not None:
            said.append(say("any value", "有值") if rule.is_set else say("no value", "无值"))
        return say(f"has in {rule.field} {' '.join(said)}", f"字段{rule.field}为{' '.join(said)}")


_GROUPS = (
    frozenset({"any_of", "starts_with"}), frozenset({"is_true"}),
    frozenset({"at_least", "at_most"}), frozenset({"from_day", "to_day"}),
    frozenset({"next_days"}), frozenset({"is_set"}),
)  # fmt: skip


def asked_operators(rule: CustomFieldRule) -> set[str]:
    """The operators that a rule uses."""
    return {
        one.name for one in fields(rule)
        if one.name != "field" and getattr(rule, one.name) is not None
    }  # fmt: skip


def _value_conditions(rule: CustomFieldRule, q: Query, where: str) -> list[str]:
    made = []
    if rule.any_of is not None:
        heads = sorted({text[:INDEXED] for text in rule.any_of})
        made.append(f"left(v.text, {INDEXED}) = ANY({q.arg(heads)}::text[])")
        made.append(f"v.text = ANY({q.arg(rule.any_of)}::text[])")
    if rule.starts_with is not None:
        made.append(f"starts_with(v.text, {q.arg(rule.starts_with)})")
    if rule.is_true is not None:
        wanted = q.arg("true" if rule.is_true else "false")
        made.append(f"left(v.text, {INDEXED}) = {wanted}::text")
        made.append(f"(SELECT f.type = 'bool' FROM custom_fields f WHERE {where})")
    if rule.at_least is not None:
        made.append(f"v.number >= {q.arg(rule.at_least)}::numeric")
    if rule.at_most is not None:
        made.append(f"v.number <= {q.arg(rule.at_most)}::numeric")
    if rule.from_day is not None:
        made.append(f"v.moment >= {_day_of_field(rule.from_day, q, where)}")
    if rule.to_day is not None:
        after = _day_of_field(rule.to_day + timedelta(days=1), q, where)
        made.append(f"v.moment < {after}")
    if rule.next_days is not None:
        # a day that is still to come for the first time does not come round before
        after = _day_of_field(q.today() + timedelta(days=rule.next_days + 1), q, where)
        made.append(f"v.moment < {after}")
        made.append(comes_round("(v.moment AT TIME ZONE 'UTC')::date", q, rule.next_days))
    return made


def _day_of_field(day: date, q: Query, where: str) -> str:
    """Where a day begins: dates are kept at midnight UTC, times are of the merchant's zone."""
    plain = q.arg(midnight(day, ZoneInfo("UTC")))
    local = q.arg(midnight(day, ZoneInfo(q.time_zone)))
    return f"""(SELECT CASE f.type WHEN 'date' THEN {plain}::timestamptz
        ELSE {local}::timestamptz END FROM custom_fields f WHERE {where})"""
