"""The outbox: hands each committed event to every subscriber, in a merchant's order."""

import logging
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson

from core.sdk.errors import NotFound
from core.sdk.events import Occurrence
from core.storage.database import SYSTEM, Database, Work

logger = logging.getLogger(__name__)


class EveryType:
    """The types of a handler that is told of every event, whatever its type."""

    def __contains__(self, event_type: object) -> bool:
        return True


Handler = Callable[[Database, Occurrence], Awaitable[None]]
"""Handles an event. Idempotent: after a crash it may be called again for the same event."""

BATCH = 100
MAX_ATTEMPTS = 8
"""So often an event is tried while those after it wait, about two minutes; then it is set aside."""
LAST_ATTEMPTS = 16
"""So often in all, in about four days; then somebody has to ask for it."""
FIRST_LONG_PAUSE, LAST_LONG_PAUSE = timedelta(hours=1), timedelta(hours=24)
LOCK_SPACE = 0x6875


async def drain(
    db: Database, merchant_id: int, handlers: Mapping[str, tuple[Container[str], Handler]]
) -> int:
    """Hand the merchant's open events to `handlers` (name -> event types, function).

    Returns how many events were finished. One process at a time drains a merchant. An event whose
    handler keeps failing holds up the merchant's later events for a growing pause, and is set
    aside with its error after MAX_ATTEMPTS. From then on it is tried again by itself, with pauses
    of hours, when no other event waits.
    """
    async with db.read(merchant_id) as lock:
        if not await lock.try_lock(LOCK_SPACE, merchant_id % 2**31):
            return 0
        finished = 0
        while True:
            done = await _drain_batch(db, merchant_id, handlers)
            finished += done
            if not done and not await _try_one_aside(db, merchant_id, handlers):
                return finished


async def _drain_batch(
    db: Database, merchant_id: int, handlers: Mapping[str, tuple[Container[str], Handler]]
) -> int:
    """Finish events until one has to wait; returns how many were finished, at most BATCH."""
    async with db.read(merchant_id) as session:
        rows = await session.sql.fetch(
            """SELECT * FROM outbox_events WHERE merchant_id = $1 AND done_at IS NULL
               ORDER BY id LIMIT $2""",
            merchant_id, BATCH,
        )  # fmt: skip
    for position, row in enumerate(rows):
        if row["next_at"] > db.clock() or not await _finish(db, row, handlers):
            return position
    return len(rows)


async def _try_one_aside(
    db: Database, merchant_id: int, handlers: Mapping[str, tuple[Container[str], Handler]]
) -> bool:
    """Try an event again that was set aside and is due; returns whether there was one."""
    async with db.read(merchant_id) as session:
        row = await session.sql.fetchrow(
            """SELECT * FROM outbox_events WHERE merchant_id = $1 AND aside_at IS NOT NULL
                 AND next_at <= $2 AND attempts < $3 ORDER BY id LIMIT 1""",
            merchant_id, session.now, LAST_ATTEMPTS,
        )  # fmt: skip
    if row is not None:
        await _finish(db, row, handlers)
    return row is not None


async def _finish(
    db: Database,
    row: Mapping[str, Any],
    handlers: Mapping[str, tuple[Container[str], Handler]],
) -> bool:
    occurrence = Occurrence(
        row["id"], row["merchant_id"], row["type"], row["created_at"], orjson.loads(row["payload"])
    )
    seen = set(orjson.loads(row["handled_by"]))
    error = await _hand_over(db, occurrence, handlers, seen)
    aside = error is not None and row["attempts"] + 1 >= MAX_ATTEMPTS
    finished = error is None or aside
    async with db.work(row["merchant_id"]) as w:
        await w.sql.execute(
            """UPDATE outbox_events SET handled_by = $3, attempts = $4, error = $5, next_at = $6,
                   done_at = CASE WHEN $7 THEN COALESCE(done_at, $9) END,
                   aside_at = CASE WHEN $8 THEN COALESCE(aside_at, $9::timestamptz) END
               WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, occurrence.id, orjson.dumps(sorted(seen)).decode(),
            row["attempts"] + 1, error, w.now + _pause(row["attempts"] + 1), finished, aside,
            w.now,
        )  # fmt: skip
        if customer_id := occurrence.payload.get("customer_id"):
            await w.notify("customer", customer_id)
    return finished


def _pause(attempts: int) -> timedelta:
    """How long to wait after so many tries."""
    if attempts < MAX_ATTEMPTS:
        return timedelta(seconds=2 ** (attempts - 1))
    grown: timedelta = FIRST_LONG_PAUSE * 2 ** (attempts - MAX_ATTEMPTS)
    return min(grown, LAST_LONG_PAUSE)


async def _hand_over(
    db: Database,
    occurrence: Occurrence,
    handlers: Mapping[str, tuple[Container[str], Handler]],
    seen: set[str],
) -> str | None:
    """The first subscriber's failure, if any; the others are told all the same."""
    failed: str | None = None
    for name, (types, handle) in handlers.items():
        if name in seen or occurrence.type not in types:
            continue
        try:
            await handle(db, occurrence)
        except Exception as error:
            logger.exception("subscriber %s failed on event %s", name, occurrence.id)
            failed = failed or f"{name}: {type(error).__name__}"
        else:
            seen.add(name)
    return failed


async def merchants_with_open_events(db: Database) -> list[int]:
    """Merchants whose first open event is due (those after it wait for it), or one set aside."""
    return await db.merchants(
        """SELECT merchant_id FROM (
               SELECT DISTINCT ON (merchant_id) merchant_id, next_at FROM outbox_events
               WHERE done_at IS NULL ORDER BY merchant_id, id
           ) AS first WHERE next_at <= $1
           UNION SELECT merchant_id FROM outbox_events
           WHERE aside_at IS NOT NULL AND next_at <= $1 AND attempts < $2""",
        db.clock(), LAST_ATTEMPTS,
    )  # fmt: skip


async def try_again(w: Work, event_ids: Sequence[int] | None = None) -> int:
    """Have events that were set aside tried at once, and by themselves as at the beginning.

    `event_ids` of None are all of the merchant's; returns how many. Raises NotFound.
    """
    found: list[int] = [
        row["id"] for row in await w.sql.fetch(
            """UPDATE outbox_events SET attempts = $2, next_at = $3
               WHERE merchant_id = $1 AND aside_at IS NOT NULL
                 AND ($4::bigint[] IS NULL OR id = ANY($4)) RETURNING id""",
            w.merchant_id, MAX_ATTEMPTS - 1, w.now, None if event_ids is None else list(event_ids),
        )
    ]  # fmt: skip
    missing = sorted(set(event_ids or ()) - set(found))
    if missing:
        raise NotFound(f"no event {missing[0]} is set aside", ("input", "ids"))
    w.audit("events.retried", {"events": len(found)})
    w.ring("outbox.drain", w.merchant_id)
    return len(found)


async def count_aside(db: Database) -> int:
    """Events of all merchants that are set aside."""
    async with db.read(SYSTEM) as session:
        found: int = await session.sql.fetchval(
            "SELECT count(*) FROM outbox_events WHERE aside_at IS NOT NULL"
        )
    return found
