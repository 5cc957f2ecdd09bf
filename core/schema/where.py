"""One grammar of filters for every list: operators per type, and/or/not.

An empty list matches nothing. Null is refused, so that a forgotten variable never means "all".
"""

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry

from core.schema.scalars import read_id

COMPARISONS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@strawberry.input
class IdFilter:
    eq: strawberry.Maybe[strawberry.ID]
    in_: strawberry.Maybe[list[strawberry.ID]] = strawberry.field(name="in", default=None)


@strawberry.input
class StringFilter:
    eq: strawberry.Maybe[str]
    in_: strawberry.Maybe[list[str]] = strawberry.field(name="in", default=None)
    starts_with: strawberry.Maybe[str]
    is_null: strawberry.Maybe[bool]


@strawberry.input
class IntFilter:
    eq: strawberry.Maybe[int]
    in_: strawberry.Maybe[list[int]] = strawberry.field(name="in", default=None)
    gt: strawberry.Maybe[int]
    gte: strawberry.Maybe[int]
    lt: strawberry.Maybe[int]
    lte: strawberry.Maybe[int]


@strawberry.input
class BooleanFilter:
    eq: strawberry.Maybe[bool]


@strawberry.input
class DateTimeFilter:
    gt: strawberry.Maybe[datetime]
    gte: strawberry.Maybe[datetime]
    lt: strawberry.Maybe[datetime]
    lte: strawberry.Maybe[datetime]


@strawberry.input
class DecimalFilter:
    eq: strawberry.Maybe[Decimal]
    gt: strawberry.Maybe[Decimal]
    gte: strawberry.Maybe[Decimal]
    lt: strawberry.Maybe[Decimal]
    lte: strawberry.Maybe[Decimal]


@strawberry.input
class DateFilter:
    eq: strawberry.Maybe[date]
    gt: strawberry.Maybe[date]
    gte: strawberry.Maybe[date]
    lt: strawberry.Maybe[date]
    lte: strawberry.Maybe[date]


class Args:
    """Parameters of one statement; the first is always the merchant.

    `need` raises unless the caller has a right: some columns are not for everybody to search.
    `shops` are the shops of the platforms that the filter names; see external_refs.py.
    """

    def __init__(
        self,
        merchant_id: int,
        need: Callable[[str], None] | None = None,
        shops: Mapping[str, Collection[int]] | None = None,
    ) -> None:
        self.values: list[Any] = [merchant_id]
        self.shops = shops or {}
        self._need = need

    def need(self, permission: str) -> None:
        """Raises unless the caller has the right."""
        if self._need is None:
            raise RuntimeError(f"a column that needs {permission}, and nobody to ask for it")
        self._need(permission)

    def add(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


Column = str | tuple[str, Callable[[str], str]]
"""A column's SQL; or a type's name for ids and what makes SQL of a condition on "{}"."""


def ids_of(type_name: str, column: str) -> "IdColumn":
    return IdColumn(type_name, column)


class IdColumn:
    """A column that clients know by global ids of one type."""

    def __init__(self, type_name: str, sql: str, within: str = "{}") -> None:
        self.type_name = type_name
        self.sql = sql
        self.within = within


class TextColumn:
    """A text column; `within` wraps its condition, for instance in an EXISTS over a child table.

    `needs` is the right to filter by it: who may not see a value must not find it by guessing.
    """

    def __init__(self, sql: str, within: str = "{}", needs: str | None = None) -> None:
        self.sql = sql
        self.within = within
        self.needs = needs


class OwnColumn:
    """A filter that makes its SQL itself: `make` is given the filter's input and the parameters."""

    def __init__(self, make: Callable[[Any, Args], str]) -> None:
        self.make = make


def where_sql(where: Any, columns: Mapping[str, Any], args: Args) -> str:
    """A boolean SQL expression of a where input, TRUE for none."""
    if where is None:
        return "TRUE"
    parts = []
    for name, maybe in vars(where).items():
        if maybe is None:
            continue
        value = maybe.value
        if name in ("and_", "or_"):
            inner = [f"({where_sql(one, columns, args)})" for one in value]
            parts.append((" AND " if name == "and_" else " OR ").join(inner) or "FALSE")
        elif name == "not_":
            parts.append(f"NOT COALESCE({where_sql(value, columns, args)}, FALSE)")
        else:
            parts.append(_column_sql(columns[name], value, args))
    return " AND ".join(f"({part})" for part in parts) or "TRUE"


def _column_sql(column: Any, operators: Any, args: Args) -> str:
    if needs := getattr(column, "needs", None):
        args.need(needs)
    if isinstance(column, OwnColumn):
        return column.make(operators, args)
    within = getattr(column, "within", "{}")
    sql = column if isinstance(column, str) else column.sql
    return str(within.format(conditions_sql(column, sql, operators, args)))


def conditions_sql(column: Any, sql: str, operators: Any, args: Args) -> str:
    """The operators of one filter over the expression `sql`, all of which must hold."""
    conditions = [
        _operator_sql(column, sql, name, maybe.value, args)
        for name, maybe in vars(operators).items()
        if maybe is not None
    ]
    return " AND ".join(conditions) or "TRUE"


def _operator_sql(column: Any, sql: str, name: str, value: Any, args: Args) -> str:
    if name == "is_null":
        return f"{sql} IS NULL" if value else f"{sql} IS NOT NULL"
    if name == "starts_with":
        return f"starts_with({sql}, {args.add(value)})"
    if name == "in_":
        values = [_value(column, one) for one in value]
        return f"{sql} = ANY({args.add([one for one in values if one is not None])})"
    value = _value(column, value)
    return "FALSE" if value is None else f"{sql} {COMPARISONS[name]} {args.add(value)}"


def _value(column: Any, value: Any) -> Any:
    if isinstance(column, IdColumn):
        return read_id(column.type_name, value)
    return value.value if isinstance(value, Enum) else value
