"""An operation of a document, ready for each of its requests."""

from collections.abc import Mapping
from typing import Any, cast

from graphql import GraphQLError, GraphQLInputType, Undefined, is_leaf_type, is_non_null_type
from graphql.execution import Executor as StockExecutor
from graphql.execution.get_variable_signature import (
    GraphQLVariableSignature,
    get_variable_signature,
)
from graphql.execution.values import (
    VariableValues,
    VariableValueSource,
    get_variable_values,
    input_is_nested_too_deeply,
)
from graphql.utilities.coerce_input_value import coerce_input_value

from core.schema.executor.executor import Executor
from core.schema.executor.run import Run

MAX_ERRORS = 50
"""As many faults of variables are told at most."""


class Prepared:
    """What the stock executor finds out anew for each request, of an executor that it built."""

    def __init__(self, built: StockExecutor[Any]) -> None:
        self._schema = built.schema
        self._definitions = built.fragment_definitions
        self._fragments = built.fragments
        self._operation = built.operation
        self._root_type = built.schema.get_root_type(built.operation.operation)
        self._plans = built.plans if isinstance(built, Executor) else None
        self._resolvers = (
            built.field_resolver, built.type_resolver, built.subscribe_field_resolver
        )  # fmt: skip
        self._options: dict[str, Any] = {
            "is_awaitable": built.is_awaitable, "hide_suggestions": built.hide_suggestions,
        }  # fmt: skip
        # the stock executor would not have been built with a signature that is an error
        self._variables = [
            cast("GraphQLVariableSignature", get_variable_signature(self._schema, node))
            for node in self._operation.variable_definitions or ()
        ]

    def execute(
        self, kind: type[StockExecutor[Any]], context: Any, given: Mapping[str, Any]
    ) -> Any:
        """What the operation comes to, by this kind of executor.

        A result or what can be awaited for one, or a list of what is wrong with its variables.
        """
        values = self.values(given)
        if isinstance(values, list):
            return values

        def build(run: Run | None = None) -> StockExecutor[Any]:
            options = self._options if run is None else {**self._options, "run": run}
            return kind(
                self._schema, self._definitions, self._fragments, None, context, self._operation,
                values, *self._resolvers, **options,
            )  # fmt: skip

        answer = None
        if self._plans is not None and issubclass(kind, Executor):
            assert self._root_type is not None
            answer = Run(self._plans, values, context, build).answer(self._root_type)
        return build().execute_operation() if answer is None else answer

    def values(self, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        """The variables' values, or what is wrong with them."""
        return self._values(given) or get_variable_values(
            self._schema, self._operation.variable_definitions or (), dict(given), MAX_ERRORS,
            self._options["hide_suggestions"],
        )  # fmt: skip

    def _values(self, given: Mapping[str, Any]) -> VariableValues | None:
        """As they usually are; None where the stock way has to tell faults or find defaults."""
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for one in self._variables:
            value = given.get(one.name, Undefined)
            sources[one.name] = VariableValueSource(one, value)
            if value is Undefined:
                if one.default is not None or is_non_null_type(one.type):
                    return None
                continue
            found = _coerced(value, one.type)
            if found is Undefined:
                return None
            coerced[one.name] = found
        return VariableValues(sources, coerced)


def _coerced(value: Any, type_: GraphQLInputType) -> Any:
    if is_non_null_type(type_):
        if value is None:
            return Undefined
        type_ = type_.of_type
    if value is None:
        return None
    try:
        if is_leaf_type(type_):
            return type_.coerce_input_value(value)
        deep = input_is_nested_too_deeply(value, type_)
        return Undefined if deep else coerce_input_value(value, type_)
    except Exception:  # the stock way raises it again, and tells it
        return Undefined
