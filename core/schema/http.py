"""GraphQL over HTTP and WebSocket: media types, status codes, JSON for every error."""

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any, cast

import orjson
from cross_web import HTTPException
from graphql import OperationType as Kind
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException as UnreadableForm
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http.streaming import SSETransport
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from core.domain.shops.caller import Caller
from core.domain.shops.known_tokens import KnownTokens
from core.domain.shops.staff.callers import authenticate_bearer
from core.domain.shops.staff.sessions import Client
from core.installation import Installation
from core.schema.build import Schema
from core.schema.context import Context
from core.schema.errors import BAD_REQUEST, COST_EXCEEDED, error_body
from core.schema.live import Live, patient, timed_out
from core.schema.operation import NO_REQUEST, Operation, why_none
from core.schema.throttle import Throttle
from core.schema.trusted import Asked, Refused, SocketHandler, load_documents
from core.schema.variables import check_body

GRAPHQL_JSON = "application/graphql-response+json"
PLAIN_JSON = "application/json"
EVENTS = "text/event-stream"
MULTIPART = "multipart/form-data"
PREFLIGHT = "graphql-require-preflight"
SENT_AT_ONCE = 64 * 1024
"""The bytes of an answer that goes out without waiting for its reader."""
PACKED_FROM, PACKING = 500, 5
"""Answers of so many bytes are compressed, by this level of gzip, for clients that take it."""
CONTENT_TYPES = {
    one: f"{one}; charset=utf-8".encode() for one in (GRAPHQL_JSON, PLAIN_JSON)
}  # fmt: skip
ALLOWED = {
    "GET": (Kind.QUERY,),
    "POST": (Kind.QUERY, Kind.MUTATION),
}
UPLOAD_FACTOR = 10
"""So many times as long as others may a request with a file take."""


class Endpoint(GraphQL[Context, None]):
    """The endpoint /graphql. Raises SettingsError for a manifest of documents that is no such."""

    graphql_transport_ws_handler_class = SocketHandler

    def __init__(self, schema: Schema, installation: Installation) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=timedelta(seconds=10),
            max_subscriptions_per_connection=None,  # our handler counts
            allowed_origins=installation.settings.cors_origins,
        )
        self.installation = installation
        self._tokens = KnownTokens(installation.db, installation.signals)
        settings = installation.settings
        schema.config.disable_field_suggestions = not settings.introspection
        self.throttle = (
            Throttle(installation.redis, settings.cost_per_minute, installation.db.clock)
            if settings.cost_per_minute
            else None
        )
        self.documents = load_documents(settings.documents, settings.trusted_only)
        self.live = Live()

    @property
    def seconds(self) -> float:
        """How long an answer may take, unless a file is uploaded."""
        return self.installation.settings.request_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            async with patient(scope, send) as send_in_time:
                await self.run(WebSocket(scope, receive=receive, send=send_in_time))
            return
        media_type = negotiate(scope["named_headers"].get("accept"))
        try:
            response = await self._answer(scope, receive, media_type)
        except HTTPException as error:
            code = error.code if isinstance(error, Refused) else BAD_REQUEST
            response = protocol_error(scope, error.status_code, error.reason, media_type, code)
        await _send(response, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, media_type: str | None) -> Response:
        """The answer to one request. Raises HTTPException."""
        if media_type is None:
            raise Refused(406, f"answers are {GRAPHQL_JSON}, {PLAIN_JSON} or {EVENTS}")
        method = scope["method"]
        multipart = _check_method(method, scope["named_headers"]) == MULTIPART
        context = await self._context(scope)
        form = Request(scope, receive) if multipart else None
        try:
            asked = self.documents.read(await self._body(scope, receive, form))
            if media_type == EVENTS:
                return await self._stream(method, context, asked)
            # a file has come in by now, but has to be read and kept
            async with asyncio.timeout(self.seconds * (UPLOAD_FACTOR if multipart else 1)):
                operation = Operation(
                    cast("Schema", self.schema), context, asked.query, asked.variables,
                    asked.operation_name,
                )  # fmt: skip
                result = await operation.answer(ALLOWED[method])
        except NO_REQUEST as error:
            raise _refused(error, method) from error
        except TimeoutError:
            result = timed_out(self.seconds, context.request_id)
        finally:
            if form is not None:
                await form.close()  # an uploaded file's temporary copy
        return await _response(scope, response_data(result), media_type)

    async def _body(self, scope: Scope, receive: Receive, form: Request | None) -> Any:
        """What a request asks for, not looked at yet. Raises HTTPException."""
        try:
            if scope["method"] == "GET":
                return self.parse_query_params(QueryParams(scope["query_string"]))
            if form is not None:
                return await self.parse_multipart(self.request_adapter_class(form))
        except (AttributeError, TypeError, IndexError, KeyError):  # a map of files of another shape
            raise Refused(400, "the body is not a GraphQL request") from None
        except UnreadableForm as error:
            raise Refused(400, error.detail) from None
        return self.parse_json(await _whole(receive))

    async def _stream(self, method: str, context: Context, asked: Asked) -> Response:
        results = await self.schema.stream(
            asked.query, variable_values=asked.variables, context_value=context,
            operation_name=asked.operation_name,
            allowed_operation_types=OperationType.from_http(cast("Any", method)),
        )  # fmt: skip
        transport = SSETransport()

        async def encode(result: Any) -> str:
            return transport.encode_event("next", self.encode_json(response_data(result)))

        return StreamingResponse(self.live.events(results, encode), headers=transport.headers)

    async def get_context(
        self, request: Request | WebSocket, response: Response | WebSocket
    ) -> Context:
        return await self._context(request.scope)

    async def _context(self, scope: Scope) -> Context:
        headers, client = scope["named_headers"], scope.get("client")
        context = Context(
            self.installation,
            await self._caller(headers.get("authorization")),
            scope["request_id"],
            Client(client[0] if client else None, headers.get("user-agent", "")),
            lasting=scope["type"] == "websocket",
        )
        context.throttle, context.live = self.throttle, self.live
        context.hurries = True
        return context

    async def _caller(self, authorization: Any) -> Caller | None:
        kind, _, token = str(authorization or "").partition(" ")
        if kind.lower() != "bearer":
            return None
        installation = self.installation
        return await authenticate_bearer(
            installation.db, installation.registry, self._tokens, token.strip()
        )

    async def on_ws_connect(self, context: Context) -> Any:
        params = context.connection_params or {}
        given = params.get("Authorization") or params.get("authorization")
        if context.caller is None:
            context.caller = await self._caller(given)
        return await super().on_ws_connect(context)

    def encode_json(self, data: object) -> str:
        return orjson.dumps(data, default=str).decode()

    def decode_json(self, data: str | bytes) -> object:
        """What a body or a message holds. Raises Refused for more values than we read."""
        if fault := check_body(data):
            raise Refused(400, fault, COST_EXCEEDED)
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise json.JSONDecodeError(error.msg, "", 0) from None


@lru_cache(maxsize=100)
def negotiate(accept: str | None) -> str | None:
    """The media type of the answer; None when the client takes none of ours."""
    if not accept:
        return PLAIN_JSON
    best: tuple[float, str] | None = None
    for part in accept.split(","):
        name, *options = (piece.strip().lower() for piece in part.split(";"))
        quality = next((_quality(one[2:]) for one in options if one.startswith("q=")), 1.0)
        ours = PLAIN_JSON if name in ("*/*", "application/*") else name
        if (
            quality > 0
            and ours in (GRAPHQL_JSON, PLAIN_JSON, EVENTS)
            and (best is None or quality > best[0])
        ):
            best = quality, ours
    return best[1] if best else None


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _check_method(method: str, headers: Mapping[str, str]) -> str:
    """The media type of a body; empty without one. Raises HTTPException."""
    if method == "GET":
        return ""
    if method != "POST":
        raise Refused(405, "GraphQL only supports GET and POST requests.")
    name = headers.get("content-type", "").partition(";")[0].strip().lower()
    if name == MULTIPART:
        # a page of another site can send this form, but not with one of these headers
        if PREFLIGHT not in headers and "authorization" not in headers:
            raise Refused(400, "a multipart request needs the header GraphQL-Require-Preflight")
    elif name != PLAIN_JSON:
        raise Refused(415, f"send {PLAIN_JSON}")
    if headers.get("content-encoding", "identity") != "identity":
        raise Refused(415, "send the body as it is, without a Content-Encoding")
    return name


async def _whole(receive: Receive) -> bytes:
    """A body. Raises ClientDisconnect."""
    parts = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _refused(error: Exception, method: str) -> Refused:
    """What is wrong with a request that asks for no operation which it may ask for."""
    if not isinstance(error, InvalidOperationTypeError):
        return Refused(400, why_none(error))
    if error.operation_type is OperationType.SUBSCRIPTION:
        return Refused(406, f"subscriptions are answered as {EVENTS} or over a WebSocket")
    return Refused(405, why_none(error, method))


def response_data(result: ExecutionResult) -> dict[str, Any]:
    """The answer that a result makes."""
    answer: dict[str, Any] = {}
    errors = result.errors
    # if no resolver ran there is no data to speak of, not even null
    if result.data is not None or not errors or any(error.path is not None for error in errors):
        answer["data"] = result.data
    if errors:
        answer["errors"] = [error.formatted for error in errors]
    if result.extensions:
        answer["extensions"] = result.extensions
    return answer


class _Answer(Response):
    """A whole answer, with no more headers than it takes."""

    def __init__(self, body: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.body = body
        self.status_code = status
        self.raw_headers = [*headers, (b"content-length", b"%d" % len(body))]
        self.background = None


async def _response(scope: Scope, answer: dict[str, Any], media_type: str) -> Response:
    refused = "data" not in answer
    status = 400 if refused and media_type == GRAPHQL_JSON else 200
    headers = [(b"content-type", CONTENT_TYPES[media_type]), (b"vary", b"Accept-Encoding")]
    wait = answer.get("extensions", {}).get("cost", {}).get("retryAfter")
    if wait is not None:
        status = 429
        headers.append((b"retry-after", b"%d" % wait))
    body = orjson.dumps(answer, default=str)
    if len(body) >= PACKED_FROM and _takes_gzip(scope["named_headers"].get("accept-encoding")):
        headers.append((b"content-encoding", b"gzip"))
        if len(body) > SENT_AT_ONCE:
            body = await asyncio.to_thread(gzip.compress, body, PACKING)
        else:
            body = gzip.compress(body, PACKING)
    return _Answer(body, status, headers)


@lru_cache(maxsize=100)
def _takes_gzip(encodings: str | None) -> bool:
    for part in (encodings or "").split(","):
        name, *options = (piece.strip().lower() for piece in part.split(";"))
        if name == "gzip":
            return all(_quality(one[2:]) > 0 for one in options if one.startswith("q="))
    return False


async def _send(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    streamed = isinstance(response, StreamingResponse)
    if not streamed and len(response.body) <= SENT_AT_ONCE:
        await response(scope, receive, send)
        return
    async with patient(scope, send) as send_in_time:
        try:
            await response(scope, receive, send_in_time)
        finally:
            if isinstance(response, StreamingResponse):
                stream = cast("AsyncGenerator[str]", response.body_iterator)
                await stream.aclose()  # at once, however the client went


def protocol_error(
    scope: Scope,
    status: int,
    message: str,
    media_type: str | None,
    code: str = BAD_REQUEST,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer to what is no GraphQL request at all."""
    body = error_body(message, code, scope["request_id"])
    if headers is None and status == 405:
        headers = {"allow": "GET, POST"}
    json_type = GRAPHQL_JSON if media_type == GRAPHQL_JSON else PLAIN_JSON
    return Response(body, status, headers, f"{json_type}; charset=utf-8")
