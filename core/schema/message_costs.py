"""What messages cost before they are sent, as clients see it."""

from collections.abc import Iterable
from decimal import Decimal

import strawberry

from core.domain.campaigns.content.measuring import MessageMeasure
from core.schema.scalars import Money

MILLIONTHS = 6


@strawberry.type(description="What one message or many cost, by the customers of a sample.")
class MoneyRange:
    least: Money
    most: Money


def cost_range(measures: Iterable[MessageMeasure], messages: int = 1) -> MoneyRange | None:
    """Between what and what so many messages cost, of which each is one of those measured.

    None where the channel tells no price, or nothing could be measured.
    """
    known = [one for one in measures if one.cost is not None and one.currency is not None]
    if not known:
        return None
    least = min(one.cost[0] for one in known if one.cost) * messages
    most = max(one.cost[1] for one in known if one.cost) * messages
    currency = known[0].currency
    assert currency is not None
    return MoneyRange(least=_money(least, currency), most=_money(most, currency))


def _money(millionths: int, currency: str) -> Money:
    # without zeros at the end, and never as 9E+2
    amount = f"{Decimal(millionths).scaleb(-MILLIONTHS):f}"
    return Money(amount=Decimal(amount.rstrip("0").rstrip(".")), currency=currency)
