"""uvicorn's HTTP protocol, with bounded heads, patience that ends, and answers in one piece."""

import asyncio
import secrets
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from core.schema.errors import BAD_REQUEST, TIMEOUT, error_body

HEAD_BYTES = 64 * 1024
PATIENCE_SECONDS = 60.0
"""How long a connection may take to begin a request, and a request to come in."""
BYTES_PER_SECOND = 500
"""So many bytes give a request another second: a large file takes as long as it takes."""
TOGETHER_BYTES = 64 * 1024
"""What is longer goes out as it is written."""
URL_BYTES = 65_535
"""As much as the parser takes."""


class Protocol(HttpToolsProtocol):
    """Refuses a request whose first line and headers do not end; the parser would take them all.

    One that hardly comes on is refused too: it would hold its connection for ever.
    """

    _open = False
    """Whether a request has begun whose headers are not complete."""
    _taken = 0
    """Bytes that came since then, without those that came with its beginning."""
    _since: float | None = None
    """When the request, or the connection without one, began that is still to come in."""
    _looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(InOnePiece(transport, self.loop))  # type: ignore[arg-type]
        self._since = self.loop.time()
        self._looking = self.loop.call_later(PATIENCE_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._look_no_more()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._look_no_more()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        was_open = self._open
        super().data_received(data)
        if was_open is self._open:
            self._taken += len(data)
        too_long = was_open and self._open and self._taken > HEAD_BYTES
        if too_long and not self.transport.is_closing():
            self._refuse(431, f"the first line and the headers are longer than {HEAD_BYTES} bytes")

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP request that can be read; the rest of the connection is lost."""
        if self._unanswered():
            # its body broke off: the application is not to answer too
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if len(self.url) > URL_BYTES:
            self._refuse(414, f"the URL is longer than {URL_BYTES} bytes: use POST")
        else:
            self._refuse(400, "this is no valid HTTP request")

    def _refuse(self, status: int, message: str, code: str = BAD_REQUEST) -> None:
        request_id = secrets.token_hex(16)
        body = error_body(message, code, request_id)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            "content-type: application/json; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def on_message_begin(self) -> None:
        self._open, self._taken, self._since = True, 0, self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._open = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._since = None
        super().on_message_complete()

    def _look(self) -> None:
        """Hang up if what is awaited is late. One timer for all requests of the connection."""
        now, seconds = self.loop.time(), PATIENCE_SECONDS
        if self._since is not None:
            if self.flow.read_paused:  # we are slow to take it, not they to send it
                self._since, self._taken = now, 0
            seconds += self._since + self._taken / BYTES_PER_SECOND - now
        if seconds > 0:
            self._looking = self.loop.call_later(seconds, self._look)
            return
        if self._open or self._unanswered():
            self._refuse(408, "the request hardly came on", TIMEOUT)
        else:
            self.transport.close()

    def _unanswered(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_started

    def _look_no_more(self) -> None:
        if self._looking is not None:
            self._looking.cancel()


class InOnePiece:
    """A transport that sends together what is written within one turn of the loop.

    An answer's headers and its body would go out by a call of the system and a packet each, and
    wake their reader twice: for short answers as much work as all the rest.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)
        self._bytes += len(data)
        if self._bytes > TOGETHER_BYTES:  # the transport says when its reader is too slow
            self._send()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._send()
        self._transport.set_protocol(protocol)

    def _send(self) -> None:
        written, self._written, self._bytes = self._written, [], 0
        if written:
            self._transport.writelines(written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
