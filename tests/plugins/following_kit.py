"""A merchant's shop on the stand-in of a plugin's platform, and the workers that follow it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from core.domain.connections.connecting import connect_with_token
from core.domain.connections.push_routes import with_push_routes
from core.domain.shops.plugins import enable_plugin, plugin_context
from core.registry import Owned
from core.sdk import Refused, Resource, WebResponse
from core.storage.database import SYSTEM
from tests.connections.kit import FairShop

REACH = timedelta(days=2)


@dataclass
class Followed(FairShop):
    """`platform` has the stand-in's `world`, the `connector`, its `settings`, and gives tokens."""

    platform: Any = None

    @property
    def world(self):
        return self.platform.world

    @property
    def name(self):
        return self.platform.connector.name

    async def connect(self, **more):
        self.id = await connect_with_token(
            self.db, self.registry, self.merchant.id, self.name, self.platform.token(**more)
        )
        return self.id

    async def take(self, request):
        """What is answered at the address that the platform pushes to."""
        routes = with_push_routes(replace(self.registry, web_routes={})).web_routes
        context = await plugin_context(self.db, self.registry, self.name, self.merchant.id)
        try:
            return await routes[self.name].value.handle(context, request)
        except Refused as error:
            return WebResponse(str(error), 403)

    async def dying_at(self, work, dies):
        """Do the work, and die once the platform was called in a way that `dies` says."""
        task = asyncio.ensure_future(work)
        self.world.after["*"].append(lambda call: dies(call) and task.cancel())
        with suppress(asyncio.CancelledError):
            await task
        self.world.after["*"].clear()


async def switched_on(merchant, platform, resources=(Resource.ORDERS,), **settings):
    """The merchant's installation with the plugin of a platform on.

    Without budgets: the tests' clock stands still, and so would a bucket. Of the past a few days
    are enough. The merchants of other tests had the same app, and its bans.
    """
    connector, opened = platform.connector, merchant.installation
    connector.budgets = ()
    connector.resources = {
        one: replace(sync, reach=REACH if sync.reach is None else min(sync.reach, REACH))
        for one, sync in connector.resources.items()
        if one in resources
    }
    name = connector.name
    registry = replace(opened.registry, connectors={name: Owned(name, connector)})
    await enable_plugin(opened.db, merchant.id, registry, name, settings)
    async with opened.db.work(SYSTEM) as w:
        await w.sql.execute("DELETE FROM call_budgets WHERE merchant_id = $1", SYSTEM)
    return replace(opened, registry=registry)
