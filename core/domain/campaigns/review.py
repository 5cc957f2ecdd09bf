"""Four eyes: a draft is given to be reviewed, and approved of or sent back."""

from core.domain.campaigns.campaigns import approval_needed, locked_campaign, require_state
from core.domain.campaigns.control import check_ready
from core.registry import Registry
from core.sdk.errors import InvalidInput, WrongState
from core.storage.database import Work

REASON_LIMIT = 1_000


async def submit_campaign(w: Work, registry: Registry, campaign_id: int) -> None:
    """Give a draft to be reviewed. Raises WrongState, PluginDisabled, Several if it cannot start
    as it is."""
    row = await locked_campaign(w, campaign_id)
    require_state(row, ("draft",), "submitted")
    await check_ready(w, registry, row)
    await w.sql.execute(
        """UPDATE campaigns SET state = 'review', submitted_by = $3, rejected_reason = NULL,
               updated_at = $4 WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, campaign_id, w.actor, w.now,
    )  # fmt: skip
    w.audit("campaign.submitted", {"campaign": campaign_id, "version": row["version"]})
    await w.notify("campaign", campaign_id)


async def approve_campaign(w: Work, campaign_id: int) -> None:
    """Approve of a campaign, which can be started then.

    Raises WrongState, also for who submitted it where somebody else has to approve.
    """
    row = await locked_campaign(w, campaign_id)
    require_state(row, ("review",), "approved")
    if row["submitted_by"] == w.actor and await approval_needed(w):
        raise WrongState("somebody else than who submitted it has to approve", ("id",))
    await w.sql.execute(
        """UPDATE campaigns SET state = 'approved', updated_at = $3
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, campaign_id, w.now,
    )  # fmt: skip
    w.audit("campaign.approved", {"campaign": campaign_id, "version": row["version"]})
    await w.notify("campaign", campaign_id)


async def reject_campaign(w: Work, campaign_id: int, reason: str) -> None:
    """Send a campaign back to be a draft, and say why. Raises WrongState, InvalidInput."""
    row = await locked_campaign(w, campaign_id)
    require_state(row, ("review", "approved"), "rejected")
    reason = reason.strip()
    if not 1 <= len(reason) <= REASON_LIMIT or "\x00" in reason:
        raise InvalidInput(f"a reason has 1 to {REASON_LIMIT} characters", ("input", "reason"))
    await w.sql.execute(
        """UPDATE campaigns SET state = 'draft', rejected_reason = $3, updated_at = $4
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, campaign_id, reason, w.now,
    )  # fmt: skip
    w.audit("campaign.rejected", {"campaign": campaign_id, "version": row["version"]})
    await w.notify("campaign", campaign_id)


async def require_approval(w: Work, required: bool) -> None:
    """Decide whether campaigns start only once somebody else has approved of them."""
    await w.sql.execute(
        "UPDATE merchants SET campaigns_need_approval = $2 WHERE id = $1", w.merchant_id, required
    )
    w.audit("campaigns.approval_set", {"required": required})
