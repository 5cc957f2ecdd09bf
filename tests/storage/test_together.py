"""Calls that are done together: each gets its own answer, committed, whatever the others do."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

import asyncpg
import pytest

from core.sdk.errors import WrongState
from core.sdk.events import Event
from core.storage.connections import Budget, BudgetSpent, budget
from core.storage.database import CUT_OFF, credentials

sizes = []


@pytest.fixture(autouse=True)
def noted():
    sizes.clear()


async def note(w, items):
    """Write an audit entry for each item, which is there only if it is committed."""
    sizes.append(len(items))
    for item in items:
        if item == "wrong":
            raise WrongState("this one cannot be done", ())
        if item != "refused":
            w.audit(f"noted.{item}")
    await asyncio.sleep(0.02)
    return [
        WrongState("refused", ()) if item == "refused" else f"{item} by {w.actor}"
        for item in items
    ]  # fmt: skip


async def noted_in(merchant):
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT action FROM audit_log WHERE merchant_id = $1 AND action LIKE 'noted.%'",
            merchant.id,
        )
    return sorted(row["action"].removeprefix("noted.") for row in rows)


async def test_what_comes_meanwhile_shares_the_next_transaction(merchant):
    together = merchant.installation.db.together
    answers = await asyncio.gather(
        *(together(merchant.id, "till", note, str(n)) for n in range(10)),
        *(together(merchant.id, "other", note, str(n)) for n in range(10, 12)),
    )
    assert answers == [f"{n} by {'till' if n < 10 else 'other'}" for n in range(12)]
    # nobody's entry is written in the name of another; the first one of each waits for nobody
    assert len(sizes) < 6
    assert sum(sizes) == 12
    assert await noted_in(merchant) == sorted(map(str, range(12)))


async def test_a_failure_is_its_callers_alone(merchant):
    together = merchant.installation.db.together
    answers = await asyncio.gather(
        *(together(merchant.id, "till", note, item) for item in ("a", "b", "wrong", "c")),
        return_exceptions=True,
    )
    assert [answers[n] for n in (0, 1, 3)] == ["a by till", "b by till", "c by till"]
    assert isinstance(answers[2], WrongState)
    assert await noted_in(merchant) == ["a", "b", "c"]


async def test_a_refusal_is_no_failure_of_the_others(merchant):
    together = merchant.installation.db.together
    answers = await asyncio.gather(
        *(together(merchant.id, "till", note, item) for item in ("a", "b", "refused", "c")),
        return_exceptions=True,
    )
    assert isinstance(answers[2], WrongState)
    assert sizes == [4]
    assert await noted_in(merchant) == ["a", "b", "c"]


async def test_what_may_have_been_committed_is_not_tried_again(merchant):
    together = merchant.installation.db.together
    server = credentials(merchant.installation.database_url)

    async def note_and_lose(w, items):
        answers = await note(w, items)
        gone = asyncio.Event()
        w.sql.add_termination_listener(lambda _: gone.set())
        other = await asyncpg.connect(**server)
        await other.execute("SELECT pg_terminate_backend($1)", w.sql.get_server_pid())
        await other.close()
        await gone.wait()
        return answers

    answers = await asyncio.gather(
        *(together(merchant.id, "till", note_and_lose, str(n)) for n in range(3)),
        return_exceptions=True,
    )
    assert all(isinstance(answer, CUT_OFF) for answer in answers)
    assert sizes == [3]
    assert await noted_in(merchant) == []
    assert await together(merchant.id, "till", note, "3") == "3 by till"


async def test_those_who_share_a_transaction_share_its_statements(merchant):
    async def ask(item, left):
        given = Budget(left)
        token = budget.set(given)
        try:
            return await merchant.installation.db.together(merchant.id, "till", note, item)
        finally:
            budget.reset(token)
            spent[item] = given.spent

    spent = {}
    answers = await asyncio.gather(
        *(ask(item, 50) for item in "abcd"), ask("poor", 3), return_exceptions=True
    )
    assert answers[:4] == [f"{item} by till" for item in "abcd"]
    assert isinstance(answers[4], BudgetSpent)
    assert await noted_in(merchant) == list("abcd")
    # it was too much for the poor one, so that each paid for itself
    assert spent["a"] == spent["b"] == spent["d"] > spent["poor"] > 3
    await asyncio.gather(*(ask(item, 50) for item in "efghi"))
    assert 0 < spent["e"] == spent["i"] < spent["a"]


async def test_a_caller_who_leaves_takes_nobody_along(merchant):
    together = merchant.installation.db.together
    calls = [asyncio.create_task(together(merchant.id, "till", note, str(n))) for n in range(4)]
    await asyncio.sleep(0.005)
    calls += [asyncio.create_task(together(merchant.id, "till", note, str(n))) for n in (4, 5)]
    await asyncio.sleep(0)
    for n in (0, 2, 4):
        calls[n].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers[1] == "1 by till"
    assert answers[3] == "3 by till"
    assert answers[5] == "5 by till"
    assert await together(merchant.id, "till", note, "6") == "6 by till"
    # what was being done is done, what had not begun is not
    assert await noted_in(merchant) == ["0", "1", "2", "3", "5", "6"]


@dataclass(frozen=True)
class Unwritable(Event):
    type: ClassVar[str] = "test.unwritable"
    thing: object


async def answer_too_soon(w, items):
    w.audit("noted.soon")
    w.emit(Unwritable(object()))
    return items


async def test_what_is_not_committed_is_not_answered(merchant):
    with pytest.raises(TypeError):
        await merchant.installation.db.together(merchant.id, "till", answer_too_soon, "soon")
    assert await noted_in(merchant) == []
