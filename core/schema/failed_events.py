"""Events that a plugin or core could not handle: set aside, listed, and tried again."""

from datetime import datetime
from typing import Any

import strawberry

from core.schema.context import Info, field, mutation
from core.schema.errors import UserError
from core.schema.pages import After, Connection, First, Listing, page
from core.schema.scalars import Node, global_id, need_id
from core.schema.where import DateTimeFilter, IdColumn, IdFilter, IntFilter, StringFilter
from core.storage import outbox
from core.storage.database import Session


@strawberry.type(
    description="An event that somebody could not handle, who is told of it again by himself."
)
class FailedEvent(Node):
    type: str = strawberry.field(description="Such as `order.state_changed`.")
    problem: str = strawberry.field(description="Who failed, and with what kind of error.")
    attempts: int = strawberry.field(description="Tries so far; counted anew by a retry.")
    next_at: datetime | None = strawberry.field(
        description="When it is tried next; null when it was tried for days, and waits for you."
    )
    created_at: datetime = strawberry.field(description="When the event happened.")
    set_aside_at: datetime = strawberry.field(
        description="Since when those after it go on without it."
    )


def event_of(row: Any) -> FailedEvent:
    return FailedEvent(
        id=global_id("FailedEvent", row["id"]),
        type=row["type"],
        problem=row["error"],
        attempts=row["attempts"],
        next_at=row["next_at"] if row["attempts"] < outbox.LAST_ATTEMPTS else None,
        created_at=row["created_at"],
        set_aside_at=row["aside_at"],
    )


@strawberry.input
class FailedEventWhere:
    id: strawberry.Maybe[IdFilter]
    type: strawberry.Maybe[StringFilter]
    problem: strawberry.Maybe[StringFilter]
    attempts: strawberry.Maybe[IntFilter]
    created_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["FailedEventWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["FailedEventWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["FailedEventWhere"] = strawberry.field(name="not", default=None)


SOURCE = "(SELECT * FROM outbox_events WHERE aside_at IS NOT NULL) e"

EVENTS = Listing(
    "failedEvents", SOURCE, "e",
    {"id": IdColumn("FailedEvent", "e.id"), "type": "e.type", "problem": "e.error",
     "attempts": "e.attempts", "created_at": "e.created_at"},
    {}, event_of,
)  # fmt: skip


async def failed_events_by_id(session: Session, pks: list[int]) -> dict[int, FailedEvent]:
    rows = await session.sql.fetch(
        f"SELECT * FROM {SOURCE} WHERE e.merchant_id = $1 AND e.id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: event_of(row) for row in rows}


@strawberry.input
class FailedEventsRetryInput:
    ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of `failedEvents`; null: all."
    )


@strawberry.type
class FailedEventsRetryPayload:
    retried: int | None = strawberry.field(
        default=None, description="How many are tried at once; null if it was refused."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class FailedEventQueries:
    @field("JOBS_READ", description="Events that are set aside, the last first.")
    async def failed_events(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: FailedEventWhere | None = None,
    ) -> Connection[FailedEvent]:
        return await page(info, EVENTS, where, None, first, after)


@strawberry.type
class FailedEventMutations:
    @mutation(
        "PLUGINS_WRITE", FailedEventsRetryPayload,
        description="Have events that are set aside tried at once: these, or all.",
    )  # fmt: skip
    async def failed_events_retry(
        self, info: Info, input: FailedEventsRetryInput
    ) -> FailedEventsRetryPayload | None:
        pks = None
        if input.ids is not None:
            pks = [
                need_id("FailedEvent", one, ("input", "ids", str(place)))
                for place, one in enumerate(input.ids)
            ]
        async with info.context.work() as w:
            return FailedEventsRetryPayload(retried=await outbox.try_again(w, pks))
