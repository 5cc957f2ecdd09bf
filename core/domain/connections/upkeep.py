"""Upkeep of a connection: its token renewed in time, what it may do, the clock, the queue."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson

from core.domain.connections.backfill import plan_past
from core.domain.connections.calls import Priority
from core.domain.connections.connecting import refresh_time
from core.domain.connections.counting import count_days
from core.domain.connections.following import open_cursors
from core.domain.connections.inbox import take_in
from core.domain.connections.leases import LEASE
from core.domain.connections.opening import (
    FAILURES,
    Access,
    Platform,
    connection_of,
    open_shop,
    open_token,
    platform_of,
    seal_token,
)
from core.domain.connections.trouble import needs_seller, pause_after, problem_of
from core.registry import Registry
from core.sdk.connectors import Authorising, Queue, Timed
from core.sdk.errors import ReconnectNeeded
from core.storage.database import Database, Work

CHECK_EVERY = timedelta(hours=1)
LISTEN_EVERY = timedelta(seconds=2)
FULL_TURNS = 50
"""So many times a full queue is emptied before others get their turn."""


async def look_after(db: Database, registry: Registry, merchant_id: int, shop_id: int) -> None:
    """Do what is due of a shop's upkeep."""
    async with db.read(merchant_id) as session:
        connection = await connection_of(session, shop_id)
        now = session.now
    due = {name: connection[name] is not None and connection[name] <= now
           for name in ("refresh_at", *UPKEEP)}  # fmt: skip
    if due["refresh_at"] and not await _refresh(db, registry, merchant_id, shop_id):
        return
    wanted = [name for name in UPKEEP if due[name]]
    claimed = [name for name in wanted if await _claim(db, merchant_id, shop_id, name)]
    if not claimed:
        return
    left = list(claimed)
    try:
        async with open_shop(db, registry, merchant_id, shop_id, Priority.PUSH) as access:
            for name in claimed:
                try:
                    await UPKEEP[name](access)
                except ReconnectNeeded:
                    raise
                except FAILURES as error:  # one of them does not keep the others from their turn
                    await _failed(db, merchant_id, connection, [name], error)
                left.remove(name)
    except FAILURES as error:
        await _failed(db, merchant_id, connection, left, error)


async def _claim(db: Database, merchant_id: int, shop_id: int, name: str) -> bool:
    """Take over one thing that is due; until its lease ends nobody else does it."""
    async with db.work(merchant_id) as w:
        return bool(
            await w.sql.fetchval(
                f"""UPDATE shop_connections SET {name} = $4
                    WHERE merchant_id = $1 AND shop_id = $2 AND {name} <= $3 RETURNING TRUE""",
                merchant_id, shop_id, w.now, w.now + LEASE,
            )
        )  # fmt: skip


async def _failed(
    db: Database,
    merchant_id: int,
    connection: Mapping[str, Any],
    names: list[str],
    error: Exception,
) -> None:
    async with db.work(merchant_id) as w:
        next_at = w.now + pause_after(error, connection["failures"])
        sets = ", ".join(
            f"{name} = CASE WHEN {name} IS NOT NULL THEN $3::timestamptz END" for name in names
        )
        await w.sql.execute(
            f"""UPDATE shop_connections SET failures = failures + 1, problem = $4, problem_at = $5,
                    {sets}
                WHERE merchant_id = $1 AND shop_id = $2""",
            merchant_id, connection["shop_id"], next_at, problem_of(error), w.now,
        )  # fmt: skip
        if isinstance(error, ReconnectNeeded):
            renewing = names == ["refresh_at"]
            await needs_seller(w, connection["shop_id"], error, renewing)
        await w.notify("connection", connection["shop_id"])


async def _refresh(db: Database, registry: Registry, merchant_id: int, shop_id: int) -> bool:
    """Renew the token; one worker does it, since two renewals may end each other's token."""
    if not await _claim(db, merchant_id, shop_id, "refresh_at"):
        return False
    async with db.read(merchant_id) as session:
        connection = await connection_of(session, shop_id)
    try:
        async with db.read(merchant_id) as session:
            platform = await platform_of(session, registry, connection["connector"])
        await _renew(db, platform, connection)
    except FAILURES as error:
        await _failed(db, merchant_id, connection, ["refresh_at"], error)
        return False
    return True


async def _renew(db: Database, platform: Platform, connection: Mapping[str, Any]) -> None:
    connector = platform.connector
    assert isinstance(connector, Authorising)
    old = open_token(db.keyring, connection)
    token = await platform.call(connector.refresh(platform.settings, old))
    shop_id = connection["shop_id"]
    async with db.work(platform.merchant_id) as w:
        await w.sql.execute(
            """UPDATE shop_connections SET token_sealed = $3, expires_at = $4,
                   refresh_until = $5, refresh_at = $6, refreshed_at = $7, failures = 0,
                   problem = NULL, problem_at = NULL
               WHERE merchant_id = $1 AND shop_id = $2 AND authorised_at = $8""",
            w.merchant_id, shop_id, seal_token(w.keyring, w.merchant_id, shop_id, token),
            token.expires_at, token.refresh_until, refresh_time(connector, token, w.now), w.now,
            connection["authorised_at"],
        )  # fmt: skip
        w.audit("shop.token_renewed", {"shop": shop_id})
        await _wake(w, shop_id)


async def _wake(w: Work, shop_id: int) -> None:
    """What waited for a token goes on."""
    for table, which in (("sync_cursors", "TRUE"), ("sync_slices", "state = 'waiting'")):
        await w.sql.execute(
            f"""UPDATE {table} SET next_at = LEAST(next_at, $3)
                WHERE merchant_id = $1 AND shop_id = $2 AND {which}""",
            w.merchant_id, shop_id, w.now,
        )  # fmt: skip
    w.ring("shops.sync", w.merchant_id, shop_id)
    await w.notify("connection", shop_id)


async def _check(access: Access) -> None:
    """Ask what the shop and the app may do, and how late it is there."""
    session, call = access.session, access.platform.call
    capabilities = await call(session.capabilities())
    offset = 0
    if isinstance(session, Timed):
        asked = access.db.clock()
        theirs = await call(session.platform_time())
        # the answer was made about half-way
        between = asked + (access.db.clock() - asked) / 2
        offset = round((theirs - between) / timedelta(milliseconds=1))
    async with access.db.work(access.merchant_id) as w:
        await w.sql.execute(
            """UPDATE shop_connections SET capabilities = $3, clock_ahead_ms = $4, check_at = $5,
                   listen_at = CASE WHEN $6 THEN COALESCE(listen_at, $7) END, failures = 0,
                   problem = NULL, problem_at = NULL
               WHERE merchant_id = $1 AND shop_id = $2 AND state = 'connected'""",
            w.merchant_id, access.shop["id"], orjson.dumps(sorted(capabilities)).decode(), offset,
            w.now + CHECK_EVERY, isinstance(session, Queue), w.now,
        )  # fmt: skip
        await _begin_new(w, access)
        await w.notify("connection", access.shop["id"])


async def _begin_new(w: Work, access: Access) -> None:
    """Follow what the connector pulls since its last version, too."""
    shop_id = access.shop["id"]
    rows = await w.sql.fetch(
        "SELECT resource FROM sync_cursors WHERE merchant_id = $1 AND shop_id = $2",
        w.merchant_id, shop_id,
    )  # fmt: skip
    known = {row["resource"] for row in rows}
    resources = access.platform.connector.resources
    new = {resource: sync for resource, sync in resources.items() if resource not in known}
    await open_cursors(w, shop_id, new, access.platform_now())
    await plan_past(w, shop_id, new, access.platform_now())


async def _listen(access: Access) -> None:
    """Empty the platform's queue: keep the messages, then confirm them."""
    session, call = access.session, access.platform.call
    if isinstance(session, Queue):
        for _ in range(FULL_TURNS):
            changes, handles = await call(session.consume())
            if changes:
                async with access.db.work(access.merchant_id) as w:
                    await take_in(w, access.platform.connector.name, changes)
            if not handles:
                break
            await call(session.confirm(handles))
    async with access.db.work(access.merchant_id) as w:
        await w.sql.execute(
            """UPDATE shop_connections SET listen_at = $3
               WHERE merchant_id = $1 AND shop_id = $2 AND listen_at IS NOT NULL""",
            w.merchant_id, access.shop["id"], w.now + LISTEN_EVERY,
        )  # fmt: skip


UPKEEP = {"listen_at": _listen, "check_at": _check, "count_at": count_days}
"""By when each is due; messages first, since they wait."""
