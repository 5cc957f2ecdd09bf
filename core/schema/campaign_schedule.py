"""Campaigns that recur, copies of campaigns, and drafts done away with."""

import strawberry

from core.domain.campaigns.campaigns import get_campaign, update_campaign
from core.domain.campaigns.copying import copy_campaign, delete_campaign
from core.domain.campaigns.flows import make_schedule, stored_flow, with_schedule
from core.schema.campaign_flow_inputs import WEEKENDS, HolidayRule
from core.schema.campaigns import Campaign, campaigns_by_id
from core.schema.context import Info, mutation
from core.schema.errors import UserError
from core.schema.scalars import need_id, version_seen


@strawberry.input(description="When a message to a segment recurs.")
class CampaignRecurrenceSetInput:
    cron: str | None = strawberry.field(
        description="Five fields (minute hour day month weekday) in the shop's time zone, as in "
        '"0 10 * * TUE"; null: it no longer recurs.'
    )
    local: bool = strawberry.field(
        default=False,
        description="At each customer's own time: when the clocks where it lives show that time.",
    )
    holidays: HolidayRule = HolidayRule.KEEP
    weekends: bool = strawberry.field(default=False, description=WEEKENDS)
    if_version: int | None = version_seen()


@strawberry.input
class CampaignCopyInput:
    name: str


@strawberry.type
class CampaignRecurrenceSetPayload:
    campaign: Campaign | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignCopyPayload:
    campaign: Campaign | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignDeletePayload:
    deleted_id: strawberry.ID | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignScheduleMutations:
    @mutation(
        "CAMPAIGNS_WRITE", CampaignRecurrenceSetPayload,
        description="Have the customers of a segment written to again and again, once it starts.",
    )  # fmt: skip
    async def campaign_recurrence_set(
        self, info: Info, id: strawberry.ID, input: CampaignRecurrenceSetInput
    ) -> CampaignRecurrenceSetPayload | None:
        pk = need_id("Campaign", id)
        schedule = None if input.cron is None else make_schedule(
            "cron", cron=input.cron, local=input.local, holidays=input.holidays.value,
            weekends=input.weekends,
        )  # fmt: skip
        async with info.context.work() as w:
            flow = with_schedule(stored_flow((await get_campaign(w, pk))["flow"]), schedule)
            await update_campaign(
                w, info.context.installation.registry, pk, {"flow": flow}, input.if_version
            )
            return CampaignRecurrenceSetPayload(campaign=(await campaigns_by_id(w, [pk]))[pk])

    @mutation("CAMPAIGNS_WRITE", CampaignCopyPayload, description="The copy is a draft.")
    async def campaign_copy(
        self, info: Info, id: strawberry.ID, input: CampaignCopyInput
    ) -> CampaignCopyPayload | None:
        pk = need_id("Campaign", id)
        async with info.context.work() as w:
            copy_pk = await copy_campaign(w, info.context.installation.registry, pk, input.name)
            return CampaignCopyPayload(campaign=(await campaigns_by_id(w, [copy_pk]))[copy_pk])

    @mutation("CAMPAIGNS_WRITE", CampaignDeletePayload, description="Only drafts can be deleted.")
    async def campaign_delete(self, info: Info, id: strawberry.ID) -> CampaignDeletePayload | None:
        async with info.context.work() as w:
            await delete_campaign(w, need_id("Campaign", id))
            return CampaignDeletePayload(deleted_id=id)
