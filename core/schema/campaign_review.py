"""Review of campaigns before they start."""

import strawberry

from core.domain.campaigns.campaigns import approval_needed
from core.domain.campaigns.review import (
    approve_campaign,
    reject_campaign,
    require_approval,
    submit_campaign,
)
from core.schema.campaigns import Campaign, campaigns_by_id
from core.schema.context import Info, field, mutation
from core.schema.errors import UserError
from core.schema.scalars import need_id


@strawberry.input
class CampaignRejectInput:
    reason: str


@strawberry.input
class CampaignApprovalSetInput:
    required: bool


@strawberry.type
class CampaignSubmitPayload:
    campaign: Campaign | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignApprovePayload:
    campaign: Campaign | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignRejectPayload:
    campaign: Campaign | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignApprovalSetPayload:
    required: bool | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignReviewQueries:
    @field(
        "CAMPAIGNS_READ", description="Whether campaigns start only once somebody else approved."
    )
    async def campaign_approval_required(self, info: Info) -> bool:
        async with info.context.read() as session:
            return await approval_needed(session)


@strawberry.type
class CampaignReviewMutations:
    @mutation(
        "CAMPAIGNS_WRITE", CampaignSubmitPayload,
        description="Give a draft, or the proposal of a journey that is on, to be reviewed.",
    )  # fmt: skip
    async def campaign_submit(self, info: Info, id: strawberry.ID) -> CampaignSubmitPayload | None:
        pk = need_id("Campaign", id)
        async with info.context.work() as w:
            await submit_campaign(w, info.context.installation.registry, pk)
            return CampaignSubmitPayload(campaign=(await campaigns_by_id(w, [pk]))[pk])

    @mutation(
        "CAMPAIGNS_SEND", CampaignApprovePayload,
        description="A draft can be started then; a proposal becomes the journey's new version.",
    )  # fmt: skip
    async def campaign_approve(
        self, info: Info, id: strawberry.ID
    ) -> CampaignApprovePayload | None:
        pk = need_id("Campaign", id)
        async with info.context.work() as w:
            await approve_campaign(w, info.context.installation.registry, pk)
            return CampaignApprovePayload(campaign=(await campaigns_by_id(w, [pk]))[pk])

    @mutation("CAMPAIGNS_SEND", CampaignRejectPayload, description="It is a draft again.")
    async def campaign_reject(
        self, info: Info, id: strawberry.ID, input: CampaignRejectInput
    ) -> CampaignRejectPayload | None:
        pk = need_id("Campaign", id)
        async with info.context.work() as w:
            await reject_campaign(w, pk, input.reason)
            return CampaignRejectPayload(campaign=(await campaigns_by_id(w, [pk]))[pk])

    @mutation("CAMPAIGNS_APPROVAL_WRITE", CampaignApprovalSetPayload)
    async def campaign_approval_set(
        self, info: Info, input: CampaignApprovalSetInput
    ) -> CampaignApprovalSetPayload | None:
        async with info.context.work() as w:
            await require_approval(w, input.required)
            return CampaignApprovalSetPayload(required=input.required)
