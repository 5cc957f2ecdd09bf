"""One SMTP connection after the login: message after message, in as few round trips as may be.

Where the server allows it (PIPELINING, RFC 2920) sender, recipient and the start of the message
travel together. And it is always known whether the server can have the message already.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

REPLY_BYTES = 64 * 1024
GO_ON = 354


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer to one command."""

    code: int
    text: str

    @property
    def fine(self) -> bool:
        return 200 <= self.code < 300

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class SenderRefused(Exception):
    """The server does not take messages from this sender; the text is its answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class MessageRefused(Exception):
    """The server does not take this message or its recipient; the text is its answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Lost(Exception):
    """The connection was lost, or the server fell silent.

    `in_doubt` tells whether the whole message was on its way by then.
    """

    def __init__(self, reason: str, in_doubt: bool) -> None:
        super().__init__(reason)
        self.in_doubt = in_doubt


class Exchange(asyncio.Protocol):
    """Takes a connection over from the library that opened it."""

    def __init__(self, transport: asyncio.BaseTransport, pipelining: bool, seconds: float) -> None:
        # event loops have transports that are no subclass of asyncio.Transport
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._pipelining = pipelining
        self._seconds = seconds
        self._buffer = bytearray()
        self._lines: list[bytes] = []
        self._replies: list[Reply] = []
        self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None
        self._transport.set_protocol(self)

    @property
    def alive(self) -> bool:
        return not self._transport.is_closing()

    def abort(self) -> None:
        """Drop the connection without a word."""
        self._transport.abort()

    async def send(self, sender: str, recipient: str, message: bytes) -> str:
        """Hand one message over; returns the server's answer.

        `message` has CRLF line ends. Raises SenderRefused, MessageRefused or Lost; after the first
        two the connection is ready for the next message, if it is alive.
        """
        start = await self._begin(sender, recipient)
        if start is not None:
            await self._reset(start)
            raise start
        (end,) = await self._ask(message.replace(b"\r\n.", b"\r\n..") + b".\r\n", 1, in_doubt=True)
        if not end.fine:
            refused = MessageRefused(end)
            await self._reset(refused)
            raise refused
        return end.text

    async def quit(self) -> None:
        """Say goodbye."""
        with contextlib.suppress(Lost):
            await self._ask(b"QUIT\r\n", 1)
        self._transport.abort()

    async def _begin(self, sender: str, recipient: str) -> SenderRefused | MessageRefused | None:
        commands = [f"MAIL FROM:<{sender}>\r\n", f"RCPT TO:<{recipient}>\r\n", "DATA\r\n"]
        if self._pipelining:
            replies: Sequence[Reply] = await self._ask("".join(commands).encode("ascii"), 3)
        else:
            replies = []
            for command in commands:
                (reply,) = await self._ask(command.encode("ascii"), 1)
                replies = [*replies, reply]
                if not reply.fine and reply.code != GO_ON:
                    break
        if not replies[0].fine:
            refused: SenderRefused | MessageRefused | None = SenderRefused(replies[0])
        elif not replies[1].fine:
            refused = MessageRefused(replies[1])
        elif replies[2].code != GO_ON:
            refused = MessageRefused(replies[2])
        else:
            return None
        if len(replies) == 3 and replies[2].code == GO_ON:
            await self._ask(b".\r\n", 1)  # the server waits for a message to nobody
        return refused

    async def _reset(self, refused: SenderRefused | MessageRefused) -> None:
        if refused.reply.code == 421:
            self.abort()  # the server is closing the connection
            return
        try:
            await self._ask(b"RSET\r\n", 1)
        except Lost:
            self.abort()

    async def _ask(self, data: bytes, wanted: int, in_doubt: bool = False) -> list[Reply]:
        if self._transport.is_closing():
            raise Lost("the server closed the connection", in_doubt=False)
        self._replies, self._wanted = [], wanted
        self._waiter = self._loop.create_future()
        patience = self._loop.call_later(self._seconds, self._fail, "the server does not answer")
        self._transport.write(data)
        try:
            await self._waiter
        except ConnectionError as error:
            raise Lost(str(error), in_doubt) from None
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            patience.cancel()
            self._waiter = None
        return self._replies

    # -- called by the event loop -----------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > REPLY_BYTES:
            self._fail("the server's answer is too long")
            return
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            self._take_line(line)

    def eof_received(self) -> bool:
        self._fail("the server closed the connection")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(str(exc) if exc else "the server closed the connection")

    def _take_line(self, line: bytes) -> None:
        if not line[:3].isdigit() or len(line) < 3:
            self._fail("the server does not speak SMTP")
            return
        self._lines.append(line[4:])
        if line[3:4] == b"-":
            return
        text = b" ".join(self._lines).decode("utf-8", "replace")
        self._lines = []
        if self._waiter is None:
            # nobody asked: the server takes its leave
            self._transport.abort()
            return
        self._replies.append(Reply(int(line[:3]), text))
        if len(self._replies) == self._wanted and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, reason: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError(reason))
        self._transport.abort()
