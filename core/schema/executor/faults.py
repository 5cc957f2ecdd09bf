"""Errors of an operation, in the order in which the stock executor would have met them."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLIncludeDirective,
    GraphQLSkipDirective,
    InlineFragmentNode,
    OperationType,
    SelectionSetNode,
    get_directive_values,
)
from graphql.execution import Executor as StockExecutor
from graphql.execution.executor import CollectedErrors
from graphql.pyutils import Path

Ranks = dict[tuple[str, ...], int]
"""The place of each field among its siblings, in the order of the document."""


present_step: ContextVar[int] = ContextVar("present_step", default=0)
"""How many waits come before errors that the stock executor tells."""


@dataclass(slots=True)
class Fault:
    """An error on its way up to the nearest place that may be null."""

    step: int
    """How many waits came before it."""
    error: GraphQLError


class Told(NamedTuple):
    """An error that has arrived at the place that became null by it, the answer itself for None."""

    step: int
    place: Path | None
    error: GraphQLError


class Errors(CollectedErrors):
    """Collects errors level by level; gives them out as they come depth first.

    Of two errors under one place that became null only those count that came before it did.
    """

    def __init__(self) -> None:
        super().__init__()
        self.executor: StockExecutor[Any] | None = None
        """It has to be there before two errors are compared: it knows their order."""
        self._told: list[Told] = []
        self._rising: dict[int, Fault] = {}
        self._ranks: Ranks | None = None

    def rise(self, fault: Fault) -> GraphQLError:
        """The error of a fault that the stock executor takes further up, to be raised."""
        self._rising[id(fault.error)] = fault
        return fault.error

    def tell(self, fault: Fault, place: Path | None) -> None:
        """Add an error that made the value at `place` null."""
        self._told.append(Told(fault.step, place, fault.error))

    def add(self, error: GraphQLError, path: Path | None) -> None:
        fault = self._rising.get(id(error))
        self._told.append(Told(fault.step if fault else present_step.get(), path, error))

    @property
    def several(self) -> bool:
        """Whether there are errors to be put in order."""
        return len(self._told) > 1

    @property
    def errors(self) -> Any:
        told, self._told = self._told, []
        if len(told) > 1:
            told.sort(key=self.when)
        for one in told:
            super().add(one.error, one.place)
        return super().errors

    def when(self, one: Fault | Told) -> tuple[Any, ...]:
        """When the stock executor meets an error: after its waits, in the document's order."""
        executor = self.executor
        assert executor is not None
        if self._ranks is None:
            self._ranks = _ranks(executor)
        names: tuple[str, ...] = ()
        order: list[int] = []
        for step in one.error.path or ():
            if isinstance(step, int):
                order.append(step)
            else:
                names = (*names, step)
                order.append(self._ranks.get(names, 0))
        serial = executor.operation.operation is OperationType.MUTATION
        return (order[:1] if serial else [], one.step, order)


def _ranks(executor: StockExecutor[Any]) -> Ranks:
    ranks: Ranks = {}

    def walk(selections: SelectionSetNode | None, above: tuple[str, ...]) -> None:
        nodes: Sequence[Any] = selections.selections if selections is not None else ()
        for node in nodes:
            if not _included(executor, node):
                continue
            if isinstance(node, FieldNode):
                names = (*above, node.alias.value if node.alias else node.name.value)
                ranks.setdefault(names, len(ranks))
                walk(node.selection_set, names)
            elif isinstance(node, InlineFragmentNode):
                walk(node.selection_set, above)
            elif isinstance(node, FragmentSpreadNode):
                walk(executor.fragments[node.name.value].definition.selection_set, above)

    walk(executor.operation.selection_set, ())
    return ranks


def _included(executor: StockExecutor[Any], node: Any) -> bool:
    skip, include = (
        get_directive_values(directive, node, executor.variable_values)
        for directive in (GraphQLSkipDirective, GraphQLIncludeDirective)
    )
    return not (skip and skip["if"]) and (include is None or bool(include["if"]))
