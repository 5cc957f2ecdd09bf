"""Campaigns: writing them, trying them, sending them, and the account of every recipient."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from core.domain.campaigns.audit import audit_run
from core.domain.campaigns.content.measuring import measure_message
from core.domain.campaigns.flows import stored_flow
from core.domain.campaigns.policy.reasons import reason_in_words
from core.domain.campaigns.preview import preview_campaign
from core.domain.customers.masking import NAME, mask_name
from core.schema.campaign_calendar import CampaignCalendar
from core.schema.campaign_flows import WithFlow
from core.schema.campaign_parts import (
    ContentPart,
    MessageClass,
    parts,
)
from core.schema.campaign_proposals import WithProposal
from core.schema.campaign_results import CampaignOutcome, RunOutcome
from core.schema.context import CHILDREN, Info, field, subscription
from core.schema.customers import Customer, customer_by_id
from core.schema.delivery_fate import (
    AuditFate,
    DeliveryFate,
    RunFate,
    fate_of_delivery,
    fate_of_run,
)
from core.schema.errors import BAD_REQUEST, RequestError
from core.schema.long_reads import long_read
from core.schema.message_costs import MoneyRange, cost_range
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import (
    Node,
    global_id,
    need_id,
    read_id,
)
from core.schema.segment_words import Language
from core.schema.segments import Segment, segments_by_id
from core.schema.shops import Shop, shops_by_id
from core.schema.skips import Skipped, skips
from core.schema.where import DateTimeFilter, IdColumn, IdFilter, StringFilter
from core.sdk.flows import Flow
from core.storage.database import Session

if TYPE_CHECKING:
    from core.schema.campaign_journeys import Journey

MAX_SAMPLE = 20
MEASURED = 50
"""For so many customers a campaign's text is filled in to tell what it costs."""


@strawberry.enum
class CampaignState(Enum):
    DRAFT = "draft"
    REVIEW = "review"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


@strawberry.enum
class RunState(Enum):
    PLANNING = "planning"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    MISSED = "missed"


@strawberry.enum
class DeliveryState(Enum):
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNKNOWN = "unknown"


@strawberry.type(description="What became of every recipient; target is the sum of the others.")
class Audit(AuditFate):
    target: int
    sent: int
    skipped: list[Skipped]
    failed: int
    unknown: int
    pending: int


@strawberry.type(description="One message to one customer.")
class Delivery(DeliveryFate, Node):
    customer_pk: strawberry.Private[int]
    channel: str
    order_id: strawberry.ID | None
    state: DeliveryState
    reason: str | None = strawberry.field(
        description="The rule that keeps it back: for good when skipped, until `nextAt` when "
        "pending."
    )
    next_at: datetime = strawberry.field(description="When a pending one is due.")
    not_after: datetime | None = strawberry.field(description="It is not sent later than that.")
    attempts: int
    provider_id: str | None
    detail: str | None
    sent_at: datetime | None
    updated_at: datetime

    @strawberry.field
    def reason_sentence(self, language: Language = Language.EN) -> str | None:
        return reason_in_words(self.reason, language.value) if self.reason else None

    @field("CUSTOMERS_READ")
    def customer(self, info: Info) -> Customer | None:
        return customer_by_id(info, self.customer_pk)


def delivery_of(row: Any) -> Delivery:
    return Delivery(
        id=global_id("Delivery", row["id"]),
        **fate_of_delivery(row),
        customer_pk=row["customer_id"],
        channel=row["channel"],
        order_id=row["order_id"] and global_id("Order", row["order_id"]),
        state=DeliveryState(row["state"]),
        reason=row["reason"],
        next_at=row["next_at"],
        not_after=row["not_after"],
        attempts=row["attempts"],
        provider_id=row["provider_id"],
        detail=row["detail"],
        sent_at=row["sent_at"],
        updated_at=row["updated_at"],
    )


@strawberry.input
class DeliveryStateFilter:
    eq: strawberry.Maybe[DeliveryState]
    in_: strawberry.Maybe[list[DeliveryState]] = strawberry.field(name="in", default=None)


@strawberry.input
class DeliveryWhere:
    id: strawberry.Maybe[IdFilter]
    campaign: strawberry.Maybe[IdFilter]
    run: strawberry.Maybe[IdFilter]
    customer: strawberry.Maybe[IdFilter]
    state: strawberry.Maybe[DeliveryStateFilter]
    reason: strawberry.Maybe[StringFilter]
    sent_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["DeliveryWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["DeliveryWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["DeliveryWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class DeliverySortField(Enum):
    UPDATED_AT = "updated_at"


@strawberry.input
class DeliverySort:
    field: DeliverySortField
    direction: SortDirection = SortDirection.ASC


DELIVERIES = Listing(
    "deliveries", "deliveries d", "d",
    {
        "id": IdColumn("Delivery", "d.id"), "run": IdColumn("CampaignRun", "d.run_id"),
        "customer": IdColumn("Customer", "d.customer_id"), "state": "d.state",
        "reason": "d.reason", "sent_at": "d.sent_at",
        "campaign": IdColumn(
            "Campaign", "r.campaign_id",
            "EXISTS (SELECT 1 FROM campaign_runs r WHERE r.merchant_id = d.merchant_id "
            "AND r.id = d.run_id AND {})",
        ),
    },
    {"updated_at": "d.updated_at"},
    delivery_of,
)  # fmt: skip


@strawberry.type(description="One execution of a campaign; its audience is frozen.")
class CampaignRun(RunOutcome, RunFate, Node):
    state: RunState
    occurrence: datetime | None = strawberry.field(
        description="The moment that this run of a recurring campaign is for."
    )
    pause_reason: str | None
    resume_at: datetime | None
    created_at: datetime
    planned_at: datetime | None
    finished_at: datetime | None

    @strawberry.field
    async def audit(self, info: Info) -> Audit:
        async with info.context.read() as session:
            found = await audit_run(session, self.pk)
        return Audit(
            target=found.target,
            sent=found.sent,
            skipped=skips(found.skipped),
            failed=found.failed,
            unknown=found.unknown,
            pending=found.pending,
            **fate_of_run(found),
        )

    @strawberry.field
    async def deliveries(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: DeliveryWhere | None = None,
        sort: list[DeliverySort] | None = None,
    ) -> Connection[Delivery]:
        return await page(info, DELIVERIES, where, sort, first, after, ("d.run_id", self.pk))


def run_of(row: Any) -> CampaignRun:
    return CampaignRun(
        id=global_id("CampaignRun", row["id"]),
        pk=row["id"],
        state=RunState(row["state"]),
        occurrence=row["occurrence"],
        pause_reason=row["pause_reason"],
        resume_at=row["resume_at"],
        created_at=row["created_at"],
        planned_at=row["planned_at"],
        finished_at=row["finished_at"],
    )


@strawberry.type(description="The message as one customer would get it.")
class RenderedSample:
    customer_pk: strawberry.Private[int]
    content: list[ContentPart]
    error: str | None

    @field("CUSTOMERS_READ")
    def customer(self, info: Info) -> Customer | None:
        return customer_by_id(info, self.customer_pk)


@strawberry.type(description="What the campaign would do if it started now.")
class CampaignPreview:
    campaign: strawberry.Private[Any]
    rendered: strawberry.Private[list[RenderedSample]]
    would_send: int
    skipped: list[Skipped]

    @field("CUSTOMERS_READ", description="They name customers; masked without PII_NAME.")
    async def samples(self, info: Info) -> list[RenderedSample]:
        if info.context.may(NAME.permission):
            for one in self.rendered:
                info.context.saw(NAME.name, one.customer_pk)
        return self.rendered

    @field(
        "CAMPAIGNS_READ",
        description="What all that would go out costs, by the length of the text for some of the "
        "newest customers; null if the channel tells no price.",
    )
    async def cost(self, info: Info) -> MoneyRange | None:
        installation = info.context.installation
        (send,) = stored_flow(self.campaign["flow"]).sends().values()
        async with info.context.read() as session:
            found = [
                await measure_message(
                    session, installation.registry, send, variant, self.campaign["shop_id"],
                    installation.settings.base_url, MEASURED,
                )
                for variant in range(len(send.variants))
            ]  # fmt: skip
        return cost_range(found, self.would_send)


@strawberry.enum(description="One message to a segment, once or again and again, or a journey.")
class CampaignKind(Enum):
    BROADCAST = "broadcast"
    RECURRING = "recurring"
    JOURNEY = "journey"


@strawberry.type(description="What is sent to whom and when.")
class Campaign(CampaignOutcome, CampaignCalendar, Node, WithFlow, WithProposal):
    name: str
    kind: CampaignKind
    channel: str | None = strawberry.field(description="Null if there are several, or none.")
    message_class: MessageClass | None = strawberry.field(description="Null if there are both.")
    state: CampaignState
    pause_reason: str | None
    content: list[ContentPart] = strawberry.field(
        description="The message of a campaign that has one; its first variant."
    )
    scheduled_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    @field("SEGMENTS_READ")
    def segment(self, info: Info) -> Segment | None:
        if self.row["segment_id"] is None:
            return None
        return info.context.child("segments", self.row["segment_id"], segments_by_id)

    @field("SHOPS_READ")
    def shop(self, info: Info) -> Shop | None:
        if self.row["shop_id"] is None:
            return None
        return info.context.child("shops", self.row["shop_id"], shops_by_id)

    @field("CAMPAIGNS_READ", description="The newest first.")
    def runs(self, info: Info) -> list[CampaignRun]:
        return info.context.children("campaign.runs", self.row["id"], runs_of)

    @field("CAMPAIGNS_READ", description="Of one that is a journey and was started.")
    async def journey(
        self, info: Info
    ) -> Annotated["Journey", strawberry.lazy("core.schema.campaign_journeys")] | None:
        if self.kind is not CampaignKind.JOURNEY:
            return None
        return await info.context.load("campaign.journey", self.row["id"], CHILDREN["journeys"])

    @field("CAMPAIGNS_READ", description="A dry run: nothing is sent.")
    async def preview(self, info: Info, sample: int = 3) -> CampaignPreview:
        if not 0 <= sample <= MAX_SAMPLE:
            raise RequestError(BAD_REQUEST, f"sample must be from 0 to {MAX_SAMPLE}")
        registry = info.context.installation.registry
        async with long_read(info.context) as session:
            show_name = str if info.context.may(NAME.permission) else mask_name
            found = await preview_campaign(session, registry, self.row["id"], sample, show_name)
        return CampaignPreview(
            campaign=self.row,
            would_send=found.would_send,
            skipped=skips(found.skipped),
            rendered=[
                RenderedSample(
                    customer_pk=one.customer_id, content=parts(one.content), error=one.error
                )
                for one in found.samples
            ],
        )


def _message(flow: Flow) -> list[ContentPart]:
    sends = list(flow.sends().values())
    return parts(sends[0].variants[0].content) if len(sends) == 1 else []


def campaign_of(row: Any) -> Campaign:
    return Campaign(
        id=global_id("Campaign", row["id"]),
        row=row,
        name=row["name"],
        kind=CampaignKind(row["kind"]),
        channel=row["channel"],
        message_class=row["message_class"] and MessageClass(row["message_class"]),
        state=CampaignState(row["state"]),
        pause_reason=row["pause_reason"],
        content=_message(stored_flow(row["flow"])),
        scheduled_at=row["scheduled_at"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


@strawberry.input
class CampaignStateFilter:
    eq: strawberry.Maybe[CampaignState]
    in_: strawberry.Maybe[list[CampaignState]] = strawberry.field(name="in", default=None)


@strawberry.input
class CampaignWhere:
    id: strawberry.Maybe[IdFilter]
    name: strawberry.Maybe[StringFilter]
    channel: strawberry.Maybe[StringFilter]
    state: strawberry.Maybe[CampaignStateFilter]
    segment: strawberry.Maybe[IdFilter]
    created_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["CampaignWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["CampaignWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["CampaignWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class CampaignSortField(Enum):
    CREATED_AT = "created_at"
    NAME = "name"


@strawberry.input
class CampaignSort:
    field: CampaignSortField
    direction: SortDirection = SortDirection.ASC


CAMPAIGNS = Listing(
    "campaigns", "campaigns a", "a",
    {"id": IdColumn("Campaign", "a.id"), "name": "a.name", "channel": "a.channel",
     "state": "a.state", "segment": IdColumn("Segment", "a.segment_id"),
     "created_at": "a.created_at"},
    {"created_at": "a.created_at", "name": "a.name"},
    campaign_of,
)  # fmt: skip


async def campaigns_by_id(session: Session, pks: list[int]) -> dict[int, Campaign]:
    rows = await session.sql.fetch(
        "SELECT * FROM campaigns WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: campaign_of(row) for row in rows}


async def runs_by_id(session: Session, pks: list[int]) -> dict[int, CampaignRun]:
    rows = await session.sql.fetch(
        "SELECT * FROM campaign_runs WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: run_of(row) for row in rows}


async def deliveries_by_id(session: Session, pks: list[int]) -> dict[int, Delivery]:
    rows = await session.sql.fetch(
        "SELECT * FROM deliveries WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: delivery_of(row) for row in rows}


async def runs_of(session: Session, pks: list[int]) -> dict[int, list[CampaignRun]]:
    rows = await session.sql.fetch(
        """SELECT * FROM campaign_runs WHERE merchant_id = $1 AND campaign_id = ANY($2)
           ORDER BY id DESC""",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[CampaignRun]] = {}
    for row in rows:
        found.setdefault(row["campaign_id"], []).append(run_of(row))
    return found


@strawberry.type
class CampaignQueries:
    @field("CAMPAIGNS_READ")
    async def campaigns(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: CampaignWhere | None = None,
        sort: list[CampaignSort] | None = None,
    ) -> Connection[Campaign]:
        return await page(info, CAMPAIGNS, where, sort, first, after)

    @field("CAMPAIGNS_READ")
    async def campaign(self, info: Info, id: strawberry.ID) -> Campaign | None:
        pk = read_id("Campaign", id)
        return await info.context.load("campaigns", pk, campaigns_by_id) if pk else None

    @field("CAMPAIGNS_READ")
    async def deliveries(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: DeliveryWhere | None = None,
        sort: list[DeliverySort] | None = None,
    ) -> Connection[Delivery]:
        return await page(info, DELIVERIES, where, sort, first, after)


@strawberry.type
class CampaignSubscriptions:
    @subscription("CAMPAIGNS_READ", description="The campaign at once and after each change.")
    async def campaign_progress(self, info: Info, id: strawberry.ID) -> AsyncIterator[Campaign]:
        pk = need_id("Campaign", id)
        context = info.context
        signals = context.installation.signals
        async with aclosing(signals.changes("campaign", context.merchant_id, pk)) as changed:
            async for _ in changed:
                async with context.read() as session:
                    campaign = (await campaigns_by_id(session, [pk])).get(pk)
                if campaign is None:
                    return
                yield campaign
                if campaign.state in (CampaignState.FINISHED, CampaignState.CANCELLED):
                    return
