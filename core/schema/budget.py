"""What one operation may cost the database."""

from collections.abc import Iterator

from graphql import GraphQLError, OperationType
from strawberry.extensions import SchemaExtension

from core.schema.errors import COST_EXCEEDED
from core.storage.connections import Budget, budget


class LimitStatements(SchemaExtension):
    """Ends a query that needs more SQL statements than `request_statements` of the settings.

    A mutation's field that does is undone by itself; those before it stay done. Subscriptions
    live as long as they like.
    """

    def on_execute(self) -> Iterator[None]:
        context = self.execution_context
        kind = context.operation_type.value
        if kind == OperationType.SUBSCRIPTION.value:
            yield
            return
        settings = context.context.installation.settings
        given = Budget(settings.request_statements)
        token = budget.set(given)
        try:
            yield
        finally:
            budget.reset(token)
        if given.exceeded and kind == OperationType.QUERY.value and context.result is not None:
            message = f"the query needs more than {given.statements} SQL statements: ask for less"
            error = GraphQLError(message, extensions={"code": COST_EXCEEDED})
            context.result.data = None
            context.result.errors = [error]
