"""What one operation may cost the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graphql import GraphQLError, OperationType

from core.schema.errors import COST_EXCEEDED
from core.storage.connections import Budget, budget


@contextmanager
def limited_statements(most: int) -> Iterator[Budget]:
    """Ends what needs more SQL statements inside of the block.

    A mutation's field that does is undone by itself; those before it stay done.
    """
    given = Budget(most)
    token = budget.set(given)
    try:
        yield given
    finally:
        budget.reset(token)


def refuse_overspent(given: Budget, kind: OperationType, result: Any) -> None:
    """Leave nothing of a query that needed more statements than it had."""
    if given.exceeded and kind is OperationType.QUERY and result is not None:
        message = f"the query needs more than {given.statements} SQL statements: ask for less"
        result.data = None
        result.errors = [GraphQLError(message, extensions={"code": COST_EXCEEDED})]
