"""A shop on the stand-in, opened as the driver opens it."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from core.sdk import ConnectedShop, Kind, Resource, Token, Window
from plugins.taobao.connector import TaobaoConnector
from plugins.taobao.settings import TaobaoSettings

NOW = datetime(2026, 1, 1, 4, 0, tzinfo=UTC)
"""Noon in Shanghai."""
SHOP_ID = 7


class Meter:
    """Counts, and never makes anybody wait."""

    def __init__(self):
        self.spent, self.bans = [], []

    async def spend(self, api, calls=1):
        self.spent.append(api)

    async def ban(self, scope, seconds):
        self.bans.append((scope, seconds))


class Platform:
    """The stand-in's world with one app and one shop, and the connector for it."""

    def __init__(self, world, mode="crm", kind="C"):
        self.world = world
        self.app = world.app(crm=mode == "crm")
        self.shop = world.shop(kind=kind)
        self.shop.topics = None
        self.meter = Meter()
        self.connector = TaobaoConnector(world.clock)
        self.settings = TaobaoSettings(
            app_key=self.app.key, app_secret=self.app.secret, mode=mode, gateway=world.url
        )

    def token(self):
        """A token as its seller's authorisation gives it."""
        token = self.world.grant(self.app, self.shop)
        grant = self.world.grants[token]
        return Token(token, grant.refresh, grant.ends[""], grant.ends[""])

    def connected(self, token=None, **more):
        token = token or Token(self.world.grant(self.app, self.shop))
        return ConnectedShop(SHOP_ID, str(self.shop.user_id), "Asia/Shanghai", "CNY", token, **more)

    @asynccontextmanager
    async def open(self, token=None, **more):
        shop = self.connected(token, **more)
        async with self.connector.open(self.settings, shop, self.meter) as session:
            yield session


def last(minutes, until=NOW):
    return Window(until - timedelta(minutes=minutes), until)


async def pulled(session, resource=Resource.ORDERS, window=None, kind=Kind.INCREMENTAL):
    """Every record of a window."""
    window = window or last(30)
    return [r async for page in session.pull(resource, window, kind) for r in page.records]
