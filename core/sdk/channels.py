"""The Channel protocol: how a plugin sends messages."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import time
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel

ContactKind = Literal["phone", "email"]
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
    a POST to it unsubscribes, a GET shows a page.
    """

    key: str
    to: str
    content: Mapping[str, str]
    message_class: MessageClass
    unsubscribe_url: str | None = None


@dataclass(frozen=True)
class Receipt:
    """The provider has accepted the message, under this id of its own if it gave one."""

    provider_id: str | None = None


class ChannelSession(Protocol):
    """An open connection (or several) to the provider."""

    async def send(self, message: OutgoingMessage) -> Receipt:
        """Hand one message over. Called concurrently, up to the channel's `concurrency`.

        Raises RetryLater (certainly not sent, try again), Refused (never for this recipient),
        ReconnectNeeded (the account must be seen to: the campaign pauses) or Unknown (sent or
        not, nobody knows: it is never sent again blindly).
        """


class Channel(Protocol):
    """A way to reach customers, contributed by a plugin.

    It may also have `marketing_hours`, see the function of this name.
    """

    name: str
    title: str
    contact: ContactKind
    fields: tuple[ContentField, ...]
    concurrency: int

    def open(self, settings: BaseModel) -> AbstractAsyncContextManager[ChannelSession]:
        """Connect with a merchant's settings. Entering raises ReconnectNeeded or RetryLater."""


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
