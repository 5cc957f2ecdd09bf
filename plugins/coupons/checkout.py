"""Using coupons as a till asks for it: guessers wait, and what misses is counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plugins.coupons.guessing import check_clients, count_misses
from plugins.coupons.redeeming import Deed, Outcome, Purchase, use


@dataclass(frozen=True)
class Asked:
    """What is to be bought, and who types the codes."""

    purchase: Purchase
    client: str


async def redeem_asked(w: Any, asked: Sequence[Asked]) -> list[Outcome]:
    """Redeem the coupons, one answer each. Raises InvalidInput, NotFound, CouponGuessing."""
    return await _use(w, asked, "redeem")


async def reserve_asked(w: Any, asked: Sequence[Asked], until: datetime) -> list[Outcome]:
    """Reserve the coupons until an instant. Raises InvalidInput, NotFound, CouponGuessing."""
    return await _use(w, asked, "reserve", until)


async def _use(
    w: Any, asked: Sequence[Asked], deed: Deed, until: datetime | None = None
) -> list[Outcome]:
    await check_clients(w, {one.client for one in asked})
    outcomes = await use(w, [one.purchase for one in asked], deed, until)
    missed: Counter[str] = Counter()
    for one, outcome in zip(asked, outcomes, strict=True):
        missed[one.client] += outcome.guessed
    for client in sorted(missed):
        if missed[client]:
            await count_misses(w, client, missed[client])
    return outcomes
