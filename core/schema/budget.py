"""What one operation may take of the database: statements, and for a query that waits time."""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError, OperationType

from core.schema.context import Context
from core.schema.errors import COST_EXCEEDED
from core.schema.long_reads import Hurried, long_reads
from core.storage.connections import Budget, budget


class Bounds:
    """Set for the time of an execution; `asked` is what makes a query the same one again.

    What needs more SQL statements than the settings' `request_statements` ends: a query, and an
    event of a subscription, as a whole; a mutation's field is undone by itself, and those before
    it stay done.
    """

    def __init__(self, context: Context, kind: OperationType, asked: Mapping[str, Any]) -> None:
        most = context.installation.settings.request_statements
        self._whole = kind is not OperationType.MUTATION
        self._budget = Budget(most)
        hurries = context.hurries and kind is OperationType.QUERY
        self._reads = Hurried(context, asked) if hurries else None

    def __enter__(self) -> None:
        self._spending = budget.set(self._budget)
        # a job has its own way to read
        self._reading = long_reads.set(self._reads or long_reads.get())

    def __exit__(self, *_: object) -> None:
        long_reads.reset(self._reading)
        budget.reset(self._spending)

    async def settle(self, result: Any) -> None:
        """Leave nothing of a query that needed too much; a job may answer one that takes long."""
        if self._whole and self._budget.exceeded:
            most = self._budget.statements
            message = f"the query needs more than {most} SQL statements: ask for less"
            result.data = None
            result.errors = [GraphQLError(message, extensions={"code": COST_EXCEEDED})]
        elif self._reads is not None:
            await self._reads.settle(result)
