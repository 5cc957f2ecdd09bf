"""What a campaign added, from those treated and those held out: a difference with its interval.

The interval is a Poisson bootstrap: each customer counts 0, 1, 2 ... times in a resample, as often
as chance has it. Customers who spent about the same are drawn together, so that the work does not
grow with their number. The seed is fixed: the same data give the same interval on any machine.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import accumulate

RESAMPLES = 1_000
TAIL = 0.025
"""Left out of the interval at either end: it is one of 95 percent."""

MIN_CUSTOMERS = 100
MIN_BUYERS = 5
"""A group with fewer says nothing."""

DEVIATIONS = 9
"""How far from its mean a count is drawn, in standard deviations."""


class Verdict(Enum):
    """What a difference tells: more or less than without the campaign, or too small to tell."""

    MORE = "MORE"
    LESS = "LESS"
    TOO_SMALL = "TOO_SMALL"


@dataclass(frozen=True)
class Spend:
    """So many buyers who spent about the same, and what they spent together, in minor units."""

    buyers: int
    amount: int


@dataclass(frozen=True)
class Group:
    """Customers, and those of them who bought."""

    customers: int
    spends: Sequence[Spend]

    @cached_property
    def buyers(self) -> int:
        return sum(one.buyers for one in self.spends)

    @cached_property
    def amount(self) -> int:
        return sum(one.amount for one in self.spends)

    @property
    def conversion(self) -> float:
        """Buyers by customers."""
        return self.buyers / self.customers if self.customers else 0.0

    @property
    def revenue(self) -> float:
        """Spent for each customer, in minor units."""
        return self.amount / self.customers if self.customers else 0.0


@dataclass(frozen=True)
class Difference:
    """Treated less control, between `low` and `high` with 95 percent."""

    value: float
    low: float
    high: float
    verdict: Verdict


@dataclass(frozen=True)
class Lift:
    """What the treated did more than the control.

    `incremental_buyers` and `incremental_sales` (minor units) are what the treated did beyond what
    as many customers of the control would have done.
    """

    treated: Group
    control: Group
    conversion: Difference
    revenue: Difference

    @property
    def incremental_buyers(self) -> float:
        return self.treated.buyers - self.control.buyers * self._scale

    @property
    def incremental_sales(self) -> float:
        return self.treated.amount - self.control.amount * self._scale

    @property
    def _scale(self) -> float:
        return self.treated.customers / self.control.customers if self.control.customers else 0.0


def lift_of(treated: Group, control: Group, seed: int, resamples: int = RESAMPLES) -> Lift:
    """Compare the groups. Takes some tenths of a second of computing."""
    chance = random.Random(seed)  # noqa: S311 - figures, not secrets
    there, here = (_resampled(group, chance, resamples) for group in (treated, control))
    enough = all(
        group.customers >= MIN_CUSTOMERS and group.buyers >= MIN_BUYERS
        for group in (treated, control)
    )
    return Lift(
        treated,
        control,
        *(
            _difference(
                getattr(treated, name) - getattr(control, name),
                sorted(a - b for a, b in zip(there[name], here[name], strict=True)),
                enough,
            )
            for name in ("conversion", "revenue")
        ),
    )


def _difference(value: float, drawn: Sequence[float], enough: bool) -> Difference:
    # nearest rank: the element ceil(p * n) of the sorted list
    low = drawn[max(0, math.ceil(TAIL * len(drawn)) - 1)]
    high = drawn[math.ceil((1 - TAIL) * len(drawn)) - 1]
    verdict = Verdict.TOO_SMALL
    if enough and low > 0:
        verdict = Verdict.MORE
    elif enough and high < 0:
        verdict = Verdict.LESS
    return Difference(value, low, high, verdict)


def _resampled(group: Group, chance: random.Random, resamples: int) -> dict[str, list[float]]:
    """Conversion and revenue for each customer in so many resamples."""
    customers = _poisson(group.customers - group.buyers, chance, resamples)
    buyers, amounts = [0] * resamples, [0.0] * resamples
    for one in group.spends:
        mean = one.amount / one.buyers
        for n, drawn in enumerate(_poisson(one.buyers, chance, resamples)):
            buyers[n] += drawn
            amounts[n] += drawn * mean
    sizes = [max(1, a + b) for a, b in zip(customers, buyers, strict=True)]
    return {
        "conversion": [b / size for b, size in zip(buyers, sizes, strict=True)],
        "revenue": [amount / size for amount, size in zip(amounts, sizes, strict=True)],
    }


def _poisson(mean: int, chance: random.Random, number: int) -> list[int]:
    """So many draws from a Poisson distribution, by the inverse of its distribution function."""
    if not mean:
        return [0] * number
    spread = DEVIATIONS * math.sqrt(mean) + DEVIATIONS
    first, last = max(0, int(mean - spread)), int(mean + spread)
    log = math.log(mean)
    ends = list(
        accumulate(math.exp(k * log - mean - math.lgamma(k + 1)) for k in range(first, last))
    )
    return [first + bisect_right(ends, chance.random() * ends[-1]) for _ in range(number)]
