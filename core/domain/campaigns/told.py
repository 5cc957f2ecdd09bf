"""What a provider tells of a message, as far as it makes sense and can be stored.

News is stored many at a time, so nonsense about one message must not take the others' with it.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.sdk.channels import DeliveryReceipt, Receipt
from core.sdk.money import to_millionths

TEXT_LIMIT = 500
MOST_PARTS = 32_767
MOST_COST = Decimal(1_000_000_000)
"""Of one message, in any currency."""


@dataclass(frozen=True, slots=True)
class Told:
    """Who took a message, under which id, in how many parts, and for how much (millionths)."""

    provider: str | None
    provider_id: str | None
    parts: int | None
    cost: int | None
    currency: str | None


def told(answer: Receipt | DeliveryReceipt) -> Told:
    """What is to be stored; a number that makes no sense is unknown."""
    parts, cost = answer.parts, answer.cost
    if parts is not None and not 0 <= parts <= MOST_PARTS:
        parts = None
    if cost is not None and not (cost.is_finite() and 0 <= cost <= MOST_COST):
        cost = None
    return Told(
        cut(answer.provider), cut(answer.provider_id), parts,
        None if cost is None else to_millionths(cost), cut(answer.currency),
    )  # fmt: skip


def cut(text: str | None) -> str | None:
    """A provider's words, short enough to be stored."""
    return None if text is None else storable(text)[:TEXT_LIMIT]


def storable(text: str) -> str:
    """A text from outside without what cannot be stored: NUL, and halves of characters."""
    return text.replace("\x00", "").encode(errors="replace").decode()
