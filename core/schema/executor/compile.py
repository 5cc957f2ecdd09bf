"""Functions that make the dictionaries of a whole list of objects, compiled for one selection."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

import orjson
from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLID,
    GraphQLInt,
    GraphQLString,
)
from graphql.execution import Executor as StockExecutor
from strawberry.schema.types.base_scalars import DateTimeDefinition, DecimalDefinition

from core.schema.executor.later import rows_of

if TYPE_CHECKING:
    from core.schema.executor.plans import Field, Selection

AS_THEY_ARE = {
    GraphQLString: "{0}.__class__ is str",
    GraphQLID: "{0}.__class__ is str",
    GraphQLBoolean: "{0}.__class__ is bool",
    GraphQLInt: f"{{0}}.__class__ is int and {GRAPHQL_MIN_INT} <= {{0}} <= {GRAPHQL_MAX_INT}",
}
"""Values of leaf types that need nothing done to them."""

QUICK: dict[Any, tuple[str, str]] = {
    # a date's too; what isoformat() tells, in a third of its time
    DateTimeDefinition.serialize: (
        "{0}.__class__ is datetime and {0}.tzinfo is UTC or {0}.__class__ is date",
        "dumps({0})[1:-1].decode()",
    ),
    DecimalDefinition.serialize: ("{0}.__class__ is Decimal", "str({0})"),
}
"""By how a leaf type serializes: what usual values are told by, and how these are done."""

NAMES = {
    "datetime": datetime, "date": date, "UTC": UTC, "Decimal": Decimal, "dumps": orjson.dumps,
    "rows_of": rows_of,
}  # fmt: skip

PLAIN = frozenset({str, int, float, bool, Decimal, datetime, date})
"""Classes of values that are neither errors nor to be awaited."""

Build = Callable[[Sequence[Any], list[dict[str, Any]]], list[Any]]
"""Makes the dictionaries of objects; it is given the arguments of calls too."""


class Surprise(Exception):
    """A value that the compiled function leaves to the careful way."""


@dataclass(frozen=True, eq=False)
class Written:
    """How a field's completed value is written from the object's row, in Python.

    The expression gives what the field and its type make of the row, or raises; then they are
    asked themselves. The value is null where the column is.
    """

    column: str
    text: str | Mapping[str, str]
    """Of a leaf, or by the attributes of an object whose leaves they are. Names are in braces:
    `{value}` is the column's value, `{row}` the row, `{texts}` what an enum's values are called,
    by what is stored for them."""
    names: Mapping[str, Any] = field(default_factory=dict)
    """The other names."""

    def writes(self, nested: "Selection | None") -> bool:
        """Whether it does for a leaf, or for everything that is selected of an object."""
        if nested is None:
            return isinstance(self.text, str)
        return not isinstance(self.text, str) and all(
            one.constant is not None or one.attribute in self.text for one in nested.fields
        )


def leaf_function(type_: Any) -> Callable[[Any], Any]:
    """Completes a value of a leaf type, which is not None. Raises what the stock executor does."""
    coerce = StockExecutor.complete_leaf_value
    if isinstance(type_, GraphQLEnumType):
        return _enum_function(type_)

    own = type_.coerce_output_value

    def complete(value: Any) -> Any:
        if value.__class__ in PLAIN:
            done = own(value)
            if done.__class__ in PLAIN:
                return done
        if isinstance(value, Exception):
            raise value
        if hasattr(value, "__await__"):
            if iscoroutine(value):
                value.close()  # its resolver is called again
            raise TypeError("a value that is still to be awaited")
        return coerce(type_, value)

    return complete


def _enum_function(type_: GraphQLEnumType) -> Callable[[Any], Any]:
    coerce = StockExecutor.complete_leaf_value
    members = _members(type_)

    def complete(value: Any) -> Any:
        try:
            return members[value]
        except (KeyError, TypeError):
            return coerce(type_, value)

    return complete


def _members(type_: Any) -> dict[Any, Any]:
    """An enum's members and what they are called; of any other type none."""
    coerce = StockExecutor.complete_leaf_value
    return {member: coerce(type_, member) for member in getattr(type_, "wrapped_cls", ())}


def build_function(fields: list["Field"]) -> Build:
    """A function of objects and calls that returns the objects' dictionaries.

    It fills in the inline fields, and None for the others. `calls` has the arguments of each
    inline field that is resolved by a call. It raises at the first surprise of any kind; then all
    is to be done again, the careful way.
    """
    source = _Source()
    entries = source.entries(fields, "o", "v", "        ")
    head = [
        source.argument(one, number)
        for number, one in enumerate(fields)
        if one.inline and one.call is not None
    ]
    loop = ["    for o in objects:"]
    if _read_rows(fields):
        loop.append("        o_row = o.row")
        if all(one.of_row or one.constant is not None for one in fields if one.inline):
            loop = ["    for o_row in rows_of(objects):"]
    lines = [
        "def build(objects, calls):", *head, "    made = []", "    add = made.append",
        *loop, *source.lines, f"        add({entries})", "    return made",
    ]  # fmt: skip
    exec("\n".join(lines), source.names)  # noqa: S102 - the schema's names, or quoted
    build: Build = source.names["build"]
    return build


def _read_rows(fields: list["Field"]) -> bool:
    return any(one.inline and one.of_row for one in fields)


class _Source:
    """The lines of a function that read and complete values, and the names that they use."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"Surprise": Surprise, **NAMES}

    def entries(self, fields: list["Field"], of: str, prefix: str, indent: str) -> str:
        """Adds the lines for the fields of the object `of`; returns its dictionary as text."""
        found = []
        for number, one in enumerate(fields):
            value = f"{prefix}{number}"
            if one.constant is not None:
                value = repr(one.constant)
            elif not one.inline:
                value = "None"
            elif one.written is not None:
                self._written(one, one.written, of, value, indent)
            else:
                self.lines.append(f"{indent}{value} = {self._read(one, of, value, number)}")
                if one.nested is None:
                    self._leaf(one, value, indent)
                else:
                    self._object(one, one.nested, value, indent)
            found.append((one.place.response, value))
        return _display(found)

    def argument(self, one: "Field", number: int) -> str:
        """The line for what a call is given, the same for all objects."""
        name = _only_info(one)
        given = f"calls[{number}]" if name is None else f"calls[{number}][{name!r}]"
        if one.prepare is not None:
            self.names[f"p{number}"] = one.prepare
            given = f"p{number}({given})"
        return f"    a{number} = {given}"

    def _read(self, one: "Field", of: str, value: str, number: int) -> str:
        if one.column is not None:
            return f"{of}_row[{one.column!r}]"
        if one.make is not None:
            self.names[f"f{value}"] = one.make
            return f"f{value}({of}_row)"
        if one.prepare is not None:
            return f"a{number}({of}_row)"
        if one.attribute is not None:
            return f"{of}.{one.attribute}"
        self.names[f"f{value}"] = one.call
        given = f"{name}=a{number}" if (name := _only_info(one)) else f"**a{number}"
        return f"f{value}({f'{of}, ' if one.takes_object else ''}{given})"

    def _written(self, one: "Field", written: Written, of: str, value: str, indent: str) -> None:
        leaf = one.shape.inner or one.shape
        names = {"value": value, "row": f"{of}_row", "texts": f"texts_{value}"}
        self.names[names["texts"]] = {key.value: text for key, text in _members(leaf.type).items()}
        for name, known in written.names.items():
            names[name] = f"{name}_{value}"
            self.names[names[name]] = known
        if isinstance(written.text, str):
            done = written.text.format_map(names)
        else:
            assert one.nested is not None
            done = _display(
                (part.place.response, repr(part.constant) if part.attribute is None
                 else written.text[part.attribute].format_map(names))
                for part in one.nested.fields
            )  # fmt: skip
        self.lines.append(f"{indent}{value} = {of}_row[{written.column!r}]")
        self._unless_null(one, value, done, indent)

    def _unless_null(self, one: "Field", value: str, done: str, indent: str) -> None:
        if one.shape.inner is None:
            self.lines.append(f"{indent}if {value} is not None: {value} = {done}")
            return
        self.lines += [
            f"{indent}if {value} is None: raise Surprise", f"{indent}{value} = {done}",
        ]  # fmt: skip

    def _leaf(self, one: "Field", value: str, indent: str) -> None:
        leaf = one.shape.inner or one.shape
        self.names[f"s{value}"] = leaf.leaf
        done = f"s{value}({value})"
        if ready := AS_THEY_ARE.get(leaf.type):
            done = f"{value} if {ready.format(value)} else {done}"
        elif quick := QUICK.get(getattr(leaf.type, "coerce_output_value", None)):
            usual, text = quick
            done = f"{text.format(value)} if {usual.format(value)} else {done}"
        self._unless_null(one, value, done, indent)

    def _object(self, one: "Field", nested: "Selection", value: str, indent: str) -> None:
        self.names[f"t{value}"] = nested.origin
        self.lines.append(f"{indent}if {value}.__class__ is t{value}:")
        if _read_rows(nested.fields):
            self.lines.append(f"{indent}    {value}_row = {value}.row")
        entries = self.entries(nested.fields, value, f"{value}_", f"{indent}    ")
        nullable = one.shape.inner is None
        self.lines += [
            f"{indent}    {value} = {entries}",
            f"{indent}{f'elif {value} is not None' if nullable else 'else'}: raise Surprise",
        ]


def _display(entries: Iterable[tuple[str, str]]) -> str:
    """A dictionary in Python, of keys and expressions."""
    return f"{{{', '.join(f'{key!r}: {value}' for key, value in entries)}}}"


def _only_info(one: "Field") -> str | None:
    """The name of a resolver's `info`, if it can be given nothing else."""
    return None if one.place.definition.args else one.info
