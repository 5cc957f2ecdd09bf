"""Keeping a shop in step: windows of what changed since the last, each resource for itself."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from core.domain.connections.answering import fetches_lag
from core.domain.connections.calls import Priority
from core.domain.connections.leases import LEASE, TURN_SECONDS, Claimed, LeaseLost
from core.domain.connections.opening import FAILURES, Access, open_shop
from core.domain.connections.reading import read_window
from core.domain.connections.trouble import needs_seller, pause_after, problem_of
from core.domain.connections.windows import Position, after_reading, halved, next_window
from core.registry import Registry
from core.sdk.connectors import Kind, Resource, Sync, TooMuch, Window
from core.sdk.errors import ReconnectNeeded, RetryLater
from core.storage.database import Database, Work

LONG_PAUSE = timedelta(days=1)
HURRIED_SAFETY = timedelta(seconds=5)
"""How near to now windows read while fetches lag; what lists show late is read later anyway."""


@dataclass
class Cursor(Claimed):
    """A claimed cursor."""

    table = "sync_cursors"
    position: Position


async def follow_shop(
    db: Database,
    registry: Registry,
    merchant_id: int,
    shop_id: int,
    stop: asyncio.Event | None = None,
) -> None:
    """Bring the resources of a shop that are due in step with the platform.

    Once `stop` is set the present window is ended and no other begun.
    """
    cursors = await _claim(db, merchant_id, shop_id)
    if not cursors:
        return
    try:
        async with open_shop(db, registry, merchant_id, shop_id, Priority.INCREMENTAL) as access:
            while cursors:
                cursor = cursors.pop(0)
                try:
                    await _follow(access, cursor, stop or asyncio.Event())
                except FAILURES as error:
                    await _failed(db, shop_id, cursor, error)
                except LeaseLost:
                    pass
    except FAILURES as error:
        for cursor in cursors:
            await _failed(db, shop_id, cursor, error)


async def _claim(db: Database, merchant_id: int, shop_id: int) -> list[Cursor]:
    owner = uuid.uuid4().hex
    async with db.work(merchant_id) as w:
        rows = await w.sql.fetch(
            """UPDATE sync_cursors SET lease_owner = $4, lease_until = $5
               WHERE merchant_id = $1 AND shop_id = $2 AND next_at <= $3
                 AND COALESCE(lease_until, $3) <= $3
               RETURNING *""",
            merchant_id, shop_id, w.now, owner, w.now + LEASE,
        )  # fmt: skip
    order = list(Resource)
    cursors = [
        Cursor(
            merchant_id, row["id"], Resource(row["resource"]),
            row["failures"], owner, Position(row["cursor_at"], row["settled_at"]),
        )
        for row in rows
    ]  # fmt: skip
    return sorted(cursors, key=lambda cursor: order.index(cursor.resource))


async def _follow(access: Access, cursor: Cursor, stop: asyncio.Event) -> None:
    sync = access.platform.connector.resources.get(cursor.resource)
    if sync is None:  # another version of the plugin pulled this
        await _release(access, cursor, LONG_PAUSE)
        return
    async with access.db.read(access.merchant_id) as session:
        if await fetches_lag(session, access.shop["id"], cursor.resource):
            sync = replace(sync, safety=min(sync.safety, HURRIED_SAFETY))
    turn_ends = time.monotonic() + TURN_SECONDS
    longest: timedelta | None = None
    while True:
        now = access.platform_now()
        window = next_window(cursor.position, now, sync, longest)
        if window is None or stop.is_set() or time.monotonic() > turn_ends:
            break
        try:
            await read_window(access, cursor.resource, window, Kind.INCREMENTAL, cursor.hold)
        except TooMuch:
            longest = _shorter(window)
            continue
        cursor.position = after_reading(cursor.position, window, now, sync)
        await _move(access, cursor)
    await _release(access, cursor, sync.every if window is None else timedelta(0))


def _shorter(window: Window) -> timedelta:
    half = halved(window)
    if half is None:
        raise RetryLater("one second holds more than the platform gives out")
    return half


async def _move(access: Access, cursor: Cursor) -> None:
    """All of a window is stored."""
    async with access.db.work(cursor.merchant_id) as w:
        await cursor.hold(w, 0)
        await w.sql.execute(
            """UPDATE sync_cursors SET cursor_at = $3, settled_at = $4, ran_at = $5, failures = 0,
                   problem = NULL, problem_at = NULL
               WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, cursor.id, cursor.position.cursor, cursor.position.settled, w.now,
        )  # fmt: skip
        await w.notify("connection", access.shop["id"])


async def _release(access: Access, cursor: Cursor, pause: timedelta) -> None:
    async with access.db.work(cursor.merchant_id) as w:
        await w.sql.execute(
            """UPDATE sync_cursors SET next_at = $4, ran_at = $5, lease_owner = NULL,
                   lease_until = NULL, failures = 0, problem = NULL, problem_at = NULL
               WHERE merchant_id = $1 AND id = $2 AND lease_owner = $3""",
            w.merchant_id, cursor.id, cursor.owner, w.now + pause, w.now,
        )  # fmt: skip


async def _failed(db: Database, shop_id: int, cursor: Cursor, error: Exception) -> None:
    """The window is read again as a whole, after a pause."""
    async with db.work(cursor.merchant_id) as w:
        await w.sql.execute(
            """UPDATE sync_cursors SET next_at = $4, failures = failures + 1, problem = $5,
                   problem_at = $6, lease_owner = NULL, lease_until = NULL
               WHERE merchant_id = $1 AND id = $2 AND lease_owner = $3""",
            w.merchant_id, cursor.id, cursor.owner,
            w.now + pause_after(error, cursor.failures), problem_of(error), w.now,
        )  # fmt: skip
        if isinstance(error, ReconnectNeeded):
            await needs_seller(w, shop_id, error)
        await w.notify("connection", shop_id)


async def open_cursors(
    w: Work, shop_id: int, resources: Mapping[Resource, Sync], since: datetime
) -> None:
    """Begin to follow a shop from a moment of the platform's time on; one followed goes on."""
    starts: list[tuple[Any, ...]] = [
        (resource.value, since - sync.overlap) for resource, sync in resources.items()
    ]
    if starts:
        await w.sql.execute(
            """INSERT INTO sync_cursors AS c (merchant_id, shop_id, resource, cursor_at,
                                              settled_at, next_at)
               SELECT $1, $2, u.resource, u.at, u.at, $3
               FROM unnest($4::text[], $5::timestamptz[]) AS u (resource, at)
               ON CONFLICT (merchant_id, shop_id, resource) DO UPDATE SET next_at = $3,
                   failures = 0, problem = NULL, problem_at = NULL""",
            w.merchant_id, shop_id, w.now, *zip(*starts, strict=True),
        )  # fmt: skip
