"""Setting up a new merchant: the merchant, its first shop, its plugins and its owner token."""

from dataclasses import dataclass

from core.domain.shops.merchants import create_merchant
from core.domain.shops.plugins import enable_plugins_without_settings
from core.domain.shops.shops import create_shop
from core.domain.shops.tokens import create_owner_token
from core.registry import Registry
from core.storage.database import SYSTEM, Database


@dataclass(frozen=True)
class NewMerchant:
    """What was made; the token cannot be shown again."""

    merchant_id: int
    shop_id: int | None
    token: str


async def set_up_merchant(
    db: Database,
    registry: Registry,
    name: str,
    time_zone: str = "Asia/Shanghai",
    currency: str = "CNY",
    shop: str | None = None,
    platform: str = "taobao",
) -> NewMerchant:
    """Make a merchant in one transaction. Raises InvalidInput."""
    async with db.work(SYSTEM) as w:
        w.merchant_id = await create_merchant(w, name, time_zone, currency)
        shop_id = await create_shop(w, shop, platform) if shop else None
        await enable_plugins_without_settings(w, registry)
        token = await create_owner_token(w, registry)
        return NewMerchant(w.merchant_id, shop_id, token)
