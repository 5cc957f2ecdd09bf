"""Running query documents outside of requests, with rights that are given.

A document runs as a request of its caller would: with the same limits, permissions and masks, and
reads of contact data in bulk are audited.
"""

import asyncio
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from core.domain.shops.caller import Caller
from core.installation import Installation
from core.schema.build import Schema, build_schema
from core.schema.context import Context

SECONDS = 45
"""Less than whoever took the work keeps it: a job's lease, a message's next try."""


class Documents:
    """Runs stored documents. The schema is built when the first one is, unless it is given."""

    def __init__(self, installation: Installation, schema: Schema | None = None) -> None:
        self.installation = installation
        self._given = schema

    @cached_property
    def schema(self) -> Schema:
        return self._given or build_schema(self.installation.registry)

    async def run(
        self,
        caller: Caller,
        document: str,
        variables: Mapping[str, Any],
        request_id: str,
        *,
        operation: str | None = None,
        seconds: float | None = None,
    ) -> ExecutionResult:
        """What the document answers to this caller, in `seconds` if given. Raises TimeoutError."""
        context = Context(self.installation, caller, request_id)
        settings = self.installation.settings
        async with asyncio.timeout(seconds or min(SECONDS, settings.request_seconds)):
            result = await self.schema.execute(
                document, dict(variables), context_value=context, operation_name=operation,
                allowed_operation_types={OperationType.QUERY},
            )  # fmt: skip
        assert isinstance(result, ExecutionResult)
        return result
