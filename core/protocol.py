"""uvicorn's HTTP protocol, with bounded heads and with answers in one piece."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024


class Protocol(HttpToolsProtocol):
    """Refuses a request whose first line and headers do not end; the parser would take them all."""

    _open = False
    """Whether a request has begun whose headers are not complete."""
    _taken = 0
    """Bytes that came since then, without those that came with its beginning."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(InOnePiece(transport, self.loop))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        was_open = self._open
        super().data_received(data)
        if was_open and self._open:
            self._taken += len(data)
            if self._taken > HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response(f"The headers are longer than {HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        self._open, self._taken = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._open = False
        super().on_headers_complete()


class InOnePiece:
    """A transport that sends together what is written within one turn of the loop.

    An answer's headers and its body would go out by a call of the system and a packet each, and
    wake their reader twice: for short answers as much work as all the rest.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._send()
        self._transport.set_protocol(protocol)

    def _send(self) -> None:
        written, self._written = self._written, []
        if written:
            self._transport.writelines(written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
