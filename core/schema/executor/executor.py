"""The executor that a schema is given: level by level where it can, else the stock way."""

from collections.abc import Awaitable
from typing import Any, cast

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLObjectType,
    OperationType,
    get_named_type,
    is_leaf_type,
)
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from core.schema.executor.completion import Completion
from core.schema.executor.faults import Errors
from core.schema.executor.plans import Plans, Shape


class Executor(StrawberryGraphQLCoreExecutionContext):
    """Executes one operation.

    The schema keeps the plans, as its attribute `plans`. Subscriptions, middleware and anything
    else that changes how all fields are executed leave everything to the stock executor; so do
    mutations with root fields that are odd, up to the value that they return.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._planned: Plans | None = None
        if (
            self.operation.operation is not OperationType.SUBSCRIPTION
            and self.error_propagation
            and self.abort_signal is None
            and not (self.middleware_manager and self.middleware_manager.middlewares)
        ):
            self._planned = self.schema._strawberry_schema.plans.find(self)  # type: ignore[attr-defined]
            errors = self.collected_errors = Errors(self)
            self._completion = Completion(self, errors)

    def execute_operation(self, serially: bool | None = None) -> Any:
        if self._planned is not None:
            root_type = self.schema.get_root_type(self.operation.operation)
            assert root_type is not None
            selection = self._planned.root(self, root_type)
            if self.operation.operation is OperationType.QUERY:
                complete = self._completion.selection
            else:
                complete = self._completion.one_by_one
                if selection is not None and not selection.is_serial:
                    selection = None
            if selection is not None:
                return self._answered(complete(selection, [self.root_value], lambda _: None, 0))
        return super().execute_operation(serially)

    async def _answered(self, done: Awaitable[Any]) -> ExecutionResult:
        data = None
        try:
            data = await self._only(done)
        except GraphQLError as error:
            self.collected_errors.add(error, None)
        return cast("ExecutionResult", self.build_response(data))

    def execute_root_grouped_field_set(
        self, root_type: GraphQLObjectType, root_value: Any, grouped_field_set: Any,
        serially: bool, position_context: Any,
    ) -> Any:  # fmt: skip
        if self._planned is not None and not serially:
            selection = self._planned.root(self, root_type)
            if selection is not None:
                return self._only(
                    self._completion.selection(selection, [root_value], lambda _: None, 0)
                )
        return super().execute_root_grouped_field_set(
            root_type, root_value, grouped_field_set, serially, position_context
        )

    def complete_value(
        self, return_type: Any, field_details_list: Any, info: Any, path: Path, result: Any,
        position_context: Any,
    ) -> Any:  # fmt: skip
        if (
            self._planned is not None
            and result is not None
            and not isinstance(result, Exception)
            and not is_leaf_type(get_named_type(return_type))
        ):
            shape = self._planned.field(self, info.parent_type, field_details_list)
            if shape.known and shape.type == return_type:
                return self._value(shape, result, path)
        return super().complete_value(
            return_type, field_details_list, info, path, result, position_context
        )

    async def _value(self, shape: Shape, result: Any, path: Path) -> Any:
        return await self._only(self._completion.shape(shape, [result], lambda _: path, 1))

    async def _only(self, done: Awaitable[Any]) -> Any:
        completed, faults = await done
        if faults:
            raise self._errors_told().rise(faults[0])
        return completed[0]

    def _errors_told(self) -> Errors:
        assert isinstance(self.collected_errors, Errors)
        return self.collected_errors
