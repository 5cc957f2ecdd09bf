"""Four eyes: a draft is given to be reviewed, and approved of or sent back.

So is what is to change about a journey that is on, which goes on as it is meanwhile.
"""

from collections.abc import Mapping
from typing import Any

from core.domain.campaigns.campaigns import (
    approval_needed,
    locked_campaign,
    require_state,
    write_change,
)
from core.domain.campaigns.control import check_ready
from core.domain.campaigns.flows import stored_flow
from core.domain.campaigns.proposals import Change, drop_proposal, find_proposals, move_proposal
from core.domain.shops.tokens import is_same_person
from core.registry import Registry
from core.sdk.errors import InvalidInput, NotFound, WrongState
from core.storage.database import Work

REASON_LIMIT = 1_000


async def submit_campaign(w: Work, registry: Registry, campaign_id: int) -> None:
    """Give a draft, or the change that is proposed of a journey, to be reviewed.

    Raises WrongState, PluginDisabled, Several if it cannot start as it is.
    """
    row, proposal = await _proposed(w, campaign_id)
    if proposal is not None:
        require_state(proposal, ("draft",), "submitted")
        await check_ready(w, registry, {**row, "flow": proposal["flow"]})
        await move_proposal(w, campaign_id, "review", by=w.actor)
    else:
        require_state(row, ("draft",), "submitted")
        await check_ready(w, registry, row)
        await w.sql.execute(
            """UPDATE campaigns SET state = 'review', submitted_by = $3, rejected_reason = NULL,
                   updated_at = $4 WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, campaign_id, w.actor, w.now,
        )  # fmt: skip
    w.audit("campaign.submitted", {"campaign": campaign_id, "version": row["version"]})
    await w.notify("campaign", campaign_id)


async def approve_campaign(w: Work, registry: Registry, campaign_id: int) -> None:
    """Approve of a campaign, which can be started then, or of a change, which is made now.

    Raises WrongState, also for who submitted it where somebody else has to approve; of a change
    also what `update_campaign` raises.
    """
    row, proposal = await _proposed(w, campaign_id)
    submitted = proposal or row
    require_state(submitted, ("review",), "approved")
    if await approval_needed(w) and await is_same_person(w, submitted["submitted_by"], w.actor):
        raise WrongState("somebody else than who submitted it has to approve", ("id",))
    if proposal is not None:
        await _make(w, registry, row, proposal)
    else:
        await w.sql.execute(
            """UPDATE campaigns SET state = 'approved', updated_at = $3
               WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, campaign_id, w.now,
        )  # fmt: skip
    w.audit("campaign.approved", {"campaign": campaign_id, "version": row["version"]})
    await w.notify("campaign", campaign_id)


async def reject_campaign(w: Work, campaign_id: int, reason: str) -> None:
    """Send a campaign, or a change, back to be a draft, and say why.

    Raises WrongState, InvalidInput.
    """
    row, proposal = await _proposed(w, campaign_id)
    require_state(proposal or row, ("review", "approved"), "rejected")
    reason = reason.strip()
    if not 1 <= len(reason) <= REASON_LIMIT or "\x00" in reason:
        raise InvalidInput(f"a reason has 1 to {REASON_LIMIT} characters", ("input", "reason"))
    if proposal is not None:
        await move_proposal(w, campaign_id, "draft", why=reason)
    else:
        await w.sql.execute(
            """UPDATE campaigns SET state = 'draft', rejected_reason = $3, updated_at = $4
               WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, campaign_id, reason, w.now,
        )  # fmt: skip
    w.audit("campaign.rejected", {"campaign": campaign_id, "version": row["version"]})
    await w.notify("campaign", campaign_id)


async def withdraw_proposal(w: Work, campaign_id: int) -> None:
    """Forget what was proposed to change about a journey. Raises NotFound."""
    row = await locked_campaign(w, campaign_id)
    if not await drop_proposal(w, campaign_id):
        raise NotFound("nothing is proposed to change about the campaign", ("id",))
    w.audit("campaign.proposal_withdrawn", {"campaign": campaign_id, "version": row["version"]})
    await w.notify("campaign", campaign_id)


async def require_approval(w: Work, required: bool) -> None:
    """Decide whether campaigns start only once somebody else has approved of them."""
    await w.sql.execute(
        "UPDATE merchants SET campaigns_need_approval = $2 WHERE id = $1", w.merchant_id, required
    )
    w.audit("campaigns.approval_set", {"required": required})


Row = Mapping[str, Any]


async def _proposed(w: Work, campaign_id: int) -> tuple[Row, Row | None]:
    """A campaign's row, locked, and the change that is proposed if it is on."""
    row = await locked_campaign(w, campaign_id)
    return row, (await find_proposals(w, [campaign_id])).get(campaign_id)


async def _make(w: Work, registry: Registry, row: Row, proposal: Row) -> None:
    if proposal["version"] != row["version"]:
        raise WrongState("the journey was changed meanwhile: propose the change anew", ("id",))
    # channels, segments and fields may be gone since it was submitted
    await check_ready(w, registry, {**row, "flow": proposal["flow"]})
    change = Change(
        proposal["name"], proposal["shop_id"], stored_flow(proposal["flow"]), proposal["options"]
    )
    await drop_proposal(w, row["id"])
    await write_change(w, row, change, row["state"], anew=True)
