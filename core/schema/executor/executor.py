"""The executor that a schema is given: level by level where it can, else the stock way."""

from typing import Any

from graphql import GraphQLObjectType, OperationType, get_named_type, is_leaf_type
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from core.schema.executor.completion import Completion
from core.schema.executor.plans import Plans
from core.schema.executor.run import Run


class Executor(StrawberryGraphQLCoreExecutionContext):
    """Executes one operation.

    The schema keeps the plans, as its attribute `plans`. Subscriptions, middleware and anything
    else that changes how all fields are executed leave everything to the stock executor; so do
    mutations with root fields that are odd, up to the value that they return.
    """

    def __init__(self, *args: Any, run: Run | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._run = run
        if run is None and self._is_usual:
            plans = self.schema._strawberry_schema.plans.find(self)  # type: ignore[attr-defined]
            self._run = Run(plans, self.variable_values, self.context_value, lambda _: self)
        if self._run is not None:
            self.collected_errors = self._run.errors
            self._run.errors.executor = self

    @property
    def _is_usual(self) -> bool:
        return bool(
            self.operation.operation is not OperationType.SUBSCRIPTION
            and self.error_propagation
            and self.abort_signal is None
            and not (self.middleware_manager and self.middleware_manager.middlewares)
        )

    @property
    def plans(self) -> Plans | None:
        """Of the operation; None where everything is left to the stock executor."""
        return None if self._run is None else self._run.plans

    def execute_operation(self, serially: bool | None = None) -> Any:
        if self._run is not None:
            root_type = self.schema.get_root_type(self.operation.operation)
            assert root_type is not None
            answer = self._run.answer(root_type, self.root_value)
            if answer is not None:
                return answer
        return super().execute_operation(serially)

    def execute_root_grouped_field_set(
        self, root_type: GraphQLObjectType, root_value: Any, grouped_field_set: Any,
        serially: bool, position_context: Any,
    ) -> Any:  # fmt: skip
        run = self._run
        if run is not None and not serially:
            selection = run.plans.root(run, root_type)
            if selection is not None:
                complete = Completion(run).selection
                return run.only(complete(selection, [root_value], lambda _: None, 0))
        return super().execute_root_grouped_field_set(
            root_type, root_value, grouped_field_set, serially, position_context
        )

    def complete_value(
        self, return_type: Any, field_details_list: Any, info: Any, path: Path, result: Any,
        position_context: Any,
    ) -> Any:  # fmt: skip
        run = self._run
        if (
            run is not None
            and result is not None
            and not isinstance(result, Exception)
            and not is_leaf_type(get_named_type(return_type))
        ):
            shape = run.plans.field(run, info.parent_type, field_details_list)
            if shape.known and shape.type == return_type:
                return run.only(Completion(run).shape(shape, [result], lambda _: path, 1))
        return super().complete_value(
            return_type, field_details_list, info, path, result, position_context
        )
