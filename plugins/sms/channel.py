"""The SMS channel: finds a provider for each message, and another one where that fails."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pydantic import BaseModel

from core.sdk import (
    RECONCILE_AFTER,
    ChannelSession,
    ContactKind,
    ContentField,
    PluginContext,
    TextRules,
)
from core.sdk.large import aiohttp, loaded
from core.sdk.money import to_millionths
from plugins.sms.http import connections
from plugins.sms.making import made
from plugins.sms.records import approved_templates
from plugins.sms.session import SmsSession
from plugins.sms.settings import SmsSettings
from plugins.sms.texts import (
    price_of,
)

CONCURRENCY = 10


class SmsChannel:
    """Sends SMS through the merchant's providers."""

    name = "sms"
    title = "SMS"
    contact: ContactKind = "phone"
    fields: tuple[ContentField, ...] = (ContentField("text", "Text", max_length=1000),)
    concurrency = CONCURRENCY
    reconcile_after = RECONCILE_AFTER

    def open(self, settings: BaseModel) -> AbstractAsyncContextManager[ChannelSession]:
        """Not to be used: a session keeps a record, so it has to know for whom it is."""
        raise TypeError("the SMS channel is opened by open_for")

    def open_for(self, context: PluginContext) -> AbstractAsyncContextManager[ChannelSession]:
        return _open(self, context)

    def text_rules(self, settings: BaseModel) -> TextRules:
        assert isinstance(settings, SmsSettings)
        first = settings.providers[0]
        price = price_of(first, "+86")
        return TextRules(
            settings.signature, settings.opt_out,
            None if price is None else to_millionths(price), first.currency,
        )  # fmt: skip


@asynccontextmanager
async def _open(channel: SmsChannel, context: PluginContext) -> AsyncIterator[ChannelSession]:
    settings = context.settings
    assert isinstance(settings, SmsSettings)
    async with context.database.read(context.merchant_id) as session:
        templates = await approved_templates(session)
        zone = await session.sql.fetchval(
            "SELECT time_zone FROM merchants WHERE id = $1", context.merchant_id
        )
    await loaded(aiohttp)
    async with connections() as http:
        providers = made(settings.providers, http, context)
        yield SmsSession(channel, context, settings, providers, templates, zone)
