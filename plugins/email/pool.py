"""A pool of SMTP connections to one server, each used again and again."""

from core.sdk import MessageClass, Receipt, RetryLater
from plugins.email.client import Connection, connect
from plugins.email.message import Letter, MessageBuilder
from plugins.email.settings import Smtp, provider_name
from plugins.email.verp import return_path

PROVIDER_ID_LIMIT = 200


class SmtpPool:
    """The connections of one run; as many as messages are sent at once."""

    def __init__(self, settings: Smtp, path: str | None) -> None:
        self._settings = settings
        self._path = path
        self._name = provider_name(settings)
        self.idle: list[Connection] = []

    async def open(self) -> None:
        """Connect and log in. Raises Away or ReconnectNeeded."""
        self.idle.append(await connect(self._settings))

    async def deliver(
        self, letter: Letter, builder: MessageBuilder, message_class: MessageClass
    ) -> Receipt:
        data = await builder.signed(letter)
        sender = return_path(self._path, letter.key) if self._path else builder.from_address
        connection = self._take()
        if connection is not None:
            try:
                return await self._send(connection, sender, letter.to, data)
            except RetryLater:
                if connection.usable:
                    raise
                # a connection that the server had closed meanwhile: nothing was sent
        return await self._send(await connect(self._settings), sender, letter.to, data)

    async def check(self) -> None:
        await (await connect(self._settings)).close()

    async def close(self) -> None:
        for connection in self.idle:
            await connection.close()

    async def _send(
        self, connection: Connection, sender: str, recipient: str, data: bytes
    ) -> Receipt:
        try:
            answer = await connection.send(sender, recipient, data)
        finally:
            if connection.usable:
                self.idle.append(connection)
            else:
                connection.abort()
        return Receipt(answer[:PROVIDER_ID_LIMIT], self._name)

    def _take(self) -> Connection | None:
        while self.idle:
            connection = self.idle.pop()
            if connection.usable:
                return connection
            connection.abort()
        return None
