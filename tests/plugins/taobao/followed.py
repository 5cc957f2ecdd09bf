"""A merchant's shop on the stand-in, and the workers that follow it."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from core.domain.connections.connecting import connect_with_token
from core.domain.shops.plugins import enable_plugin
from core.registry import Owned
from core.sdk import Resource, Token
from plugins.taobao.connector import RESOURCES
from tests.connections.kit import FairShop
from tests.plugins.taobao.kit import Platform
from tests.stand_ins.taobao.server import serve


@dataclass
class FollowedShop(FairShop):
    platform: Any = None

    @property
    def world(self):
        return self.platform.world

    async def connect(self, **more):
        token = self.world.grant(self.platform.app, self.platform.shop)
        grant = self.world.grants[token]
        self.id = await connect_with_token(
            self.db, self.registry, self.merchant.id, "taobao",
            Token(token, grant.refresh, grant.ends[""], grant.ends[""]),
        )  # fmt: skip
        return self.id

    def trade(self, tid=None, **more):
        return self.world.trade(self.platform.shop, tid, **more)

    def truth(self):
        """The states of all orders as the platform has them."""
        trades = self.platform.shop.trades
        return {str(tid): versions[-1][1]["status"] for tid, versions in trades.items()}

    async def dying_at(self, work, dies):
        """Do the work, and die once the platform was called in a way that `dies` says."""
        task = asyncio.ensure_future(work)
        self.world.after["*"].append(lambda call: dies(call) and task.cancel())
        with suppress(asyncio.CancelledError):
            await task
        self.world.after["*"].clear()


@asynccontextmanager
async def followed(merchant, **more):
    async with serve(merchant.clock) as world:
        platform = Platform(world)
        platform.shop.topics = set()  # connecting switches them on
        platform.connector.budgets = ()  # the tests' clock stands still
        orders = replace(RESOURCES[Resource.ORDERS], reach=timedelta(days=2))
        platform.connector.resources = {Resource.ORDERS: orders}
        opened = merchant.installation
        connectors = {"taobao": Owned("taobao", platform.connector)}
        registry = replace(opened.registry, connectors=connectors)
        settings = platform.settings.model_dump() | {"app_secret": platform.app.secret} | more
        await enable_plugin(opened.db, merchant.id, registry, "taobao", settings)
        yield FollowedShop(merchant, None, replace(opened, registry=registry), platform=platform)
