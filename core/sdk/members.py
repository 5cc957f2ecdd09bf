"""Members of a platform's own programme in a shop, normalised."""

from dataclasses import dataclass, field
from datetime import datetime

from core.sdk.identities import Identity


@dataclass(slots=True)
class PlatformMember:
    """What a platform knows of one buyer as a member of a shop.

    None means that the snapshot does not tell. `grade` is the platform's own, 0 for a customer who
    is no member. `trade_count` and `trade_amount` (minor units of the shop's currency) are the
    platform's own sums over his whole time, which need not agree with ours. `member` is False once
    he has left.
    """

    buyer_id: str
    identities: list[Identity] = field(default_factory=list)
    member: bool | None = None
    grade: int | None = None
    grade_name: str | None = None
    points: int | None = None
    joined_at: datetime | None = None
    left_at: datetime | None = None
    join_source: str | None = None
    blacklisted: bool | None = None
    trade_count: int | None = None
    trade_amount: int | None = None
    last_trade_at: datetime | None = None
    province: str | None = None
    city: str | None = None
    modified_at: datetime | None = None
