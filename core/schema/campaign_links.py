"""The links of a run's messages, and who followed them."""

import strawberry

from core.domain.campaigns.content.clicks import link_figures
from core.schema.context import Info, field
from core.schema.scalars import read_id


@strawberry.type(description="A link of a run's text; scanners' hits are told apart.")
class CampaignLink:
    step: int = strawberry.field(description="The number of the step in the run's flow, from 0.")
    variant: int
    url: str
    clicks: int
    people: int
    machine_hits: int


@strawberry.type
class CampaignLinkQueries:
    @field("CAMPAIGNS_READ", description="The tracked links of a campaign's run.")
    async def campaign_links(self, info: Info, run_id: strawberry.ID) -> list[CampaignLink]:
        pk = read_id("CampaignRun", run_id)
        if pk is None:
            return []
        async with info.context.read() as session:
            found = await link_figures(session, pk)
        return [
            CampaignLink(
                step=one.step,
                variant=one.variant,
                url=one.url,
                clicks=one.clicks,
                people=one.people,
                machine_hits=one.machine_hits,
            )
            for one in found
        ]
