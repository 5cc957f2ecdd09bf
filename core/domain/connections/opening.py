"""Opening a connected shop: its token, its session, and every call into the connector guarded."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, TypeAdapter

from core.domain.connections.calls import Buckets, Calls, Priority, app_of
from core.domain.shops.plugins import plugin_settings
from core.guard import closed, guarded
from core.registry import Registry
from core.sdk.connectors import ConnectedShop, Connector, ConnectorSession, Token, TokenOf
from core.sdk.errors import HuikeError, NotFound, OutsideError, Several, WrongState
from core.sdk.plugin import PluginContext
from core.storage.database import Database, Session
from core.storage.keyring import Keyring

FAILURES = (HuikeError, Several, OutsideError)
"""How a call into a connector can end badly; `guarded` lets nothing else out."""

CLOSING_SECONDS = 10.0

TOKENS = TypeAdapter(Token)

T = TypeVar("T")


@dataclass(frozen=True)
class Platform:
    """A connector as a merchant has it."""

    plugin: str
    connector: Connector
    settings: BaseModel
    merchant_id: int
    seconds: float

    def buckets(self, shop_id: int) -> Buckets:
        """Where the calls of a shop are counted."""
        app = app_of(self.connector, self.settings)
        return Buckets(self.merchant_id, self.connector.name, shop_id, app)

    async def call(self, call: Awaitable[T]) -> T:
        """Await a call into the connector. Raises one of FAILURES."""
        return await guarded(self.plugin, self.merchant_id, self.seconds, call)


@dataclass(frozen=True)
class Access:
    """A shop, opened. `connection` and `shop` are their rows.

    Who stores takes `storing` first: the database would make him wait all the same, with a
    connection that others lack.
    """

    db: Database
    platform: Platform
    shop: Mapping[str, Any]
    connection: Mapping[str, Any]
    session: ConnectorSession
    storing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def merchant_id(self) -> int:
        return self.platform.merchant_id

    @property
    def since(self) -> datetime:
        """What is older is history: it makes no events."""
        since: datetime = self.connection["connected_at"]
        return since

    def platform_now(self) -> datetime:
        """The platform's time."""
        return self.db.clock() + ahead(self.connection)


def ahead(connection: Mapping[str, Any]) -> timedelta:
    """How far the platform's clock is ahead of ours."""
    return timedelta(milliseconds=connection["clock_ahead_ms"])


async def platform_of(session: Session, registry: Registry, connector: str) -> Platform:
    """A connector with the merchant's settings. Raises NotFound, PluginDisabled."""
    owned = registry.connectors.get(connector)
    if owned is None:
        known = ", ".join(sorted(registry.connectors)) or "none"
        raise NotFound(
            f"no plugin connects shops of {connector!r}; there are connectors for: {known}",
            ("input", "platform"),
        )
    return Platform(
        owned.plugin,
        owned.value,
        await plugin_settings(session, registry, owned.plugin),
        session.merchant_id,
        registry.manifests[owned.plugin].timeout,
    )


async def connection_of(session: Session, shop_id: int) -> Mapping[str, Any]:
    """A shop's connection. Raises NotFound."""
    row = await session.sql.fetchrow(
        "SELECT * FROM shop_connections WHERE merchant_id = $1 AND shop_id = $2",
        session.merchant_id, shop_id,
    )  # fmt: skip
    if row is None:
        raise NotFound("the shop is not connected to its platform", ("id",))
    return dict(row)


@asynccontextmanager
async def open_shop(
    db: Database, registry: Registry, merchant_id: int, shop_id: int, priority: Priority
) -> AsyncIterator[Access]:
    """Open a shop that is connected and not paused. Raises one of FAILURES."""
    async with db.read(merchant_id) as session:
        connection = await connection_of(session, shop_id)
        if connection["state"] != "connected" or connection["paused"]:
            raise WrongState("the shop is paused or not connected")
        shop = dict(
            await session.sql.fetchrow(
                "SELECT * FROM shops WHERE merchant_id = $1 AND id = $2", merchant_id, shop_id
            )
        )
        platform = await platform_of(session, registry, connection["connector"])
    connector = platform.connector
    connected = ConnectedShop(
        shop_id,
        shop["external_id"],
        shop["time_zone"],
        shop["currency"],
        open_token(db.keyring, connection),
        ahead(connection),
    )
    buckets = platform.buckets(shop_id)
    meter = Calls(db, buckets, connector.budgets, shop["time_zone"], priority)
    manager = connector.open(platform.settings, connected, meter)
    opened = await platform.call(manager.__aenter__())
    try:
        yield Access(db, platform, shop, connection, opened)
    finally:
        await closed(platform.plugin, manager, CLOSING_SECONDS)


def seal_token(keyring: Keyring, merchant_id: int, shop_id: int, token: Token) -> bytes:
    """The token as it is stored."""
    return keyring.seal_bytes(orjson.dumps(token), _place(merchant_id, shop_id))


def open_token(keyring: Keyring, connection: Mapping[str, Any]) -> Token:
    """A connection's token. Raises WrongState when there is none."""
    sealed = connection["token_sealed"]
    if sealed is None:
        raise WrongState("the shop has no token: it has to be connected again")
    place = _place(connection["merchant_id"], connection["shop_id"])
    return TOKENS.validate_json(keyring.open_bytes(sealed, place))


async def shop_token(session: Session, shop_id: int) -> Token:
    """The token of a connected shop. Raises NotFound, WrongState."""
    return open_token(session.keyring, await connection_of(session, shop_id))


def tokens_of(context: PluginContext) -> TokenOf:
    """Gives the token of any connected shop of the merchant. What it gives raises NotFound and
    WrongState."""

    async def token_of(shop_id: int) -> Token:
        async with context.database.read(context.merchant_id) as session:
            return await shop_token(session, shop_id)

    return token_of


def _place(merchant_id: int, shop_id: int) -> str:
    return f"shop_connections.token|{merchant_id}|{shop_id}"
