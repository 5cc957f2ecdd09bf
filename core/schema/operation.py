"""One operation from its text to its answer: what is checked, in which order, and what follows.

`Schema.execute` goes through `Operation.answer`. What is streamed, over a WebSocket or as
server-sent events, goes through Strawberry, which calls the same steps by `Streamed`.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from inspect import isawaitable
from typing import Any, Protocol, cast

from graphql import GraphQLError, GraphQLSchema
from graphql import OperationType as Kind
from graphql.execution import Executor
from strawberry.exceptions import MissingQueryError
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from core.schema.budget import Bounds
from core.schema.context import Context
from core.schema.costs import Prices
from core.schema.errors import COST_EXCEEDED, FORBIDDEN, presented
from core.schema.executor.prepared import Prepared
from core.schema.known import AMBIGUOUS, PARSING, Known, KnownDocuments
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
        self._seen = Seen()
        self._cost: dict[str, Any] = {}

    async def answer(self, allowed: Sequence[Kind]) -> ExecutionResult:
        """Its result, if it is of a kind that is allowed here. Raises one of NO_REQUEST."""
        result: ExecutionResult | None = None
        try:
            result = await self._executed(allowed)
        except NO_REQUEST:
            raise
        except Exception as error:
            result = _refused([_told(error)])
        finally:
            await self.audit(result)
        self.present(result)
        result.extensions = self.told()
        return result

    async def _executed(self, allowed: Sequence[Kind]) -> ExecutionResult:
        await self.begin()
        try:
            known = self.find()
        except GraphQLError as error:
            return _refused([error])
        node = known.operation(self._name)
        if node.operation not in allowed:
            raise InvalidOperationTypeError(OperationType(node.operation.value))
        if faults := await self.faults(known):
            return _refused(faults)
        bounds = self.bounds(node.operation)
        with bounds:
            done = self._begun(known)
            if isinstance(done, list):
                return _refused(done)
            if isawaitable(done):
                done = await done
        result = ExecutionResult(done.data, done.errors)
        await bounds.settle(result)
        return result

    def _begun(self, known: Known) -> Any:
        """Its execution, as in Prepared.execute."""
        kind = self._schema.execution_context_class
        prepared = known.prepared.get(self._name)
        if prepared is not None:
            return prepared.execute(kind, self._context, self._variables)
        built = kind.build(
            self._schema._schema, known.document, None, self._context, self._variables,
            self._name, hide_suggestions=self._hides,
            is_awaitable=cast("Any", optimized_is_awaitable),
        )  # fmt: skip
        if isinstance(built, list):
            return built
        known.prepared[self._name] = Prepared(built)
        return built.execute_operation()

    def bounds(self, kind: Kind) -> Bounds:
        """What its execution may take."""
        asked = {"query": self._text, "variables": self._variables, "operation": self._name}
        return Bounds(self._context, kind, asked)

    async def begin(self) -> None:
        """Note whose contact data is shown from now on; look at a connection's rights again.

        A WebSocket's token was looked at when it connected: it may have ended.
        """
        seen.set(self._seen)
        if self._context.lasting:
            await self._context.renew()

    def find(self) -> Known:
        """Its document. Raises GraphQLError, MissingQueryError."""
        if not self._text:
            raise MissingQueryError
        known = self._schema.known.find(self._text)
        if self._name is None and known.operations and known.operations[0].name is not None:
            self._named = known.operations[0].name.value
        return known

    async def faults(self, known: Known) -> list[GraphQLError]:
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

    async def audit(self, result: Any) -> None:
        """Audit what it showed, before the answer leaves; without an entry there is no answer."""
        data = self._seen.take()
        if data is not None:
            context = self._context
            data |= {"operation": self._named, "request": context.request_id}
            error = await self._schema.reads.record(context, data)
            if error is not None and result is not None:
                result.data, result.errors = None, [error]

    def present(self, result: Any) -> None:
        """Give every top-level error its code and request id."""
        if result.errors:
            request_id = self._context.request_id
            result.errors = [presented(error, request_id) for error in result.errors]

    def told(self) -> dict[str, Any]:
        """The answer's `extensions`."""
        told: dict[str, Any] = {"requestId": self._context.request_id}
        if self._cost:
            told["cost"] = self._cost
        return told


class Streamed(SchemaExtension):
    """The steps of an operation whose results are streamed."""

    _operation: Operation
    _known: Known
    _fault: GraphQLError | None = None

    async def on_operation(self) -> AsyncIterator[None]:
        execution = self.execution_context
        schema: Any = execution.schema
        self._operation = Operation(
            schema, execution.context, execution.query, execution.variables,
            execution._provided_operation_name,
        )  # fmt: skip
        await self._operation.begin()
        try:
            yield
        finally:
            await self._operation.audit(None)

    def on_parse(self) -> Iterator[None]:
        execution = self.execution_context
        execution.parse_options.update(PARSING)
        try:
            self._known = self._operation.find()
            execution.graphql_document = self._known.document
        except GraphQLError as error:
            self._fault = error  # if that is how it is written it is parsed again, and fails again
        yield

    async def on_validate(self) -> AsyncIterator[None]:
        fault = self._fault
        faults = await self._operation.faults(self._known) if fault is None else [fault]
        self.execution_context.pre_execution_errors = faults
        yield

    async def on_execute(self) -> AsyncIterator[None]:
        execution = self.execution_context
        bounds = self._operation.bounds(Kind(execution.operation_type.value))
        with bounds:
            yield
        if execution.result is not None:
            await bounds.settle(execution.result)

    async def on_stream_result(self, result: Any) -> AsyncIterator[None]:
        await self._operation.audit(result)
        self._operation.present(result)
        yield None

    def get_results(self) -> dict[str, Any]:
        return self._operation.told()


def _refused(errors: list[GraphQLError]) -> ExecutionResult:
    return ExecutionResult(None, errors)


def _error(message: str, code: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})


def _told(error: Exception) -> GraphQLError:
    if isinstance(error, GraphQLError):
        return error
    return GraphQLError(str(error), original_error=error)
