"""The email channel: a few connections, each used again and again."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pydantic import BaseModel

from core.sdk import (
    ChannelSession,
    ContactKind,
    ContentField,
    OutgoingMessage,
    PluginContext,
    Receipt,
    RetryLater,
)
from plugins.email.client import Connection, connect
from plugins.email.message import MessageBuilder
from plugins.email.settings import EmailSettings

CONCURRENCY = 20
PROVIDER_ID_LIMIT = 200


class EmailChannel:
    """Sends email over SMTP, one recipient a message."""

    name = "email"
    title = "Email"
    contact: ContactKind = "email"
    fields: tuple[ContentField, ...] = (
        ContentField("subject", "Subject", max_length=500),
        ContentField("html", "Message", html=True),
        ContentField("text", "Message as plain text", required=False, text_of="html"),
    )
    concurrency = CONCURRENCY

    def open(self, settings: BaseModel) -> AbstractAsyncContextManager[ChannelSession]:
        assert isinstance(settings, EmailSettings)
        return _open(settings)


@asynccontextmanager
async def _open(settings: EmailSettings) -> AsyncIterator[ChannelSession]:
    session = EmailSession(settings)
    session.idle.append(await connect(settings))
    try:
        yield session
    finally:
        for connection in session.idle:
            await connection.close()


class EmailSession:
    """The connections of one run; as many as messages are sent at once."""

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._builder = MessageBuilder(settings.from_address, settings.from_name)
        self.idle: list[Connection] = []

    async def send(self, message: OutgoingMessage) -> Receipt:
        recipient, data = self._builder.build(message)
        connection = self._take()
        if connection is not None:
            try:
                return await self._send(connection, recipient, data)
            except RetryLater:
                if connection.usable:
                    raise
                # a connection that the server had closed meanwhile: nothing was sent
        return await self._send(await connect(self._settings), recipient, data)

    async def _send(self, connection: Connection, recipient: str, data: bytes) -> Receipt:
        try:
            answer = await connection.send(self._settings.from_address, recipient, data)
        finally:
            if connection.usable:
                self.idle.append(connection)
            else:
                connection.abort()
        return Receipt(answer[:PROVIDER_ID_LIMIT])

    def _take(self) -> Connection | None:
        while self.idle:
            connection = self.idle.pop()
            if connection.usable:
                return connection
            connection.abort()
        return None


async def check_settings(settings: BaseModel) -> None:
    """Connect, encrypt and log in with these settings. Raises an OutsideError."""
    assert isinstance(settings, EmailSettings)
    connection = await connect(settings)
    await connection.close()


async def check_health(context: PluginContext) -> None:
    """The same with the merchant's stored settings."""
    await check_settings(context.settings)
