"""Tasks: what staff is to do about a customer, such as a call-back, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from core.domain.customers.log import log_event
from core.sdk.actions import Subject
from core.sdk.errors import Faults, InvalidInput, NotFound, WrongState
from core.sdk.facets import Text
from core.sdk.versions import check_version
from core.storage.database import Session, Work

TITLE_LIMIT, TEXT_LIMIT, ASSIGNEE_LIMIT = 200, 5_000, 100


class TaskKind(StrEnum):
    """What is to be done."""

    CALL = "call"
    CARE = "care"
    RETURN = "return"
    PARCEL = "parcel"
    OTHER = "other"


class TaskOutcome(StrEnum):
    """What came of a task that was done."""

    DONE = "done"
    NOT_REACHED = "not_reached"
    REFUSED = "refused"
    INTERESTED = "interested"
    COMPLAINED = "complained"


@dataclass(frozen=True)
class NewTask:
    """A task to be made. `text` tells the person who does it what to say or look at."""

    title: str
    kind: TaskKind = TaskKind.CALL
    text: str = ""
    due_at: datetime | None = None
    assignee: str | None = None
    order_id: int | None = None


async def create_task(w: Work, customer_id: int, task: NewTask) -> int:
    """Make a task; returns its id. Raises NotFound, InvalidInput, Several."""
    faults = Faults()
    with faults:
        await _need(w, "customers", customer_id, ("id",))
    with faults:
        texts = _texts(task.title, task.text, task.assignee)
    if task.order_id is not None:
        with faults:
            await _need(w, "orders", task.order_id, ("input", "orderId"))
    faults.tell()
    task_id: int = await w.sql.fetchval(
        """INSERT INTO tasks (merchant_id, customer_id, kind, title, text, order_id, due_at,
               assignee, state, source, version, created_at, updated_at)
           VALUES ($1, $2, $6, $3, $4, $7, $8, $5, 'open', $9, 1, $10, $10) RETURNING id""",
        w.merchant_id, customer_id, *texts, task.kind, task.order_id, task.due_at or w.now, w.actor,
        w.now,
    )  # fmt: skip
    return task_id


async def create_tasks(w: Work, tasks: Sequence[tuple[int, NewTask]]) -> list[int]:
    """Make a task for each of these customers, who are known to be there; returns their ids.

    Raises InvalidInput.
    """
    ids = await w.new_ids("tasks", len(tasks))
    columns = zip(*[
        (task_id, customer_id, one.kind, *_texts(one.title, one.text, one.assignee), one.order_id,
         one.due_at or w.now)
        for task_id, (customer_id, one) in zip(ids, tasks, strict=True)
    ], strict=True)  # fmt: skip
    await w.sql.execute(
        """INSERT INTO tasks (merchant_id, id, customer_id, kind, title, text, assignee, order_id,
               due_at, state, source, version, created_at, updated_at)
           SELECT $1, t.*, 'open', $2, 1, $3, $3
           FROM unnest($4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[],
                       $10::bigint[], $11::timestamptz[]) AS t""",
        w.merchant_id, w.actor, w.now, *(map(list, columns) if tasks else [[]] * 8),
    )  # fmt: skip
    return ids


async def update_task(
    w: Work, task_id: int, changes: Mapping[str, Any], if_version: int | None = None
) -> None:
    """Change title, text, due_at or assignee of an open task.

    Raises NotFound, InvalidInput, Several, Conflict, and WrongState for one that is over.
    """
    row = await _open(w, task_id)
    check_version(row["version"], if_version)
    new, faults = {**row, **changes}, Faults()
    if new["due_at"] is None:
        faults.wrong("a task is due at some time", "dueAt")
    with faults:
        texts = _texts(new["title"], new["text"], new["assignee"])
    faults.tell()
    await w.sql.execute(
        """UPDATE tasks SET title = $3, text = $4, assignee = $5, due_at = $6,
               version = version + 1, updated_at = $7
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, task_id, *texts, new["due_at"], w.now,
    )  # fmt: skip


async def finish_task(w: Work, task_id: int, outcome: TaskOutcome, note: str = "") -> None:
    """Say what came of an open task. Raises NotFound, InvalidInput, WrongState."""
    row = await _open(w, task_id)
    await _end(w, task_id, "done", outcome, _text(note, "note"))
    # the timeline is read by more people than the tasks are
    said = {"task_id": task_id, "outcome": outcome}
    await log_event(w, [row["customer_id"]], "task_done", said)


async def cancel_task(w: Work, task_id: int, note: str = "") -> None:
    """It need not be done. Raises NotFound, InvalidInput, WrongState."""
    await _open(w, task_id)
    await _end(w, task_id, "cancelled", None, _text(note, "note"))


async def cancel_tasks(w: Work, task_ids: Sequence[int], note: str) -> None:
    """Those of them that are open need not be done."""
    await w.sql.execute(
        """UPDATE tasks SET state = 'cancelled', note = $3, ended_at = $4, ended_by = $5,
               version = version + 1, updated_at = $4
           WHERE merchant_id = $1 AND id = ANY($2::bigint[]) AND state = 'open'""",
        w.merchant_id, list(task_ids), note, w.now, w.actor,
    )  # fmt: skip


async def _end(w: Work, task_id: int, state: str, outcome: str | None, note: str) -> None:
    await w.sql.execute(
        """UPDATE tasks SET state = $3, outcome = $4, note = $5, ended_at = $6, ended_by = $7,
               version = version + 1, updated_at = $6
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, task_id, state, outcome, note, w.now, w.actor,
    )  # fmt: skip


@dataclass(frozen=True)
class OutcomeCount:
    """How many tasks of a kind ended so; `outcome` is None for those not ended yet."""

    kind: TaskKind
    outcome: TaskOutcome | None
    count: int


async def count_outcomes(session: Session, since: date, until: date) -> list[OutcomeCount]:
    """Tasks that were made from `since` until before `until`, by kind and outcome; those that were
    cancelled are left out."""
    rows = await session.sql.fetch(
        """SELECT t.kind, t.outcome, count(*) AS n FROM tasks t
           JOIN merchants m ON m.id = t.merchant_id
           WHERE t.merchant_id = $1 AND t.state <> 'cancelled'
             AND t.created_at >= $2::timestamp AT TIME ZONE m.time_zone
             AND t.created_at < $3::timestamp AT TIME ZONE m.time_zone
           GROUP BY t.kind, t.outcome ORDER BY t.kind, t.outcome NULLS LAST""",
        session.merchant_id, datetime.combine(since, datetime.min.time()),
        datetime.combine(until, datetime.min.time()),
    )  # fmt: skip
    return [
        OutcomeCount(
            TaskKind(row["kind"]), TaskOutcome(row["outcome"]) if row["outcome"] else None, row["n"]
        )
        for row in rows
    ]


class TaskSettings(BaseModel, extra="forbid"):
    """What a step of a journey that makes a task is given."""

    title: str = Field(min_length=1, max_length=TITLE_LIMIT)
    kind: TaskKind = TaskKind.CALL
    text: str = Field(default="", max_length=TEXT_LIMIT)
    due_in_days: int = Field(default=3, ge=0, le=365)
    assignee: str | None = Field(default=None, max_length=ASSIGNEE_LIMIT)


class TaskAction:
    """The step of a journey that makes a task for staff."""

    name = "task"
    title = Text("A task for staff", "人工任务")
    settings: type[BaseModel] = TaskSettings

    async def perform(self, w: Work, settings: Any, subjects: Sequence[Subject]) -> None:
        await w.sql.execute(
            """INSERT INTO tasks (merchant_id, customer_id, kind, title, text, order_id, due_at,
                   assignee, state, source, version, created_at, updated_at)
               SELECT $1, s.customer, $4, $5, $6, s.orders, $7, $8, 'open',
                      'enrolment:' || s.enrolment, 1, $9, $9
               FROM unnest($2::bigint[], $3::bigint[], $10::bigint[])
                   AS s (customer, orders, enrolment)""",
            w.merchant_id, [one.customer_id for one in subjects],
            [one.order_id for one in subjects], settings.kind, settings.title, settings.text,
            w.now + timedelta(days=settings.due_in_days), settings.assignee, w.now,
            [one.enrolment_id for one in subjects],
        )  # fmt: skip


async def _open(w: Work, task_id: int) -> Mapping[str, Any]:
    row: Mapping[str, Any] | None = await w.sql.fetchrow(
        "SELECT * FROM tasks WHERE merchant_id = $1 AND id = $2 FOR UPDATE", w.merchant_id, task_id
    )
    if row is None:
        raise NotFound("there is no task with this id", ("id",))
    if row["state"] != "open":
        raise WrongState(f"the task is {row['state']} already", ("id",))
    return row


async def _need(w: Work, table: str, pk: int, path: tuple[str, ...]) -> None:
    found = await w.sql.fetchval(
        f"SELECT id FROM {table} WHERE merchant_id = $1 AND id = $2 FOR KEY SHARE",
        w.merchant_id, pk,
    )  # fmt: skip
    if found is None:
        raise NotFound(f"there is no {table[:-1]} with this id", path)


def _texts(title: str, text: str, assignee: str | None) -> tuple[str, str, str | None]:
    """The three as they are stored. Raises InvalidInput, Several."""
    faults = Faults()
    with faults:
        title = _title(title)
    with faults:
        text = _text(text, "text")
    with faults:
        assignee = _assignee(assignee)
    faults.tell()
    return title, text, assignee


def _title(text: str) -> str:
    cleaned = text.strip()
    if not 1 <= len(cleaned) <= TITLE_LIMIT or "\x00" in cleaned:
        raise InvalidInput(f"a title has 1 to {TITLE_LIMIT} characters", ("input", "title"))
    return cleaned


def _text(text: str, name: str) -> str:
    if len(text) > TEXT_LIMIT or "\x00" in text:
        raise InvalidInput(f"at most {TEXT_LIMIT} characters", ("input", name))
    return text


def _assignee(name: str | None) -> str | None:
    if name is not None and not 1 <= len(name) <= ASSIGNEE_LIMIT:
        raise InvalidInput(f"1 to {ASSIGNEE_LIMIT} characters", ("input", "assignee"))
    return name
