"""A merchant's shop on the stand-in, and the workers that follow it."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from core.domain.connections.connecting import connect_with_token
from core.domain.shops.plugins import enable_plugin
from core.registry import Owned
from core.sdk import Resource, Token
from plugins.aliexpress.connector import RESOURCES
from tests.connections.kit import FairShop
from tests.plugins.aliexpress.kit import Platform
from tests.stand_ins.aliexpress.server import serve


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
            self.db, self.registry, self.merchant.id, "aliexpress",
            Token(token, grant.refresh, grant.ends, grant.refresh_ends),
        )  # fmt: skip
        return self.id

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
        platform.connector.budgets = ()  # the tests' clock stands still
        reach = timedelta(days=2)
        platform.connector.resources = {
            one: replace(RESOURCES[one], reach=min(RESOURCES[one].reach, reach))
            for one in resources
        }
        opened = merchant.installation
        connectors = {"aliexpress": Owned("aliexpress", platform.connector)}
        registry = replace(opened.registry, connectors=connectors)
        settings = platform.settings.model_dump() | {"app_secret": platform.app.secret} | more
        await enable_plugin(opened.db, merchant.id, registry, "aliexpress", settings)
        yield FollowedShop(merchant, None, replace(opened, registry=registry), platform=platform)
