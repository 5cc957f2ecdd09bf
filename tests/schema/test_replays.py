"""What sends, grants, charges or takes in is done once, however often and at once it is asked."""

import asyncio

import pytest
from graphql import build_schema, get_named_type

from tests.docs.test_docs import ROOT
from tests.schema.conftest import new_world
from tests.schema.operations import ELSEWHERE, NAMES, text
from tests.schema.test_operations import root_fields, run_as_may

SCHEMA = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
KEYED = {
    name for name, field in SCHEMA.mutation_type.fields.items()
    if "input" in field.args and "idempotencyKey" in get_named_type(field.args["input"].type).fields
}  # fmt: skip
OPERATIONS = {root_fields(name)[0]: name for name in NAMES if "mutation" in text(name)}
CHANGES = ("version", "balance", "progress", "done", "state", "updatedAt", "detail", "content")
"""What goes on after the call, and is shown as it is by then: a test message is on its way."""


def steady(value):
    """The ids and results of an answer, without what goes on changing."""
    if isinstance(value, dict):
        return {key: steady(one) for key, one in value.items() if key not in CHANGES}
    return [steady(one) for one in value] if isinstance(value, list) else value


def test_there_are_many():
    assert len(KEYED) >= 33


@pytest.mark.parametrize("name", sorted(KEYED))
async def test_a_repeated_call_gets_the_first_answer(api, installation, name):
    operation = OPERATIONS[name]
    if operation in ELSEWHERE:
        pytest.skip("tried where there is its vendor: tests/plugins/sms/test_schema.py")
    world = await new_world(installation, "Replay")
    first, *others = await asyncio.gather(*(run_as_may(api, world, operation) for _ in range(3)))
    assert "errors" not in first, first
    assert first["data"][name]["errors"] == [], first
    for other in others:
        assert steady(other["data"]) == steady(first["data"])
    async with world.merchant.work() as w:
        kept = await w.sql.fetch(
            """UPDATE idempotency_keys SET input_hash = '\\x00' WHERE merchant_id = $1
               RETURNING id""",
            w.merchant_id,
        )  # fmt: skip
    assert len(kept) == 1
    # as if the first call had had other input
    answer = await run_as_may(api, world, operation)
    (error,) = answer["data"][name]["errors"]
    assert error["code"] == "IDEMPOTENCY_KEY_REUSED"
    if "path" in error:
        assert error["path"] == ["input", "idempotencyKey"]
