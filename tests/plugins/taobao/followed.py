"""A merchant's shop on the stand-in, and the workers that follow it."""

from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.plugins.following_kit import Followed, switched_on
from tests.plugins.taobao.kit import Platform
from tests.stand_ins.taobao.server import serve


@dataclass
class FollowedShop(Followed):
    def trade(self, tid=None, **more):
        return self.world.trade(self.platform.shop, tid, **more)

    def truth(self):
        """The states of all orders as the platform has them."""
        trades = self.platform.shop.trades
        return {str(tid): versions[-1][1]["status"] for tid, versions in trades.items()}


@asynccontextmanager
async def followed(merchant, **more):
    async with serve(merchant.clock) as world:
        platform = Platform(world)
        platform.shop.topics = set()  # connecting switches them on
        settings = platform.settings.model_dump() | {"app_secret": platform.app.secret} | more
        installation = await switched_on(merchant, platform, **settings)
        yield FollowedShop(merchant, None, installation, platform=platform)
