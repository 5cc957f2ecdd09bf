"""The web application: GraphQL, GraphiQL, customers' pages, downloads, health and metrics."""

import asyncio
import contextlib
import gc
import logging
import math
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from core.domain.connections.attempts import PATH as CONNECT_PATH
from core.installation import Installation, open_installation
from core.protocol import Protocol
from core.schema import downloads, graphiql
from core.schema.build import build_schema
from core.schema.http import Endpoint, protocol_error
from core.schema.public import confirm, connect, hooks, preferences, tracking, unsubscribe
from core.schema.requests import JSON_BYTES, Metrics, Requests
from core.settings import Settings, SettingsError
from core.storage import outbox
from core.storage.database import SYSTEM

logger = logging.getLogger(__name__)

READY_SECONDS = 2
SHUTDOWN_SECONDS = 20
NEW_OBJECTS = 5_000
"""So many more objects than before, and the collector looks for garbage among them."""
UNREAD_SECONDS = 60
"""A client that takes nothing of what was sent for so long is gone: its memory is freed."""


def create_app(installation: Installation) -> Starlette:
    """The application of an opened installation. Raises RegistryError, SettingsError."""
    endpoint = Endpoint(build_schema(installation.registry), installation)
    metrics = Metrics()
    settings = installation.settings

    async def leave(request: Request) -> Response:
        return await unsubscribe.answer(installation, request)

    async def confirmed(request: Request) -> Response:
        return await confirm.answer(installation, request)

    async def preferred(request: Request) -> Response:
        return await preferences.answer(installation, request)

    async def clicked(request: Request) -> Response:
        return await tracking.follow(installation, request)

    async def clicked_short(request: Request) -> Response:
        return await tracking.follow(installation, request, short=True)

    async def opened(request: Request) -> Response:
        return await tracking.opened(installation, request)

    async def hooked(request: Request) -> Response:
        return await hooks.answer(installation, request)

    async def connected(request: Request) -> Response:
        return await connect.answer(installation, request)

    async def download(request: Request) -> Response:
        return await downloads.answer(installation, request)

    async def ready(request: Request) -> Response:
        fault = await _fault(installation)
        return JSONResponse({"ready": fault is None, "fault": fault}, 200 if fault is None else 503)

    async def measured(request: Request) -> Response:
        metrics.events_set_aside.set(await _events_set_aside(installation))
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    routes: list[BaseRoute] = [
        Route("/unsubscribe/{token}", leave, methods=["GET", "POST"]),
        Route("/consent/confirm", confirmed, methods=["GET", "POST"]),
        Route("/preferences", preferred, methods=["GET", "POST"]),
        Route("/t/c/{token}", clicked),
        Route("/s/{token}", clicked_short),
        Route("/t/o/{token}", opened),
        Route("/downloads/{link}", download),
        Route(CONNECT_PATH, connected),
        Route("/hooks/{route}/{token}", hooked, methods=["GET", "POST", "PUT", "DELETE"]),
        Route("/healthz", _alive),
        Route("/readyz", ready),
        Route("/metrics", measured),
    ]
    if settings.graphiql:
        routes += [
            Route("/", _to_graphiql),
            Route("/graphiql", graphiql.show),
            Route("/graphiql/operations", graphiql.show_examples),
            Mount("/graphiql/static", StaticFiles(directory=graphiql.STATIC)),
        ]
    middleware = [Middleware(Requests, metrics=metrics, max_upload_bytes=settings.max_upload_bytes)]
    if settings.cors_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "graphql-require-preflight",
                               "x-request-id"],
                expose_headers=["x-request-id", "retry-after"],
            )
        )  # fmt: skip
    handlers = {HTTPException: _refuse}
    return Application(endpoint, middleware, routes=routes, exception_handlers=handlers)


class Application(Starlette):
    """Starlette's application; /graphql goes through the same middleware, and past the rest."""

    def __init__(self, endpoint: Endpoint, middleware: list[Middleware], **options: Any) -> None:
        super().__init__(middleware=middleware, **options)
        self.state.live, self.state.schema = endpoint.live, endpoint.schema
        self._graphql: ASGIApp = endpoint
        for kind, args, named in reversed(middleware):
            self._graphql = kind(self._graphql, *args, **named)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path", "").removesuffix("/") == "/graphql":
            scope["app"] = self
            await self._graphql(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def serve_forever(settings: Settings, runner_class: Any | None) -> None:
    """Serve until SIGINT or SIGTERM; with a runner class, do the background work too.

    Requests under way are answered before the end. Raises SettingsError when the address cannot
    be listened on, and what `open_installation` raises.
    """
    listener = listen(settings.host, settings.port)
    try:
        async with open_installation(settings) as installation:
            app = create_app(installation)
            _spare_what_stays()
            installation.signals.start()
            try:
                async with _running(installation, runner_class):
                    await _serve(app, listener, settings)
            finally:
                await installation.signals.stop()
    finally:
        listener.close()


@contextlib.asynccontextmanager
async def _running(installation: Installation, runner_class: Any | None) -> AsyncIterator[None]:
    if runner_class is None:
        yield
        return
    runner = runner_class(installation)
    await runner.start()
    try:
        yield
    finally:
        await runner.stop()


def _spare_what_stays() -> None:
    """Keep the collector of garbage off the modules and the schema, which live as long as we do.

    They are most of the process's objects: looking through them again and again took as much time
    as answering. What an answer leaves behind is looked through more seldom, too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Raises SettingsError that says what to do."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}: {error.strerror}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # its connections take it over
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
        listener.bind(address)
        listener.listen(socket.SOMAXCONN)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another address with "
            "--host and --port, or HUIKE_HOST and HUIKE_PORT"
        ) from None
    return listener


class _Server(uvicorn.Server):
    """Leaves the signals to this process, which has more to end than the server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(app: Starlette, listener: socket.socket, settings: Settings) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        http=Protocol,
        ws="websockets-sansio",
        ws_max_size=JSON_BYTES,
        lifespan="off",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        server_header=False,
    )
    server = _Server(config)

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True
        app.state.live.close()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    page = "/graphiql" if settings.graphiql else "/graphql"
    logger.info("listening on http://%s:%s%s", shown, port, page)
    try:
        await server.serve([listener])
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _refuse(request: Request, error: HTTPException) -> Response:
    """What no route takes, and what a route takes by other methods only."""
    if error.status_code == 404:
        message = "there is nothing at this path; the API is at /graphql"
    else:
        message = error.detail
    return protocol_error(request.scope, error.status_code, message, None, headers=error.headers)


async def _fault(installation: Installation) -> str | None:
    try:
        async with asyncio.timeout(READY_SECONDS), installation.db.read(SYSTEM) as session:
            await session.sql.fetchval("SELECT 1")
    except Exception as error:  # whatever it is, this process cannot work
        logger.warning("not ready: %r", error)
        return "the database does not answer"
    return None


async def _events_set_aside(installation: Installation) -> float:
    try:
        async with asyncio.timeout(READY_SECONDS):
            return await outbox.count_aside(installation.db)
    except Exception as error:  # the other figures are to be had all the same
        logger.warning("events cannot be counted: %r", error)
        return math.nan


async def _alive(request: Request) -> Response:
    return PlainTextResponse("ok")


async def _to_graphiql(request: Request) -> Response:
    return RedirectResponse("/graphiql", 307)
