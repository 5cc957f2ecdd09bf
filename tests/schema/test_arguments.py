"""Arguments and variables of every shape reach resolvers as by the stock executor."""

import itertools
from enum import Enum
from typing import Any

import pytest
import strawberry
from graphql import parse
from strawberry.scalars import JSON
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from core.schema.executor import Executor
from core.schema.executor.plans import PlanCache
from core.schema.executor.prepared import Prepared


@strawberry.enum
class Colour(Enum):
    RED = "r"
    BLUE = "b"


@strawberry.input
class Inner:
    text: str = "as written"
    colour: Colour | None = None
    maybe: strawberry.Maybe[int]
    maybe_null: strawberry.Maybe[int | None]
    any_: JSON | None = None


@strawberry.input
class Outer:
    number: int
    inner: Inner | None = None
    many: list[Inner] = strawberry.field(default_factory=list)
    again: "Outer | None" = None
    words: list[str | None] | None = None


@strawberry.input(one_of=True)
class One:
    left: strawberry.Maybe[int]
    right: strawberry.Maybe[str]


@strawberry.type
class Query:
    @strawberry.field
    def echo(
        self,
        id: strawberry.ID | None = None,
        number: int = 7,
        colour: Colour = Colour.BLUE,
        colours: list[Colour] | None = None,
        words: list[list[str]] | None = None,
        outer: Outer | None = None,
        one: One | None = None,
        any_: JSON | None = None,
        unset: int | None = strawberry.UNSET,
    ) -> str:
        return repr([id, number, colour, colours, words, outer, one, any_, unset])


def schema(executor: Any) -> Any:
    made = strawberry.Schema(Query, execution_context_class=executor)
    made.plans = PlanCache()
    return made


OURS, STOCK = schema(Executor), schema(StrawberryGraphQLCoreExecutionContext)

CALLS = [
    "echo", "echo(number: 3)", "echo(number: $n)", "echo(id: $id)", 'echo(id: 5, colour: RED)',
    "echo(colour: $c, unset: null)", "echo(colours: [RED, BLUE])", "echo(colours: RED)",
    "echo(colours: [$c, BLUE])", "echo(colours: $cs)", 'echo(words: [["a", $t], "b"])',
    "echo(words: null)", "echo(outer: {number: 1})", "echo(outer: {number: $n})",
    'echo(outer: {number: 1, inner: {text: $t, maybe: $n, maybeNull: null, any: {a: [1]}}})',
    "echo(outer: {number: 2, inner: {maybe: 3}, many: {maybeNull: $n}, again: {number: $n}})",
    "echo(outer: {number: 2, many: [{colour: $c}, {colour: RED}], words: [null, $t]})",
    "echo(outer: $o)", "echo(outer: {number: 1, again: $o})", "echo(one: {left: $n})",
    'echo(one: {right: "x"})', "echo(one: $one)", "echo(any: {a: $n, b: [1, {c: $t}]})",
    "echo(any: $j)", "echo(unset: $n)",
]  # fmt: skip
TYPES = {
    "n": ["Int", "Int = 9"], "id": ["ID", 'ID = "d"'], "c": ["Colour", "Colour = RED"],
    "cs": ["[Colour!]", "[Colour!] = [BLUE]"], "t": ["String", 'String = "d"'], "o": ["Outer"],
    "one": ["One"], "j": ["JSON"],
}  # fmt: skip
VALUES = {
    "n": [1, None, "x", 2**40], "id": ["a", 6, None, 1.5], "c": ["RED", None],
    "cs": [["RED"], [], None, ["GREEN"], "BLUE", [None]], "t": ["t", None],
    "o": [None, {"number": 1}, {"number": "x"}, {}, {"number": 1, "more": 2},
          {"number": 1, "many": [{"maybe": 1, "any": {"b": 2}}], "again": {"number": 2}},
          {"number": 1, "inner": {"maybe": None}}, {"number": 1, "words": ["a", None]}],
    "one": [{"left": 1}, {"left": 1, "right": "r"}, {}, {"left": None}, None],
    "j": [None, 1, {"deep": [1, {"x": None}]}],
}  # fmt: skip


def asked(call: str) -> list[tuple[str, dict[str, Any]]]:
    """Documents with this call, and the variables that they are asked with."""
    names = [name for name in TYPES if any(f"${name}{end}" in call for end in ",)]}")]
    found = []
    for types in itertools.product(*(TYPES[name] for name in names)):
        declared = ", ".join(f"${name}: {type_}" for name, type_ in zip(names, types, strict=True))
        document = f"query {f'({declared})' if names else ''} {{ {call} }}"
        found += [
            (document, dict(zip(names, values, strict=True)))
            for values in itertools.product(*(VALUES[name] for name in names))
        ]
        found.append((document, {}))
    return found


def told(result: Any) -> Any:
    return result.data, [(one.message, one.path) for one in result.errors or []]


@pytest.mark.parametrize("call", CALLS)
async def test_resolvers_get_the_same(call):
    for document, variables in asked(call):
        for _ in range(2):  # the second time all is known already
            ours = told(await OURS.execute(document, variables))
            assert ours == told(await STOCK.execute(document, variables)), (document, variables)


def values_of(found: Any) -> Any:
    sources, coerced = found
    return {name: one.value for name, one in sources.items()}, coerced


@pytest.mark.parametrize("call", CALLS)
def test_variables_of_later_requests_are_the_same(call):
    prepared: dict[str, Prepared] = {}
    for document, variables in asked(call):
        stock = Executor.build(OURS._schema, parse(document), None, None, variables)
        if isinstance(stock, Executor):
            prepared.setdefault(document, Prepared(stock))
        if document not in prepared:
            continue
        ours = prepared[document].values(variables)
        if isinstance(stock, list):
            assert list(map(str, ours)) == list(map(str, stock))
        else:
            assert values_of(ours) == values_of(stock.variable_values), (document, variables)
    assert prepared
