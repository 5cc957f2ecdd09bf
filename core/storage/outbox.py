"""The outbox: hands each committed event to every subscriber, in a merchant's order."""

import logging
from collections.abc import Awaitable, Callable, Container, Mapping
from datetime import timedelta
from typing import Any

import orjson

from core.sdk.events import Occurrence
from core.storage.database import SYSTEM, Database

logger = logging.getLogger(__name__)


class EveryType:
    """The types of a handler that is told of every event, whatever its type."""

    def __contains__(self, event_type: object) -> bool:
        return True


Handler = Callable[[Database, Occurrence], Awaitable[None]]
"""Handles an event. Idempotent: after a crash it may be called again for the same event."""

BATCH = 100
MAX_ATTEMPTS = 8
LOCK_SPACE = 0x6875


async def drain(
    db: Database, merchant_id: int, handlers: Mapping[str, tuple[Container[str], Handler]]
) -> int:
    """Hand the merchant's open events to `handlers` (name -> event types, function).

    Returns how many events were finished. One process at a time drains a merchant. An event whose
    handler keeps failing holds up the merchant's later events for a growing pause, and is set
    aside with its error after MAX_ATTEMPTS.
    """
    async with db.read(merchant_id) as lock:
        if not await lock.try_lock(LOCK_SPACE, merchant_id % 2**31):
            return 0
        finished = 0
        while done := await _drain_batch(db, merchant_id, handlers):
            finished += done
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
    finished = error is None or row["attempts"] + 1 >= MAX_ATTEMPTS
    async with db.work(row["merchant_id"]) as w:
        await w.sql.execute(
            """UPDATE outbox_events SET handled_by = $3, attempts = attempts + 1, error = $4,
                      next_at = $5, done_at = $6 WHERE merchant_id = $1 AND id = $2""",
            w.merchant_id, occurrence.id, orjson.dumps(sorted(seen)).decode(), error,
            w.now + timedelta(seconds=2 ** row["attempts"]), w.now if finished else None,
        )  # fmt: skip
        if customer_id := occurrence.payload.get("customer_id"):
            await w.notify("customer", customer_id)
    return finished


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
    """Merchants whose first open event is due; those after it wait for it."""
    async with db.read(SYSTEM) as session:
        rows = await session.sql.fetch(
            """SELECT merchant_id FROM (
                   SELECT DISTINCT ON (merchant_id) merchant_id, next_at FROM outbox_events
                   WHERE done_at IS NULL ORDER BY merchant_id, id
               ) AS first WHERE next_at <= $1""",
            session.now,
        )
    return [row["merchant_id"] for row in rows]
