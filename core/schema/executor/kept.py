"""What was made of the documents that were used last, kept within bounds."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MAX_DOCUMENTS = 500
MAX_CHARACTERS = 300_000
"""A character takes 60 bytes of memory in a usual document, and 260 in the worst."""


class Kept(Generic[K, V]):
    """At most MAX_DOCUMENTS values, of documents that have MAX_CHARACTERS in all."""

    def __init__(self) -> None:
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.characters = 0

    def __len__(self) -> int:
        return len(self._values)

    def find(self, key: K) -> V | None:
        """The value, which counts as used now."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def keep(self, key: K, value: V, characters: int) -> V:
        """Keep a value that is not there yet; the ones used longest ago make room."""
        self._values[key] = value, characters
        self.characters += characters
        while len(self._values) > MAX_DOCUMENTS or self.characters > MAX_CHARACTERS:
            _, (_, gone) = self._values.popitem(last=False)
            self.characters -= gone
        return value
