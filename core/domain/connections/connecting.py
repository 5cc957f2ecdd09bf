"""Connecting a shop to its platform, pausing it, and ending the connection."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

from core.domain.connections.backfill import plan_past
from core.domain.connections.following import open_cursors
from core.domain.connections.opening import (
    Platform,
    connection_of,
    platform_of,
    seal_token,
)
from core.domain.shops.shops import create_shop, need_shop
from core.registry import Registry
from core.sdk.connectors import Authorised, Authorising, Token, Verifying
from core.sdk.errors import (
    AlreadyExists,
    Faults,
    HuikeError,
    InvalidInput,
    NotFound,
    OutsideError,
    WrongState,
)
from core.storage.database import Database, Work

CONNECTED, DISCONNECTED = "connected", "disconnected"
BEFORE_END = timedelta(hours=24)
"""A token is renewed so long before its end, or when half of its life is over."""
COUNT_DELAY = timedelta(hours=1)


class ConnectionRefused(HuikeError):
    code = "CONNECTION_REFUSED"
    cause = "The platform did not accept the token or the authorisation."
    cure = "Authorise the shop again; the message says what the platform answered."


async def connect_with_token(
    db: Database,
    registry: Registry,
    merchant_id: int,
    connector: str,
    token: Token,
    shop_id: int | None = None,
    actor: str = "system",
) -> int:
    """Connect a shop by a token that somebody pasted, once a real call has accepted it.

    Returns the shop's id: that of `shop_id`, of the shop that the token is for, or of a new one.
    Raises NotFound, PluginDisabled, InvalidInput, ConnectionRefused, AlreadyExists.
    """
    faults = Faults()
    if not token.access.strip():
        faults.wrong("the token is empty", "token")
    async with db.read(merchant_id, actor) as session:
        with faults:
            await need_shop(session, shop_id)
        with faults:
            platform = await platform_of(session, registry, connector)
            if not isinstance(platform.connector, Verifying):
                raise InvalidInput(
                    f"{connector} takes no pasted token: connect by link", ("input", "platform")
                )
    faults.tell()
    assert isinstance(platform.connector, Verifying)
    try:
        authorised = await platform.call(platform.connector.verify(platform.settings, token))
    except OutsideError as error:
        raise ConnectionRefused(str(error), ("input", "token")) from error
    async with db.work(merchant_id, actor) as w:
        return await connect(w, platform, authorised, shop_id)


async def connect(
    w: Work, platform: Platform, authorised: Authorised, shop_id: int | None = None
) -> int:
    """Store an authorisation and begin to follow the shop, or go on; returns the shop's id.

    Raises NotFound, AlreadyExists and InvalidInput where `shop_id` is another shop.
    """
    connector = platform.connector
    found = await _shop_of(w, connector.name, authorised, shop_id)
    shop_id = found or await _new_shop(w, connector.name, authorised)
    token = authorised.token
    before = await w.sql.fetchval(
        "SELECT state FROM shop_connections WHERE merchant_id = $1 AND shop_id = $2 FOR UPDATE",
        w.merchant_id, shop_id,
    )  # fmt: skip
    # what happened while nobody was let in is caught up with; after an end it begins anew
    anew = before is None or before == DISCONNECTED
    await w.sql.execute(
        """INSERT INTO shop_connections AS c (merchant_id, shop_id, connector, state, paused,
               token_sealed, expires_at, refresh_until, refresh_at, capabilities, clock_ahead_ms,
               connected_at, authorised_at, check_at, count_at)
           VALUES ($1, $2, $3, 'connected', FALSE, $4, $5, $6, $7, '[]', 0, $8, $8, $8, $9)
           ON CONFLICT (merchant_id, shop_id) DO UPDATE SET connector = $3, state = 'connected',
               token_sealed = $4, expires_at = $5, refresh_until = $6, refresh_at = $7,
               refreshed_at = NULL, authorised_at = $8, check_at = $8, failures = 0,
               problem = NULL, problem_at = NULL,
               connected_at = CASE WHEN $10 THEN $8 ELSE c.connected_at END,
               paused = c.paused AND NOT $10""",
        w.merchant_id, shop_id, connector.name,
        seal_token(w.keyring, w.merchant_id, shop_id, token), token.expires_at,
        token.refresh_until, refresh_time(connector, token, w.now), w.now, w.now + COUNT_DELAY,
        anew,
    )  # fmt: skip
    await open_cursors(w, shop_id, connector.resources, w.now)
    if anew:
        await plan_past(w, shop_id, connector.resources, w.now)
    w.audit("shop.connected", {"shop": shop_id, "connector": connector.name, "anew": anew})
    for job in ("shops.upkeep", "shops.sync", "shops.fetch"):
        w.ring(job, w.merchant_id, shop_id)
    await w.notify("connection", shop_id)
    return shop_id


async def _shop_of(
    w: Work, connector: str, authorised: Authorised, shop_id: int | None
) -> int | None:
    """The shop that is connected: the one named, else the one with this id on the platform."""
    same = await w.sql.fetchval(
        """SELECT id FROM shops WHERE merchant_id = $1 AND platform = $2 AND external_id = $3
           ORDER BY id LIMIT 1""",
        w.merchant_id, connector, authorised.external_id,
    )  # fmt: skip
    if shop_id is None or same == shop_id:
        return None if same is None else int(same)
    if same is not None:
        raise AlreadyExists(
            f"this authorisation is for the shop {authorised.name!r}, which is another one here: "
            "log in at the platform as the right seller",
            ("input", "shopId"),
        )
    row = await w.sql.fetchrow(
        "SELECT * FROM shops WHERE merchant_id = $1 AND id = $2", w.merchant_id, shop_id
    )
    if row is None:
        raise NotFound("there is no shop with this id", ("input", "shopId"))
    if row["platform"] != connector or row["external_id"] is not None:
        raise InvalidInput(
            f"this authorisation is for the shop {authorised.name!r} of {connector}, and not for "
            f"{row['name']!r}",
            ("input", "shopId"),
        )
    await w.sql.execute(
        """UPDATE shops SET external_id = $3, version = version + 1
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, shop_id, authorised.external_id,
    )  # fmt: skip
    return shop_id


async def _new_shop(w: Work, connector: str, told: Authorised) -> int:
    zone = told.time_zone if told.time_zone in available_timezones() else None
    rest = (connector, told.external_id, zone, told.currency)
    try:
        return await create_shop(w, told.name, *rest)
    except AlreadyExists:
        return await create_shop(w, f"{told.name} ({connector} {told.external_id})", *rest)


def refresh_time(connector: Any, token: Token, now: datetime) -> datetime | None:
    """When to renew a token, None if it cannot be: a day before its end, or at half its life."""
    if token.refresh is None or token.expires_at is None or not isinstance(connector, Authorising):
        return None
    if token.refresh_until is not None and token.refresh_until <= now:
        return None
    return max(now, token.expires_at - min(BEFORE_END, (token.expires_at - now) / 2))


async def set_paused(w: Work, shop_id: int, paused: bool) -> None:
    """Stop to call the platform for a shop, or go on where it stopped. Raises NotFound."""
    before = await connection_of(w, shop_id)
    if before["state"] == DISCONNECTED:
        raise WrongState("the shop is not connected: connect it", ("id",))
    if before["paused"] == paused:
        return
    await w.sql.execute(
        "UPDATE shop_connections SET paused = $3 WHERE merchant_id = $1 AND shop_id = $2",
        w.merchant_id, shop_id, paused,
    )  # fmt: skip
    w.audit("shop.paused" if paused else "shop.resumed", {"shop": shop_id})
    if not paused:
        for job in ("shops.upkeep", "shops.sync", "shops.fetch", "shops.backfill"):
            w.ring(job, w.merchant_id, shop_id)
    await w.notify("connection", shop_id)


async def disconnect(w: Work, shop_id: int) -> Mapping[str, Any]:
    """End a connection: the token is forgotten, what was taken in is kept. Raises NotFound."""
    before = await connection_of(w, shop_id)
    await w.sql.execute(
        """UPDATE shop_connections SET state = 'disconnected', token_sealed = NULL,
               refresh_at = NULL, listen_at = NULL, problem = NULL, problem_at = NULL
           WHERE merchant_id = $1 AND shop_id = $2""",
        w.merchant_id, shop_id,
    )  # fmt: skip
    for table in ("sync_cursors", "sync_slices", "push_inbox"):
        await w.sql.execute(
            f"DELETE FROM {table} WHERE merchant_id = $1 AND shop_id = $2", w.merchant_id, shop_id
        )
    w.audit("shop.disconnected", {"shop": shop_id})
    await w.notify("connection", shop_id)
    return before
