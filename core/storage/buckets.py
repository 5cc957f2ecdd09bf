"""Buckets of tokens, by which something is done so many times in any period at the most.

A bucket holds a tenth of what is allowed in a period and fills so slowly that no period, wherever
it begins, sees more than is allowed. What is in it stands in a row that its takers lock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

CLOCK_WENT_BACK = timedelta(minutes=2)
"""A bucket filled later than that from now was filled by a clock that was wrong."""


@dataclass(frozen=True)
class Bucket:
    """The size and speed of the bucket for `amount` in any `seconds` seconds."""

    amount: int
    seconds: float

    @cached_property
    def size(self) -> int:
        """The tokens of a full bucket: so many are taken at once at the most."""
        return max(1, self.amount // 10)

    @cached_property
    def speed(self) -> float:
        """The tokens that it gains in a second."""
        return (self.amount - self.size + 1) / self.seconds

    def tokens(self, left: float, filled_at: datetime, now: datetime) -> float:
        """What is in it now. Clocks that differ a little give nothing twice."""
        if filled_at > now + CLOCK_WENT_BACK:
            return float(self.size)
        gained = max(0.0, (now - filled_at).total_seconds()) * self.speed
        return min(float(self.size), left + gained)

    def ready_at(self, wanted: float, tokens: float, now: datetime) -> datetime:
        """When it will hold so many tokens, rounded up to the microsecond."""
        missing = max(0.0, wanted - tokens) / self.speed
        return now + timedelta(seconds=missing) + timedelta.resolution
