"""An SMTP server for tests, demos and benchmarks: it takes messages and writes down each one.

Run it in a process of its own with `python -m core.testing.smtp --port 0 --log FILE`; it prints
the port that it listens on. The local part of a recipient may ask for an answer: `fail550...` and
`retry450...` are answered with that code, `drop...` closes the connection after the final dot
without an answer, `lost...` does so without taking the message, `hang...` never answers.
"""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO, cast

import click

EXTENSIONS = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 52428800\r\n"
CODE = re.compile(r"(?:fail|retry)(\d{3})")
MESSAGE_ID = re.compile(rb"^message-id:[ \t]*<([^>\r\n]*)>", re.I | re.M)
END_OF_DATA = b"\r\n.\r\n"


@dataclass
class Sink:
    """What arrived, in order: (Message-ID, recipient), and the last messages' bytes."""

    port: int = 0
    accepted: list[tuple[str, str]] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    keep: int = 100
    log: TextIO | None = None

    def take(self, message_id: str, recipient: str, data: bytes) -> None:
        """Write a message down; called before the server says that it has it."""
        if self.log is not None:
            self.log.write(f"{message_id}\t{recipient}\n")
            self.log.flush()
            return
        self.accepted.append((message_id, recipient))
        self.messages.append(data)
        del self.messages[: -self.keep]


class Conversation(asyncio.Protocol):
    """One client's connection; what it hands over is written down in the sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._answer = bytearray()
        self._reading_data = False
        self._searched = 0
        self._recipient = ""
        self._sender = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio.Transport
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._transport.is_closing():
            if not (self._take_message() if self._reading_data else self._take_command()):
                self._flush()
                return

    def _flush(self) -> None:
        if self._answer and not self._transport.is_closing():
            self._transport.write(bytes(self._answer))
        self._answer.clear()

    def _take_command(self) -> bool:
        end = self._buffer.find(b"\n")
        if end < 0:
            return False
        line = bytes(self._buffer[:end]).strip()
        del self._buffer[: end + 1]
        verb = line[:4].upper()
        answer = self._answers.get(verb)
        self._answer += answer(self, line) if answer else b"502 5.5.1 unknown command\r\n"
        if verb == b"QUIT":
            self._flush()
            self._transport.close()
        return True

    def _take_message(self) -> bool:
        if self._buffer.startswith(b".\r\n"):
            self._buffer[:0] = b"\r\n"  # an empty message
        end = self._buffer.find(END_OF_DATA, max(0, self._searched - len(END_OF_DATA)))
        if end < 0:
            self._searched = len(self._buffer)
            return False
        data = bytes(self._buffer[: end + 2])
        del self._buffer[: end + len(END_OF_DATA)]
        self._reading_data = False
        self._searched = 0
        recipient, self._recipient = self._recipient, ""
        if recipient.startswith("hang"):
            return True
        if recipient.startswith("lost"):
            self._transport.abort()
            return False
        found = MESSAGE_ID.search(data)
        self._sink.take(found.group(1).decode() if found else "", recipient, data)
        if recipient.startswith("drop"):
            self._transport.abort()
            return False
        self._answer += b"250 2.0.0 taken\r\n"
        return True

    def _hello(self, _line: bytes) -> bytes:
        return EXTENSIONS

    def _fine(self, _line: bytes) -> bytes:
        return b"250 2.0.0 ok\r\n"

    def _reset(self, _line: bytes) -> bytes:
        self._recipient = ""
        return b"250 2.0.0 ok\r\n"

    def _mail(self, line: bytes) -> bytes:
        self._recipient = ""
        self._sender = b"<refused@" not in line
        if not self._sender:
            return b"550 5.7.1 sender not allowed\r\n"
        return b"250 2.1.0 ok\r\n"

    def _rcpt(self, line: bytes) -> bytes:
        if not self._sender:
            return b"503 5.5.1 no sender\r\n"
        address = line[line.find(b"<") + 1 : line.find(b">")].decode("ascii", "replace")
        wanted = CODE.match(address)
        if wanted:
            return f"{wanted.group(1)} asked for by the recipient\r\n".encode()
        self._recipient = address
        return b"250 2.1.5 ok\r\n"

    def _data(self, _line: bytes) -> bytes:
        if not self._recipient:
            return b"503 5.5.1 no recipient\r\n"
        self._reading_data = True
        return b"354 go on\r\n"

    def _bye(self, _line: bytes) -> bytes:
        return b"221 2.0.0 bye\r\n"

    _answers: dict[bytes, Callable[["Conversation", bytes], bytes]] = {  # noqa: RUF012
        b"EHLO": _hello, b"HELO": _fine, b"MAIL": _mail, b"RCPT": _rcpt, b"DATA": _data,
        b"RSET": _reset, b"NOOP": _fine, b"QUIT": _bye,
    }  # fmt: skip


@asynccontextmanager
async def smtp_sink(port: int = 0, log: TextIO | None = None) -> AsyncIterator[Sink]:
    """Listen on 127.0.0.1 in this event loop; `sink.port` says where."""
    sink = Sink(log=log)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(sink), "127.0.0.1", port)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()


async def _serve(port: int, log: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with log.open("a", encoding="utf-8") as file:
        async with smtp_sink(port, file) as sink:
            click.echo(sink.port)
            await stop.wait()


@click.command()
@click.option("--port", type=int, default=0, show_default=True, help="0 takes a free one.")
@click.option("--log", type=click.Path(path_type=Path), required=True)
def main(port: int, log: Path) -> None:
    """Take messages and write Message-ID and recipient of each to a file."""
    try:
        import uvloop  # not on every platform

        factory = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(port, log))


if __name__ == "__main__":
    main()
