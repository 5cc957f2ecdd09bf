"""Functions that make the dictionaries of a whole list of objects, compiled for one selection."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

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
    DateTimeDefinition.serialize: ("TIMES", "{0}.isoformat()"),  # a date's too
    DecimalDefinition.serialize: ("NUMBERS", "str({0})"),
}
"""By how a leaf type serializes: the classes of its usual values, and how these are done."""

TIMES, NUMBERS = frozenset({datetime, date}), frozenset({Decimal})

PLAIN = frozenset({str, int, float, bool, Decimal, datetime, date})
"""Classes of values that are neither errors nor to be awaited."""


class Surprise(Exception):
    """A value that the compiled function leaves to the careful way."""


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
    members = {member: coerce(type_, member) for member in getattr(type_, "wrapped_cls", ())}

    def complete(value: Any) -> Any:
        try:
            return members[value]
        except (KeyError, TypeError):
            return coerce(type_, value)

    return complete


def build_function(
    fields: list["Field"],
) -> Callable[[list[Any], list[dict[str, Any]]], list[Any]]:
    """A function of objects and calls that returns the objects' dictionaries.

    It fills in the inline fields, and None for the others. `calls` has the arguments of each
    inline field that is resolved by a call. It raises at the first surprise of any kind; then all
    is to be done again, the careful way.
    """
    source = _Source()
    entries = source.entries(fields, "o", "v", "        ")
    head = [
        f"    a{number} = calls[{number}]"
        for number, one in enumerate(fields)
        if one.inline and one.call is not None
    ]
    lines = [
        "def build(objects, calls):", *head, "    made = []", "    add = made.append",
        "    for o in objects:", *source.lines, f"        add({entries})", "    return made",
    ]  # fmt: skip
    exec("\n".join(lines), source.names)  # noqa: S102 - the schema's names, or quoted
    build: Callable[[list[Any], list[dict[str, Any]]], list[Any]] = source.names["build"]
    return build


class _Source:
    """The lines of a function that read and complete values, and the names that they use."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"Surprise": Surprise, "TIMES": TIMES, "NUMBERS": NUMBERS}

    def entries(self, fields: list["Field"], of: str, prefix: str, indent: str) -> str:
        """Adds the lines for the fields of the object `of`; returns its dictionary as text."""
        found = []
        for number, one in enumerate(fields):
            value = f"{prefix}{number}"
            if one.constant is not None:
                value = repr(one.constant)
            elif not one.inline:
                value = "None"
            else:
                self.lines.append(f"{indent}{value} = {self._read(one, of, value, number)}")
                if one.nested is None:
                    self._leaf(one, value, indent)
                else:
                    self._object(one, one.nested, value, indent)
            found.append(f"{one.place.response!r}: {value}")
        return f"{{{', '.join(found)}}}"

    def _read(self, one: "Field", of: str, value: str, number: int) -> str:
        if one.column is not None:
            return f"{of}.row[{one.column!r}]"
        if one.make is not None:
            self.names[f"f{value}"] = one.make
            return f"f{value}({of}.row)"
        if one.attribute is not None:
            return f"{of}.{one.attribute}"
        self.names[f"f{value}"] = one.call
        return f"f{value}({f'{of}, ' if takes_object(one) else ''}**a{number})"

    def _leaf(self, one: "Field", value: str, indent: str) -> None:
        leaf = one.shape.inner or one.shape
        self.names[f"s{value}"] = leaf.leaf
        if leaf is not one.shape:
            self.lines.append(f"{indent}if {value} is None: raise Surprise")
        tests = [] if leaf is not one.shape else [f"{value} is not None"]
        if ready := AS_THEY_ARE.get(leaf.type):
            tests.append(f"not ({ready.format(value)})")
        done = f"s{value}({value})"
        if quick := QUICK.get(getattr(leaf.type, "coerce_output_value", None)):
            usual, text = quick
            done = f"{text.format(value)} if {value}.__class__ in {usual} else {done}"
        test = f"if {' and '.join(tests)}: " if tests else ""
        self.lines.append(f"{indent}{test}{value} = {done}")

    def _object(self, one: "Field", nested: "Selection", value: str, indent: str) -> None:
        self.names[f"t{value}"] = nested.origin
        self.lines.append(f"{indent}if {value}.__class__ is t{value}:")
        entries = self.entries(nested.fields, value, f"{value}_", f"{indent}    ")
        nullable = one.shape.inner is None
        self.lines += [
            f"{indent}    {value} = {entries}",
            f"{indent}{f'elif {value} is not None' if nullable else 'else'}: raise Surprise",
        ]


def takes_object(one: "Field") -> bool:
    """Whether a field's resolver is given the object as its first argument."""
    assert one.ours is not None
    assert one.ours.base_resolver is not None
    return one.ours.base_resolver.self_parameter is not None
