"""Full refreshes: every customer is asked, and the differences become members and events.

A dynamic segment is refreshed when it is new, when its rule was changed, when a new day begins in
one of the merchant's time zones, and when more changed than can be followed one by one. What is due
stands in the database; a crash leaves it due.
"""

import logging
from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson

from core.domain.segments.members import differences
from core.domain.segments.rules import Rule, cheapest, read_rule
from core.registry import Registry
from core.sdk.errors import Several
from core.storage.database import CUT_OFF, Database, Work

logger = logging.getLogger(__name__)

LOCK_SPACE = 0x6866
"""Advisory lock, one per merchant: see huike_follows() in the migration."""

PASSING = (
    *CUT_OFF, asyncpg.DeadlockDetectedError, asyncpg.SerializationError,
    asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.InsufficientResourcesError,
)  # fmt: skip
"""Failures that say nothing about the rule: trying again is the cure."""

DUE = """g.kind = 'dynamic' AND (g.stale IS NOT NULL OR g.problem IS NOT NULL
    OR g.refreshed_at IS NULL OR g.refreshed_at < d.midnight)"""
"""Whether segment `g` is to be refreshed; `d.midnight` is when the merchant's last day began."""


def midnights(now: str) -> str:
    """A SELECT of (merchant_id, midnight): when a day last began in any zone of the merchant."""
    begin = "date_trunc('day', {now} AT TIME ZONE z.time_zone) AT TIME ZONE z.time_zone"
    return f"""SELECT z.merchant_id, max({begin.format(now=now)}) AS midnight
        FROM (SELECT id AS merchant_id, time_zone FROM merchants
              UNION SELECT merchant_id, time_zone FROM shops) z GROUP BY z.merchant_id"""


async def merchants_due(db: Database, problems: bool = False) -> list[int]:
    """Merchants with a segment to refresh; with `problems` those that could not be asked, too."""
    return await db.merchants(
        f"""SELECT DISTINCT g.merchant_id
            FROM segments g JOIN ({midnights("$1::timestamptz")}) d USING (merchant_id)
            WHERE {DUE} AND (g.problem IS NULL OR $2::boolean)""",
        db.clock(), problems,
    )  # fmt: skip


async def refresh_due(db: Database, registry: Registry, merchant_id: int) -> int:
    """Refresh the merchant's segments that are due, one after the other; returns how many were.

    One that cannot be asked keeps its members and says so in `problem`.
    """
    async with db.read(merchant_id) as session:
        rows = await session.sql.fetch(
            f"""SELECT g.id FROM segments g
                JOIN ({midnights("$2::timestamptz")}) d USING (merchant_id)
                WHERE g.merchant_id = $1 AND {DUE} ORDER BY g.refreshed_at NULLS FIRST, g.id""",
            merchant_id, session.now,
        )  # fmt: skip
    done = 0
    for row in rows:
        done += await refresh_segment(db, registry, merchant_id, row["id"])
    return done


async def refresh_segment(
    db: Database, registry: Registry, merchant_id: int, segment_id: int
) -> bool:
    """Refresh a segment if it is due, in one transaction; returns whether that was done."""
    await _follow_from_now(db, merchant_id, segment_id)
    try:
        async with db.work(merchant_id) as w:
            segment = await _hold_due(w, segment_id)
            if segment is None:
                return False
            try:
                rule = await read_rule(w, registry, orjson.loads(segment["rule"]))
            except Several as error:
                await note_problem(w, segment_id, problem_of(error))
                return False
            await _write(w, segment, rule)
            return True
    except PASSING:
        raise
    except Exception as error:
        # a facet that fails, such as a plugin's whose table is gone
        logger.exception("segment %s of merchant %s cannot be asked", segment_id, merchant_id)
        async with db.work(merchant_id) as w:
            await note_problem(w, segment_id, f"its question failed: {type(error).__name__}")
        return False


async def refresh_soon(w: Work, segment_id: int, cause: str = "refresh") -> None:
    """Have a segment refreshed after this transaction, for this cause (see SegmentEntered)."""
    await w.sql.execute(
        """UPDATE segments SET stale = $3
           WHERE merchant_id = $1 AND id = $2 AND kind = 'dynamic'""",
        w.merchant_id, segment_id, cause,
    )  # fmt: skip
    w.ring("segments.refresh", w.merchant_id)


async def note_problem(w: Work, segment_id: int, problem: str) -> None:
    """Say why a segment cannot be asked; it is tried again from time to time."""
    await w.sql.execute(
        """UPDATE segments SET problem = $3
           WHERE merchant_id = $1 AND id = $2 AND problem IS DISTINCT FROM $3""",
        w.merchant_id, segment_id, problem,
    )  # fmt: skip


def problem_of(error: Several) -> str:
    """The faults of a stored rule, each with its place."""
    return "; ".join(f"{'.'.join(one.path)}: {one.message}" for one in error.errors)


async def _follow_from_now(db: Database, merchant_id: int, segment_id: int) -> None:
    """See to it that every change which a refresh might not see is logged.

    Transactions that began to write before the segment was to be followed are waited for.
    """
    async with db.work(merchant_id) as w:
        fresh = await w.sql.fetchval(
            """SELECT id FROM segments WHERE merchant_id = $1 AND id = $2 AND kind = 'dynamic'
                  AND (refreshed_at IS NULL OR stale = 'rule')""",
            w.merchant_id, segment_id,
        )  # fmt: skip
        if fresh is None:
            return
        await w.sql.execute(
            "SELECT pg_advisory_xact_lock($1::int, $2::int)", LOCK_SPACE, w.merchant_id % 2**31
        )
        await w.sql.execute(
            """UPDATE segments SET filled_at = $3
               WHERE merchant_id = $1 AND id = $2 AND filled_at IS NULL""",
            w.merchant_id, segment_id, w.now,
        )  # fmt: skip


async def _hold_due(w: Work, segment_id: int) -> Mapping[str, Any] | None:
    """The segment's row, kept from changing, unless another worker has refreshed it by now."""
    await w.sql.fetchval(
        "SELECT id FROM segments WHERE merchant_id = $1 AND id = $2 FOR NO KEY UPDATE",
        w.merchant_id, segment_id,
    )  # fmt: skip
    found: Mapping[str, Any] | None = await w.sql.fetchrow(
        f"""SELECT g.* FROM segments g
            JOIN ({midnights("$3::timestamptz")}) d USING (merchant_id)
            WHERE g.merchant_id = $1 AND g.id = $2 AND {DUE}""",
        w.merchant_id, segment_id, w.now,
    )  # fmt: skip
    return found


async def _write(w: Work, segment: Mapping[str, Any], rule: Rule) -> None:
    await w.sql.execute("SET LOCAL jit = off")
    asked = await cheapest(w, rule)
    q = asked.q
    number = q.arg(segment["id"], "bigint")
    first = segment["refreshed_at"] is None
    changed = await w.sql.fetchrow(
        differences(
            f"SELECT {number} AS segment_id, c.id AS customer_id {asked.matching}",
            f"m.segment_id = {number}",
            q.arg(w.now, "timestamptz"),
            None if first else q.arg(segment["stale"] or "refresh", "text"),
        ),
        *q.args,
    )
    await w.sql.execute(
        """UPDATE segments SET refreshed_at = $3, stale = NULL, problem = NULL,
                  filled_at = CASE WHEN $4 THEN $3 ELSE filled_at END
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, segment["id"], w.now, first,
    )  # fmt: skip
    if changed["entered"] or changed["left"]:
        w.ring("outbox.drain", w.merchant_id)


def watches_deliveries(rule: Rule) -> bool:
    """Whether a rule asks about messages, of which there are too many to follow for nothing."""
    return "deliveries" in rule.ask("probe").condition
