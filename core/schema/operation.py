"""One operation from its text to its answer: what is checked, in which order, and what follows.

`Schema.execute` goes through `Operation.answer`; `Schema.stream`, for what is answered over a
WebSocket or as server-sent events, through `Operation.results`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from contextlib import aclosing
from inspect import isawaitable
from typing import Any, Protocol, cast

from graphql import GraphQLError, GraphQLSchema
from graphql import OperationType as Kind
from graphql.execution import (
    Executor,
    create_source_event_stream,
    execute_subscription_event,
    map_source_to_response_event,
)
from strawberry.exceptions import MissingQueryError
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from core.schema.budget import Bounds
from core.schema.context import Context
from core.schema.costs import Prices
from core.schema.errors import COST_EXCEEDED, FORBIDDEN, presented
from core.schema.executor.prepared import Prepared
from core.schema.known import AMBIGUOUS, Known, KnownDocuments
from core.schema.live import timed_out
from core.schema.reads import ReadLog, Seen, seen
from core.schema.spending import spend
from core.schema.variables import check_variables

NO_REQUEST = (MissingQueryError, CannotGetOperationTypeError, InvalidOperationTypeError)
"""What is refused before there is an operation, as a fault of the HTTP request."""


class OfSchema(Protocol):
    """What operations need of their schema."""

    _schema: GraphQLSchema
    execution_context_class: type[Executor[Any]]
    known: KnownDocuments
    prices: Prices
    reads: ReadLog


class Operation:
    """One operation of a caller."""

    def __init__(
        self,
        schema: OfSchema,
        context: Context,
        text: str | None,
        variables: dict[str, Any] | None,
        name: str | None,
    ) -> None:
        self._schema = schema
        self._context = context
        self._text = text
        self._variables = variables or {}
        self._name = name
        self._named = name
        """The name that the document gives it, if the request gives none."""
        self._hides = not context.installation.settings.introspection
        """Whether the schema is nobody's business."""
        self._kind = Kind.QUERY
        self._seen = Seen()
        self._cost: dict[str, Any] = {}

    async def answer(self, allowed: Sequence[Kind]) -> ExecutionResult:
        """Its result, if it is of a kind that is allowed here. Raises one of NO_REQUEST."""
        result: ExecutionResult | None = None
        try:
            known = await self._accepted(allowed)
            if isinstance(known, list):
                result = _refused(known)
            else:
                result = await self._executed(self._begun, known)
        except NO_REQUEST:
            raise
        except Exception as error:
            result = _refused([_told(error)])
        finally:
            await self._audit(result)
        return self._presented(result)

    async def results(self, allowed: Sequence[Kind]) -> AsyncGenerator[ExecutionResult]:
        """As `answer`, for what lasts too: a subscription has a result for each of its events.

        What is refused is a PreExecutionError. Nothing is raised.
        """
        try:
            async with aclosing(self._unaudited(allowed)) as results:
                async for result in results:
                    await self._audit(result)
                    yield self._presented(result)
        finally:
            await self._audit(None)

    async def _unaudited(self, allowed: Sequence[Kind]) -> AsyncGenerator[ExecutionResult]:
        try:
            known = await self._accepted(allowed)
            if isinstance(known, list):
                yield _refused(known)
            elif self._kind is Kind.SUBSCRIPTION:
                async with aclosing(self._events(known)) as events:
                    async for event in events:
                        yield event
            else:
                yield await self._executed(self._begun, known)
        except NO_REQUEST as error:
            yield _refused([GraphQLError(why_none(error))])
        except Exception as error:
            yield _refused([_told(error)])

    async def _events(self, known: Known) -> AsyncGenerator[ExecutionResult]:
        executor = self._built(known)
        if isinstance(executor, list):
            yield _refused(executor)
            return
        source: Any = create_source_event_stream(executor)
        if isawaitable(source):
            source = await source
        if not isinstance(source, AsyncIterable):
            yield _refused(source.errors)
            return
        events = map_source_to_response_event(executor, source, self._event)
        async with aclosing(events):
            async for event in events:
                yield cast("ExecutionResult", event)

    async def _event(self, executor: Executor[Any]) -> Any:
        """The answer to one event, which may take as much as any other."""
        seconds = self._context.installation.settings.request_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._executed(execute_subscription_event, executor)
        except TimeoutError:
            return timed_out(seconds, self._context.request_id)

    async def _accepted(self, allowed: Sequence[Kind]) -> Known | list[GraphQLError]:
        """Its document, or why it is not executed. Raises one of NO_REQUEST."""
        await self._begin()
        try:
            known = self._find()
        except GraphQLError as error:
            return [error]
        self._kind = known.operation(self._name).operation
        if self._kind not in allowed:
            raise InvalidOperationTypeError(OperationType(self._kind.value))
        return await self._faults(known) or known

    async def _executed(self, begin: Callable[[Any], Any], given: Any) -> ExecutionResult:
        """What comes of it within its bounds; `begin` is as Prepared.execute."""
        bounds = self._bounds()
        with bounds:
            done = begin(given)
            if isinstance(done, list):
                return _refused(done)
            if isawaitable(done):
                done = await done
        result = ExecutionResult(done.data, done.errors)
        await bounds.settle(result)
        return result

    def _begun(self, known: Known) -> Any:
        """Its execution, as in Prepared.execute."""
        prepared = known.prepared.get(self._name)
        if prepared is not None:
            kind = self._schema.execution_context_class
            return prepared.execute(kind, self._context, self._variables)
        built = self._built(known)
        if isinstance(built, list):
            return built
        known.prepared[self._name] = Prepared(built)
        return built.execute_operation()

    def _built(self, known: Known) -> Executor[Any] | list[GraphQLError]:
        """An executor, or what is wrong with the variables."""
        return self._schema.execution_context_class.build(
            self._schema._schema, known.document, None, self._context, self._variables,
            self._name, hide_suggestions=self._hides,
            is_awaitable=cast("Any", optimized_is_awaitable),
        )  # fmt: skip

    def _bounds(self) -> Bounds:
        """What its execution may take."""
        asked = {"query": self._text, "variables": self._variables, "operation": self._name}
        return Bounds(self._context, self._kind, asked)

    async def _begin(self) -> None:
        """Note whose contact data is shown from now on; look at a connection's rights again.

        A WebSocket's token was looked at when it connected: it may have ended.
        """
        seen.set(self._seen)
        if self._context.lasting:
            await self._context.renew()

    def _find(self) -> Known:
        """Its document. Raises GraphQLError, MissingQueryError."""
        if not self._text:
            raise MissingQueryError
        known = self._schema.known.find(self._text)
        if self._name is None and known.operations and known.operations[0].name is not None:
            self._named = known.operations[0].name.value
        return known

    async def _faults(self, known: Known) -> list[GraphQLError]:
        """Why it is not executed: what is refused before it is validated comes first."""
        if known.introspects and self._hides:
            return [_error("introspection is switched off on this server", FORBIDDEN)]
        if fault := check_variables(self._variables):
            return [_error(fault, COST_EXCEEDED)]
        cost = self._schema.prices.cost(known, self._name, self._variables)
        if error := await spend(self._context, cost, self._cost):
            return [error]
        if self._name is None and len(known.operations) > 1:
            return [GraphQLError(AMBIGUOUS)]
        return known.invalid(self._schema._schema, self._hides)

    async def _audit(self, result: Any) -> None:
        """Audit what it showed, before the answer leaves; without an entry there is no answer."""
        data = self._seen.take()
        if data is not None:
            context = self._context
            data |= {"operation": self._named, "request": context.request_id}
            error = await self._schema.reads.record(context, data)
            if error is not None and result is not None:
                result.data, result.errors = None, [error]

    def _presented(self, result: ExecutionResult) -> ExecutionResult:
        """The result, every error with its code and request id, and with its `extensions`."""
        if result.errors:
            request_id = self._context.request_id
            result.errors = [presented(error, request_id) for error in result.errors]
        result.extensions = self._extensions()
        return result

    def _extensions(self) -> dict[str, Any]:
        """The answer's `extensions`."""
        told: dict[str, Any] = {"requestId": self._context.request_id}
        if self._cost:
            told["cost"] = self._cost
        return told


def why_none(error: Exception, method: str = "GET") -> str:
    """What is wrong with a request by one of NO_REQUEST."""
    if isinstance(error, CannotGetOperationTypeError):
        return error.as_http_error_reason()
    if isinstance(error, InvalidOperationTypeError):
        return error.as_http_error_reason(cast("Any", method))
    return "No GraphQL query found in the request"


def _refused(errors: list[GraphQLError]) -> ExecutionResult:
    return PreExecutionError(None, errors)


def _error(message: str, code: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})


def _told(error: Exception) -> GraphQLError:
    if isinstance(error, GraphQLError):
        return error
    return GraphQLError(str(error), original_error=error)
