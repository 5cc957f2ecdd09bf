"""Reviews as platforms tell them, normalised."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from core.sdk.identities import Identity


@dataclass(slots=True)
class ReviewRecord:
    """A snapshot of one review that a buyer gave.

    `sign` is 1 good, 0 neutral, -1 bad; `stars` 1 to 5 where the platform counts them. The buyer
    is found by the order, or else by `identities`. `external_id` is the platform's id of the
    review, or what makes it unique there (order, line and role).
    """

    external_id: str
    order_external_id: str
    at: datetime
    sign: Literal[-1, 0, 1] | None = None
    stars: int | None = None
    line_external_id: str | None = None
    text: str | None = None
    later_text: str | None = None
    """What the buyer added afterwards."""
    reply: str | None = None
    tags: list[str] = field(default_factory=list)
    modified_at: datetime | None = None
    identities: list[Identity] = field(default_factory=list)
