"""A connection that lasts asks for its caller's rights before each operation."""

from collections.abc import AsyncIterator

from strawberry.extensions import SchemaExtension

from core.schema.context import Context


class RenewRights(SchemaExtension):
    """A WebSocket's token was looked at when it connected: look again, it may have ended."""

    async def on_operation(self) -> AsyncIterator[None]:
        context: Context = self.execution_context.context
        if context.lasting:
            await context.renew()
        yield
