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
from tests.schema import odd_schema
from tests.schema.selections import Selections


class Schema(strawberry.Schema):
    """Fields may fail without the log being told."""

    def process_errors(self, errors, execution_context=None):
        pass


def schema_of(executor):
    made = Schema(
        odd_schema.Query, odd_schema.Mutation, types=[odd_schema.Other],
        execution_context_class=executor, extensions=[DisableValidation],
    )  # fmt: skip
    made.plans = PlanCache()
    return made


STOCK = schema_of(StrawberryGraphQLCoreExecutionContext)
OURS = schema_of(Executor)


async def answer(schema, query, values, rate):
    context = odd_schema.Context(rate)
    result = await schema.execute(query, variable_values=values, context_value=context)
    return result.data, [error.formatted for error in result.errors or ()]


async def both(query, values, rate):
    return await answer(OURS, query, values, rate), await answer(STOCK, query, values, rate)


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


@pytest.mark.parametrize("rate", [0, 0.02, 0.15])
async def test_with_waits_only_errors_of_one_null_may_differ(rate):
    """Of several that make the same place null, those count that come first, by the clock."""
    selections = Selections(OURS._schema, random.Random(rate), depth=5, width=3)
    wrong = 0
    for _ in range(200):
        query, values = selections.document()
        (data, errors), stock = await both(query, values, rate)
        assert data == stock[0], query
        assert list(keys(data)) == list(keys(stock[0])), query
        ours, theirs = by_place(data, errors), by_place(*stock)
        assert ours.keys() == theirs.keys(), query
        for place, told in theirs.items():
            assert set(told) & set(ours[place]), query
            if len(told) == len(ours[place]) == 1:
                assert told == ours[place], query
        wrong += bool(errors)
    assert wrong > 20 * (rate > 0.1)


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
