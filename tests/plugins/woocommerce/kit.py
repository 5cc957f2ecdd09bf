"""A store on the stand-in, opened as the driver opens it and followed as workers follow it."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from core.sdk import Token
from plugins.woocommerce.connector import WooCommerceConnector
from tests.plugins.following_kit import Followed, switched_on
from tests.stand_ins.woocommerce import Webhook, serve

DRAFT = "checkout-draft"
"""A cart, and no order yet."""
ADDRESS = "https://crm.example/hooks/woocommerce/x"
SECRET = "<the webhooks' secret>"


@dataclass
class Platform:
    """The stand-in's store, and the connector for it."""

    world: Any
    connector: Any

    def token(self, key="ck_good", secret="cs_good"):
        """What a merchant pastes."""
        return Token(self.world.url.replace("://", f"://{key}:{secret}@"))


@dataclass
class FollowedStore(Followed):
    def truth(self):
        """The states of all orders as the store has them."""
        orders = self.world.orders.values()
        return {str(row["id"]): row["status"] for row in orders if row["status"] != DRAFT}

    @property
    def webhook(self):
        """One that the store has made."""
        return Webhook(ADDRESS, SECRET)

    async def hook(self):
        """Have the store make one."""
        return await self.world.hook(self.take, ADDRESS, SECRET)

    async def send(self, hook, topic, number):
        await self.world.send(self.take, hook, topic, number)


@asynccontextmanager
async def followed(merchant, **settings):
    async with serve(merchant.clock) as store:
        platform = Platform(store, WooCommerceConnector())
        settings = {"webhook_secret": SECRET} | settings
        installation = await switched_on(merchant, platform, **settings)
        yield FollowedStore(merchant, None, installation, platform=platform)
