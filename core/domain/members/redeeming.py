"""Redeeming rewards: points, stock and limits in one transaction, and what becomes of it.

Whoever redeems or cancels a reward holds its row first and the customer's afterwards, so that the
last one in stock goes to one customer and nobody gets more than the limit.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson

from core.domain.customers.customers import get_customer
from core.domain.members.membership import find_membership
from core.domain.members.points import CUSTOMER, give_back, take
from core.domain.members.rewards import hold_reward
from core.sdk.errors import Faults, HuikeError, NotFound, WrongState
from core.sdk.events import RewardCancelled, RewardFulfilled, RewardRequested
from core.storage.database import Work

HANDING = timedelta(days=1)
"""So long at most nobody cancels what a provider is asked for, who keeps failing."""


class RewardUnavailable(HuikeError):
    code = "REWARD_UNAVAILABLE"
    cause = "The reward is out of stock, not offered now, or not for this customer."
    cure = "The message says which; choose another reward, or try again when that has changed."


async def redeem(w: Work, reward_id: int, customer_id: int) -> int:
    """Let a member have a reward for points; returns the redemption's id.

    Raises NotFound, WrongState for who is no member, RewardUnavailable, NotEnoughPoints.
    """
    reward = await _available(w, reward_id, customer_id)
    entry_id = await take(w, customer_id, reward["cost"], "spend", reason=reward["name"])
    return await _request(w, reward_id, customer_id, entry_id, reward["cost"])


async def grant_reward(w: Work, reward_id: int, customer_id: int) -> int:
    """Let a member have a reward for nothing; returns the redemption's id.

    Raises NotFound, WrongState for who is no member, RewardUnavailable.
    """
    await _available(w, reward_id, customer_id)
    return await _request(w, reward_id, customer_id, None, 0)


async def _available(w: Work, reward_id: int, customer_id: int) -> Mapping[str, Any]:
    """The reward, held, if the customer can have it."""
    faults = Faults()
    with faults:
        reward = await hold_reward(w, reward_id, ("input", "rewardId"))
    with faults:
        await get_customer(w, customer_id, path=CUSTOMER)
        if await find_membership(w, customer_id) is None:
            raise WrongState("the customer is not a member", CUSTOMER)
    faults.tell()
    if (why := await _why_not(w, reward, customer_id)) is not None:
        raise RewardUnavailable(why, ("input", "rewardId"))
    return reward


async def _request(
    w: Work, reward_id: int, customer_id: int, entry_id: int | None, points: int
) -> int:
    await w.sql.execute(
        "UPDATE rewards SET stock = stock - 1 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, reward_id,
    )  # fmt: skip
    redemption_id: int = await w.sql.fetchval(
        """INSERT INTO redemptions (merchant_id, reward_id, customer_id, entry_id, points, actor,
               requested_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id""",
        w.merchant_id, reward_id, customer_id, entry_id, points, w.actor, w.now,
    )  # fmt: skip
    w.emit(RewardRequested(redemption_id, reward_id, customer_id, points))
    return redemption_id


async def fulfil(w: Work, redemption_id: int, given: str | None = None) -> None:
    """The customer has got it; `given` is what, such as a code. Raises NotFound, WrongState."""
    row = await _hold_requested(w, redemption_id)
    await _settle(w, redemption_id, "fulfilled", given=given)
    w.emit(RewardFulfilled(redemption_id, row["reward_id"], row["customer_id"]))


async def cancel(w: Work, redemption_id: int, reason: str, *, refused: bool = False) -> None:
    """Give the points back, and the reward to the stock. Raises NotFound, WrongState.

    While its provider is asked it cannot be cancelled, or the customer would have both, unless he
    has `refused`.
    """
    row = await _hold_requested(w, redemption_id)
    if row["handing_at"] is not None and not refused and row["handing_at"] > w.now - HANDING:
        raise WrongState("it is being handed out: look again when that has ended", ("id",))
    if row["entry_id"] is not None:
        await give_back(w, row["entry_id"])
    await w.sql.execute(
        "UPDATE rewards SET stock = stock + 1 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, row["reward_id"],
    )  # fmt: skip
    await _settle(w, redemption_id, "cancelled", reason=reason)
    w.emit(RewardCancelled(redemption_id, row["reward_id"], row["customer_id"]))


async def begin_handing(w: Work, redemption_id: int) -> Mapping[str, Any] | None:
    """An open redemption with its reward's provider and settings, which is asked from now on; None
    of one that is not open any more."""
    row: Mapping[str, Any] | None = await w.sql.fetchrow(
        """UPDATE redemptions d SET handing_at = $3 FROM rewards r
           WHERE d.merchant_id = $1 AND d.id = $2 AND d.state = 'requested'
             AND r.merchant_id = $1 AND r.id = d.reward_id
           RETURNING d.*, r.provider, r.settings""",
        w.merchant_id, redemption_id, w.now,
    )  # fmt: skip
    return row


async def end_handing(w: Work, redemption_id: int, reason: str | None) -> None:
    """The redemption is left to whoever looks at it by hand; `reason` says why, if need be."""
    await w.sql.execute(
        """UPDATE redemptions SET handing_at = NULL, reason = COALESCE($3, reason)
           WHERE merchant_id = $1 AND id = $2 AND state = 'requested'""",
        w.merchant_id, redemption_id, reason,
    )  # fmt: skip


async def _why_not(w: Work, reward: Mapping[str, Any], customer_id: int) -> str | None:
    """Why the customer cannot have the reward, or None."""
    if reward["valid_from"] is not None and w.now < reward["valid_from"]:
        return f"it is offered from {reward['valid_from'].isoformat()} on"
    if reward["valid_until"] is not None and w.now >= reward["valid_until"]:
        return "it is not offered any more"
    if reward["stock"] == 0:
        return "there is none left"
    if reward["tier_ids"] is not None and not await w.sql.fetchval(
        """SELECT EXISTS (SELECT 1 FROM tier_intervals WHERE merchant_id = $1 AND customer_id = $2
               AND valid_to IS NULL AND tier_id = ANY($3::bigint[]))""",
        w.merchant_id, customer_id, orjson.loads(reward["tier_ids"]),
    ):  # fmt: skip
        return "it is for members of other tiers"
    if reward["per_customer"] is not None:
        had = await w.sql.fetchval(
            """SELECT count(*) FROM redemptions WHERE merchant_id = $1 AND reward_id = $2
                  AND customer_id = $3 AND state <> 'cancelled'""",
            w.merchant_id, reward["id"], customer_id,
        )  # fmt: skip
        if had >= reward["per_customer"]:
            return f"each customer can have {reward['per_customer']}"
    return None


async def _hold_requested(w: Work, redemption_id: int) -> Mapping[str, Any]:
    reward_id = await w.sql.fetchval(
        "SELECT reward_id FROM redemptions WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, redemption_id,
    )  # fmt: skip
    if reward_id is None:
        raise NotFound(f"there is no redemption {redemption_id}", ("id",))
    await hold_reward(w, reward_id, ("id",))
    row: Mapping[str, Any] = await w.sql.fetchrow(
        "SELECT * FROM redemptions WHERE merchant_id = $1 AND id = $2", w.merchant_id, redemption_id
    )
    if row["state"] != "requested":
        raise WrongState(f"the redemption is {row['state']} already", ("id",))
    return row


async def _settle(
    w: Work, redemption_id: int, state: str, *, given: str | None = None, reason: str | None = None
) -> None:
    await w.sql.execute(
        """UPDATE redemptions SET state = $3, given = $4, reason = $5, settled_at = $6
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, redemption_id, state, given, reason, w.now,
    )  # fmt: skip
