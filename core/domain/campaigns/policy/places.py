"""What a rule of the sending policy is about: a shop or all, a channel or all."""

from core.domain.shops.shops import shop_exists
from core.registry import Registry
from core.sdk.errors import HuikeError, InvalidInput, NotFound, Several
from core.storage.database import Work

ALL_SHOPS = 0
ALL_CHANNELS = "*"


async def check_place(
    w: Work, registry: Registry, shop_id: int = ALL_SHOPS, channel: str = ALL_CHANNELS
) -> None:
    """Raises Several of NotFound and InvalidInput for a shop or channel that is not there."""
    errors: list[HuikeError] = []
    if shop_id != ALL_SHOPS and not await shop_exists(w, shop_id):
        errors.append(NotFound(f"there is no shop {shop_id}", ("input", "shopId")))
    if channel != ALL_CHANNELS and channel not in registry.channels:
        known = ", ".join(sorted(registry.channels)) or "none"
        errors.append(
            InvalidInput(f"there is no channel {channel!r}; there are {known}",
                         ("input", "channel"))
        )  # fmt: skip
    if errors:
        raise Several(errors)
