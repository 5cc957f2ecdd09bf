"""The executor answers as the stock one does: data, errors, their paths and their order."""

import random

import orjson
import pytest
import strawberry
from graphql import get_introspection_query
from strawberry.extensions import DisableValidation
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from core.schema.executor import Executor, kept
from core.schema.executor.later import Later
from core.schema.executor.plans import PlanCache
from tests.schema import odd_rows, odd_schema
from tests.schema.selections import Selections


class Schema(strawberry.Schema):
    """Fields may fail without the log being told."""

    def process_errors(self, errors, execution_context=None):
        pass


def schema_of(executor, query=odd_schema.Query):
    made = Schema(
        query, odd_schema.Mutation, types=[odd_schema.Other],
        execution_context_class=executor, extensions=[DisableValidation],
    )  # fmt: skip
    made.plans = PlanCache()
    return made


STOCK = schema_of(StrawberryGraphQLCoreExecutionContext)
OURS = schema_of(Executor)
ROWS = [schema_of(one, odd_rows.Query) for one in (Executor, StrawberryGraphQLCoreExecutionContext)]


async def answer(schema, query, values, rate):
    context = odd_schema.Context(rate)
    result = await schema.execute(query, variable_values=values, context_value=context)
    return result.data, [error.formatted for error in result.errors or ()]


async def both(query, values, rate, schemas=(OURS, STOCK)):
    ours, stock = [await answer(one, query, values, rate) for one in schemas]
    return ours, stock


def keys(data):
    """Keys in their order, which dictionaries do not compare."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data or ()):
        yield key
        if isinstance(value, dict | list):
            yield from keys(value)


def by_place(data, errors):
    """Errors by the place that is null because of them."""
    found = {}
    for error in errors:
        value, place = data, ()
        for step in error["path"]:
            if value is None:
                break
            value, place = value[step], (*place, step)
        found.setdefault(place, []).append(orjson.dumps(error))
    return found


WAITING = {
    "things", "named", "slow", "slower", "awaited", "slowPart", "slowMust", "awaitedParts",
    "promised", "promisedAll", "promisedBadly", "promisedByKey", "allByKey", "badlyByKey",
}  # fmt: skip


def at_once(parent, name, field):
    """Leaves out whatever waits, and keeps to what comes in one order only."""
    return (
        None if (name in WAITING and parent.name != "Thing") or name in WAITING - {"named"} else ""
    )


@pytest.mark.parametrize("rate", [0, 0.02, 0.15])
async def test_without_waits_all_is_equal(rate):
    selections = Selections(OURS._schema, random.Random(rate), at_once, depth=5, width=4)
    wrong = 0
    for _ in range(150):
        query, values = selections.document()
        ours, stock = await both(query, values, rate)
        assert ours == stock, query
        assert list(keys(ours[0])) == list(keys(stock[0])), query
        wrong += bool(stock[1])
    assert wrong > 20 * (rate > 0.1)


def waits(error, place):
    """Whether something is waited for between the place that became null and the error."""
    below = [one for one in error["path"][len(place) :] if isinstance(one, str)]
    names = [one.rstrip("0123456789") for one in below]  # without what makes an alias of them
    # of this name there are two: the one at the top waits
    return any(name in WAITING and (name != "named" or not place) for name in names)


def assert_alike(ours, stock, query):
    """Of errors under one null, those that come before the first wait are all told alike.

    Those that come after a wait are told by the clock: which of them, and in which order.
    """
    (data, errors), (stock_data, stock_errors) = ours, stock
    assert data == stock_data, query
    assert list(keys(data)) == list(keys(stock_data)), query
    found, expected = by_place(data, errors), by_place(stock_data, stock_errors)
    assert found.keys() == expected.keys(), query
    for place, told in expected.items():
        assert set(told) & set(found[place]), query
        at_once = [one for one in told if not waits(orjson.loads(one), place)]
        assert at_once == [one for one in found[place] if not waits(orjson.loads(one), place)], (
            query
        )
        if told[-1] in at_once or len(told) == len(found[place]) == 1:
            assert told == found[place], query  # the one that made the null came at once


@pytest.mark.parametrize("rate", [0, 0.02, 0.15])
async def test_with_waits_only_errors_of_one_null_may_differ(rate):
    """Of several that make the same place null, those count that come first, by the clock."""
    selections = Selections(OURS._schema, random.Random(rate), depth=5, width=3)
    wrong = 0
    for _ in range(200):
        query, values = selections.document()
        ours, stock = await both(query, values, rate)
        assert_alike(ours, stock, query)
        wrong += bool(ours[1])
    assert wrong > 20 * (rate > 0.1)


MUST = {
    "strict", "must", "mustCoin", "price", "colour", "title", "parts", "odd", "part", "coin",
    "slow", "slowMust", "slower", "awaited", "promised", "allByKey", "things", "thing",
}  # fmt: skip


def for_sure(parent, name, field):
    """Keeps to fields that take their object with them, and to some that wait."""
    return "" if parent.name in ("Coin", "Side") or name in MUST else None


# the stock executor does not await all that it began
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("seed", range(3))
async def test_what_fails_at_once_goes_before_what_fails_after_a_wait(seed):
    selections = Selections(OURS._schema, random.Random(seed), for_sure, depth=4, width=5)
    mixed = 0
    for _ in range(150):
        query, values = selections.document()
        ours, stock = await both(query, values, 0.3)
        assert_alike(ours, stock, query)
        causes = {place: told[-1] for place, told in by_place(*stock).items()}
        mixed += any(not waits(orjson.loads(one), place) for place, one in causes.items())
    assert mixed > 20


MUTATIONS = """mutation { a: change(seed: "1") { title parts { title promised { label } } }
    b: change(seed: "2") { strict } __typename c: %s(seed: "%s") { must { size } }
    d: change(seed: "4") { title } }"""


@pytest.mark.parametrize("field", ["change", "changeStrictly"])
@pytest.mark.parametrize("seed", range(10))
async def test_mutations(seed, field):
    ours, stock = await both(MUTATIONS % (field, seed), {}, 0.15)
    assert ours == stock


async def test_no_field_of_a_mutation_begins_before_the_last_one_ended():
    context = odd_schema.Context(0)
    fields = '{ a: takeATurn(name: "a") { size } b: takeATurn(name: "b") { size } }'
    result = await OURS.execute(f"mutation {fields}", context_value=context)
    assert list(result.data) == ["a", "b"]
    assert context.turns == ["a begins", "a ends", "b begins", "b ends"]


INTROSPECTION = get_introspection_query()


async def test_introspection_goes_the_stock_way():
    ours, stock = await both(INTROSPECTION, {}, 0)
    assert ours == stock
    assert not ours[1]


async def test_a_level_is_one_batch():
    context = odd_schema.Context(0)
    query = "{ things(count: 9) { promisedAll { a: promised { size } promised { size } } } }"
    result = await OURS.execute(query, context_value=context)
    assert not result.errors
    # the same promise asked for under two names is fetched for each, as other fields are
    assert [len(pks) for pks in context.fetched] == [9, 18, 18]


async def test_a_resolver_that_names_its_key_is_called_for_one_of_a_level(monkeypatch):
    made = []

    def counted(*given):
        made.append(given)
        return Later(*given)

    monkeypatch.setattr(odd_schema, "Later", counted)
    context = odd_schema.Context(0)
    query = "{ things(count: 9) { allByKey { promisedByKey { coin { amount side { name } } } } } }"
    result = await OURS.execute(query, context_value=context)
    assert not result.errors
    assert [len(pks) for pks in context.fetched] == [9, 18]
    assert len(made) == 2
    coins = [inner["promisedByKey"]["coin"] for one in result.data["things"]
             for inner in one["allByKey"]]  # fmt: skip
    assert coins == [{"amount": "2.00", "side": {"name": "heads"}}] * 18


async def test_rows_become_no_objects_where_nobody_needs_any(monkeypatch):
    made = []

    def counted(self, row):
        made.append(row)
        self.row = row

    monkeypatch.setattr(odd_rows.Kept, "__init__", counted)
    query = "{ kept(count: 9) { kept { id at mustShade total { amount } kept { name %s } } } }"
    ours = await answer(ROWS[0], query % "", {}, 0)
    assert len(made) == 9 + 1  # the last for the resolver of all their children
    assert ours == await answer(ROWS[1], query % "", {}, 0)
    assert not ours[1]
    assert len(made) > 3 * 9
    ours, stock = await both(query % "label rate", {}, 0, ROWS)
    assert ours == stock


@pytest.mark.parametrize("rate", [0, 0.01, 0.1])
async def test_rows(rate):
    selections = Selections(ROWS[0]._schema, random.Random(rate), depth=3, width=6)
    wrong = 0
    for _ in range(60):
        query, values = selections.document()
        (data, errors), stock = await both(query, values, rate, ROWS)
        assert data == stock[0], query
        assert list(keys(data)) == list(keys(stock[0])), query
        assert by_place(data, errors).keys() == by_place(*stock).keys(), query
        wrong += bool(errors)
    assert bool(wrong) == bool(rate)


async def test_plans_are_bounded(monkeypatch):
    monkeypatch.setattr(kept, "MAX_DOCUMENTS", 3)
    schema = schema_of(Executor)
    for number in range(9):
        await answer(schema, f"{{ number{number}: number }}", {}, 0)
    assert len(schema.plans.kept) == 3


async def test_switched_fields_have_plans_of_their_own():
    query = "query ($on: Boolean!) { number @include(if: $on) thing { size @skip(if: $on) title } }"
    for on in (True, False, True):
        ours, stock = await both(query, {"on": on}, 0)
        assert ours == stock
