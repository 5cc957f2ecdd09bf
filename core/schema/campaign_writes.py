"""Campaigns written, and moved through their states."""

from datetime import datetime

import strawberry

from core.domain.campaigns.campaigns import (
    create_flow_campaign,
    update_campaign,
)
from core.domain.campaigns.control import (
    cancel_campaign,
    pause_campaign,
    resume_campaign,
    schedule_campaign,
    start_campaign,
)
from core.domain.campaigns.flows import make_schedule, message_flow
from core.domain.shops.merchants import check_name
from core.domain.shops.shops import need_shop
from core.registry import Registry
from core.schema.campaign_flow_inputs import (
    WEEKENDS,
    CampaignFlowInput,
    CampaignOptionsInput,
    HolidayRule,
    flow_of,
    options_of,
)
from core.schema.campaign_parts import (
    ContentPartInput,
    MessageClass,
    content_of,
)
from core.schema.campaigns import Campaign, CampaignRun, campaigns_by_id, runs_by_id
from core.schema.context import Info, mutation
from core.schema.errors import UserError
from core.schema.idempotency import once
from core.schema.scalars import (
    changes,
    need_id,
    sought,
    sought_id,
    version_seen,
)
from core.sdk.errors import Faults, InvalidInput
from core.sdk.flows import Flow
from core.storage.database import Work


@strawberry.input
class CampaignCreateInput:
    name: str
    channel: str | None = None
    segment_id: strawberry.ID | None = None
    content: list[ContentPartInput] | None = None
    message_class: MessageClass = MessageClass.MARKETING
    flow: CampaignFlowInput | None = strawberry.field(
        default=None, description="In place of channel, segment and content of one message."
    )
    options: CampaignOptionsInput | None = None
    shop_id: strawberry.ID | None = None


@strawberry.input(description="Absent fields stay as they are.")
class CampaignUpdateInput:
    name: strawberry.Maybe[str]
    segment_id: strawberry.Maybe[strawberry.ID]
    content: strawberry.Maybe[list[ContentPartInput]]
    message_class: strawberry.Maybe[MessageClass]
    flow: strawberry.Maybe[CampaignFlowInput] = strawberry.field(
        default=None,
        description="Of a journey that is on: a new version, which lets people in from now on.",
    )
    options: strawberry.Maybe[CampaignOptionsInput]
    shop_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(
        default=None, description="Null clears it."
    )
    if_version: int | None = version_seen()


@strawberry.input
class CampaignScheduleInput:
    at: datetime
    local: bool = strawberry.field(
        default=False,
        description="Each customer gets it when the clocks where it lives show what the shop's "
        "show at that instant; who has that behind already, at once.",
    )
    holidays: HolidayRule = strawberry.field(
        default=HolidayRule.KEEP, description="A single time can be moved, but not skipped."
    )
    weekends: bool = strawberry.field(default=False, description=WEEKENDS)
    if_version: int | None = version_seen()


@strawberry.input
class CampaignStartInput:
    idempotency_key: str = strawberry.field(
        description="Any text of yours; a repeated call with it does not start again."
    )


@strawberry.type
class CampaignCreatePayload:
    campaign: Campaign | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignUpdatePayload:
    campaign: Campaign | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignSchedulePayload:
    campaign: Campaign | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignStartPayload:
    campaign: Campaign | None = None
    run: CampaignRun | None = strawberry.field(
        default=None, description="Null when its runs begin later, as it is scheduled."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignPausePayload:
    campaign: Campaign | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignResumePayload:
    campaign: Campaign | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignCancelPayload:
    campaign: Campaign | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


async def _flow_of(w: Work, registry: Registry, given: CampaignCreateInput) -> Flow:
    """The flow of an input, or that of its one message. Raises InvalidInput, Several."""
    faults = Faults()
    for name in ("channel", "segment_id", "content"):
        if given.flow is not None and getattr(given, name) is not None:
            faults.wrong("the flow says it already", name)
        if given.flow is None and getattr(given, name) is None:
            faults.wrong("give channel, segmentId and content, or a flow", name)
    if given.flow is not None:
        with faults:
            flow = await flow_of(w, registry, given.flow)
    elif given.channel is not None and given.segment_id is not None and given.content is not None:
        flow = message_flow(
            sought_id("Segment", given.segment_id), given.channel, content_of(given.content),
            given.message_class.value,
        )  # fmt: skip
    faults.tell()
    return flow


@strawberry.type
class CampaignMutations:
    @mutation("CAMPAIGNS_WRITE", CampaignCreatePayload)
    async def campaign_create(
        self, info: Info, input: CampaignCreateInput
    ) -> CampaignCreatePayload | None:
        registry = info.context.installation.registry
        shop_id = sought("Shop", input.shop_id)
        faults, options = Faults(), None
        with faults:
            options = None if input.options is None else options_of(input.options)
        async with info.context.work() as w:
            with faults:
                flow = await _flow_of(w, registry, input)
            if faults:  # what else is wrong, without its flow
                with faults:
                    check_name(input.name)
                with faults:
                    await need_shop(w, shop_id)
            faults.tell()
            pk = await create_flow_campaign(
                w, registry, name=input.name, flow=flow, shop_id=shop_id, options=options,
                simple=input.flow is None,
            )  # fmt: skip
            return CampaignCreatePayload(campaign=(await campaigns_by_id(w, [pk]))[pk])

    @mutation("CAMPAIGNS_WRITE", CampaignUpdatePayload)
    async def campaign_update(
        self, info: Info, id: strawberry.ID, input: CampaignUpdateInput
    ) -> CampaignUpdatePayload | None:
        pk, faults = need_id("Campaign", id), Faults()
        changed = changes(input)
        for key, type_name in (("segment_id", "Segment"), ("shop_id", "Shop")):
            if changed.get(key) is not None:
                changed[key] = sought_id(type_name, changed[key])
        if "message_class" in changed:
            changed["message_class"] = changed["message_class"].value
        registry = info.context.installation.registry
        async with info.context.work() as w:
            # what cannot be read is left out, so that all else is checked
            if "content" in changed:
                with faults:
                    changed["content"] = content_of(changed.pop("content"))
            if "options" in changed:
                with faults:
                    changed["options"] = options_of(changed.pop("options"))
            if "flow" in changed:
                with faults:
                    changed["flow"] = await flow_of(w, registry, changed.pop("flow"))
            with faults:
                await update_campaign(w, registry, pk, changed, input.if_version)
            faults.tell()
            return CampaignUpdatePayload(campaign=(await campaigns_by_id(w, [pk]))[pk])

    @mutation("CAMPAIGNS_SEND", CampaignSchedulePayload)
    async def campaign_schedule(
        self, info: Info, id: strawberry.ID, input: CampaignScheduleInput
    ) -> CampaignSchedulePayload | None:
        pk = need_id("Campaign", id)
        if input.at.tzinfo is None:
            raise InvalidInput(
                "a time needs its offset, as in 2026-06-15T12:00:00+08:00", ("input", "at")
            )
        async with info.context.work() as w:
            registry = info.context.installation.registry
            when = make_schedule(
                "at", at=input.at, local=input.local, holidays=input.holidays.value,
                weekends=input.weekends,
            )  # fmt: skip
            await schedule_campaign(w, registry, pk, when, input.if_version)
            return CampaignSchedulePayload(campaign=(await campaigns_by_id(w, [pk]))[pk])

    @mutation("CAMPAIGNS_SEND", CampaignStartPayload)
    async def campaign_start(
        self, info: Info, id: strawberry.ID, input: CampaignStartInput
    ) -> CampaignStartPayload | None:
        pk = need_id("Campaign", id)
        async with info.context.work() as w:

            async def start() -> int | None:
                return await start_campaign(w, info.context.installation.registry, pk)

            run_id = await once(w, "campaignStart", input.idempotency_key, {"id": pk}, start)
            run = None if run_id is None else (await runs_by_id(w, [run_id]))[run_id]
            return CampaignStartPayload(run=run, campaign=(await campaigns_by_id(w, [pk]))[pk])

    @mutation("CAMPAIGNS_SEND", CampaignPausePayload)
    async def campaign_pause(self, info: Info, id: strawberry.ID) -> CampaignPausePayload | None:
        pk = need_id("Campaign", id)
        async with info.context.work() as w:
            await pause_campaign(w, pk)
            return CampaignPausePayload(campaign=(await campaigns_by_id(w, [pk]))[pk])

    @mutation("CAMPAIGNS_SEND", CampaignResumePayload)
    async def campaign_resume(self, info: Info, id: strawberry.ID) -> CampaignResumePayload | None:
        pk = need_id("Campaign", id)
        async with info.context.work() as w:
            await resume_campaign(w, info.context.installation.registry, pk)
            return CampaignResumePayload(campaign=(await campaigns_by_id(w, [pk]))[pk])

    @mutation("CAMPAIGNS_SEND", CampaignCancelPayload)
    async def campaign_cancel(self, info: Info, id: strawberry.ID) -> CampaignCancelPayload | None:
        pk = need_id("Campaign", id)
        async with info.context.work() as w:
            await cancel_campaign(w, pk)
            return CampaignCancelPayload(campaign=(await campaigns_by_id(w, [pk]))[pk])
