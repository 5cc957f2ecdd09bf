"""Tasks of staff: made, changed, ended once, and counted in the merchant's days."""

from datetime import date, timedelta

import pytest

from core.domain.customers.tasks import (
    NewTask,
    OutcomeCount,
    TaskAction,
    TaskKind,
    TaskOutcome,
    TaskSettings,
    cancel_task,
    count_outcomes,
    create_task,
    finish_task,
    update_task,
)
from core.sdk import InvalidInput, NotFound, Subject, WrongState


@pytest.fixture
async def customer(merchant):
    async with merchant.work() as w:
        return await w.sql.fetchval(
            """INSERT INTO customers (merchant_id, name, version, created_at, updated_at)
               VALUES ($1, '李雷', 1, $2, $2) RETURNING id""",
            merchant.id, w.now,
        )  # fmt: skip


async def row(merchant, task_id):
    async with merchant.read() as session:
        return await session.sql.fetchrow(
            "SELECT * FROM tasks WHERE merchant_id = $1 AND id = $2", merchant.id, task_id
        )


async def test_a_task_ends_once_and_is_told_in_the_timeline(merchant, customer):
    async with merchant.work() as w:
        task = await create_task(w, customer, NewTask("  call back "))
    found = await row(merchant, task)
    assert (found["title"], found["state"], found["due_at"]) == (
        "call back", "open", merchant.clock(),
    )  # fmt: skip
    async with merchant.work() as w:
        await update_task(w, task, {"assignee": "小美", "text": "新款"})
        await finish_task(w, task, TaskOutcome.REFUSED, "too dear")
    found = await row(merchant, task)
    assert (found["outcome"], found["note"], found["assignee"]) == ("refused", "too dear", "小美")
    async with merchant.work() as w:
        for end in (finish_task(w, task, TaskOutcome.DONE), cancel_task(w, task),
                    update_task(w, task, {"title": "x"})):  # fmt: skip
            with pytest.raises(WrongState):
                await end
        said = await w.sql.fetchval(
            "SELECT data->>'outcome' FROM customer_log WHERE merchant_id = $1 AND kind = $2",
            merchant.id, "task_done",
        )  # fmt: skip
    assert said == "refused"


@pytest.mark.parametrize(("task", "error", "path"), [
    (NewTask(" "), InvalidInput, ("input", "title")),
    (NewTask("x" * 201), InvalidInput, ("input", "title")),
    (NewTask("x", text="y" * 5001), InvalidInput, ("input", "text")),
    (NewTask("x", assignee=""), InvalidInput, ("input", "assignee")),
    (NewTask("x", order_id=1 << 60), NotFound, ("input", "orderId")),
])  # fmt: skip
async def test_what_makes_no_task(merchant, customer, task, error, path):
    async with merchant.work() as w:
        with pytest.raises(error) as caught:
            await create_task(w, customer, task)
    assert caught.value.path == path


async def test_a_task_needs_a_customer(merchant):
    async with merchant.work() as w:
        with pytest.raises(NotFound):
            await create_task(w, 1 << 60, NewTask("x"))


async def test_outcomes_of_a_day_of_the_merchant(merchant, customer):
    async with merchant.work() as w:
        for outcome in (TaskOutcome.DONE, TaskOutcome.DONE, TaskOutcome.NOT_REACHED):
            await finish_task(w, await create_task(w, customer, NewTask("x")), outcome)
        await create_task(w, customer, NewTask("x", TaskKind.CARE))
        await cancel_task(w, await create_task(w, customer, NewTask("x")))
    merchant.clock.move(timedelta(hours=12))  # midnight in Shanghai
    async with merchant.work() as w:
        await create_task(w, customer, NewTask("of the next day"))
        found = await count_outcomes(w, date(2026, 6, 15), date(2026, 6, 16))
    assert found == [
        OutcomeCount(TaskKind.CALL, TaskOutcome.DONE, 2),
        OutcomeCount(TaskKind.CALL, TaskOutcome.NOT_REACHED, 1),
        OutcomeCount(TaskKind.CARE, None, 1),
    ]


async def test_a_step_makes_one_for_each_who_stands_there(merchant, customer):
    settings = TaskSettings(title="call", due_in_days=2)
    subjects = [Subject(7, customer, None, None), Subject(8, customer, None, None)]
    async with merchant.work() as w:
        await TaskAction().perform(w, settings, subjects)
        rows = await w.sql.fetch(
            "SELECT source, due_at, state FROM tasks WHERE merchant_id = $1 ORDER BY id",
            merchant.id,
        )  # fmt: skip
        due = w.now + timedelta(days=2)
    assert [tuple(one) for one in rows] == [
        ("enrolment:7", due, "open"), ("enrolment:8", due, "open"),
    ]  # fmt: skip
