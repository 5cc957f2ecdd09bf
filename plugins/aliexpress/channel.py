"""Messages to buyers in the platform's own conversations, with a card beneath the text."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from pydantic import BaseModel

from core.clock import Clock, system_clock
from core.domain.connections.opening import tokens_of
from core.sdk import (
    ChannelSession,
    ContentField,
    OutgoingMessage,
    OutsideError,
    PluginContext,
    Receipt,
    ReconnectNeeded,
    Refused,
)
from core.sdk.channels import ContactKind
from core.sdk.connectors import TokenOf
from core.sdk.gateways import ShopClients, http_session
from core.sdk.large import aiohttp, loaded
from plugins.aliexpress import messages, orders
from plugins.aliexpress.client import Client
from plugins.aliexpress.messages import BASE_SCENE, Template
from plugins.aliexpress.settings import AliExpressSettings

logger = logging.getLogger(__name__)


CARDS = {
    "order": (Template.ORDER, "order_id"),
    "item": (Template.ITEM, "item_id"),
    "coupon": (Template.COUPON, "promotion_id"),
}
NO_CARD = "none"
"""What the field `card` begins with, and what the platform calls its number."""


class AliExpressMessages:
    name = "aliexpress_message"
    title = "AliExpress messages"
    contact: ContactKind = "identity"
    platform = "aliexpress"
    identity_kind = "buyer_login_id"
    fields: tuple[ContentField, ...] = (
        ContentField("text", "Text", max_length=1000),
        ContentField(
            "card", "Card beneath: order:<number>, item:<number>, coupon:<number>, none; if empty "
            "the order that a notice is about", required=False, max_length=60,
        ),
    )  # fmt: skip
    concurrency = 5

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock

    def open(self, settings: BaseModel) -> Any:
        raise ReconnectNeeded("this channel needs the tokens of the merchant's shops")

    @asynccontextmanager
    async def open_for(self, context: PluginContext) -> AsyncIterator[ChannelSession]:
        settings = context.settings
        assert isinstance(settings, AliExpressSettings)

        await loaded(aiohttp)
        async with http_session() as http:
            yield MessageSession(http, settings, self._clock, tokens_of(context))


class MessageSession:
    """Writes for any shop of the merchant."""

    def __init__(
        self,
        http: "aiohttp.ClientSession",
        settings: AliExpressSettings,
        clock: Clock,
        token_of: TokenOf,
    ) -> None:
        self._settings = settings
        self._shops = ShopClients(partial(Client, http, settings, clock), token_of)

    async def send(self, message: OutgoingMessage) -> Receipt:
        shop = await self._shops.of(message.shop_id)
        service = message.message_class == "service"
        scene = self._settings.reminder_scene if service else BASE_SCENE
        card = await self._card(shop, message)
        buyer = await messages.open_buyer(shop, message.to)
        said = await messages.send(shop, buyer, Template.TEXT, scene, txt=message.content["text"])
        if card is not None:
            template, content = card
            try:
                await messages.send(shop, buyer, template, scene, **content)
            except OutsideError as error:
                # the text has arrived: trying again would send it twice
                logger.warning("message %s goes without its card: %s", message.key, error)
        return Receipt(said)

    async def _card(
        self, shop: Client, message: OutgoingMessage
    ) -> tuple[Template, dict[str, int]] | None:
        """The card that the merchant wrote, or that of the order which waits."""
        written = message.content.get("card", "").strip()
        if written == NO_CARD:
            return None
        if written:
            kind, _, number = written.partition(":")
            if kind not in CARDS or not number.isdecimal():
                raise Refused(f"{written!r} is no card: write order:, item: or coupon:")
            template, name = CARDS[kind]
            return template, {name: int(number)}
        order = message.order_external_id
        if order is None and message.message_class == "service":
            order = await orders.latest_unpaid(shop, message.to)
        return None if order is None else (Template.ORDER, {"order_id": int(order)})
