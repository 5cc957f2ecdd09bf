"""Using coupons as a till asks for it: guessers wait, and what misses is counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plugins.coupons.errors import CouponGuessing
from plugins.coupons.guessing import FREE, could_be_guesses, count_misses, misses_of
from plugins.coupons.quoting import Quoted
from plugins.coupons.redeeming import Deed, Outcome, Purchase, use


@dataclass(frozen=True)
class Asked:
    """What is to be bought, and who types the codes."""

    purchase: Purchase
    client: str


async def quote_asked(w: Any, asked: Sequence[Asked]) -> list[Outcome]:
    """What the coupons are worth, one answer each. Raises InvalidInput, NotFound."""
    return await _use(w, asked, "quote")


async def redeem_asked(w: Any, asked: Sequence[Asked]) -> list[Outcome]:
    """Redeem the coupons, one answer each. Raises InvalidInput, NotFound."""
    return await _use(w, asked, "redeem")


async def reserve_asked(w: Any, asked: Sequence[Asked], until: datetime) -> list[Outcome]:
    """Reserve the coupons until an instant. Raises InvalidInput, NotFound."""
    return await _use(w, asked, "reserve", until)


async def _use(
    w: Any, asked: Sequence[Asked], deed: Deed, until: datetime | None = None
) -> list[Outcome]:
    refusals = await _refusals(w, asked)
    let = [one for place, one in enumerate(asked) if place not in refusals]
    outcomes = await use(w, [one.purchase for one in let], deed, until) if let else []
    missed: Counter[str] = Counter()
    for one, outcome in zip(let, outcomes, strict=True):
        missed[one.client] += outcome.guessed
    await count_misses(w, missed)
    following = iter(outcomes)
    return [
        _refused(one, refusals[place]) if place in refusals else next(following)
        for place, one in enumerate(asked)
    ]


def _refused(asked: Asked, refusal: CouponGuessing) -> Outcome:
    reasons = [Quoted(code, reason=str(refusal)) for code in asked.purchase.codes]
    return Outcome(False, reasons, refusal=refusal)


async def _refusals(w: Any, asked: Sequence[Asked]) -> dict[int, CouponGuessing]:
    """Why some may not ask, by their places: those that ask together count one after the other."""
    misses = await misses_of(w, {one.client for one in asked})
    together: Counter[str] = Counter()
    for one in asked:
        together[one.client] += len(one.purchase.codes)
    # only these could go over the limit on their way
    many = {client for client, codes in together.items() if codes + misses[client].count > FREE}
    guesses = await could_be_guesses(
        w, {code for one in asked if one.client in many for code in one.purchase.codes}
    ) if many else set()  # fmt: skip
    refusals = {}
    for place, one in enumerate(asked):
        client = misses[one.client]
        if refusal := client.refusal():
            refusals[place] = refusal
        else:
            client.count += sum(code in guesses for code in one.purchase.codes)
    return refusals
