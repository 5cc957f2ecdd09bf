"""One request of an operation whose plans are known."""

from collections.abc import Awaitable, Callable
from typing import Any

from graphql import ExecutionResult, GraphQLError, GraphQLObjectType, OperationType
from graphql.execution import Executor as StockExecutor
from graphql.execution.values import VariableValues

from core.schema.executor.completion import Completion
from core.schema.executor.faults import Errors
from core.schema.executor.plans import Plans


class Run:
    """What a request's values are completed with, and the errors met meanwhile.

    A stock executor takes a part of the time of a small answer, and few requests need one: it is
    built for the first who asks for it. Nothing in here leads back to it, so that it goes when the
    answer is there, and not with the next collection of garbage.
    """

    def __init__(
        self,
        plans: Plans,
        values: VariableValues,
        context: Any,
        build: Callable[["Run"], StockExecutor[Any]],
    ) -> None:
        self.plans = plans
        self.values = values
        self.context = context
        self.errors = Errors()
        self._build = build
        self._executor: StockExecutor[Any] | None = None

    @property
    def executor(self) -> StockExecutor[Any]:
        """The stock executor, which tells its errors to this request's."""
        if self._executor is None:
            self._executor = self._build(self)
        return self._executor

    def answer(
        self, root_type: GraphQLObjectType, root_value: Any = None
    ) -> Awaitable[ExecutionResult] | None:
        """What the operation comes to; None where only the stock executor knows the way."""
        selection = self.plans.root(self, root_type)
        if selection is None:
            return None
        completion = Completion(self)
        if self.plans.operation.operation is OperationType.QUERY:
            complete = completion.selection
        elif selection.is_serial:
            complete = completion.one_by_one
        else:
            return None
        return self._answered(complete(selection, [root_value], lambda _: None, 0))

    async def _answered(self, done: Awaitable[Any]) -> ExecutionResult:
        data = None
        try:
            data = await self.only(done)
        except GraphQLError as error:
            self.errors.add(error, None)
        if self.errors.several:
            _ = self.executor  # it knows their order
        return ExecutionResult(data, self.errors.errors or None)

    async def only(self, done: Awaitable[Any]) -> Any:
        """The value of a single object. Raises its fault."""
        completed, faults = await done
        if faults:
            raise self.errors.rise(faults[0])
        return completed[0]
