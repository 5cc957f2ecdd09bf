"""The merchant's own decision to write to customers whose consent cannot be proven, kept for good.

A decision holds until the next one for the channel; the table keeps all of them as intervals.
"""

from core.domain.customers.suppressions import check_channel_and_reason
from core.storage.database import Work
from core.storage.versions import next_version

POLICY = "consent_policy"
"""The kind of setting, in places of channels."""


async def set_policy(
    w: Work, channel: str, allow_unproven: bool, reason: str, if_version: int | None = None
) -> int:
    """Decide whether marketing on a channel may go to unproven consent; returns the row's id.

    Who decides is the session's actor. Raises InvalidInput, Several, Conflict.
    """
    check_channel_and_reason(channel, reason)
    await next_version(w, POLICY, channel, if_version)
    await w.sql.execute(
        """UPDATE consent_policies SET valid_to = $3
           WHERE merchant_id = $1 AND channel = $2 AND valid_to IS NULL""",
        w.merchant_id, channel, w.now,
    )  # fmt: skip
    policy_id: int = await w.sql.fetchval(
        """INSERT INTO consent_policies (merchant_id, channel, allow_unproven, reason, actor, at)
           VALUES ($1, $2, $3, $4, $5, $6) RETURNING id""",
        w.merchant_id, channel, allow_unproven, reason.strip(), w.actor, w.now,
    )  # fmt: skip
    return policy_id
