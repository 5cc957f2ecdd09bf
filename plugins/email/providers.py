"""What the channel asks of a provider, whatever it is behind."""

from datetime import timedelta
from typing import Protocol

from core.sdk import MessageClass, Receipt, Refused, RetryLater
from plugins.email.message import Letter, MessageBuilder


class Away(RetryLater):
    """The provider takes nothing at all for a while, whatever the message."""

    def __init__(self, reason: str, provider: str, after: timedelta | None = None) -> None:
        super().__init__(reason, after, provider)


class Deliverer(Protocol):
    """Takes letters on behalf of one provider."""

    async def deliver(
        self, letter: Letter, builder: MessageBuilder, message_class: MessageClass
    ) -> Receipt:
        """Hand a letter over. Raises an OutsideError."""

    async def check(self) -> None:
        """Try the account without sending anything. Raises an OutsideError."""

    async def close(self) -> None:
        """Let the connections go."""


class NoSuchMailbox(Refused):
    """Refused since the address itself is at fault: it is not written to again."""
