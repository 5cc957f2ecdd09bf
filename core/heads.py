"""How much of a request is taken before its headers are complete."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024


class BoundedHeads(HttpToolsProtocol):
    """Refuses a request whose first line and headers do not end; the parser would take them all."""

    _open = False
    """Whether a request has begun whose headers are not complete."""
    _taken = 0
    """Bytes that came since then, without those that came with its beginning."""

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
