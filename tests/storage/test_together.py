"""Calls that are done together: each gets its own answer, committed, whatever the others do."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

import pytest

from core.sdk.errors import WrongState
from core.sdk.events import Event

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
        w.audit(f"noted.{item}")
    await asyncio.sleep(0.02)
    return [f"{item} by {w.actor}" for item in items]


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


async def test_a_caller_who_leaves_takes_nobody_along(merchant):
    together = merchant.installation.db.together
    calls = [asyncio.create_task(together(merchant.id, "till", note, str(n))) for n in range(4)]
    await asyncio.sleep(0.005)
    calls[0].cancel()
    calls[2].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers[1] == "1 by till"
    assert answers[3] == "3 by till"
    assert await together(merchant.id, "till", note, "5") == "5 by till"


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
