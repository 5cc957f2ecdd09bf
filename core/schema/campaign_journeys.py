"""Journeys: who is where, versions, and events of the merchant's own."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from core.domain.campaigns.control import finish_campaign
from core.domain.campaigns.flows import stored_flow
from core.domain.campaigns.journeys.custom_events import record_event
from core.domain.campaigns.journeys.figures import VersionFigures, version_figures
from core.domain.campaigns.journeys.moving import move
from core.domain.campaigns.journeys.posting import webhook_secret
from core.schema.campaign_flows import CampaignFlow, shown_flow
from core.schema.campaigns import Campaign, campaigns_by_id
from core.schema.context import CHILDREN, Info, field, mutation
from core.schema.customers import Customer, customer_by_id
from core.schema.errors import UserError
from core.schema.idempotency import once
from core.schema.orders import Order, order_by_id
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import JSON, Node, global_id, need_id, sought, sought_id
from core.schema.where import DateTimeFilter, IdColumn, IdFilter, IntFilter, StringFilter
from core.sdk.events import CustomEvent
from core.storage.database import Session

MAX_CHILDREN = 100


@strawberry.enum
class EnrolmentState(Enum):
    WAITING = "waiting"
    DONE = "done"
    LEFT = "left"


@strawberry.type(description="A customer on the way through a journey.")
class Enrolment(Node):
    row: strawberry.Private[Any]
    state: EnrolmentState
    reason: str | None = strawberry.field(description="Why the customer left before the end.")
    step: str | None = strawberry.field(description="The key of the step where it stands.")
    wakes_at: datetime | None = strawberry.field(description="When its wait ends.")
    entered_at: datetime
    ended_at: datetime | None
    version: int

    @field("CUSTOMERS_READ")
    def customer(self, info: Info) -> Customer | None:
        return customer_by_id(info, self.row["customer_id"])

    @field("CAMPAIGNS_READ")
    def campaign(self, info: Info) -> Campaign | None:
        return info.context.child("campaigns", self.row["campaign_id"], campaigns_by_id)

    @field("ORDERS_READ", description="The order that it is about, if any.")
    def order(self, info: Info) -> Order | None:
        if self.row["order_id"] is None:
            return None
        return order_by_id(info, self.row["order_id"])


def enrolment_of(row: Any) -> Enrolment:
    waiting = row["state"] == "waiting"
    return Enrolment(
        id=global_id("Enrolment", row["id"]),
        row=row,
        state=EnrolmentState(row["state"]),
        reason=row["reason"],
        step=row["step_key"] if waiting else None,
        wakes_at=row["wake_at"],
        entered_at=row["entered_at"],
        ended_at=row["ended_at"],
        version=row["version"],
    )


@strawberry.input
class EnrolmentStateFilter:
    eq: strawberry.Maybe[EnrolmentState]
    in_: strawberry.Maybe[list[EnrolmentState]] = strawberry.field(name="in", default=None)


@strawberry.input
class EnrolmentWhere:
    id: strawberry.Maybe[IdFilter]
    campaign: strawberry.Maybe[IdFilter]
    customer: strawberry.Maybe[IdFilter]
    order: strawberry.Maybe[IdFilter]
    state: strawberry.Maybe[EnrolmentStateFilter]
    step: strawberry.Maybe[StringFilter]
    reason: strawberry.Maybe[StringFilter]
    version: strawberry.Maybe[IntFilter]
    entered_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["EnrolmentWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["EnrolmentWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["EnrolmentWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class EnrolmentSortField(Enum):
    ENTERED_AT = "entered_at"


@strawberry.input
class EnrolmentSort:
    field: EnrolmentSortField
    direction: SortDirection = SortDirection.ASC


SOURCE = """(SELECT e.*, r.version, r.flow #>> ARRAY['steps', e.step::text, 'key'] AS step_key
    FROM enrolments e
    JOIN campaign_runs r ON r.merchant_id = e.merchant_id AND r.id = e.run_id) e"""

ENROLMENTS = Listing(
    "enrolments", SOURCE, "e",
    {"id": IdColumn("Enrolment", "e.id"), "campaign": IdColumn("Campaign", "e.campaign_id"),
     "customer": IdColumn("Customer", "e.customer_id"), "order": IdColumn("Order", "e.order_id"),
     "state": "e.state", "step": "e.step_key", "reason": "e.reason", "version": "e.version",
     "entered_at": "e.entered_at"},
    {"entered_at": "e.entered_at"},
    enrolment_of,
)  # fmt: skip


async def enrolments_by_id(session: Session, pks: list[int]) -> dict[int, Enrolment]:
    rows = await session.sql.fetch(
        f"SELECT * FROM {SOURCE} WHERE e.merchant_id = $1 AND e.id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: enrolment_of(row) for row in rows}


def enrolments_of_customers(
    first: int,
) -> Callable[[Session, list[int]], Awaitable[dict[int, list[Enrolment]]]]:
    async def load(session: Session, pks: list[int]) -> dict[int, list[Enrolment]]:
        rows = await session.sql.fetch(
            f"""SELECT x.* FROM unnest($2::bigint[]) AS who (id)
                CROSS JOIN LATERAL (
                    SELECT * FROM {SOURCE} WHERE e.merchant_id = $1 AND e.customer_id = who.id
                    ORDER BY e.id DESC LIMIT $3) x
                ORDER BY x.id DESC""",
            session.merchant_id, pks, first,
        )  # fmt: skip
        found: dict[int, list[Enrolment]] = {}
        for row in rows:
            found.setdefault(row["customer_id"], []).append(enrolment_of(row))
        return found

    return load


CHILDREN["journeys_of_customers"] = enrolments_of_customers


@strawberry.type
class StepCount:
    step: str
    count: int


@strawberry.type
class LeftCount:
    reason: str
    count: int


@strawberry.type(description="One version of a journey, with those who came in on it.")
class JourneyVersion:
    figures: strawberry.Private[VersionFigures]
    version: int
    open: bool = strawberry.field(description="Whether it lets people in.")
    entered: int
    done: int
    inside: list[StepCount] = strawberry.field(description="Who is on the way, by step.")
    left: list[LeftCount] = strawberry.field(description="Who left before the end, by reason.")

    @field("CAMPAIGNS_READ")
    async def flow(self, info: Info) -> CampaignFlow:
        return shown_flow(stored_flow(self.figures.flow), info.context.installation.registry)


def version_of(figures: VersionFigures) -> JourneyVersion:
    steps = stored_flow(figures.flow).steps
    return JourneyVersion(
        figures=figures,
        version=figures.version,
        open=figures.open,
        entered=figures.entered,
        done=figures.done,
        inside=[StepCount(step=steps[n].key, count=k) for n, k in figures.inside.items()],
        left=[LeftCount(reason=reason, count=k) for reason, k in figures.left.items()],
    )


@strawberry.type(description="How people go through a journey: all versions together, and each.")
class Journey:
    version: int = strawberry.field(description="The newest, which lets people in.")
    entered: int
    done: int
    inside: list[StepCount]
    left: list[LeftCount]
    versions: list[JourneyVersion] = strawberry.field(description="The newest first.")


async def journeys_of(session: Session, pks: list[int]) -> dict[int, Journey]:
    found = await version_figures(session, pks)
    return {pk: _journey([version_of(one) for one in versions]) for pk, versions in found.items()}


def _journey(versions: list[JourneyVersion]) -> Journey:
    inside: dict[str, int] = {}
    left: dict[str, int] = {}
    for one in versions:
        for step in one.inside:
            inside[step.step] = inside.get(step.step, 0) + step.count
        for reason in one.left:
            left[reason.reason] = left.get(reason.reason, 0) + reason.count
    return Journey(
        version=versions[0].version,
        entered=sum(one.entered for one in versions),
        done=sum(one.done for one in versions),
        inside=[StepCount(step=step, count=count) for step, count in inside.items()],
        left=[LeftCount(reason=reason, count=count) for reason, count in left.items()],
        versions=versions,
    )


CHILDREN["journeys"] = journeys_of


@strawberry.input
class CampaignVersionMoveInput:
    from_version: int


@strawberry.input
class CustomEventRecordInput:
    type: str = strawberry.field(description='Begins with "custom.".')
    customer_id: strawberry.ID
    order_id: strawberry.ID | None = None
    data: JSON | None = strawberry.field(
        default=None,
        description="Text, numbers and booleans by name; no contact data.",
    )
    idempotency_key: str = strawberry.field(
        description="Any text of yours; a repeated call with it records nothing more."
    )


@strawberry.type
class CampaignFinishPayload:
    campaign: Campaign | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignVersionMovePayload:
    moved: int | None = strawberry.field(default=None, description="People on the newest now.")
    stayed: int | None = strawberry.field(
        default=None, description="People whose step is gone; they finish on the old version."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomEventRecordPayload:
    recorded: bool | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class JourneyQueries:
    @field("CAMPAIGNS_READ", description="Who is or was on the way through journeys.")
    async def enrolments(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: EnrolmentWhere | None = None,
        sort: list[EnrolmentSort] | None = None,
    ) -> Connection[Enrolment]:
        return await page(info, ENROLMENTS, where, sort, first, after)

    @field("TOKENS_WRITE", description="With which your server checks the calls of webhook steps.")
    async def webhook_secret(self, info: Info) -> str:
        context = info.context
        return webhook_secret(context.installation.db.keyring, context.merchant_id)


@strawberry.type
class JourneyMutations:
    @mutation(
        "CAMPAIGNS_SEND", CampaignFinishPayload,
        description="Let nobody into a journey any more, or a campaign recur no more; what is on "
        "the way goes on to its end.",
    )  # fmt: skip
    async def campaign_finish(self, info: Info, id: strawberry.ID) -> CampaignFinishPayload | None:
        pk = need_id("Campaign", id)
        async with info.context.work() as w:
            await finish_campaign(w, pk)
            return CampaignFinishPayload(campaign=(await campaigns_by_id(w, [pk]))[pk])

    @mutation(
        "CAMPAIGNS_SEND", CampaignVersionMovePayload,
        description="Move people on an older version to the step of the same key on the newest.",
    )  # fmt: skip
    async def campaign_version_move(
        self, info: Info, id: strawberry.ID, input: CampaignVersionMoveInput
    ) -> CampaignVersionMovePayload | None:
        async with info.context.work() as w:
            moved, stayed = await move(w, need_id("Campaign", id), input.from_version)
            return CampaignVersionMovePayload(moved=moved, stayed=stayed)

    @mutation(
        "CUSTOMERS_WRITE", CustomEventRecordPayload, emits=(CustomEvent,),
        description="Tell an event of your own about a customer, which journeys can wait for.",
    )  # fmt: skip
    async def custom_event_record(
        self, info: Info, input: CustomEventRecordInput
    ) -> CustomEventRecordPayload | None:
        customer, order = sought_id("Customer", input.customer_id), sought("Order", input.order_id)
        data: Any = input.data or {}
        given = {"type": input.type, "customer": customer, "order": order, "data": data}
        async with info.context.work() as w:

            async def record() -> bool:
                await record_event(w, input.type, customer, order, data)
                return True

            recorded = await once(w, "customEventRecord", input.idempotency_key, given, record)
            return CustomEventRecordPayload(recorded=recorded)
