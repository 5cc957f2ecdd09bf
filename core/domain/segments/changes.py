"""Following changes: customers about whom something changed are asked again, all segments at once.

Triggers of the tables that rules ask about log whose rows changed in `customer_changes`. A worker
takes some of these customers, asks all the merchant's dynamic segments about them in one statement,
and writes the differences in the transaction that takes them off the log: the cost follows the
changes, and a crash loses none.
"""

import logging
from collections.abc import Mapping, Sequence

from core.domain.customers.identify import lock_customers
from core.domain.segments.asking import asked_about
from core.domain.segments.many import read_rules
from core.domain.segments.refresh import PASSING, note_problem, problem_of
from core.domain.segments.rules import Rule
from core.registry import Registry
from core.sdk.errors import Several
from core.storage.database import Database, Work

logger = logging.getLogger(__name__)

AT_ONCE = 1_000
"""Entries of the log that one transaction takes."""

MAX_FOLLOWED = 20_000
"""With more entries than this, asking everybody is faster."""

LOOK = """
    SELECT EXISTS (SELECT 1 FROM customer_changes WHERE merchant_id = $1) AS changed,
           set_config('jit', 'off', TRUE),
           set_config('plan_cache_mode', 'force_generic_plan', TRUE)
"""
"""Whether anything changed. What follows is the same for the same segments, so that it is planned
once per connection."""


async def merchants_changed(db: Database) -> list[int]:
    """Merchants whose log has entries."""
    return await db.merchants_in("customer_changes")


async def follow_changes(db: Database, registry: Registry, merchant_id: int) -> int:
    """Bring the merchant's segments in line with what changed; returns how many entries it took.

    With very many entries, or when a question fails, the segments are marked for a full refresh.
    """
    taken = 0
    while True:
        try:
            async with db.work(merchant_id) as w:
                some = await _follow_some(w, registry)
        except PASSING:
            raise
        except Exception:
            # a refresh of each segment by itself finds the one that cannot be asked
            logger.exception("merchant %s: changes cannot be followed", merchant_id)
            async with db.work(merchant_id) as w:
                await _hold_segments(w)
                await _ask_everybody(w)
            return taken
        taken += some
        if some < AT_ONCE:
            return taken


async def _follow_some(w: Work, registry: Registry) -> int:
    if not (await w.sql.fetchrow(LOOK, w.merchant_id))["changed"]:
        return 0
    await lock_customers(w)  # a merge moves members, too
    segments = await _hold_segments(w)
    rows = await w.sql.fetch(
        """DELETE FROM customer_changes WHERE merchant_id = $1 AND id = ANY(ARRAY(
               SELECT id FROM customer_changes WHERE merchant_id = $1 ORDER BY id LIMIT $2))
           RETURNING customer_id""",
        w.merchant_id, AT_ONCE,
    )  # fmt: skip
    if not rows or not segments:
        return len(rows)
    if len(rows) == AT_ONCE and await _too_many(w):
        await _ask_everybody(w)
        return 0
    rules: dict[int, Rule] = {}
    for segment_id, read in (await read_rules(w, registry, segments)).items():
        if isinstance(read, Several):
            await note_problem(w, segment_id, problem_of(read))
        else:
            rules[segment_id] = read
    if rules:
        await _write(w, rules, sorted({row["customer_id"] for row in rows}))
    return len(rows)


async def _hold_segments(w: Work) -> set[int]:
    """The segments to ask; those being refreshed or filled are waited for."""
    rows = await w.sql.fetch(
        """SELECT id, refreshed_at IS NOT NULL AND stale IS NULL AND problem IS NULL AS ready
           FROM segments WHERE merchant_id = $1 AND kind = 'dynamic' AND filled_at IS NOT NULL
           ORDER BY id FOR NO KEY UPDATE""",
        w.merchant_id,
    )
    return {row["id"] for row in rows if row["ready"]}


async def _too_many(w: Work) -> bool:
    found: bool = await w.sql.fetchval(
        """SELECT count(*) > $2 FROM (
               SELECT 1 FROM customer_changes WHERE merchant_id = $1 LIMIT $2 + 1) entries""",
        w.merchant_id, MAX_FOLLOWED,
    )  # fmt: skip
    return found


async def _ask_everybody(w: Work) -> None:
    """Clear the log; whoever is in it is among everybody.

    Only entries that are seen go: their transactions are seen by the refreshes to come.
    """
    await w.sql.execute("DELETE FROM customer_changes WHERE merchant_id = $1", w.merchant_id)
    await w.sql.execute(
        """UPDATE segments SET stale = 'change' WHERE merchant_id = $1 AND kind = 'dynamic'
              AND refreshed_at IS NOT NULL AND stale IS NULL""",
        w.merchant_id,
    )
    w.ring("segments.refresh", w.merchant_id)


async def _write(w: Work, rules: Mapping[int, Rule], customer_ids: Sequence[int]) -> None:
    statement, args = asked_about(rules, customer_ids)
    changed = await w.sql.fetchrow(statement, *args)
    if changed["entered"] or changed["left"]:
        w.ring("outbox.drain", w.merchant_id)
