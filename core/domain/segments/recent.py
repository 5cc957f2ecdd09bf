"""What was made ready for merchants, kept in this process for those that came last."""

from collections import OrderedDict
from typing import Generic, TypeVar

MAX_KEPT = 500
"""Merchants for whom something is kept at most."""

T = TypeVar("T")


class Recent(Generic[T]):
    """One thing for each merchant; of more than MAX_KEPT the one not asked for longest goes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, T] = OrderedDict()

    def find(self, merchant_id: int) -> T | None:
        """What is kept for the merchant, if anything."""
        if merchant_id in self._kept:
            self._kept.move_to_end(merchant_id)
        return self._kept.get(merchant_id)

    def keep(self, merchant_id: int, made: T) -> T:
        """Keep it instead of what was there, and return it."""
        self._kept[merchant_id] = made
        self._kept.move_to_end(merchant_id)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return made
