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
    GraphQLNonNull,
    GraphQLString,
)
from graphql.execution import Executor as StockExecutor

if TYPE_CHECKING:
    from core.schema.executor.plans import Field

AS_THEY_ARE = {
    GraphQLString: "{0}.__class__ is str",
    GraphQLID: "{0}.__class__ is str",
    GraphQLBoolean: "{0}.__class__ is bool",
    GraphQLInt: f"{{0}}.__class__ is int and {GRAPHQL_MIN_INT} <= {{0}} <= {GRAPHQL_MAX_INT}",
}
"""Values of leaf types that need nothing done to them."""

PLAIN = frozenset({str, int, float, bool, Decimal, datetime, date})
"""Classes of values that are neither errors nor to be awaited."""


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
    names: dict[str, Any] = {}
    head, body, entries = ["def build(objects, calls):"], ["    for o in objects:"], []
    for number, one in enumerate(fields):
        value = f"v{number}"
        entries.append(f"{one.place.response!r}: {_entry(one, value)}")
        if not one.inline or one.constant is not None:
            continue
        if one.make is not None:
            names[f"f{number}"] = one.make
        if one.call is not None:
            head.append(f"    a{number} = calls[{number}]")
            names[f"f{number}"] = one.call
        body.append(f"        {value} = {_read(one, number)}")
        leaf = one.shape.inner or one.shape
        test = " and ".join(_tests(one, leaf.type, value))
        names[f"s{number}"] = leaf.leaf if leaf is one.shape else _never_null(leaf.leaf)
        body.append(f"        {f'if {test}: ' if test else ''}{value} = s{number}({value})")
    head += ["    made = []", "    add = made.append"]
    tail = [f"        add({{{', '.join(entries)}}})", "    return made"]
    exec("\n".join(head + body + tail), names)  # noqa: S102 - the schema's names, or quoted
    build: Callable[[list[Any], list[dict[str, Any]]], list[Any]] = names["build"]
    return build


def takes_object(one: "Field") -> bool:
    """Whether a field's resolver is given the object as its first argument."""
    assert one.ours is not None
    assert one.ours.base_resolver is not None
    return one.ours.base_resolver.self_parameter is not None


def _entry(one: "Field", value: str) -> str:
    if not one.inline:
        return "None"
    return value if one.constant is None else repr(one.constant)


def _read(one: "Field", number: int) -> str:
    if one.column is not None:
        return f"o.row[{one.column!r}]"
    if one.make is not None:
        return f"f{number}(o.row)"
    if one.attribute is not None:
        return f"o.{one.attribute}"
    return f"f{number}({'o, ' if takes_object(one) else ''}**a{number})"


def _tests(one: "Field", type_: Any, value: str) -> list[str]:
    tests = []
    if ready := AS_THEY_ARE.get(type_):
        tests.append(f"not ({ready.format(value)})")
    if not isinstance(one.shape.type, GraphQLNonNull):
        tests.append(f"{value} is not None")
    return tests


def _never_null(leaf: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    assert leaf is not None

    def complete(value: Any) -> Any:
        if value is None:
            raise TypeError("null where none may be")
        return leaf(value)

    return complete
