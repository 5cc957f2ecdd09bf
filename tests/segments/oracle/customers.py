"""Provinces, contacts, tags, consent and custom fields."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from core.domain.customers.fields import FieldChange, set_fields
from core.domain.segments.facets.custom_fields import FIELD_OPERATORS
from tests.segments.oracle.kit import ZONE, within

PROVINCES = ["广东", "浙江", "北京", None]
TAGS = ["vip", "新客"]


def fill(r: random.Random, person: dict) -> None:
    person |= {
        "province": r.choice(PROVINCES),
        "phone": b"p" if r.random() < 0.5 else None,
        "email": b"e" if r.random() < 0.5 else None,
        "tags": [tag for tag in TAGS if r.random() < 0.3],
        "size": r.choice(["S", "M", None]),
        "score": r.choice([Decimal("-1.5"), Decimal(0), Decimal("9.90"), Decimal(100), None]),
        "member": r.choice([True, False, None]),
        "day": r.choice([date(2026, 1, 1), date(2026, 6, 14), date(2026, 6, 15), None]),
        # the last second of a day in Shanghai, and the first of the next
        "called": r.choice(
            [
                datetime(2026, 6, 13, 15, 59, 59, tzinfo=UTC),
                datetime(2026, 6, 13, 16, tzinfo=UTC),
                None,
            ]
        ),
        "consent": r.choice(["granted", "denied", "unproven", None]),
    }


async def store(w, person: dict) -> None:
    customer_id = person["id"]
    await w.sql.execute(
        """UPDATE customers SET province = $3, phone_index = $4, email_index = $5
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, customer_id, person["province"], person["phone"], person["email"],
    )  # fmt: skip
    values = {key: person[key] for key in FIELDS if person[key] is not None}
    if values:
        given = [
            FieldChange(f"custom.{key}", value if isinstance(value, bool) else
                        value.isoformat() if isinstance(value, date) else str(value))
            for key, value in values.items()
        ]  # fmt: skip
        await set_fields(w, customer_id, given, "custom")
    await w.sql.executemany(
        "INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)"
        " VALUES ($1, $2, $3, 'test', $4)",
        [(w.merchant_id, customer_id, tag, w.now) for tag in person["tags"]],
    )
    if person["consent"]:
        await w.sql.execute(
            "INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)"
            " VALUES ($1, $2, 'email', 'marketing', $3, $4)",
            w.merchant_id, customer_id, person["consent"], w.now,
        )  # fmt: skip


def has_field(rule: dict, one: dict) -> bool:
    key = rule["field"].removeprefix("custom.")
    value = one.get(key)
    if "is_set" in rule:
        return (value is not None) == rule["is_set"]
    if value is None:
        return False
    kind = FIELDS[key]
    if "any_of" in rule or "starts_with" in rule:
        return (
            kind in ("text", "choice")
            and value in rule.get("any_of", [value])
            and value.startswith(rule.get("starts_with", ""))
        )
    if "is_true" in rule:
        return kind == "bool" and value == rule["is_true"]
    if "at_least" in rule or "at_most" in rule:
        return kind == "decimal" and within(rule, value)
    if kind == "datetime":
        value = value.astimezone(ZoneInfo(ZONE)).date()
    return (
        kind in ("date", "datetime")
        and date.fromisoformat(rule.get("from_day", "0002-01-01")) <= value
        and value <= date.fromisoformat(rule.get("to_day", "9998-01-01"))
    )


FIELDS = {"size": "choice", "score": "decimal", "member": "bool", "day": "date",
          "called": "datetime"}  # fmt: skip
DAY = st.sampled_from(["2026-01-01", "2026-06-13", "2026-06-14", "2026-06-15"])
ASKED = st.one_of(
    st.fixed_dictionaries({"any_of": st.lists(st.sampled_from(["S", "M", "L"]), max_size=2)},
                          optional={"starts_with": st.sampled_from(["S", "x"])}),
    st.fixed_dictionaries({"is_true": st.booleans()}),
    st.fixed_dictionaries({"is_set": st.booleans()}),
    st.fixed_dictionaries({"at_least": st.sampled_from(["-2", "0", "9.9"])},
                          optional={"at_most": st.sampled_from(["9.90", "100"])}),
    st.fixed_dictionaries({"from_day": st.just("2026-01-01")}, optional={"to_day": DAY}),
    st.fixed_dictionaries({"to_day": DAY}),
)  # fmt: skip
FIELD_RULES = st.builds(
    lambda key, asked: {"custom_field": {"field": f"custom.{key}", **asked}},
    st.sampled_from([*FIELDS]), ASKED,
).filter(lambda rule: _fits(rule["custom_field"]))  # fmt: skip


def _fits(rule: dict) -> bool:
    """Whether the operators are those of the field's type; a rule is refused otherwise."""
    kind = FIELDS[rule["field"].removeprefix("custom.")]
    return set(rule) - {"field"} <= FIELD_OPERATORS[kind] | {"is_set"}


LEAVES = st.one_of(
    st.builds(
        lambda some: {"province": {"any_of": some}},
        st.lists(st.sampled_from(["广东", "浙江", "北京"]), max_size=2),
    ),
    st.builds(lambda some: {"tag": {"any_of": some}}, st.lists(st.sampled_from(TAGS), max_size=2)),
    st.sampled_from([{"has_phone": {}}, {"has_email": {}}]),
    FIELD_RULES,
    st.sampled_from(["email", "sms"]).map(lambda channel: {"opted_in": {"channel": channel}}),
)
EVALUATE = {
    "province": lambda params, one: one["province"] in params["any_of"],
    "tag": lambda params, one: bool(set(params["any_of"]) & set(one["tags"])),
    "has_phone": lambda params, one: one["phone"] is not None,
    "has_email": lambda params, one: one["email"] is not None,
    "custom_field": has_field,
    "opted_in": lambda params, one: params["channel"] == "email" and one["consent"] == "granted",
}
