"""What is to change about a journey that is on, until somebody else has approved of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.sdk.flows import Flow
from core.storage.database import Session, Work


@dataclass(frozen=True)
class Change:
    """A campaign as it is to be; `options` is JSON."""

    name: str
    shop_id: int | None
    flow: Flow
    options: str


async def propose(w: Work, row: Mapping[str, Any], change: Change) -> None:
    """Keep a change of a campaign's row, in place of one that was proposed before."""
    await w.sql.execute(
        """INSERT INTO campaign_proposals AS p (merchant_id, campaign_id, version, name, shop_id,
               flow, options, state, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, 'draft', $8)
           ON CONFLICT (merchant_id, campaign_id) DO UPDATE SET version = excluded.version,
               name = excluded.name, shop_id = excluded.shop_id, flow = excluded.flow,
               options = excluded.options, state = 'draft', updated_at = excluded.updated_at""",
        w.merchant_id, row["id"], row["version"], change.name, change.shop_id,
        change.flow.model_dump_json(), change.options, w.now,
    )  # fmt: skip
    w.audit("campaign.proposed", {"campaign": row["id"], "version": row["version"]})
    await w.notify("campaign", row["id"])


async def find_proposals(session: Session, campaign_ids: list[int]) -> dict[int, Mapping[str, Any]]:
    """The proposals for these campaigns, by campaign; of those that have ended none."""
    rows = await session.sql.fetch(
        """SELECT p.* FROM campaign_proposals p
           JOIN campaigns c ON c.merchant_id = p.merchant_id AND c.id = p.campaign_id
            AND c.state IN ('running', 'paused')
           WHERE p.merchant_id = $1 AND p.campaign_id = ANY($2)""",
        session.merchant_id, campaign_ids,
    )  # fmt: skip
    return {row["campaign_id"]: row for row in rows}


async def move_proposal(
    w: Work, campaign_id: int, state: str, *, by: str | None = None, why: str | None = None
) -> None:
    """Put a proposal into another state: given to be reviewed `by` somebody, or sent back."""
    await w.sql.execute(
        """UPDATE campaign_proposals SET state = $3, submitted_by = COALESCE($4, submitted_by),
               rejected_reason = $5, updated_at = $6
           WHERE merchant_id = $1 AND campaign_id = $2""",
        w.merchant_id, campaign_id, state, by, why, w.now,
    )  # fmt: skip


async def drop_proposal(w: Work, campaign_id: int) -> bool:
    """Forget a proposal; returns whether there was one."""
    found = await w.sql.fetchval(
        """DELETE FROM campaign_proposals WHERE merchant_id = $1 AND campaign_id = $2
           RETURNING id""",
        w.merchant_id, campaign_id,
    )  # fmt: skip
    return found is not None
