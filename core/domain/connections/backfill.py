"""A shop's past, read in slices of the time of creation, the newest first."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain.connections.calls import Priority
from core.domain.connections.leases import LEASE, TURN_SECONDS, Claimed, LeaseLost
from core.domain.connections.opening import FAILURES, Access, open_shop
from core.domain.connections.reading import read_window
from core.domain.connections.trouble import needs_seller, pause_after, problem_of
from core.domain.connections.windows import halved, whole_second
from core.domain.orders.importing import FILLED
from core.registry import Registry
from core.sdk.connectors import Kind, Resource, Sync, TooMuch, Window
from core.sdk.errors import ReconnectNeeded, Refused, RetryLater
from core.storage.database import Database, Work
from core.storage.statistics import MANY, look_again

UNLIMITED = timedelta(days=365)
"""Where a platform names no limit, the past is read by so much more until that held nothing."""
MAX_FAILURES = 12
LANES = 2
"""So many slices are read side by side: while one is stored, the next one is fetched."""


@dataclass
class Slice(Claimed):
    """A claimed slice."""

    table = "sync_slices"
    window: Window


async def read_past(
    db: Database,
    registry: Registry,
    merchant_id: int,
    shop_id: int,
    stop: asyncio.Event | None = None,
) -> bool:
    """Read slices of a shop's past for a while; returns whether there may be more.

    Once `stop` is set the present slices are ended and no other begun.
    """
    first = await _claim(db, merchant_id, shop_id)
    if first is None:
        return False
    try:
        async with open_shop(db, registry, merchant_id, shop_id, Priority.BACKFILL) as access:
            turn = _Turn(access, stop or asyncio.Event())
            async with asyncio.TaskGroup() as group:
                lanes = [group.create_task(turn.read_on(first))]
                lanes += [group.create_task(turn.read_on()) for _ in range(LANES - 1)]
            return any(lane.result() for lane in lanes)
    except FAILURES as error:
        await _failed(db, shop_id, first, error)
        return False


class _Turn:
    """The slices that are read while a shop is open, some of them side by side."""

    def __init__(self, access: Access, stop: asyncio.Event) -> None:
        self._access, self._stop = access, stop
        self._ends = time.monotonic() + TURN_SECONDS
        self._seen, self._look_at = 0, MANY

    async def read_on(self, part: Slice | None = None) -> bool:
        """Read one slice after the other; returns whether there may be more."""
        access = self._access
        db, merchant_id, shop_id = access.db, access.merchant_id, access.shop["id"]
        while part := part or await _claim(db, merchant_id, shop_id):
            try:
                self._seen += await _read(access, part)
            except FAILURES as error:
                await _failed(db, shop_id, part, error)
                return False
            except LeaseLost:
                pass
            if self._seen >= self._look_at:
                self._look_at = 4 * self._seen
                await look_again(db, merchant_id, self._seen, *FILLED)
            if time.monotonic() > self._ends or self._stop.is_set():
                return True
            part = None
        return False


async def _claim(db: Database, merchant_id: int, shop_id: int) -> Slice | None:
    owner = uuid.uuid4().hex
    async with db.work(merchant_id) as w:
        row = await w.sql.fetchrow(
            """UPDATE sync_slices s SET lease_owner = $5, lease_until = $6, records = 0
               FROM (SELECT id FROM sync_slices
                     WHERE merchant_id = $1 AND shop_id = $2 AND state = 'waiting'
                       AND next_at <= $3 AND COALESCE(lease_until, $3) <= $3
                     ORDER BY ends_at DESC, array_position($4::text[], resource) LIMIT 1
                     FOR UPDATE SKIP LOCKED) first
               WHERE s.merchant_id = $1 AND s.id = first.id RETURNING s.*""",
            merchant_id, shop_id, w.now, [one.value for one in Resource], owner, w.now + LEASE,
        )  # fmt: skip
    if row is None:
        return None
    window = Window(row["starts_at"], row["ends_at"])
    return Slice(merchant_id, row["id"], Resource(row["resource"]), row["failures"], owner, window)


async def _read(access: Access, part: Slice) -> int:
    """Read a slice; returns how many records it had."""
    began = time.monotonic()
    try:
        count = await read_window(access, part.resource, part.window, Kind.BACKFILL, part.hold)
    except TooMuch:
        await _halve(access, part)
        return 0
    async with access.db.work(part.merchant_id) as w:
        await part.hold(w, 0)
        await w.sql.execute(
            """UPDATE sync_slices SET state = 'done', done_at = $3, seconds = $4, problem = NULL,
                   lease_owner = NULL, lease_until = NULL
               WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, part.id, w.now, time.monotonic() - began,
        )  # fmt: skip
        await _go_further(w, access, part.resource)
        await w.notify("connection", access.shop["id"])
    return count


async def _halve(access: Access, part: Slice) -> None:
    """Put two halves, which share a second, in the place of a slice that holds too much."""
    half = halved(part.window)
    if half is None:
        raise Refused("one second holds more than the platform gives out")
    middle = part.window.start + half
    async with access.db.work(part.merchant_id) as w:
        await part.hold(w, 0)
        await w.sql.execute(
            "DELETE FROM sync_slices WHERE merchant_id = $1 AND id = $2", w.merchant_id, part.id
        )
        halves = [(part.window.start, middle), (middle, part.window.end)]
        await _add(w, access.shop["id"], part.resource, halves)


async def _failed(db: Database, shop_id: int, part: Slice, error: Exception) -> None:
    """Read the slice again later, or give it up; where the shop rests, all its slices do."""
    rests = isinstance(error, RetryLater | ReconnectNeeded)
    hopeless = isinstance(error, Refused) or (not rests and part.failures + 1 >= MAX_FAILURES)
    async with db.work(part.merchant_id) as w:
        next_at = w.now + pause_after(error, part.failures)
        if rests:  # in one order, whoever else fails at the same time
            await w.sql.execute(
                """SELECT id FROM sync_slices
                   WHERE merchant_id = $1 AND shop_id = $2 AND state = 'waiting'
                   ORDER BY id FOR UPDATE""",
                w.merchant_id, shop_id,
            )  # fmt: skip
        await w.sql.execute(
            """UPDATE sync_slices SET state = $4, next_at = $5, failures = failures + 1,
                   problem = $6, lease_owner = NULL, lease_until = NULL
               WHERE merchant_id = $1 AND id = $2 AND lease_owner = $3""",
            w.merchant_id, part.id, part.owner, "failed" if hopeless else "waiting",
            next_at, problem_of(error),
        )  # fmt: skip
        if rests:
            await w.sql.execute(
                """UPDATE sync_slices SET next_at = GREATEST(next_at, $3)
                   WHERE merchant_id = $1 AND shop_id = $2 AND state = 'waiting'""",
                w.merchant_id, shop_id, next_at,
            )  # fmt: skip
        if isinstance(error, ReconnectNeeded):
            await needs_seller(w, shop_id, error)
        await w.notify("connection", shop_id)


async def plan_past(
    w: Work, shop_id: int, resources: Mapping[Resource, Sync], until: datetime
) -> None:
    """Plan the slices of a shop's past, back from a moment of the platform's time."""
    end = whole_second(until)
    for resource, sync in resources.items():
        await _add(w, shop_id, resource, _slices(end, sync.reach or UNLIMITED, sync.slice))


async def read_again(w: Work, shop_id: int, resource: Resource, window: Window) -> None:
    """Read a stretch of the past once more."""
    await _add(w, shop_id, resource, [(window.start, window.end)])


def _slices(end: datetime, reach: timedelta, length: timedelta) -> list[tuple[datetime, datetime]]:
    """Neighbouring slices share the second between them."""
    first = end - reach
    count = -(-reach // length)
    return [(max(first, end - length * (n + 1)), end - length * n) for n in range(count)]


async def _go_further(w: Work, access: Access, resource: Resource) -> None:
    """Where the platform names no limit, go back further once all is read and something was old."""
    sync = access.platform.connector.resources[resource]
    if sync.reach is not None:
        return
    row = await w.sql.fetchrow(
        """SELECT min(starts_at) AS first, bool_and(state <> 'waiting') AS ended,
                  COALESCE(sum(records) FILTER (WHERE starts_at < oldest + $4::interval), 0) > 0
                  AS more
           FROM (SELECT *, min(starts_at) OVER () AS oldest FROM sync_slices
                 WHERE merchant_id = $1 AND shop_id = $2 AND resource = $3) s""",
        w.merchant_id, access.shop["id"], resource.value, UNLIMITED,
    )  # fmt: skip
    if row["ended"] and row["more"]:
        await _add(w, access.shop["id"], resource, _slices(row["first"], UNLIMITED, sync.slice))


async def _add(
    w: Work, shop_id: int, resource: Resource, stretches: list[tuple[datetime, datetime]]
) -> None:
    await w.sql.execute(
        """INSERT INTO sync_slices (merchant_id, shop_id, resource, next_at, state, starts_at,
                                    ends_at)
           SELECT $1, $2, $3, $4, 'waiting', u.*
           FROM unnest($5::timestamptz[], $6::timestamptz[]) AS u
           ON CONFLICT (merchant_id, shop_id, resource, starts_at, ends_at) DO UPDATE SET
               state = 'waiting', next_at = $4, failures = 0, problem = NULL, done_at = NULL,
               lease_owner = NULL, lease_until = NULL""",
        w.merchant_id, shop_id, resource.value, w.now, *zip(*stretches, strict=True),
    )  # fmt: skip
    w.ring("shops.backfill", w.merchant_id, shop_id)
