"""Custom fields in an import of customers: typed cells, written as one set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from core.domain.customers.import_rows import CellParser, read_day
from core.sdk.errors import InvalidInput
from core.storage.database import Session, Work
from core.tabular.cells import FULL_WIDTH, parse_time

MERCHANTS = "custom"
"""The namespace that merchants own."""
TEXT_LIMIT = 2000
YES = frozenset({"yes", "y", "true", "1", "是"})
NO = frozenset({"no", "n", "false", "0", "否"})
MAX_NUMBER = Decimal(10) ** 18

Value = tuple[str | None, Decimal | None, datetime | None]
"""A value in the column of its type: text, number or moment."""


@dataclass(frozen=True)
class CustomField:
    """A field that the merchant defined; see the table `custom_fields`."""

    id: int
    type: str
    choices: Sequence[str]


async def find_fields(session: Session, keys: Sequence[str]) -> dict[str, CustomField]:
    """The merchant's own fields of these keys; plugins' are not written. Raises InvalidInput."""
    if not keys:
        return {}
    rows = await session.sql.fetch(
        """SELECT id, key, type, choices FROM custom_fields
           WHERE merchant_id = $1 AND namespace = $2 AND key = ANY($3::text[])""",
        session.merchant_id, MERCHANTS, list(keys),
    )  # fmt: skip
    found = {r["key"]: CustomField(r["id"], r["type"], orjson.loads(r["choices"])) for r in rows}
    missing = [key for key in keys if key not in found]
    if missing:
        raise InvalidInput(
            f"there is no custom field {', '.join(missing)}: define it first", ("input", "columns")
        )
    return found


def parser_of(field: CustomField, zone: tzinfo) -> CellParser:
    """Reads cells of a field's type; raises ValueError with what is wrong."""

    def parse(text: str) -> Value:
        if field.type == "text":
            if len(text) > TEXT_LIMIT:
                raise ValueError(f"longer than {TEXT_LIMIT} characters")
            return text, None, None
        if field.type == "choice":
            if text not in field.choices:
                raise ValueError(f"none of the choices {', '.join(field.choices)}")
            return text, None, None
        if field.type == "bool":
            return None, _bool(text), None
        if field.type in ("int", "decimal"):
            return None, _number(text, field.type == "int"), None
        if field.type == "date":
            return None, None, datetime.combine(read_day(text), time(), UTC)
        return None, None, parse_time(text, zone)

    return parse


def _bool(text: str) -> Decimal:
    word = text.casefold()
    if word not in YES | NO:
        raise ValueError("neither yes nor no")
    return Decimal(word in YES)


def _number(text: str, whole: bool) -> Decimal:
    try:
        number = Decimal(text.translate(FULL_WIDTH).replace(",", "").replace(" ", ""))
    except InvalidOperation:
        raise ValueError("not a number") from None
    if not number.is_finite() or abs(number) >= MAX_NUMBER:
        raise ValueError("out of range")
    if whole and number != number.to_integral_value():
        raise ValueError("not a whole number")
    return round(number, 10).normalize() + 0


async def stored_values(
    w: Work, customer_ids: Sequence[int], fields: Mapping[str, CustomField]
) -> dict[tuple[int, int], Value]:
    """The present values of the customers, by (customer, field)."""
    rows = await w.sql.fetch(
        """SELECT customer_id, field_id, text, number, moment FROM custom_field_values
           WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])
             AND field_id = ANY($3::bigint[])""",
        w.merchant_id, list(customer_ids), [field.id for field in fields.values()],
    )  # fmt: skip
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}


async def write_values(w: Work, values: Mapping[tuple[int, int], Value], source: str) -> None:
    """Set the values of many customers with one statement."""
    if not values:
        return
    rows = sorted((key, value) for key, value in values.items())
    await w.sql.execute(
        """INSERT INTO custom_field_values AS v (merchant_id, customer_id, field_id, text, number,
                                                 moment, version, source, updated_at)
           SELECT $1, n.customer_id, n.field_id, n.text, n.number, n.moment, 1, $7, $8
           FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::numeric[], $6::timestamptz[])
               AS n (customer_id, field_id, text, number, moment)
           ON CONFLICT (merchant_id, customer_id, field_id) DO UPDATE
           SET text = excluded.text, number = excluded.number, moment = excluded.moment,
               version = v.version + 1, source = excluded.source,
               updated_at = excluded.updated_at""",
        w.merchant_id, [key[0] for key, _ in rows], [key[1] for key, _ in rows],
        [value[0] for _, value in rows], [value[1] for _, value in rows],
        [value[2] for _, value in rows], source, w.now,
    )  # fmt: skip


def packed(value: Value | None) -> Any:
    """A value as JSON."""
    if value is None:
        return None
    text, number, moment = value
    return [text, None if number is None else str(number), moment.isoformat() if moment else None]


def unpacked(json: Any) -> Value:
    """What `packed` made."""
    text, number, moment = json
    return (
        text,
        None if number is None else Decimal(number),
        datetime.fromisoformat(moment) if moment else None,
    )
