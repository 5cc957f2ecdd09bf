"""Variables of messages that a plugin brings, such as a code for each recipient."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Addressee:
    """A message that is about to be made. `delivery_id` is the same at each try of it."""

    delivery_id: int
    customer_id: int
    order_id: int | None
    campaign_id: int


class VariableSource(Protocol):
    """Brings variables. One that it calls "ten.code" is named `{{ coupons.ten.code }}` in texts,
    `coupons` being the source's name.
    """

    name: str

    async def names(self, session: Any) -> Collection[str]:
        """The variables that the merchant's texts may name, without the source's name."""

    async def samples(self, session: Any, names: Collection[str]) -> Mapping[str, Any]:
        """Values to show a text with, before it is sent; they cost nothing."""

    async def values(
        self, w: Any, names: Collection[str], addressees: Sequence[Addressee]
    ) -> Mapping[int, Mapping[str, Any]]:
        """Values by the addressees' deliveries and by name, for all of them in one call.

        `w` is the unit of work that takes the messages out of the queue: what is written there is
        written if they are, and a message that is tried again gets what it got before. Nothing
        outside is called. A variable without a value is as one of core's without: the template
        says what then. A HuikeError pauses the campaign, shows its message, and sends none of them.
        """
