"""Core's facets: what a rule can ask about a customer.

An order counts as bought when it was paid and not closed since. Days are calendar days of the
merchant's time zone, and 0 days ago is today: "within 30 days" and "at most 30 days since" both
reach back to the start of the day 30 days before today.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import ClassVar
from zoneinfo import ZoneInfo

from core.domain.customers.consent import status_sql
from core.domain.customers.fields import INDEXED, MAX_DECIMAL
from core.domain.customers.places import province_of
from core.sdk.facets import Facet, Query
from core.sdk.money import to_minor

MAX_COUNT = 1_000_000
MAX_DAYS = 36_500
MAX_CHOICES = 1_000
MAX_ID = 2**63 - 1
MAX_SUM = 2**63 - 1

BOUGHT = """o.merchant_id = c.merchant_id AND o.customer_id = c.id AND o.paid_at IS NOT NULL
    AND o.state NOT IN ('closed_unpaid', 'closed_refunded')"""


@dataclass(frozen=True)
class ProvinceRule:
    """Whose province is any of these; an empty list matches nobody."""

    any_of: list[str]


class Province:
    """The province that the customer's latest known address is in."""

    name: ClassVar[str] = "province"
    title: ClassVar[str] = "Province (省份)"
    rule: ClassVar[type] = ProvinceRule

    def check(self, rule: ProvinceRule) -> str | None:
        return _check_choices(rule.any_of)

    def sql(self, rule: ProvinceRule, q: Query) -> str:
        # whoever asks for 广东 means 广东省, as it is stored
        names = sorted({*rule.any_of, *map(province_of, rule.any_of)})
        return f"(c.province IS NOT NULL AND c.province = ANY({q.arg(names)}::text[]))"

    def explain(self, rule: ProvinceRule) -> str:
        return f"lives in {_either(rule.any_of)}"


@dataclass(frozen=True)
class OrderCountRule:
    """Who bought so many times; within_days 30 counts the last 30 days, shop_id one shop only."""

    at_least: int | None = None
    at_most: int | None = None
    within_days: int | None = None
    shop_id: int | None = None


class OrderCount:
    """How many orders the customer paid."""

    name: ClassVar[str] = "order_count"
    title: ClassVar[str] = "Number of orders (订单数)"
    rule: ClassVar[type] = OrderCountRule

    def check(self, rule: OrderCountRule) -> str | None:
        if rule.shop_id is not None and not 0 < rule.shop_id <= MAX_ID:
            return "shop_id is not the number of a shop"
        return _check_bounds(rule.at_least, rule.at_most, MAX_COUNT) or _check_window(
            rule.within_days
        )

    def sql(self, rule: OrderCountRule, q: Query) -> str:
        shop = "" if rule.shop_id is None else f" AND o.shop_id = {q.arg(rule.shop_id)}"
        low = q.arg(0 if rule.at_least is None else rule.at_least)
        high = q.arg(MAX_SUM if rule.at_most is None else rule.at_most)
        window = _window(rule.within_days, q)
        return f"""((SELECT count(*) FROM orders o WHERE {BOUGHT}{shop}{window})
            BETWEEN {low}::bigint AND {high}::bigint)"""

    def explain(self, rule: OrderCountRule) -> str:
        shop = "" if rule.shop_id is None else f" in shop {rule.shop_id}"
        bounds = _bounds(rule.at_least, rule.at_most)
        return f"bought {bounds} times{shop}{_in_window(rule.within_days)}"


@dataclass(frozen=True)
class OrderSumRule:
    """Who spent so much in one currency, refunds subtracted; amounts as 99.00, not in cents."""

    currency: str
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    within_days: int | None = None


class OrderSum:
    """How much the customer paid, less what was refunded."""

    name: ClassVar[str] = "order_sum"
    title: ClassVar[str] = "Money spent (消费金额)"
    rule: ClassVar[type] = OrderSumRule

    def check(self, rule: OrderSumRule) -> str | None:
        code = rule.currency
        if not (len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()):
            return "currency is not a currency code; write it as CNY"
        try:
            low = None if rule.at_least is None else to_minor(rule.at_least, code)
            high = None if rule.at_most is None else to_minor(rule.at_most, code)
        except ValueError as error:
            return str(error)
        return _check_bounds(low, high, MAX_SUM) or _check_window(rule.within_days)

    def sql(self, rule: OrderSumRule, q: Query) -> str:
        code = rule.currency
        low = q.arg(-MAX_SUM if rule.at_least is None else to_minor(rule.at_least, code))
        high = q.arg(MAX_SUM if rule.at_most is None else to_minor(rule.at_most, code))
        return f"""(COALESCE((SELECT sum(o.paid - o.refunded) FROM orders o WHERE {BOUGHT}
                AND o.currency = {q.arg(code)}{_window(rule.within_days, q)}), 0)
            BETWEEN {low}::bigint AND {high}::bigint)"""

    def explain(self, rule: OrderSumRule) -> str:
        bounds = _bounds(rule.at_least, rule.at_most)
        return f"spent {bounds} {rule.currency}{_in_window(rule.within_days)}"


@dataclass(frozen=True)
class DaysSinceLastPurchaseRule:
    """Whose last purchase is so many days ago; who never bought is never meant."""

    at_least: int | None = None
    at_most: int | None = None


class DaysSinceLastPurchase:
    """How many calendar days ago the customer's last purchase was."""

    name: ClassVar[str] = "days_since_last_purchase"
    title: ClassVar[str] = "Days since last purchase (距上次购买天数)"
    rule: ClassVar[type] = DaysSinceLastPurchaseRule

    def check(self, rule: DaysSinceLastPurchaseRule) -> str | None:
        return _check_bounds(rule.at_least, rule.at_most, MAX_DAYS)

    def sql(self, rule: DaysSinceLastPurchaseRule, q: Query) -> str:
        # someone's last purchase is in [oldest, newest) when there is one since `oldest` and
        # none since `newest`: two probes of the index on (merchant_id, customer_id, paid_at)
        since = ""
        if rule.at_most is not None:
            since = f" AND o.paid_at >= {q.arg(day_start(q, rule.at_most))}"
        found = f"EXISTS (SELECT 1 FROM orders o WHERE {BOUGHT}{since})"
        if not rule.at_least:
            return found
        newest = q.arg(day_start(q, rule.at_least - 1))
        return f"""({found} AND NOT EXISTS (SELECT 1 FROM orders o
            WHERE {BOUGHT} AND o.paid_at >= {newest}))"""

    def explain(self, rule: DaysSinceLastPurchaseRule) -> str:
        return f"last bought {_bounds(rule.at_least, rule.at_most)} days ago"


@dataclass(frozen=True)
class TagRule:
    """Who has any of these tags; an empty list matches nobody."""

    any_of: list[str]


class Tag:
    """The tags on the customer."""

    name: ClassVar[str] = "tag"
    title: ClassVar[str] = "Tag (标签)"
    rule: ClassVar[type] = TagRule

    def check(self, rule: TagRule) -> str | None:
        return _check_choices(rule.any_of)

    def sql(self, rule: TagRule, q: Query) -> str:
        return f"""EXISTS (SELECT 1 FROM customer_tags t WHERE t.merchant_id = c.merchant_id
            AND t.customer_id = c.id AND t.tag = ANY({q.arg(rule.any_of)}::text[]))"""

    def explain(self, rule: TagRule) -> str:
        return f"is tagged {_either(rule.any_of)}"


@dataclass(frozen=True)
class HasPhoneRule:
    """Whose phone number is known."""


class HasPhone:
    """Whether a phone number of the customer is known."""

    name: ClassVar[str] = "has_phone"
    title: ClassVar[str] = "Has a phone number (有手机号)"
    rule: ClassVar[type] = HasPhoneRule

    def check(self, rule: HasPhoneRule) -> str | None:
        return None

    def sql(self, rule: HasPhoneRule, q: Query) -> str:
        return "(c.phone_index IS NOT NULL)"

    def explain(self, rule: HasPhoneRule) -> str:
        return "has a phone number"


@dataclass(frozen=True)
class HasEmailRule:
    """Whose email address is known."""


class HasEmail:
    """Whether an email address of the customer is known."""

    name: ClassVar[str] = "has_email"
    title: ClassVar[str] = "Has an email address (有邮箱)"
    rule: ClassVar[type] = HasEmailRule

    def check(self, rule: HasEmailRule) -> str | None:
        return None

    def sql(self, rule: HasEmailRule, q: Query) -> str:
        return "(c.email_index IS NOT NULL)"

    def explain(self, rule: HasEmailRule) -> str:
        return "has an email address"


@dataclass(frozen=True)
class OptedInRule:
    """Who agreed to marketing on the channel; shop_id asks what counts in that shop."""

    channel: str
    shop_id: int | None = None


class OptedIn:
    """Whether the customer agreed to marketing on a channel."""

    name: ClassVar[str] = "opted_in"
    title: ClassVar[str] = "Agreed to marketing (同意营销)"
    rule: ClassVar[type] = OptedInRule

    def check(self, rule: OptedInRule) -> str | None:
        if rule.shop_id is not None and not 0 < rule.shop_id <= MAX_ID:
            return "shop_id is not the number of a shop"
        return None if rule.channel.strip() else "channel is empty"

    def sql(self, rule: OptedInRule, q: Query) -> str:
        shop = None if rule.shop_id is None else q.arg(rule.shop_id) + "::bigint"
        channel = q.arg(rule.channel)
        return f"COALESCE({status_sql(shop, channel, 'marketing')} = 'granted', FALSE)"

    def explain(self, rule: OptedInRule) -> str:
        place = f" in shop {rule.shop_id}" if rule.shop_id else ""
        return f"agreed to marketing by {rule.channel}{place}"


@dataclass(frozen=True)
class CustomFieldRule:
    """Whose custom field has such a value; give operators of the field's type, or is_set."""

    field: str
    any_of: list[str] | None = None
    starts_with: str | None = None
    is_true: bool | None = None
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    from_day: date | None = None
    to_day: date | None = None
    is_set: bool | None = None


FIELD_OPERATORS = {
    "text": {"any_of", "starts_with"}, "choice": {"any_of"}, "bool": {"is_true"},
    "int": {"at_least", "at_most"}, "decimal": {"at_least", "at_most"},
    "date": {"from_day", "to_day"}, "datetime": {"from_day", "to_day"},
}  # fmt: skip
"""What can be asked of each type of custom field, beside is_set."""


class CustomField:
    """The value of a custom field."""

    name: ClassVar[str] = "custom_field"
    title: ClassVar[str] = "Custom field (自定义字段)"
    rule: ClassVar[type] = CustomFieldRule

    def check(self, rule: CustomFieldRule) -> str | None:
        given = asked_operators(rule)
        if not given:
            return "give at least one operator, for instance any_of, at_least or is_set"
        if len({group for one in given for group in _GROUPS if one in group}) > 1:
            return f"{' and '.join(sorted(given))} do not go together: a field has one type"
        if rule.starts_with == "":
            return "starts_with is empty"
        if rule.at_least is not None and rule.at_most is not None and rule.at_least > rule.at_most:
            return "at_least is greater than at_most: nobody could match"
        if rule.from_day is not None and rule.to_day is not None and rule.from_day > rule.to_day:
            return "from_day is after to_day: nobody could match"
        if any(n is not None and abs(n) > MAX_DECIMAL for n in (rule.at_least, rule.at_most)):
            return f"at_least and at_most are at most {MAX_DECIMAL:f}"
        if any(day is not None and not 1 < day.year < 9999 for day in (rule.from_day, rule.to_day)):
            return "from_day and to_day are of the years 2 to 9998"
        return _check_choices(rule.any_of or [])

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

    def explain(self, rule: CustomFieldRule) -> str:
        said = []
        if rule.any_of is not None:
            said.append(_either(rule.any_of))
        if rule.starts_with is not None:
            said.append(f"a text that begins with {rule.starts_with!r}")
        if rule.is_true is not None:
            said.append("yes" if rule.is_true else "no")
        if rule.at_least is not None or rule.at_most is not None:
            said.append(_bounds(rule.at_least, rule.at_most))
        if rule.from_day is not None:
            said.append(f"from {rule.from_day}")
        if rule.to_day is not None:
            said.append(f"to {rule.to_day}")
        if rule.is_set is not None:
            said.append("any value" if rule.is_set else "no value")
        return f"has in {rule.field} {' '.join(said)}"


_GROUPS = (
    frozenset({"any_of", "starts_with"}), frozenset({"is_true"}),
    frozenset({"at_least", "at_most"}), frozenset({"from_day", "to_day"}), frozenset({"is_set"}),
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
    return made


def _day_of_field(day: date, q: Query, where: str) -> str:
    """Where a day begins: dates are kept at midnight UTC, times are of the merchant's zone."""
    plain = q.arg(datetime.combine(day, time.min, UTC))
    local = q.arg(datetime.combine(day, time.min, ZoneInfo(q.time_zone)))
    return f"""(SELECT CASE f.type WHEN 'date' THEN {plain}::timestamptz
        ELSE {local}::timestamptz END FROM custom_fields f WHERE {where})"""


FACETS: list[Facet] = [
    Province(), OrderCount(), OrderSum(), DaysSinceLastPurchase(), Tag(), HasPhone(), HasEmail(),
    OptedIn(), CustomField(),
]  # fmt: skip


def day_start(q: Query, days_ago: int) -> datetime:
    """The first instant of the merchant's calendar day so many days before today."""
    zone = ZoneInfo(q.time_zone)
    day = q.now.astimezone(zone).date() - timedelta(days=days_ago)
    return datetime.combine(day, time.min, zone)


def _window(within_days: int | None, q: Query) -> str:
    if within_days is None:
        return ""
    return f" AND o.paid_at >= {q.arg(day_start(q, within_days))}"


def _check_window(within_days: int | None) -> str | None:
    if within_days is not None and not 0 <= within_days <= MAX_DAYS:
        return f"within_days must be from 0 to {MAX_DAYS}"
    return None


def _check_bounds(at_least: int | None, at_most: int | None, limit: int) -> str | None:
    if at_least is None and at_most is None:
        return "give at_least, at_most or both"
    for name, value in (("at_least", at_least), ("at_most", at_most)):
        if value is not None and not 0 <= value <= limit:
            return f"{name} must be from 0 to {limit}"
    if at_least is not None and at_most is not None and at_least > at_most:
        return "at_least is greater than at_most: nobody could match"
    return None


def _check_choices(choices: Sequence[str]) -> str | None:
    return f"at most {MAX_CHOICES} values are allowed" if len(choices) > MAX_CHOICES else None


def _bounds(at_least: object, at_most: object) -> str:
    if at_most is None:
        return f"at least {at_least}"
    if at_least is None:
        return f"at most {at_most}"
    return f"exactly {at_least}" if at_least == at_most else f"{at_least} to {at_most}"


def _in_window(within_days: int | None) -> str:
    return "" if within_days is None else f" in the last {within_days} days"


def _either(choices: Sequence[str]) -> str:
    shown = list(choices[:10])
    more = len(choices) - len(shown)
    if more:
        shown.append(f"{more} others")
    return " or ".join(shown) or "none of no values (nobody)"
