"""The worker's sweep of campaigns: what is due is found in the database, whoever rang or not."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.domain.campaigns.control import pause_run, pause_troubled, start_campaign
from core.domain.campaigns.flows import stored_flow, stored_options
from core.registry import Registry
from core.sdk.errors import HuikeError, Several
from core.storage.database import Database

logger = logging.getLogger(__name__)


async def merchants_due(db: Database) -> list[int]:
    """Merchants with a campaign that is to start."""
    return await db.merchants(
        """SELECT DISTINCT merchant_id FROM campaigns
           WHERE state = 'scheduled' AND scheduled_at <= $1""",
        db.clock(),
    )


async def start_due_campaigns(db: Database, registry: Registry, merchant_id: int) -> None:
    """Start every scheduled campaign of a merchant whose time has come.

    One that is later than its `start_lateness` (the server was down, or a backup was restored) is
    paused instead: the merchant decides whether the message still makes sense.
    """
    async with db.read(merchant_id) as session:
        rows = await session.sql.fetch(
            """SELECT id FROM campaigns WHERE merchant_id = $1 AND state = 'scheduled'
                 AND scheduled_at <= $2 ORDER BY scheduled_at, id""",
            merchant_id, session.now,
        )  # fmt: skip
    for row in rows:
        await _start(db, registry, merchant_id, row["id"])


async def _start(db: Database, registry: Registry, merchant_id: int, campaign_id: int) -> None:
    try:
        async with db.work(merchant_id) as w:
            row = await w.sql.fetchrow(
                """SELECT scheduled_at, flow, options FROM campaigns
                   WHERE merchant_id = $1 AND id = $2 AND state = 'scheduled'
                     AND scheduled_at <= $3 FOR UPDATE SKIP LOCKED""",
                merchant_id, campaign_id, w.now,
            )  # fmt: skip
            if row is None:
                return
            if w.now - _moment(row) > stored_options(row["options"]).start_lateness.span:
                logger.warning("campaign %s is too late and is paused", campaign_id)
                await pause_run(w, campaign_id, "too late")
            else:
                await start_campaign(w, registry, campaign_id)
    except (HuikeError, Several) as error:
        await pause_troubled(db, merchant_id, campaign_id, str(error))
    except Exception:
        # whatever it is, the others that are due must not wait for it
        logger.exception("campaign %s of merchant %s could not start", campaign_id, merchant_id)


def _moment(row: Mapping[str, Any]) -> datetime:
    """What lateness counts from: a message at each customer's own time is started long before."""
    schedule = stored_flow(row["flow"]).schedule
    at: datetime = row["scheduled_at"]
    return max(at, schedule.at) if schedule and schedule.at else at
