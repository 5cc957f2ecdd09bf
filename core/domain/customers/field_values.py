"""Values of custom fields: set by many at once without a lost one, and read in their types."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import orjson

from core.domain.customers.fields import MERCHANTS, check_owner, storable
from core.domain.customers.log import log_each
from core.sdk.errors import (
    Faults,
    InvalidInput,
    NotFound,
)
from core.sdk.versions import check_version
from core.storage.database import Session, Work

TEXT_LIMIT = 2_000
MAX_CHANGES = 100
MAX_INT = 2**63 - 1
SAFE_INT = 2**53 - 1
"""Above it a program that reads numbers as floats would lose digits."""
MAX_DECIMAL = Decimal(10) ** 20
DECIMAL_PLACES = 10
EXACT = Context(prec=60)
"""Python's own 28 digits would round what the column holds."""


@dataclass(frozen=True)
class FieldChange:
    """A value to set; None clears. With `if_version`, only if the value has that version still.

    The version of a value that is not there is 0.
    """

    field: str
    value: Any
    if_version: int | None = None


@dataclass(frozen=True)
class FieldValue:
    """A customer's value, in the form of the field's type: see `shown`."""

    field_id: int
    name: str
    value: Any
    version: int
    source: str
    updated_at: datetime


_Stored = tuple[str | None, Decimal | None, datetime | None]
"""A value in the columns text, number, moment."""


async def set_fields(
    w: Work,
    customer_id: int,
    changes: Sequence[FieldChange],
    owner: str,
    source: str | None = None,
) -> list[str]:
    """Set and clear fields of a customer: all of `changes`, or none. Returns the changed names.

    `owner` is "custom" or the plugin's name, and `source` where the values come from, as for tags.
    Writers of one customer take turns, so that none overwrites what it has not seen. Raises
    NotFound, and Several of all that is wrong; paths start with ("input", "fields", place).
    """
    if not 1 <= len(changes) <= MAX_CHANGES:
        raise InvalidInput(f"give 1 to {MAX_CHANGES} fields", ("input", "fields"))
    if not await _hold_customers(w, [customer_id]):
        raise NotFound("there is no customer with this id", ("id",))
    fields = await _fields_by_name(w, [change.field for change in changes])
    stored = await _read_changes(w, customer_id, fields, changes, owner)
    changed = await _write(w, {customer_id: stored}, fields, source or _source(owner))
    return changed.get(customer_id, [])


async def set_fields_of_many(
    w: Work, values: Mapping[int, Mapping[str, Any]], owner: str, source: str | None = None
) -> int:
    """Set fields of many customers, `values` by customer and field name; None clears.

    Ids without a customer are passed over. Returns how many customers changed. Raises Several;
    paths are ("values", customer id, name).
    """
    held = set(await _hold_customers(w, list(values)))
    wanted = {pk: one for pk, one in values.items() if pk in held}
    fields = await _fields_by_name(w, sorted({name for one in wanted.values() for name in one}))
    faults = Faults()
    stored: dict[int, dict[str, _Stored | None]] = {}
    for customer_id, named in wanted.items():
        for name, value in named.items():
            path = ("values", str(customer_id), name)
            with faults:
                checked = _checked(fields, name, value, owner, path, path)
                stored.setdefault(customer_id, {})[name] = checked
    faults.tell()
    return len(await _write(w, stored, fields, source or _source(owner)))


async def check_value(
    session: Session, name: str, value: Any, owner: str, path: tuple[str, ...]
) -> None:
    """Whether `set_fields` would take the value. Raises NotFound, FieldNotYours, InvalidInput."""
    fields = await _fields_by_name(session, [name])
    _checked(fields, name, value, owner, (*path, "field"), (*path, "value"))


def _source(owner: str) -> str:
    return "staff" if owner == MERCHANTS else owner


async def _hold_customers(w: Work, customer_ids: Sequence[int]) -> list[int]:
    """Those of the ids that are customers, their rows kept until the end of the transaction."""
    rows = await w.sql.fetch(
        """SELECT id FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])
           ORDER BY id FOR NO KEY UPDATE""",
        w.merchant_id, list(customer_ids),
    )  # fmt: skip
    return [row["id"] for row in rows]


async def _fields_by_name(w: Session, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    kept = [name for name in names if storable(name)]
    rows = await w.sql.fetch(
        """SELECT *, namespace || '.' || key AS name FROM custom_fields
           WHERE merchant_id = $1 AND (namespace, key) IN (
               SELECT split_part(name, '.', 1), substr(name, strpos(name, '.') + 1)
               FROM unnest($2::text[]) AS name)
           ORDER BY id FOR SHARE""",
        w.merchant_id, kept,
    )  # fmt: skip
    return {row["name"]: row for row in rows}


async def _read_changes(
    w: Work,
    customer_id: int,
    fields: Mapping[str, Mapping[str, Any]],
    changes: Sequence[FieldChange],
    owner: str,
) -> dict[str, _Stored | None]:
    versions = {}
    if any(change.if_version is not None for change in changes):
        rows = await w.sql.fetch(
            """SELECT field_id, version FROM custom_field_values
               WHERE merchant_id = $1 AND customer_id = $2""",
            w.merchant_id, customer_id,
        )  # fmt: skip
        versions = {row["field_id"]: row["version"] for row in rows}
    faults = Faults()
    stored: dict[str, _Stored | None] = {}
    for place, change in enumerate(changes):
        path = ("input", "fields", str(place))
        name = change.field
        with faults:
            if name in stored:
                raise InvalidInput(f"the field {name} is given twice", (*path, "field"))
            stored[name] = _checked(
                fields, name, change.value, owner, (*path, "field"), (*path, "value")
            )
            version = versions.get(fields[name]["id"], 0)
            check_version(version, change.if_version, (*path, "if_version"))
    faults.tell()
    return stored


def _checked(
    fields: Mapping[str, Mapping[str, Any]],
    name: str,
    value: Any,
    owner: str,
    name_path: tuple[str, ...],
    value_path: tuple[str, ...],
) -> _Stored | None:
    namespace, dot, _ = name.partition(".")
    if dot:
        check_owner(namespace, owner, name_path)
    field = fields.get(name)
    if field is None:
        raise NotFound(
            f"there is no field {name[:100]!r}; a name is written as {owner}.key", name_path
        )
    if value is None:
        return None
    try:
        return _stored(field["type"], orjson.loads(field["choices"]), value)
    except ValueError as error:
        raise InvalidInput(f"{name}: {error}", value_path) from None


async def _write(
    w: Work,
    wanted: Mapping[int, Mapping[str, _Stored | None]],
    fields: Mapping[str, Mapping[str, Any]],
    source: str,
) -> dict[int, list[str]]:
    """Write checked values; returns the names of what changed, by customer."""
    names = {field["id"]: name for name, field in fields.items()}
    cells = [
        (customer_id, fields[name]["id"], value)
        for customer_id, values in wanted.items()
        for name, value in values.items()
    ]
    kept = [(pk, field_id, *value) for pk, field_id, value in cells if value is not None]
    gone = [(pk, field_id) for pk, field_id, value in cells if value is None]
    rows = []
    if kept:
        rows += await w.sql.fetch(
            """INSERT INTO custom_field_values AS v (merchant_id, customer_id, field_id, text,
                   number, moment, version, source, updated_at)
               SELECT $1, n.customer_id, n.field_id, n.text, n.number, n.moment, 1, $2, $3
               FROM unnest($4::bigint[], $5::bigint[], $6::text[], $7::numeric[],
                           $8::timestamptz[]) AS n (customer_id, field_id, text, number, moment)
               ORDER BY n.customer_id, n.field_id
               ON CONFLICT (merchant_id, customer_id, field_id) DO UPDATE SET
                   text = excluded.text, number = excluded.number, moment = excluded.moment,
                   version = v.version + 1, source = excluded.source,
                   updated_at = excluded.updated_at
               WHERE (v.text, v.number, v.moment) IS DISTINCT FROM
                     (excluded.text, excluded.number, excluded.moment)
               RETURNING customer_id, field_id""",
            w.merchant_id, source, w.now, *map(list, zip(*kept, strict=True)),
        )  # fmt: skip
    if gone:
        rows += await w.sql.fetch(
            """DELETE FROM custom_field_values v
               USING unnest($2::bigint[], $3::bigint[]) AS n (customer_id, field_id)
               WHERE v.merchant_id = $1 AND v.customer_id = n.customer_id
                 AND v.field_id = n.field_id
               RETURNING v.customer_id, v.field_id""",
            w.merchant_id, *map(list, zip(*gone, strict=True)),
        )  # fmt: skip
    changed: dict[int, list[str]] = {}
    for row in rows:
        changed.setdefault(row["customer_id"], []).append(names[row["field_id"]])
    await log_each(w, "field_changed", changed.items(), "fields", {"source": source})
    return changed


async def read_fields(
    session: Session, customer_ids: Sequence[int], names: Sequence[str] | None = None
) -> dict[int, dict[str, FieldValue]]:
    """The values of customers by customer and name; of all fields, or of those named."""
    rows = await session.sql.fetch(
        """SELECT v.*, f.type, f.namespace || '.' || f.key AS name
           FROM custom_field_values v
           JOIN custom_fields f ON f.merchant_id = v.merchant_id AND f.id = v.field_id
           WHERE v.merchant_id = $1 AND v.customer_id = ANY($2::bigint[])
             AND ($3::text[] IS NULL OR f.namespace || '.' || f.key = ANY($3::text[]))
           ORDER BY f.namespace, f.key""",
        session.merchant_id, list(customer_ids), None if names is None else list(names),
    )  # fmt: skip
    found: dict[int, dict[str, FieldValue]] = {}
    for row in rows:
        found.setdefault(row["customer_id"], {})[row["name"]] = FieldValue(
            row["field_id"],
            row["name"],
            shown(row["type"], row["text"], row["number"], row["moment"]),
            row["version"],
            row["source"],
            row["updated_at"],
        )
    return found


def shown(kind: str, text: str | None, number: Decimal | None, moment: datetime | None) -> Any:
    """A stored value as JSON: text, bool, whole number, or a decimal, date or time as text.

    Whole numbers too large for a program that reads floats are texts as well.
    """
    if kind == "bool":
        return text == "true"
    if number is not None:
        if kind == "int":
            whole = int(number)
            return whole if abs(whole) <= SAFE_INT else str(whole)
        return format(number.normalize(EXACT), "f") if number else "0"
    if moment is not None:
        utc = moment.astimezone(UTC)
        return utc.date().isoformat() if kind == "date" else utc.isoformat()
    return text


def _stored(kind: str, choices: Sequence[str], value: Any) -> _Stored:
    """The columns of a JSON value. Raises ValueError with what it should be."""
    match kind:
        case "text":
            return (_text(value), None, None)
        case "choice":
            if value not in choices:
                raise ValueError(f"one of {', '.join(choices[:20])}")
            return (str(value), None, None)
        case "bool":
            if not isinstance(value, bool):
                raise ValueError("true or false")
            return ("true" if value else "false", None, None)
        case "int":
            return (None, _int(value), None)
        case "decimal":
            return (None, _decimal(value), None)
        case "date":
            return (None, None, datetime.combine(_date(value), time.min, UTC))
    return (None, None, _datetime(value))


def _text(value: Any) -> str:
    if (
        not isinstance(value, str) or not value.strip() or len(value) > TEXT_LIMIT
        or not storable(value)
    ):  # fmt: skip
        raise ValueError(f"a text of 1 to {TEXT_LIMIT} characters; null clears")
    return value


def _int(value: Any) -> Decimal:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,19}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_INT:
        raise ValueError("a whole number of at most 64 bits")
    return Decimal(value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, float):
        raise ValueError('send a decimal as text, as in "9.90": a float is not exact')
    wanted = f'a decimal such as "9.90", with {DECIMAL_PLACES} places at most, below 10^20'
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError(wanted)
    if isinstance(value, str) and not re.fullmatch(r"[+-]?[0-9]{1,20}(\.[0-9]{1,30})?", value):
        raise ValueError(wanted)
    try:
        read = Decimal(value)
    except InvalidOperation:
        raise ValueError(wanted) from None
    if not read.is_finite() or abs(read) >= MAX_DECIMAL:
        raise ValueError(wanted)
    exact = read.normalize(EXACT)
    places = exact.as_tuple().exponent
    if isinstance(places, int) and places < -DECIMAL_PLACES:
        raise ValueError(wanted)
    return exact


def _date(value: Any) -> date:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("a date as 2026-06-15")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"there is no day {value}") from None


def _datetime(value: Any) -> datetime:
    wanted = "a time with its offset, as 2026-06-15T12:00:00+08:00"
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError(wanted)
    try:
        read = datetime.fromisoformat(value)
        if read.tzinfo is None:
            raise ValueError
        return read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(wanted) from None
