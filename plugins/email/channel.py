"""The email channel: several providers in order, one of which takes each message."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from pydantic import BaseModel

from core.domain.campaigns.receipts import take_receipts
from core.sdk import (
    ChannelSession,
    ContactKind,
    ContentField,
    DeliveryReceipt,
    OutgoingMessage,
    OutsideError,
    PluginContext,
    Receipt,
    ReconnectNeeded,
    RetryLater,
)
from plugins.email.advice import advice
from plugins.email.apis.mailgun import MailgunApi
from plugins.email.apis.postmark import PostmarkApi
from plugins.email.apis.resend import ResendApi
from plugins.email.apis.sendgrid import SendGridApi
from plugins.email.apis.ses import SesApi
from plugins.email.dkim import Signer, read_key
from plugins.email.message import Letter, MessageBuilder
from plugins.email.pacing import Pacing
from plugins.email.pool import SmtpPool
from plugins.email.providers import Away, Deliverer, NoSuchMailbox
from plugins.email.settings import (
    EmailSettings,
    Mailgun,
    Postmark,
    Provider,
    Resend,
    SendGrid,
    Ses,
    provider_name,
)

logger = logging.getLogger(__name__)

CONCURRENCY = 20
AWAY_SECONDS = 60.0
"""So long a provider that is away is passed over, if there is another one."""
FAILOVER_SECONDS = 12.0
"""After so long no further provider is tried: the core's patience with a call has an end."""


class EmailChannel:
    """Sends email, one recipient a message."""

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
        """A session that keeps no count: without warm-up and paces."""
        assert isinstance(settings, EmailSettings)
        return _open(self, settings, None)

    def open_for(self, context: PluginContext) -> AbstractAsyncContextManager[ChannelSession]:
        assert isinstance(context.settings, EmailSettings)
        return _open(self, context.settings, context)

    def advice(self, content: Mapping[str, str]) -> Sequence[tuple[str, str]]:
        return advice(content)


@asynccontextmanager
async def _open(
    channel: EmailChannel, settings: EmailSettings, context: PluginContext | None
) -> AsyncIterator[ChannelSession]:
    session = EmailSession(channel, settings, context)
    try:
        await session.open()
        yield session
    finally:
        await session.close()


@dataclass
class _Lane:
    """One provider of a session; `down_until` is in the event loop's time."""

    name: str
    settings: Provider
    deliverer: Deliverer
    pacing: Pacing | None
    down_until: float = 0.0


class EmailSession:
    """The providers of one run and their connections."""

    def __init__(
        self, channel: EmailChannel, settings: EmailSettings, context: PluginContext | None = None
    ) -> None:
        self._channel = channel
        self._context = context
        signers = [
            Signer(key.domain, key.selector, read_key(key.private_key.get_secret_value()))
            for key in settings.dkim
        ]
        self._builder = MessageBuilder(
            settings.from_address, settings.from_name, settings.reply_to, signers
        )
        self.lanes = [
            _Lane(
                provider_name(one), one, deliverer(one, settings),
                Pacing(context, one) if context and (one.paces or one.warm_up) else None,
            )
            for one in settings.all_providers()
        ]  # fmt: skip

    async def open(self) -> None:
        """Connect with the first provider that is there. Raises Away or ReconnectNeeded."""
        failures: list[OutsideError] = []
        for lane in self.lanes:
            if not isinstance(lane.deliverer, SmtpPool):
                return
            try:
                await lane.deliverer.open()
                return
            except (Away, ReconnectNeeded) as error:
                self._note(lane, error)
                failures.append(error)
        raise _worst(failures)

    async def send(self, message: OutgoingMessage) -> Receipt:
        letter = self._builder.letter(message)
        started = asyncio.get_running_loop().time()
        failures: list[OutsideError] = []
        for lane in self._in_order(message, started):
            try:
                return await self._deliver(lane, letter, message)
            except (RetryLater, ReconnectNeeded) as error:
                self._note(lane, error)
                failures.append(error)
            if asyncio.get_running_loop().time() - started > FAILOVER_SECONDS:
                break
        raise _worst(failures)

    async def close(self) -> None:
        for lane in self.lanes:
            await lane.deliverer.close()
            if lane.pacing is not None:
                await lane.pacing.give_back()

    async def _deliver(self, lane: _Lane, letter: Letter, message: OutgoingMessage) -> Receipt:
        if lane.pacing is not None:
            await lane.pacing.wait(letter.to)
        try:
            return await lane.deliverer.deliver(letter, self._builder, message.message_class)
        except NoSuchMailbox as error:
            await self._note_bounce(lane, message, str(error))
            raise
        except RetryLater as error:
            error.provider = lane.name
            raise

    async def _note_bounce(self, lane: _Lane, message: OutgoingMessage, words: str) -> None:
        """A mailbox that does not exist is suppressed as if its bounce had come later."""
        if self._context is None:
            return
        async with self._context.database.work(self._context.merchant_id) as w:
            receipt = DeliveryReceipt(
                f"refused:{message.key}", "bounced", w.now, key=message.key, provider=lane.name,
                of_person=True, detail=words,
            )  # fmt: skip
            await take_receipts(w, self._channel, [receipt])

    def _in_order(self, message: OutgoingMessage, now: float) -> list[_Lane]:
        """Providers for the message: those that work and did not fail at it before come first."""
        fit = [
            lane for lane in self.lanes
            if lane.settings.for_messages in ("all", message.message_class)
        ]  # fmt: skip
        if not fit:
            raise ReconnectNeeded(f"no provider is meant for {message.message_class} messages")
        return sorted(fit, key=lambda one: (one.down_until > now, one.name in message.avoid))

    def _note(self, lane: _Lane, error: OutsideError) -> None:
        if isinstance(error, Away | ReconnectNeeded):
            if len(self.lanes) > 1:
                logger.warning("email provider %s is passed over: %s", lane.name, error)
            lane.down_until = asyncio.get_running_loop().time() + AWAY_SECONDS


def deliverer(provider: Provider, settings: EmailSettings) -> Deliverer:
    """What hands messages to a provider."""
    match provider:
        case Ses():
            return SesApi(provider, CONCURRENCY)
        case SendGrid():
            return SendGridApi(provider, CONCURRENCY)
        case Mailgun():
            return MailgunApi(provider, CONCURRENCY)
        case Postmark():
            return PostmarkApi(provider, CONCURRENCY)
        case Resend():
            return ResendApi(provider, CONCURRENCY)
        case _:
            return SmtpPool(provider, settings.return_path)


def _worst(failures: Sequence[OutsideError]) -> OutsideError:
    """What counts when all fail: a try later helps if it helps with any of them."""
    later = [one for one in failures if isinstance(one, RetryLater)]
    if later:
        return later[0]
    return failures[0]


async def check_settings(settings: BaseModel) -> None:
    """Log in with each provider of these settings, and the mailbox. Raises an OutsideError."""
    assert isinstance(settings, EmailSettings)
    for provider in settings.all_providers():
        tried = deliverer(provider, settings)
        try:
            await tried.check()
        finally:
            await tried.close()


async def check_health(context: PluginContext) -> None:
    """The same with the merchant's stored settings."""
    await check_settings(context.settings)
