"""The Channel protocol: how a plugin sends messages, and tells what became of them.

A session of any channel can `send`. What else it can do, it says by having the methods of
BatchChannelSession, Reconciling or ReceiptSource; docs/plugins/channels.md tells when each of them
is called.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from core.sdk.errors import OutsideError
from core.sdk.plugin import PluginContext

ContactKind = Literal["phone", "email", "identity"]
MessageClass = Literal["marketing", "service"]


@dataclass(frozen=True)
class ContentField:
    """One part of a channel's content, a Liquid template that the merchant writes.

    `text_of` names the HTML field that this one says as plain text: left empty, it is made of it.
    """

    name: str
    title: str
    required: bool = True
    html: bool = False
    max_length: int = 100_000
    text_of: str | None = None


@dataclass(frozen=True)
class OutgoingMessage:
    """A rendered message to one person.

    `key` is the same at each try of this message, and different for any other: use it as
    Message-ID, serial number or idempotency key. `unsubscribe_url` is set on marketing messages;
    a POST to it unsubscribes, a GET shows a page. `attempt` counts from 1. `avoid` names the
    providers that failed at this message and certainly did not send it: a channel that has several
    takes another one, if there is another. `shop_id` and `campaign_id` are in whose name and for
    what it is sent, where it is for one shop or a campaign; `order_external_id` and
    `tracking_number` are the platform's numbers of what it is about.

    A channel that writes to buyers by an id of their platform gets in `to` the id, and in `shop_id`
    always the shop within which it is somebody's.
    """

    key: str
    to: str
    content: Mapping[str, str]
    message_class: MessageClass
    unsubscribe_url: str | None = None
    attempt: int = 1
    avoid: frozenset[str] = frozenset()
    shop_id: int | None = None
    campaign_id: int | None = None
    order_external_id: str | None = None
    tracking_number: str | None = None


@dataclass(frozen=True)
class Receipt:
    """A provider has accepted the message, under this id of its own if it gave one.

    `cost` is what the message costs in the currency's major unit (0.045 CNY), `parts` of how many
    it consists; either may be known only later, see DeliveryReceipt.
    """

    provider_id: str | None = None
    provider: str | None = None
    parts: int | None = None
    cost: Decimal | None = None
    currency: str | None = None


class ChannelSession(Protocol):
    """An open connection (or several) to the provider."""

    async def send(self, message: OutgoingMessage) -> Receipt:
        """Hand one message over. Called concurrently, up to the channel's `concurrency`.

        Raises RetryLater (certainly not sent, try again), Refused (never for this recipient),
        ReconnectNeeded (the account must be seen to: the campaign pauses) or Unknown (sent or
        not, nobody knows: it is never sent again blindly).
        """


@runtime_checkable
class BatchChannelSession(ChannelSession, Protocol):
    """A session that hands several messages over in one call."""

    batch: int
    """The most messages of one call."""

    async def send_many(
        self, messages: Sequence[OutgoingMessage]
    ) -> Sequence[Receipt | OutsideError]:
        """Hand up to `batch` messages over; one answer for each, in their order.

        Used in place of `send`. What it raises is the answer for all of them.
        """


# -- afterwards ---------------------------------------------------------------------------------

RECONCILE_AFTER = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
"""The usual pauses before each question for a message of unknown fate."""


@dataclass(frozen=True)
class SoughtMessage:
    """A message of which nobody knows whether the provider took it.

    `at` is when it was handed over, or the worker that did fell silent.
    """

    key: str
    to: str
    provider: str | None
    at: datetime


class Trace(Enum):
    """What is found of a message that the provider has not accepted, as far as is known."""

    ABSENT = "absent"
    """Certainly not accepted, and it never will be: it is sent again."""
    UNKNOWN = "unknown"


@runtime_checkable
class Reconciling(Protocol):
    """A session that can ask the provider what became of messages.

    Its channel has an attribute `reconcile_after`, such as RECONCILE_AFTER: the pauses before each
    question for one message. After the last one it stays unknown, for the merchant to decide.
    """

    async def find(self, messages: Sequence[SoughtMessage]) -> Sequence[Receipt | Trace]:
        """One answer for each of up to 100 messages, in their order. Raises an OutsideError."""


ReceiptStatus = Literal["accepted", "delivered", "undelivered", "bounced", "complained"]


@dataclass(frozen=True)
class DeliveryReceipt:
    """What a provider tells of a message afterwards, perhaps more than once and in any order.

    `event_key` is the provider's own name of this piece of news: the same news under the same key
    counts once. The message is found by its `key`, or else by `provider_id`, to which `to` (the
    address) is added where a provider gives several messages one id. `of_person` says that a
    bounce is the address's fault (there is no such mailbox or number, it blocks us) and not the
    sender's: it is not written to again. `cost` is in the currency's major unit.
    """

    event_key: str
    status: ReceiptStatus
    at: datetime
    key: str | None = None
    provider_id: str | None = None
    to: str | None = None
    provider: str | None = None
    of_person: bool = False
    parts: int | None = None
    cost: Decimal | None = None
    currency: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Reply:
    """A message that somebody sent to the merchant. `sender` is the address that it came from.

    An id of a platform comes with the shop's id in which it is somebody's, if that is known.
    `key` or `provider_id` names the message that it answers, where the provider knows. `opt_out`
    is set when the provider itself understood it as a refusal of further messages.
    """

    event_key: str
    sender: str
    text: str
    at: datetime
    key: str | None = None
    provider_id: str | None = None
    opt_out: bool = False
    shop_id: int | None = None


@dataclass(frozen=True)
class News:
    """A portion of what a provider has to tell; `cursor` is where the next one begins.

    With `more` the next portion is asked for at once.
    """

    receipts: Sequence[DeliveryReceipt] = ()
    replies: Sequence[Reply] = ()
    cursor: str | None = None
    more: bool = False


@runtime_checkable
class ReceiptSource(Protocol):
    """A session that fetches receipts and replies.

    Its channel has an attribute `news_every`, the pause between two questions. Providers that push
    them need none: their plugin calls core.domain.campaigns.receipts.take_receipts and
    core.domain.campaigns.replies.take_replies.
    """

    async def news(self, cursor: str | None) -> News:
        """What there is since the cursor, None at first; the cursor is kept once the news is.

        The same news may come again. Raises an OutsideError.
        """


class Channel(Protocol):
    """A way to reach customers, contributed by a plugin.

    It may also have `marketing_hours`, see the function of this name. One whose `contact` is
    "identity" writes to buyers by an id of a platform, and says by `platform` and `identity_kind`
    which ("taobao", "ouid"): the kind of the ids of scope "shop" that the platform's orders bring.
    With an attribute `scope` of "order" it can only send about an order.
    """

    name: str
    title: str
    contact: ContactKind
    fields: tuple[ContentField, ...]
    concurrency: int

    def open(self, settings: BaseModel) -> AbstractAsyncContextManager[ChannelSession]:
        """Connect with a merchant's settings. Entering raises ReconnectNeeded or RetryLater."""


@runtime_checkable
class MerchantChannel(Protocol):
    """What a channel has that needs more of its merchant than the settings, such as the tokens of
    his shops (core.domain.connections.opening.shop_token); used in place of `open`."""

    def open_for(self, context: PluginContext) -> AbstractAsyncContextManager[ChannelSession]:
        """Connect for a merchant. Entering raises ReconnectNeeded or RetryLater."""


def opening(
    channel: Channel, context: PluginContext
) -> AbstractAsyncContextManager[ChannelSession]:
    """A merchant's session of a channel, to be entered."""
    if isinstance(channel, MerchantChannel):
        return channel.open_for(context)
    return channel.open(context.settings)


@runtime_checkable
class AdvisingChannel(Protocol):
    """What a channel has that knows how its texts are judged where they arrive."""

    def advice(self, content: Mapping[str, str]) -> Sequence[tuple[str, str]]:
        """(field, warning) of what may keep sound templates from being read."""


@runtime_checkable
class IdentityChannel(Channel, Protocol):
    """What a channel has besides whose contact is "identity"."""

    platform: str
    identity_kind: str


def order_only(channel: Channel) -> bool:
    """Whether a channel can only send about an order."""
    return getattr(channel, "scope", None) == "order"


PHONE_MARKETING = (time(8), time(22))


def marketing_hours(channel: Channel) -> tuple[time, time] | None:
    """The only hours of the shop's day at which marketing may go out by the channel: from the
    first time until before the second; None if there are none.

    A channel's attribute `marketing_hours` says so, as the law or the provider has it. Without it
    marketing to phones is held to 08:00 to 22:00.
    """
    default = PHONE_MARKETING if channel.contact == "phone" else None
    hours: tuple[time, time] | None = getattr(channel, "marketing_hours", default)
    return hours


@dataclass(frozen=True)
class TextRules:
    """What holds for a merchant's text messages.

    `signature` is what the provider puts in front as 【signature】, `opt_out` how a marketing text
    has to end, `price` what one part costs, in millionths of the currency's major unit.
    """

    signature: str = ""
    opt_out: str | None = None
    price: int | None = None
    currency: str | None = None


@runtime_checkable
class TextChannel(Protocol):
    """What a channel of text messages may have besides; its messages can then be priced."""

    def text_rules(self, settings: BaseModel) -> TextRules:
        """What holds with these settings of a merchant."""
