"""What becomes of failed work: when it is tried again, and what the merchant is told."""

import random
from datetime import timedelta

from core.sdk.errors import ReconnectNeeded, Refused, RetryLater
from core.storage.database import Work

FIRST_PAUSE, LAST_PAUSE = timedelta(seconds=5), timedelta(minutes=15)
PROBLEM_LIMIT = 500


def problem_of(error: Exception) -> str:
    """The failure in words, as long as is worth keeping."""
    return (str(error) or type(error).__name__)[:PROBLEM_LIMIT]


def pause_after(error: Exception, failures: int) -> timedelta:
    """How long to wait before the next try, `failures` having gone before.

    The pause doubles, and is cut by up to a half, so that many workers do not come back at once.
    What the platform names itself is waited for and a little more.
    """
    spread = random.uniform(0.5, 1)  # noqa: S311 - no secret
    if isinstance(error, RetryLater) and error.after is not None:
        return error.after + timedelta(seconds=1 - spread)
    if isinstance(error, Refused):
        return LAST_PAUSE * spread
    return min(FIRST_PAUSE * 2.0 ** min(failures, 10), LAST_PAUSE) * spread


async def needs_seller(
    w: Work, shop_id: int, error: ReconnectNeeded, renewing: bool = False
) -> None:
    """The platform does not accept the token, or (`renewing`) to give a new one for it.

    One that can be renewed, and was not a moment ago, is renewed; else the shop rests until its
    seller authorises it again.
    """
    await w.sql.execute(
        """UPDATE shop_connections SET problem = $3, problem_at = $4,
               refresh_at = CASE WHEN renewable THEN $4::timestamptz END,
               state = CASE WHEN renewable THEN state ELSE 'needs_authorisation' END
           FROM (SELECT id AS found, refresh_at IS NOT NULL AND NOT $6::boolean
                        AND GREATEST(refreshed_at, authorised_at) < $4::timestamptz - $5::interval
                        AS renewable
                 FROM shop_connections WHERE merchant_id = $1 AND shop_id = $2 FOR UPDATE) before
           WHERE merchant_id = $1 AND id = found AND state = 'connected'""",
        w.merchant_id, shop_id, problem_of(error), w.now, timedelta(minutes=10), renewing,
    )  # fmt: skip
    w.ring("shops.upkeep", w.merchant_id, shop_id)
    await w.notify("connection", shop_id)
