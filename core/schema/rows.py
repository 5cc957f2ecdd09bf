"""Fields read from an object's row, of which lists then read only the columns that are selected.

A type of rows has `row: strawberry.Private[Any]`. Its fields say which columns they read: those
made here, and those with `columns` in their metadata. As soon as one is selected that does not
say so, all columns are read. The primary key is read always.
"""

from binascii import b2a_base64
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar, cast

import strawberry

from core.schema.executor.compile import Written
from core.schema.executor.plans import Kind, Shape
from core.schema.scalars import Money, money
from core.sdk.ids import id_form, id_maker
from core.sdk.money import minor_text

ALWAYS = frozenset({"id", "merchant_id"})

R = TypeVar("R")
Columns = frozenset[str] | None
"""Names of columns; None for all."""


def reads(*columns: str, pk: str | None = None) -> Callable[[Callable[..., R]], R]:
    """A field with a resolver, which reads these columns and the primary key.

    With `pk` it promises a child or children that are found by this column of the row; nothing
    else of the row decides what is promised, so that the resolver is called for one row of many.
    """
    metadata = {"columns": columns, "pk": pk}
    return cast("Callable[[Callable[..., R]], R]", strawberry.field(metadata=metadata))


def column(name: str, **options: Any) -> Any:
    """A field that is a column of the row."""

    def read(self: Any) -> Any:
        return self.row[name]

    metadata = {"column": name, "columns": (name,)}
    return strawberry.field(resolver=read, metadata=metadata, **options)


def computed(
    make: Callable[[Any], Any], *columns: str, written: Written | None = None, **options: Any
) -> Any:
    """A field that is made of the row; it reads these columns of it."""

    def read(self: Any) -> Any:
        return make(self.row)

    metadata = {"columns": columns, "make": make, "written": written}
    return strawberry.field(resolver=read, metadata=metadata, **options)


def prepared(prepare: Callable[[Any], Callable[[Any], Any]], *columns: str, **options: Any) -> Any:
    """A field that is made of the row by what is found out from `info`, once for a whole list."""

    def read(self: Any, info: strawberry.Info) -> Any:
        return prepare(info)(self.row)

    metadata = {"columns": columns, "prepare": prepare}
    return strawberry.field(resolver=read, metadata=metadata, **options)


def own_id(type_name: str) -> Any:
    """The global id of the row."""
    make = id_maker(type_name)
    names = {"form": id_form(type_name), "encode": b2a_base64}
    written = Written("id", "{encode}({form} % {value}, newline=False).decode()", names)
    return computed(lambda row: make(row["id"]), written=written)


def enum_column(name: str, type_: type[Enum], **options: Any) -> Any:
    """A field that is a member of an enum, of which the column holds the value."""

    def make(row: Any) -> Enum | None:
        return None if row[name] is None else type_(row[name])

    return computed(make, name, written=Written(name, "{texts}[{value}]"), **options)


def money_column(name: str, **options: Any) -> Any:
    """A field that is so many minor units, or null, of the currency in the column `currency`."""

    def make(row: Any) -> Money | None:
        return None if row[name] is None else money(row[name], row["currency"])

    parts = {"amount": "{text}({value}, {row}['currency'])", "currency": "{row}['currency']"}
    written = Written(name, parts, {"text": minor_text})
    return computed(make, name, "currency", written=written, **options)


def selected(info: Any, type_name: str) -> Columns:
    """The columns that are read of the objects of a type in what a resolver returns."""
    shape: Shape | None = getattr(info, "shape", None)
    if shape is None:
        return None  # the stock executor, which plans nothing
    if type_name not in shape.columns:
        shape.columns[type_name] = _columns(shape, type_name)
    return shape.columns[type_name]


@lru_cache(maxsize=1000)
def columns_sql(alias: str, columns: Columns) -> str:
    """The columns for a SELECT."""
    if columns is None:
        return f"{alias}.*"
    return ", ".join(f"{alias}.{name}" for name in sorted(columns | ALWAYS))


def by_parent(rows: Iterable[Any], name: str) -> Mapping[Any, list[Any]]:
    """Rows by a column, in their order."""
    found: defaultdict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        found[row[name]].append(row)
    return found


def _columns(shape: Shape, type_name: str) -> Columns:
    if shape.inner is not None:
        return _columns(shape.inner, type_name)
    if shape.kind is Kind.LEAF:
        return ALWAYS
    selection = shape.selection
    if selection is None or any(one.stock for one in selection.pending):
        return None
    if selection.owner.name == type_name:
        return selection.columns
    found = ALWAYS
    for one in selection.fields:
        inner = _columns(one.shape, type_name)
        if inner is None:
            return None
        found |= inner
    return found
