"""What every provider can do, and what the words of their answers mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Protocol, runtime_checkable

from core.sdk import (
    MessageClass,
    OutsideError,
    Receipt,
    ReconnectNeeded,
    Refused,
    RetryLater,
    SoughtMessage,
    Trace,
    Unknown,
)
from core.sdk.channels import DeliveryReceipt
from plugins.sms.templates import State
from plugins.sms.texts import Text

Answer = Receipt | OutsideError
BUSY = timedelta(seconds=5)


class Blocked(Refused):
    """Refused because of the number itself, which is not to be written to again."""


class Meaning(Enum):
    """What an error code of a provider says about the message, which was not accepted."""

    BLOCKED = "the number does not want or cannot get messages"
    MESSAGE = "this message or number will never do"
    MINUTE = "the number has had enough for now"
    HOUR = "the number has had enough for an hour"
    DAY = "the number has had enough for a day"
    BUSY = "the provider takes no more right now"
    ACCOUNT = "account, money, rights, signature or template must be seen to"
    UNKNOWN = "nobody knows whether it was accepted"


LATER = {
    Meaning.MINUTE: timedelta(minutes=1),
    Meaning.HOUR: timedelta(hours=1),
    Meaning.DAY: timedelta(days=1),
}


def verdict(meaning: Meaning, provider: str, code: str, words: str = "") -> OutsideError:
    """The error that core is told. A limit of the number's holds at every provider."""
    reason = f"{provider}: {code}" + (f" ({words})" if words and words != code else "")
    match meaning:
        case Meaning.BLOCKED:
            return Blocked(reason)
        case Meaning.MESSAGE:
            return Refused(reason)
        case Meaning.BUSY:
            return RetryLater(reason, BUSY, provider)
        case Meaning.ACCOUNT:
            return ReconnectNeeded(reason)
        case Meaning.UNKNOWN:
            return Unknown(reason, provider)
        case _:
            return RetryLater(reason, LATER[meaning])


@dataclass(frozen=True)
class Sought:
    """A message to look for; `serial` is that of the call with which it was handed over.

    `provider_id` is the provider's own id of it, where it gave one.
    """

    message: SoughtMessage
    serial: str
    provider_id: str | None = None


class Provider(Protocol):
    """An account at a vendor, open for some messages.

    `approved_only` says that it takes only texts of templates that it has approved.
    """

    name: str
    approved_only: bool

    def calls(self, texts: Sequence[Text]) -> Sequence[Sequence[int]]:
        """Which of the texts go in one call: their places, each once."""

    async def send(self, serial: str, texts: Sequence[Text]) -> Sequence[Answer]:
        """Hand the texts of one call over; `serial` is the key of a message that goes alone.

        One answer for each. What it raises, an OutsideError, is the answer for all.
        """


@runtime_checkable
class Checking(Protocol):
    """A provider whose account can be tried without sending anything."""

    async def check(self) -> None:
        """Raises an OutsideError when the account cannot be used."""


@runtime_checkable
class Finding(Protocol):
    """A provider that can be asked what became of a message."""

    async def find(self, sought: Sought) -> Receipt | Trace:
        """Whether it was accepted. Raises an OutsideError."""

    async def ended(self, sought: Sought) -> DeliveryReceipt | None:
        """The end of a message that was accepted, if it is known. Raises an OutsideError."""


@dataclass(frozen=True)
class Registered:
    """A signature or template as it stands at the provider; a signature's `code` is its name."""

    code: str
    state: State
    name: str
    text: str = ""
    message_class: MessageClass | None = None
    abroad: bool | None = None
    reason: str = ""


@runtime_checkable
class Registering(Protocol):
    """A provider with which signatures and templates are registered."""

    async def signatures(self) -> Sequence[Registered]:
        """All signatures. Raises an OutsideError."""

    async def templates(self) -> Sequence[Registered]:
        """All templates. Raises an OutsideError."""

    async def submit(
        self, name: str, text: str, message_class: MessageClass, abroad: bool, remark: str
    ) -> str:
        """Hand a template in for review; returns its code. Raises an OutsideError."""
