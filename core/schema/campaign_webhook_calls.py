"""Calls of the merchant's own server by steps of journeys, and one of them made again."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from core.domain.campaigns.journeys.posting import call_again
from core.schema.campaigns import Campaign, campaigns_by_id
from core.schema.context import Info, field, mutation
from core.schema.customers import Customer, customer_by_id
from core.schema.errors import UserError
from core.schema.pages import After, Connection, First, Listing, page
from core.schema.scalars import Node, global_id, need_id
from core.schema.where import DateTimeFilter, IdColumn, IdFilter, IntFilter, StringFilter
from core.storage.database import Session


@strawberry.enum(description="How far a call has come.")
class WebhookCallState(Enum):
    PENDING = strawberry.enum_value("pending", description="It is tried, or waits to be.")
    DONE = strawberry.enum_value("done", description="Your server answered 200 to 299.")
    FAILED = strawberry.enum_value("failed", description="It was tried for about a day in vain.")


@strawberry.type(
    description="A call of your server by a step of a journey. Its id is the Idempotency-Key."
)
class WebhookCall(Node):
    row: strawberry.Private[Any]
    state: WebhookCallState
    attempts: int = strawberry.field(description="Tries so far; counted anew by a retry.")
    status: int | None = strawberry.field(description="Of the last answer; null without one.")
    problem: str | None = strawberry.field(description="Why the last try had no answer.")
    next_at: datetime | None = strawberry.field(description="When it is tried next.")
    url: str
    step: str = strawberry.field(description="The key of the step.")
    version: int = strawberry.field(description="Of the journey.")
    created_at: datetime
    ended_at: datetime | None

    @field("CAMPAIGNS_READ")
    def campaign(self, info: Info) -> Campaign | None:
        return info.context.child("campaigns", self.row["campaign_id"], campaigns_by_id)

    @field("CUSTOMERS_READ")
    def customer(self, info: Info) -> Customer | None:
        return customer_by_id(info, self.row["customer_id"])


def call_of(row: Any) -> WebhookCall:
    return WebhookCall(
        id=global_id("WebhookCall", row["id"]),
        row=row,
        state=WebhookCallState(row["state"]),
        attempts=row["attempts"],
        status=row["answer"],
        problem=row["detail"],
        next_at=row["next_at"] if row["state"] == "pending" else None,
        url=row["url"],
        step=row["step_key"],
        version=row["version"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )


@strawberry.input
class WebhookCallStateFilter:
    eq: strawberry.Maybe[WebhookCallState]
    in_: strawberry.Maybe[list[WebhookCallState]] = strawberry.field(name="in", default=None)


@strawberry.input
class WebhookCallWhere:
    id: strawberry.Maybe[IdFilter]
    campaign: strawberry.Maybe[IdFilter]
    customer: strawberry.Maybe[IdFilter]
    state: strawberry.Maybe[WebhookCallStateFilter]
    step: strawberry.Maybe[StringFilter]
    attempts: strawberry.Maybe[IntFilter]
    created_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["WebhookCallWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["WebhookCallWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["WebhookCallWhere"] = strawberry.field(name="not", default=None)


SOURCE = """(SELECT x.*, r.version, r.flow #>> ARRAY['steps', x.step::text, 'key'] AS step_key
    FROM webhook_calls x
    JOIN campaign_runs r ON r.merchant_id = x.merchant_id AND r.id = x.run_id) k"""

CALLS = Listing(
    "webhookCalls", SOURCE, "k",
    {"id": IdColumn("WebhookCall", "k.id"), "campaign": IdColumn("Campaign", "k.campaign_id"),
     "customer": IdColumn("Customer", "k.customer_id"), "state": "k.state", "step": "k.step_key",
     "attempts": "k.attempts", "created_at": "k.created_at"},
    {}, call_of,
)  # fmt: skip


async def calls_by_id(session: Session, pks: list[int]) -> dict[int, WebhookCall]:
    rows = await session.sql.fetch(
        f"SELECT * FROM {SOURCE} WHERE k.merchant_id = $1 AND k.id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: call_of(row) for row in rows}


@strawberry.type
class WebhookCallRetryPayload:
    call: WebhookCall | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class WebhookCallQueries:
    @field("CAMPAIGNS_READ", description="Calls by webhook steps of journeys, the last first.")
    async def webhook_calls(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: WebhookCallWhere | None = None,
    ) -> Connection[WebhookCall]:
        return await page(info, CALLS, where, None, first, after)


@strawberry.type
class WebhookCallMutations:
    @mutation(
        "CAMPAIGNS_SEND", WebhookCallRetryPayload,
        description="Make a call that failed once more, or one that waits now.",
    )  # fmt: skip
    async def webhook_call_retry(
        self, info: Info, id: strawberry.ID
    ) -> WebhookCallRetryPayload | None:
        pk = need_id("WebhookCall", id)
        async with info.context.work() as w:
            await call_again(w, pk)
            return WebhookCallRetryPayload(call=(await calls_by_id(w, [pk]))[pk])
