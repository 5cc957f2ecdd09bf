"""What a rule of the sending policy is about: a shop or all, a channel or all."""

from core.domain.shops.shops import need_shop
from core.registry import Registry
from core.sdk.errors import Faults
from core.storage.database import Work

ALL_SHOPS = 0
ALL_CHANNELS = "*"


async def check_place(
    w: Work, registry: Registry, shop_id: int = ALL_SHOPS, channel: str = ALL_CHANNELS
) -> None:
    """Raises NotFound, InvalidInput or both for a shop or channel that is not there."""
    faults = Faults()
    with faults:
        await need_shop(w, shop_id or None)
    if channel != ALL_CHANNELS and channel not in registry.channels:
        known = ", ".join(sorted(registry.channels)) or "none"
        faults.wrong(f"there is no channel {channel[:100]!r}; there are {known}", "channel")
    faults.tell()
