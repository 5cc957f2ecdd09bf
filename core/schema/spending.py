"""What an operation may cost, and what a token may spend; told with each answer."""

import math
from collections.abc import AsyncIterator
from typing import Any

from graphql import GraphQLError
from strawberry.extensions import SchemaExtension

from core.schema.costs import Prices
from core.schema.errors import COST_EXCEEDED, THROTTLED
from core.schema.variables import check_variables


class LimitCost(SchemaExtension):
    """Refuses what costs too much, before it is validated, and says what an operation costs."""

    def __init__(self) -> None:
        self._told: dict[str, Any] = {}

    async def on_validate(self) -> AsyncIterator[None]:
        if not self.execution_context.pre_execution_errors:
            error = await self._fault()
            if error is not None:
                self.execution_context.pre_execution_errors = [error]
        yield

    async def _fault(self) -> GraphQLError | None:
        execution = self.execution_context
        document = execution.graphql_document
        assert document is not None
        prices: Prices = execution.schema.prices  # type: ignore[attr-defined]
        fault = check_variables(execution.variables) or prices.fault(document)
        if fault is not None:
            return GraphQLError(fault, extensions={"code": COST_EXCEEDED})
        cost = prices.cost(document, execution.operation_name, execution.variables or {})
        context = execution.context
        most = context.installation.settings.max_cost
        if cost > most:
            message = f"the operation costs {cost}, more than {most}: ask for smaller pages"
            return GraphQLError(message, extensions={"code": COST_EXCEEDED})
        self._told = {"requested": cost}
        if context.throttle is None or context.caller is None:
            return None
        throttle, caller = context.throttle, context.caller
        taken = await throttle.take(f"{caller.merchant_id}:{caller.actor}", cost)
        self._told |= {"available": taken.available, "restoreRate": int(throttle.restore_rate)}
        if not taken.wait:
            return None
        seconds = math.ceil(taken.wait)
        self._told["retryAfter"] = seconds
        message = f"this token has asked for too much lately: try again in {seconds} seconds"
        return GraphQLError(message, extensions={"code": THROTTLED})

    def get_results(self) -> dict[str, Any]:
        told: dict[str, Any] = {"requestId": self.execution_context.context.request_id}
        if self._told:
            told["cost"] = self._told
        return told
