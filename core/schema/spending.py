"""What an operation may cost, and what a token may spend; told with each answer."""

import math
from typing import Any

from graphql import GraphQLError

from core.schema.context import Context
from core.schema.errors import COST_EXCEEDED, THROTTLED


async def spend(context: Context, cost: int, told: dict[str, Any]) -> GraphQLError | None:
    """Take what an operation costs from what its caller's token has; why it may not, or None.

    Into `told` comes what the answer's `extensions` say of it.
    """
    most = context.installation.settings.max_cost
    if cost > most:
        message = f"the operation costs {cost}, more than {most}: ask for smaller pages"
        return GraphQLError(message, extensions={"code": COST_EXCEEDED})
    told["requested"] = cost
    throttle, caller = context.throttle, context.caller
    if throttle is None or caller is None:
        return None
    taken = await throttle.take(f"{caller.merchant_id}:{caller.actor}", cost)
    told["available"], told["restoreRate"] = taken.available, int(throttle.restore_rate)
    if not taken.wait:
        return None
    seconds = told["retryAfter"] = math.ceil(taken.wait)
    message = f"this token has asked for too much lately: try again in {seconds} seconds"
    return GraphQLError(message, extensions={"code": THROTTLED, "retryAfter": seconds})
