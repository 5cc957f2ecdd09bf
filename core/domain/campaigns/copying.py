"""Making a campaign out of another, and doing away with one that never began."""

from core.domain.campaigns.campaigns import (
    create_flow_campaign,
    get_campaign,
    locked_campaign,
    require_state,
)
from core.domain.campaigns.flows import stored_flow, stored_options
from core.registry import Registry
from core.storage.database import Work


async def copy_campaign(w: Work, registry: Registry, campaign_id: int, name: str) -> int:
    """Write a draft like a campaign in any state; returns its id.

    Raises NotFound, Several (also when what it names is no longer there), AlreadyExists.
    """
    row = await get_campaign(w, campaign_id)
    return await create_flow_campaign(
        w, registry, name=name, flow=stored_flow(row["flow"]), shop_id=row["shop_id"],
        options=stored_options(row["options"]),
    )  # fmt: skip


async def delete_campaign(w: Work, campaign_id: int) -> None:
    """Delete a draft; what has begun is part of the account. Raises WrongState, NotFound."""
    row = await locked_campaign(w, campaign_id)
    require_state(row, ("draft",), "deleted")
    await w.sql.execute(
        "DELETE FROM campaigns WHERE merchant_id = $1 AND id = $2", w.merchant_id, campaign_id
    )
    w.audit("campaign.deleted", {"campaign": campaign_id})
