"""What every HTTP request goes through: an id, a limit on its body, and a place in the metrics.

Its headers by name, in small letters, are in its scope as `named_headers`, its id as `request_id`.
"""

import logging
import re
import secrets
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.schema.errors import INTERNAL, unexpected
from core.schema.http import EVENTS, protocol_error

logger = logging.getLogger(__name__)

JSON_BYTES = 5 * 1024**2
UPLOAD_OVERHEAD = 64 * 1024
CLIENT_GONE = 499
"""In the metrics, the status of a request whose client did not wait for an answer."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
ROUTES = (
    "/graphql", "/graphiql", "/unsubscribe", "/consent", "/preferences", "/downloads", "/hooks",
    "/healthz", "/readyz", "/metrics",
)  # fmt: skip


class BodyTooLarge(Exception):
    """The client sent more than the limit."""


class Metrics:
    """Counts and durations of requests by route, and what somebody has to look at."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.count = Counter(
            "huike_http_requests", "Requests answered.", labels, registry=self.registry
        )
        self.seconds = Histogram(
            "huike_http_request_seconds", "Time to the end of the answer.", ("route",),
            registry=self.registry,
        )  # fmt: skip
        self.events_set_aside = Gauge(
            "huike_events_set_aside", "Events that somebody could not handle, of all merchants.",
            registry=self.registry,
        )  # fmt: skip
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def answered(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count an answer, and the time that it took if it was given as a whole."""
        labels = method, route, status
        if labels not in self._counters:
            self._counters[labels] = self.count.labels(method, route, str(status))
            self._timers[route] = self.seconds.labels(route)
        self._counters[labels].inc()
        if seconds is not None:
            self._timers[route].observe(seconds)


class Requests:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics, max_upload_bytes: int) -> None:
        self.app = app
        self.metrics = metrics
        self.max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        given = headers.get("x-request-id", "")
        scope["named_headers"] = headers
        scope["request_id"] = (
            given if given and REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        )
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["named_headers"]
        started = time.monotonic()
        status, streamed = 0, False

        async def tell(message: Message) -> None:
            nonlocal status, streamed
            if message["type"] == "http.response.start":
                status = message["status"]
                streamed = (b"content-type", EVENTS.encode()) in message.get("headers", ())
                message["headers"] = [
                    *message.get("headers", ()), (b"x-request-id", scope["request_id"].encode())
                ]  # fmt: skip
            await send(message)

        limit = self._limit(headers)
        try:
            await self.app(scope, _limited(receive, headers, limit), tell)
        except ClientDisconnect:
            status = status or CLIENT_GONE
        except BodyTooLarge:
            if status:
                raise
            message = f"the request is larger than {limit} bytes"
            response: Response = protocol_error(scope, 413, message, None)
            await response(scope, receive, tell)
        except Exception:
            if status:
                raise
            request_id = scope["request_id"]
            logger.exception("request failed", extra={"request_id": request_id})
            response = protocol_error(scope, 500, unexpected(request_id), None, INTERNAL)
            await response(scope, receive, tell)
        finally:
            path = "/" + scope["path"].split("/")[1]
            route = path if path in ROUTES else "other"
            method = scope["method"] if scope["method"] in ("GET", "POST") else "other"
            # what is streamed lasts as long as somebody looks
            seconds = None if streamed else time.monotonic() - started
            self.metrics.answered(method, route, status or 500, seconds)

    def _limit(self, headers: dict[str, str]) -> int:
        if headers.get("content-type", "").startswith("multipart/form-data"):
            return self.max_upload_bytes + UPLOAD_OVERHEAD
        return JSON_BYTES


def _limited(receive: Receive, headers: dict[str, str], limit: int) -> Receive:
    length = headers.get("content-length", "")
    announced = int(length) if length.isdecimal() and len(length) < 19 else 0
    taken = 0

    async def read() -> Message:
        nonlocal taken
        if announced > limit:
            raise BodyTooLarge
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise BodyTooLarge
        return message

    return read
