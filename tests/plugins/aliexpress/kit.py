"""A shop on the stand-in, opened as the driver opens it."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

from core.sdk import ConnectedShop, Kind, Resource, Token
from plugins.aliexpress.connector import AliExpressConnector
from plugins.aliexpress.settings import AliExpressSettings
from tests.plugins.taobao.kit import SHOP_ID, Meter, last

NOW = datetime(2026, 1, 1, 4, 0, tzinfo=UTC)
"""Eight in the evening of 2025 on the platform."""


class Platform:
    """The stand-in's world with one app and one shop, and the connector for it."""

    def __init__(self, world):
        self.world = world
        self.app = world.app()
        self.shop = world.shop()
        self.meter = Meter()
        self.connector = AliExpressConnector(world.clock)
        self.settings = AliExpressSettings(
            app_key=self.app.key, app_secret=self.app.secret, gateway=world.url
        )

    def set(self, **more):
        """Change settings."""
        values = self.settings.model_dump() | {"app_secret": self.app.secret} | more
        self.settings = AliExpressSettings(**values)

    def token(self):
        """A token as its seller's authorisation gives it."""
        token = self.world.grant(self.app, self.shop)
        grant = self.world.grants[token]
        return Token(token, grant.refresh, grant.ends, grant.refresh_ends)

    @asynccontextmanager
    async def open(self, token=None, **more):
        shop = ConnectedShop(
            SHOP_ID, str(self.shop.seller_id), "America/Los_Angeles", "USD",
            token or self.token(), **more,
        )  # fmt: skip
        async with self.connector.open(self.settings, shop, self.meter) as session:
            yield session


async def pulled(session, resource=Resource.ORDERS, window=None, kind=Kind.INCREMENTAL):
    """Every record of a window, the last half hour by itself."""
    window = window or last(30, NOW)
    return [r async for page in session.pull(resource, window, kind) for r in page.records]
