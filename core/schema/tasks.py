"""What staff is to do about customers: lists of tasks, and what came of them."""

from datetime import date, datetime
from enum import Enum
from typing import Any

import strawberry

from core.domain.customers.tasks import (
    NewTask,
    TaskKind,
    TaskOutcome,
    cancel_task,
    count_outcomes,
    create_task,
    finish_task,
    update_task,
)
from core.schema.context import Info, field, mutation
from core.schema.costs import costs
from core.schema.customers import Customer, customers_by_id
from core.schema.errors import BAD_REQUEST, RequestError, UserError
from core.schema.orders import Order, orders_by_id
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import Node, changes, global_id, need_id, sought, version_seen
from core.schema.where import DateTimeFilter, IdColumn, IdFilter, StringFilter
from core.storage.database import Session

MAX_DAYS = 3_700

strawberry.enum(TaskKind, name="TaskKind", description="What is to be done.")
strawberry.enum(TaskOutcome, name="TaskOutcome", description="What came of a task.")


@strawberry.enum(description="Whether a task is still to be done.")
class TaskState(Enum):
    OPEN = "open"
    DONE = "done"
    CANCELLED = "cancelled"


@strawberry.type(description="Something that staff is to do about a customer.")
class Task(Node):
    customer_pk: strawberry.Private[int]
    order_pk: strawberry.Private[int | None]
    kind: TaskKind
    title: str
    text: str = strawberry.field(description="What to say or to look at.")
    state: TaskState
    due_at: datetime
    assignee: str | None = strawberry.field(description="Who is to do it, as the merchant says.")
    outcome: TaskOutcome | None
    note: str | None = strawberry.field(description="What was found out.")
    source: str = strawberry.field(
        description="Who made it: `token:12`, or `enrolment:34` for a journey."
    )
    ended_at: datetime | None
    ended_by: str | None
    version: int
    created_at: datetime
    updated_at: datetime

    @field("CUSTOMERS_READ", description="Whom it is about.")
    async def customer(self, info: Info) -> Customer | None:
        return await info.context.load("customers", self.customer_pk, customers_by_id)

    @field("ORDERS_READ", description="The order that it is about, if it is about one.")
    async def order(self, info: Info) -> Order | None:
        if self.order_pk is None:
            return None
        return await info.context.load("orders", self.order_pk, orders_by_id)


def task_of(row: Any) -> Task:
    return Task(
        id=global_id("Task", row["id"]),
        customer_pk=row["customer_id"],
        order_pk=row["order_id"],
        kind=TaskKind(row["kind"]),
        title=row["title"],
        text=row["text"],
        state=TaskState(row["state"]),
        due_at=row["due_at"],
        assignee=row["assignee"],
        outcome=TaskOutcome(row["outcome"]) if row["outcome"] else None,
        note=row["note"],
        source=row["source"],
        ended_at=row["ended_at"],
        ended_by=row["ended_by"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


async def tasks_by_id(session: Session, pks: list[int]) -> dict[int, Task]:
    rows = await session.sql.fetch(
        "SELECT * FROM tasks WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: task_of(row) for row in rows}


TASKS = Listing(
    "tasks", "tasks t", "t",
    {"id": IdColumn("Task", "t.id"), "customer": IdColumn("Customer", "t.customer_id"),
     "kind": "t.kind", "state": "t.state", "outcome": "t.outcome", "assignee": "t.assignee",
     "due_at": "t.due_at", "created_at": "t.created_at"},
    {"DUE_AT": "t.due_at", "CREATED_AT": "t.created_at"},
    task_of,
)  # fmt: skip


@strawberry.input
class TaskKindFilter:
    eq: strawberry.Maybe[TaskKind]
    in_: strawberry.Maybe[list[TaskKind]] = strawberry.field(name="in", default=None)


@strawberry.input
class TaskStateFilter:
    eq: strawberry.Maybe[TaskState]


@strawberry.input
class TaskOutcomeFilter:
    eq: strawberry.Maybe[TaskOutcome]


@strawberry.input
class TaskWhere:
    id: strawberry.Maybe[IdFilter]
    customer: strawberry.Maybe[IdFilter]
    kind: strawberry.Maybe[TaskKindFilter]
    state: strawberry.Maybe[TaskStateFilter]
    outcome: strawberry.Maybe[TaskOutcomeFilter]
    assignee: strawberry.Maybe[StringFilter]
    due_at: strawberry.Maybe[DateTimeFilter]
    created_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["TaskWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["TaskWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["TaskWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class TaskSortField(Enum):
    DUE_AT = "DUE_AT"
    CREATED_AT = "CREATED_AT"


@strawberry.input
class TaskSort:
    field: TaskSortField
    direction: SortDirection = SortDirection.ASC


@strawberry.type(description="How many tasks of a kind ended so.")
class TaskOutcomeCount:
    kind: TaskKind
    outcome: TaskOutcome | None = strawberry.field(description="Null for those not ended yet.")
    count: int


@strawberry.input
class TaskCreateInput:
    title: str = strawberry.field(description="1 to 200 characters.")
    kind: TaskKind = TaskKind.CALL
    text: str = strawberry.field(default="", description="What to say or to look at.")
    due_at: datetime | None = strawberry.field(default=None, description="Now, if not given.")
    assignee: str | None = None
    order_id: strawberry.ID | None = None


@strawberry.input(description="Absent fields stay as they are.")
class TaskUpdateInput:
    title: strawberry.Maybe[str]
    text: strawberry.Maybe[str]
    due_at: strawberry.Maybe[datetime]
    assignee: strawberry.Maybe[str | None]
    if_version: int | None = version_seen()


@strawberry.input
class TaskFinishInput:
    outcome: TaskOutcome
    note: str = strawberry.field(default="", description="What was found out.")


@strawberry.input
class TaskCancelInput:
    note: str = strawberry.field(default="", description="Why it need not be done.")


@strawberry.type
class TaskCreatePayload:
    task: Task | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class TaskUpdatePayload:
    task: Task | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class TaskFinishPayload:
    task: Task | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class TaskCancelPayload:
    task: Task | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class TaskQueries:
    @field("TASKS_READ", description="Those due first, first.")
    async def tasks(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: TaskWhere | None = None,
        sort: list[TaskSort] | None = None,
    ) -> Connection[Task]:
        order = sort or [TaskSort(field=TaskSortField.DUE_AT)]
        return await page(info, TASKS, where, order, first, after)

    @costs(20)
    @field(
        "TASKS_READ",
        description="Tasks made from `since` until before `until`, by kind and outcome.",
    )
    async def task_outcomes(self, info: Info, since: date, until: date) -> list[TaskOutcomeCount]:
        if not 0 < (until - since).days <= MAX_DAYS:
            raise RequestError(BAD_REQUEST, f"until is 1 to {MAX_DAYS} days after since")
        async with info.context.read() as session:
            found = await count_outcomes(session, since, until)
        return [
            TaskOutcomeCount(kind=one.kind, outcome=one.outcome, count=one.count) for one in found
        ]


async def _told(session: Session, pk: int) -> Task:
    return (await tasks_by_id(session, [pk]))[pk]


@strawberry.type
class TaskMutations:
    @mutation("TASKS_WRITE", TaskCreatePayload, description="`id` is the customer's.")
    async def task_create(
        self, info: Info, id: strawberry.ID, input: TaskCreateInput
    ) -> TaskCreatePayload | None:
        customer_id = need_id("Customer", id)
        order = sought("Order", input.order_id)
        task = NewTask(input.title, input.kind, input.text, input.due_at, input.assignee, order)
        async with info.context.work() as w:
            return TaskCreatePayload(task=await _told(w, await create_task(w, customer_id, task)))

    @mutation("TASKS_WRITE", TaskUpdatePayload, description="Only of one that is still open.")
    async def task_update(
        self, info: Info, id: strawberry.ID, input: TaskUpdateInput
    ) -> TaskUpdatePayload | None:
        pk = need_id("Task", id)
        async with info.context.work() as w:
            await update_task(w, pk, changes(input), input.if_version)
            return TaskUpdatePayload(task=await _told(w, pk))

    @mutation("TASKS_WRITE", TaskFinishPayload, description="Say what came of it.")
    async def task_finish(
        self, info: Info, id: strawberry.ID, input: TaskFinishInput
    ) -> TaskFinishPayload | None:
        pk = need_id("Task", id)
        async with info.context.work() as w:
            await finish_task(w, pk, input.outcome, input.note)
            return TaskFinishPayload(task=await _told(w, pk))

    @mutation("TASKS_WRITE", TaskCancelPayload, description="It need not be done.")
    async def task_cancel(
        self, info: Info, id: strawberry.ID, input: TaskCancelInput
    ) -> TaskCancelPayload | None:
        pk = need_id("Task", id)
        async with info.context.work() as w:
            await cancel_task(w, pk, input.note)
            return TaskCancelPayload(task=await _told(w, pk))
