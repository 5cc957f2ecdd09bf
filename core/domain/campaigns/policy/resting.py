"""Runs that rest because of hours, holidays or rates, when these change."""

from core.storage.database import Work


async def wake_runs(w: Work) -> None:
    """Let what rests be tried again: its next claim decides by the policy as it is now."""
    await w.sql.execute(
        """UPDATE campaign_runs SET resting = NULL, resume_at = NULL
           WHERE merchant_id = $1 AND state = 'running'
             AND (resting IS NOT NULL OR resume_at IS NOT NULL)""",
        w.merchant_id,
    )
