"""What is to change about a journey that is on, once somebody else has approved of it."""

from enum import Enum
from typing import Any

import strawberry

from core.domain.campaigns.proposals import find_proposals
from core.domain.campaigns.review import withdraw_proposal
from core.schema.campaign_flows import WithFlow
from core.schema.context import Info, field, mutation
from core.schema.errors import UserError
from core.schema.scalars import need_id
from core.storage.database import Session


@strawberry.enum(description="How far a change has come.")
class ProposalState(Enum):
    DRAFT = strawberry.enum_value("draft", description="Can be changed and submitted.")
    REVIEW = strawberry.enum_value("review", description="Waits for somebody's approval.")


@strawberry.type(
    description="A change of a journey that is on: `campaignUpdate` proposes it where campaigns "
    "need approval, `campaignSubmit` gives it to be reviewed, and `campaignApprove` makes it."
)
class CampaignProposal(WithFlow):
    state: ProposalState
    version: int = strawberry.field(description="The version of the journey that it changes.")
    name: str
    rejected_reason: str | None = strawberry.field(description="Why a reviewer sent it back.")


async def proposals_by_campaign(session: Session, pks: list[int]) -> dict[int, CampaignProposal]:
    return {
        pk: CampaignProposal(
            row=row,
            state=ProposalState(row["state"]),
            version=row["version"],
            name=row["name"],
            rejected_reason=row["rejected_reason"],
        )
        for pk, row in (await find_proposals(session, pks)).items()
    }


@strawberry.type
class WithProposal:
    """The field of a campaign that shows what is to change about it."""

    row: strawberry.Private[Any]

    @field("CAMPAIGNS_READ", description="What is to change about it once it is approved.")
    def proposal(self, info: Info) -> CampaignProposal | None:
        return info.context.child("campaign.proposal", self.row["id"], proposals_by_campaign)


@strawberry.type
class CampaignProposalWithdrawPayload:
    id: strawberry.ID | None = strawberry.field(default=None, description="Of the campaign.")
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CampaignProposalMutations:
    @mutation(
        "CAMPAIGNS_WRITE", CampaignProposalWithdrawPayload,
        description="Forget what was proposed to change; the journey stays as it is.",
    )  # fmt: skip
    async def campaign_proposal_withdraw(
        self, info: Info, id: strawberry.ID
    ) -> CampaignProposalWithdrawPayload | None:
        async with info.context.work() as w:
            await withdraw_proposal(w, need_id("Campaign", id))
        return CampaignProposalWithdrawPayload(id=id)
