"""A merchant's shop on the stand-in, and the workers that follow it."""

from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.sdk import Resource
from tests.plugins.aliexpress.kit import Platform
from tests.plugins.following_kit import Followed, switched_on
from tests.stand_ins.aliexpress.server import serve


@dataclass
class FollowedShop(Followed):
    def order(self, number=None, **more):
        return self.world.order(self.platform.shop, number, **more)

    def truth(self):
        """The states of all orders as the platform has them."""
        orders = self.platform.shop.orders
        return {str(number): versions[-1][1]["order_status"] for number, versions in orders.items()}

    async def states(self):
        rows = await self.ask(
            "SELECT external_id, state, in_dispute FROM orders WHERE merchant_id = $1"
        )
        return {int(row["external_id"]): (row["state"], row["in_dispute"]) for row in rows}


@asynccontextmanager
async def followed(merchant, resources=(Resource.ORDERS,), **more):
    async with serve(merchant.clock) as world:
        platform = Platform(world)
        settings = platform.settings.model_dump() | {"app_secret": platform.app.secret} | more
        installation = await switched_on(merchant, platform, resources, **settings)
        yield FollowedShop(merchant, None, installation, platform=platform)
