"""Rewards: who hands out what members have for their points."""

from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from core.sdk.facets import Text
from core.sdk.plugin import PluginContext


@dataclass(frozen=True)
class Redeemed:
    """A reward that a customer has paid for; `redemption_id` is the same however often it is
    handed out."""

    redemption_id: int
    reward_id: int
    customer_id: int
    points: int


class RewardProvider(Protocol):
    """Hands out one kind of reward, such as a coupon. `settings` is the model of what each reward
    is given."""

    name: str
    title: Text
    settings: type[BaseModel]

    async def hand_out(
        self, context: PluginContext, settings: Any, redeemed: Redeemed
    ) -> str | None:
        """Give the customer the reward; returns what was given, such as a coupon's code, or None
        if somebody will do it by hand.

        It may be called again for the same redemption, and then gives nothing more. Refused
        cancels the redemption, and the points go back; Unknown leaves it to be looked at by hand;
        any other error has it tried again.
        """
