"""GraphQL over HTTP and WebSocket: media types, status codes, JSON for every error."""

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, cast

import orjson
from cross_web import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL

from core.domain.shops.caller import Caller
from core.domain.shops.staff.callers import authenticate_bearer
from core.domain.shops.staff.sessions import Client
from core.installation import Installation
from core.schema.build import Schema
from core.schema.context import Context
from core.schema.errors import BAD_REQUEST, COST_EXCEEDED
from core.schema.live import Live, patient, timed_out
from core.schema.throttle import Throttle
from core.schema.trusted import Refused, SocketHandler, load_documents
from core.schema.variables import check_body

GRAPHQL_JSON = "application/graphql-response+json"
PLAIN_JSON = "application/json"
EVENTS = "text/event-stream"
PREFLIGHT = "graphql-require-preflight"
UPLOAD_FACTOR = 10
"""So many times as long as others may a request with a file take."""


class Endpoint(GraphQL[Context, None]):
    """The endpoint /graphql. Raises SettingsError for a manifest of documents that is no such."""

    graphql_transport_ws_handler_class = SocketHandler

    def __init__(self, schema: Schema, installation: Installation) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL),
            connection_init_wait_timeout=timedelta(seconds=10),
            multipart_uploads_enabled=True,
            allowed_origins=installation.settings.cors_origins,
        )
        self.installation = installation
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
        async with patient(scope, send) as send_in_time:
            if scope["type"] == "websocket":
                await self.run(WebSocket(scope, receive=receive, send=send_in_time))
            else:
                await self._serve(scope, receive, send_in_time)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        media_type = negotiate(request.headers.get("accept"))
        try:
            response = await self._answer(request, media_type)
        except HTTPException as error:
            code = error.code if isinstance(error, Refused) else BAD_REQUEST
            response = protocol_error(scope, *_status(error), media_type, code)
        finally:
            await request.close()  # an uploaded file's temporary copy
        try:
            await response(scope, receive, send)
        finally:
            if isinstance(response, StreamingResponse):
                stream = cast("AsyncGenerator[str]", response.body_iterator)
                await stream.aclose()  # at once, however the client went

    async def _answer(self, request: Request, media_type: str | None) -> Response:
        if media_type is None:
            raise HTTPException(406, f"answers are {GRAPHQL_JSON}, {PLAIN_JSON} or {EVENTS}")
        if request.method == "POST":
            _check_content_type(request)
        response: Response = await self.run(request)
        return response

    def should_render_graphql_ide(self, request: Any) -> bool:
        return False  # it has a page of its own; a GET may carry a documentId alone

    async def parse_http_body(self, request: Any) -> GraphQLRequestData:
        try:
            if request.method == "GET":
                data = self.parse_query_params(request.query_params)
            elif request.content_type.startswith("multipart/"):
                data = await self.parse_multipart(request)
            else:
                body = await request.get_body()
                if fault := check_body(body):
                    raise Refused(400, fault, COST_EXCEEDED)
                data = self.parse_json(body)
        except (AttributeError, TypeError, IndexError):  # a map of files of another shape
            raise HTTPException(400, "the body is not a GraphQL request") from None
        streamed = negotiate(request.headers.get("accept")) == EVENTS
        return self.documents.read(data, "sse" if streamed else "http")

    async def get_context(
        self, request: Request | WebSocket, response: Response | WebSocket
    ) -> Context:
        caller = await self._caller(request.headers.get("authorization"))
        client = Client(
            request.client.host if request.client else None, request.headers.get("user-agent", "")
        )
        lasting = isinstance(request, WebSocket)
        request_id = request.scope["request_id"]
        context = Context(self.installation, caller, request_id, client, lasting)
        context.throttle, context.live = self.throttle, self.live
        context.hurries = True
        return context

    async def _caller(self, authorization: Any) -> Caller | None:
        kind, _, token = str(authorization or "").partition(" ")
        if kind.lower() != "bearer":
            return None
        installation = self.installation
        return await authenticate_bearer(installation.db, installation.registry, token.strip())

    async def on_ws_connect(self, context: Context) -> Any:
        params = context.connection_params or {}
        given = params.get("Authorization") or params.get("authorization")
        if context.caller is None:
            context.caller = await self._caller(given)
        return await super().on_ws_connect(context)

    async def get_sub_response(self, request: Request | WebSocket) -> Response:
        response = await super().get_sub_response(request)
        response.media_type = negotiate(request.headers.get("accept"))
        return response

    async def execute_single(self, *args: Any, **given: Any) -> Any:
        request: Request = args[0] if args else given["request"]
        multipart = request.headers.get("content-type", "").startswith("multipart/")
        try:
            # a file has come in by now, but has to be read and kept
            async with asyncio.timeout(self.seconds * (UPLOAD_FACTOR if multipart else 1)):
                return await super().execute_single(*args, **given)
        except TimeoutError:
            return timed_out(self.seconds, request.scope["request_id"])

    def _stream_result(self, request: Any, result: Any, transport: Any) -> Any:
        # the stock one leaves an operation open whose client goes away
        async def encode(value: Any) -> str:
            response, _ = await self._process_stream_result(request, value, [])
            event: str = transport.encode_next(response, self.encode_json)
            return event

        return lambda: self.live.events(result, encode)

    async def process_result(
        self, request: Any, result: Any, strict: bool = False
    ) -> GraphQLHTTPResponse:
        answer: GraphQLHTTPResponse = await super().process_result(request, result)
        # no resolver ran: there is no data to speak of, not even null
        if result.data is None and result.errors and all(e.path is None for e in result.errors):
            answer.pop("data", None)
        return answer

    def create_response(self, response_data: Any, sub_response: Response) -> Response:
        media_type = sub_response.media_type or PLAIN_JSON
        refused = "data" not in response_data
        status = 400 if refused and media_type == GRAPHQL_JSON else 200
        headers = {}
        wait = response_data.get("extensions", {}).get("cost", {}).get("retryAfter")
        if wait is not None:
            status, headers = 429, {"retry-after": str(wait)}
        return Response(
            self.encode_json(response_data), status, headers, f"{media_type}; charset=utf-8"
        )

    def encode_json(self, data: object) -> str:
        return orjson.dumps(data, default=str).decode()

    def decode_json(self, data: str | bytes) -> object:
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise json.JSONDecodeError(error.msg, "", 0) from None


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


def _check_content_type(request: Request) -> None:
    name = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if name == "multipart/form-data":
        # a page of another site can send this form, but not with one of these headers
        if PREFLIGHT not in request.headers and "authorization" not in request.headers:
            raise HTTPException(
                400, "a multipart request needs the header GraphQL-Require-Preflight"
            )
    elif name != PLAIN_JSON:
        raise HTTPException(415, f"send {PLAIN_JSON}")


def _status(error: HTTPException) -> tuple[int, str]:
    if "subscriptions are not allowed" in error.reason:
        return 406, f"subscriptions are answered as {EVENTS} or over a WebSocket"
    if "not allowed when using GET" in error.reason:
        return 405, error.reason
    return error.status_code, error.reason


def protocol_error(
    scope: Scope, status: int, message: str, media_type: str | None, code: str = BAD_REQUEST
) -> Response:
    """An answer to what is no GraphQL request at all."""
    extensions = {"code": code, "requestId": scope["request_id"]}
    body = orjson.dumps({"errors": [{"message": message, "extensions": extensions}]})
    headers = {"allow": "GET, POST"} if status == 405 else None
    json_type = GRAPHQL_JSON if media_type == GRAPHQL_JSON else PLAIN_JSON
    return Response(body, status, headers, f"{json_type}; charset=utf-8")
