"""Text messages by the platform, to buyers whose number nobody but the platform knows.

About an order they go by its oaid, which names the receiver, where the app is given it; else by
the buyer's ouid. Reports and replies come by the message service, in a group of their own.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pydantic import BaseModel

from core.clock import Clock, system_clock
from core.domain.connections.opening import tokens_of
from core.sdk import (
    ChannelSession,
    ContactKind,
    ContentField,
    DeliveryReceipt,
    News,
    OutgoingMessage,
    PluginContext,
    Receipt,
    ReconnectNeeded,
    Refused,
    Reply,
)
from core.sdk.answers import Row, number, text
from core.sdk.channels import PHONE_MARKETING
from core.sdk.connectors import TokenOf
from core.sdk.gateways import ShopClients, http_session
from core.sdk.large import aiohttp, loaded
from plugins.taobao import messages
from plugins.taobao.client import Client
from plugins.taobao.consents import Agreement, agreements, record
from plugins.taobao.settings import TaobaoSettings
from plugins.taobao.values import moment

BY_OAID = "taobao.jst.sms.oaid.message.send"
BY_OUID = "taobao.opencrm.sms.single.post"
ORDER = "taobao.trade.fullinfo.get"

Agree = Callable[[Sequence[Agreement]], Awaitable[None]]


class TaobaoSms:
    name = "taobao_sms"
    title = "Taobao text messages"
    contact: ContactKind = "identity"
    platform = "taobao"
    identity_kind = "ouid"
    fields: tuple[ContentField, ...] = (
        ContentField("template_code", "Code of the approved template", max_length=50),
        ContentField("params", "The template's values, a line name=value for each", required=False,
                     max_length=2000),
    )  # fmt: skip
    concurrency = 10
    marketing_hours = PHONE_MARKETING
    """It is a telephone that rings, though nobody is told its number."""
    news_every = timedelta(seconds=30)

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock

    def open(self, settings: BaseModel) -> Any:
        raise ReconnectNeeded("this channel needs the tokens of the merchant's shops")

    @asynccontextmanager
    async def open_for(self, context: PluginContext) -> AsyncIterator[ChannelSession]:
        settings = context.settings
        assert isinstance(settings, TaobaoSettings)

        async def agree(told: Sequence[Agreement]) -> None:
            await record(context, self.name, told)

        await loaded(aiohttp)
        async with http_session() as http:
            yield SmsSession(http, settings, self._clock, tokens_of(context), agree)


class SmsSession:
    """Sends for any shop of the merchant."""

    def __init__(
        self,
        http: "aiohttp.ClientSession",
        settings: TaobaoSettings,
        clock: Clock,
        token_of: TokenOf,
        agree: Agree,
    ) -> None:
        self._app = Client(http, settings, clock)
        self._settings = settings
        self._agree = agree
        self._shops = ShopClients(partial(Client, http, settings, clock), token_of)

    async def send(self, message: OutgoingMessage) -> Receipt:
        if self._settings.sms_sign_name is None:
            raise ReconnectNeeded("fill in app_key, app_secret and sms_sign_name first")
        shop = await self._shops.of(message.shop_id)
        given = {
            "sms_free_sign_name": self._settings.sms_sign_name,
            "template_code": message.content["template_code"].strip(),
            "params": template_params(message.content.get("params", "")),
            "extend": message.key,
        }
        order = message.order_external_id
        oaid = None
        if order is not None and message.message_class == "service":
            oaid = await self._oaid(shop, order)
        if oaid is not None:
            answer = await shop.write(BY_OAID, oaid=oaid, order_id=order, **given)
        else:
            answer = await shop.write(BY_OUID, task_content={"ouid": message.to, **given})
        return Receipt(text(answer.get("module")))

    async def news(self, cursor: str | None) -> News:
        """Reports and replies; those of the cursor are confirmed, for they are stored."""
        if self._settings.sms_sign_name is None:
            return News()  # the merchant sends none
        group = self._settings.sms_group or self._settings.message_group
        if cursor:
            await messages.confirm(self._app, group, cursor.split(","))
        found = await messages.consume(self._app, group)
        await self._agree(agreements(found))
        receipts = [told for row in found if (told := _receipt(row)) is not None]
        replies = [said for row in found if (said := _reply(row)) is not None]
        taken = ",".join(str(row["id"]) for row in found if row.get("topic") in messages.SMS)
        return News(receipts, replies, taken, more=len(found) == messages.MOST)

    async def _oaid(self, shop: Client, tid: str) -> str | None:
        """The receiver's id now; it changes by the week, so it is not kept."""
        if self._settings.mode != "full":
            return None
        answer = await shop.read(ORDER, tid=tid, fields=["tid", "oaid"], include_oaid=True)
        return text((answer.get("trade") or {}).get("oaid"))


def template_params(lines: str) -> Mapping[str, str]:
    """The values of a template. Raises Refused for a line that is no name=value."""
    values = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise Refused(f"{line!r} is no value of a template: write name=value")
        values[name.strip()] = value.strip()
    return values


def _receipt(row: Row) -> DeliveryReceipt | None:
    topic, told = row.get("topic"), messages.content(row)
    biz_id = text(told.get("biz_id"))
    if topic not in (messages.SMS_REPORT, messages.SMS_BILLED) or biz_id is None:
        return None
    if topic == messages.SMS_BILLED:
        return DeliveryReceipt(
            str(row["id"]), "accepted", _when(row, told.get("send_time")), provider_id=biz_id,
            parts=number(told.get("bill_count")),
        )  # fmt: skip
    return DeliveryReceipt(
        str(row["id"]),
        "delivered" if text(told.get("state")) == "1" else "undelivered",
        _when(row, told.get("rept_time")),
        key=text(told.get("extend")),
        provider_id=biz_id,
        detail=text(told.get("err_code")),
    )


def _reply(row: Row) -> Reply | None:
    told = messages.content(row)
    sender = text(told.get("sender"))
    if row.get("topic") != messages.SMS_REPLY or sender is None:
        return None
    at = _when(row, told.get("sender_time"))
    return Reply(str(row["id"]), sender, text(told.get("content")) or "", at)


def _when(row: Row, said: Any) -> datetime:
    try:
        at = moment(said)
    except ValueError:
        at = None
    found = at or moment(row.get("pub_time"))
    assert found is not None
    return found
