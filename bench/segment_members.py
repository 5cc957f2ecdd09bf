"""Members written down: full refreshes against the bare INSERT, and following single changes."""

import statistics
import time
from datetime import timedelta
from typing import Any

from bench.large import quantile, show
from bench.segment_questions import QUESTIONS
from bench.turns import TURNS, compared
from core.clock import MovableClock
from core.domain.segments.changes import follow_changes
from core.domain.segments.refresh import refresh_segment
from core.domain.segments.rules import cheapest, read_rule, stored_rule
from core.domain.segments.segments import create_segment
from core.installation import Installation

REFRESHED = ("province", "twice_in_180_days", "nested")
FOLLOWED = 50
CHANGES = 200

BARE = """
    CREATE TABLE bare_members (merchant_id bigint, segment_id bigint, customer_id bigint,
                               entered_at timestamptz)
"""


async def refreshes(opened: Installation, merchant_id: int) -> None:
    """A day goes by, and the segment is brought in line; the same SELECT into a table of its own.

    The table has neither keys nor indexes, and is emptied before; nothing is compared.
    """
    async with opened.db.work(merchant_id) as w:
        await w.sql.execute(BARE)
    for question in QUESTIONS:
        if question.name in REFRESHED:
            await _refresh(opened, merchant_id, question.name, question.rule)


async def _refresh(opened: Installation, merchant_id: int, name: str, rule: dict[str, Any]) -> None:
    registry = opened.registry
    async with opened.db.work(merchant_id) as w:
        stored = await stored_rule(w, registry, rule)
        segment_id = await create_segment(w, registry, f"refreshed {name}", stored)
    taken: dict[str, list[float]] = {"fill": [], "refresh": [], "bare": []}
    for turn in range(TURNS + 1):
        started = time.perf_counter()
        assert await refresh_segment(opened.db, registry, merchant_id, segment_id)
        kind = "refresh" if turn else "fill"
        taken[kind].append((time.perf_counter() - started) * 1000)
        async with opened.db.work(merchant_id) as w:
            await w.sql.execute("TRUNCATE bare_members")
            asked = await cheapest(w, await read_rule(w, registry, stored))
            number, now = asked.q.arg(segment_id, "bigint"), asked.q.arg(w.now, "timestamptz")
            started = time.perf_counter()
            await w.sql.execute(
                f"INSERT INTO bare_members SELECT $1, {number}, c.id, {now} {asked.matching}",
                *asked.q.args,
            )
            if turn:
                taken["bare"].append((time.perf_counter() - started) * 1000)
        assert isinstance(opened.db.clock, MovableClock)
        opened.db.clock.move(timedelta(days=1))
    async with opened.db.read(merchant_id) as session:
        moved = await session.sql.fetchrow(
            """SELECT count(*) FILTER (WHERE left_at IS NULL) AS members,
                      count(*) FILTER (WHERE entered_at > s.filled_at) AS entered, count(left_at)
                      AS "left"
               FROM segment_members m JOIN segments s ON s.merchant_id = $1 AND s.id = $2
               WHERE m.merchant_id = $1 AND m.segment_id = $2""",
            merchant_id, segment_id,
        )  # fmt: skip
    show(f"segments_first_fill_{name}_ms", taken["fill"][0], "ms", members=moved["members"])
    compared(
        f"segments_refresh_{name}_ms", taken["refresh"], taken["bare"],
        "the same SELECT inserted into a bare table", 1.5, days=TURNS, **dict(moved),
    )  # fmt: skip


async def changes(opened: Installation, merchant_id: int, count: int) -> None:
    """One customer gets a tag, and is asked again by fifty segments."""
    registry = opened.registry
    started = time.perf_counter()
    for number in range(FOLLOWED):
        more, place = divmod(number, len(QUESTIONS))
        # each its own: at least so many orders, beside the rule
        rule = {"all": [QUESTIONS[place].rule, {"order_count": {"at_least": more}}]}
        async with opened.db.work(merchant_id) as w:
            stored = await stored_rule(w, registry, rule)
            segment_id = await create_segment(w, registry, f"followed {number}", stored)
        assert await refresh_segment(opened.db, registry, merchant_id, segment_id)
    show("segments_fill_50_seconds", time.perf_counter() - started, "s", segments=FOLLOWED)
    await follow_changes(opened.db, registry, merchant_id)
    taken = []
    for turn in range(CHANGES):
        customer = 1 + turn * 7919 % count
        async with opened.db.work(merchant_id) as w:
            await w.sql.execute(
                """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
                   VALUES ($1, $2, 'changed', 'bench', $3)""",
                merchant_id, customer, w.now,
            )  # fmt: skip
        started = time.perf_counter()
        assert await follow_changes(opened.db, registry, merchant_id) == 1
        taken.append((time.perf_counter() - started) * 1000)
    taken = taken[CHANGES // 10 :]  # the first of each connection plan their statement
    async with opened.db.read(merchant_id) as session:
        followed = await session.sql.fetchval(
            """SELECT count(*) FROM segments WHERE merchant_id = $1 AND kind = 'dynamic'
                  AND problem IS NULL AND refreshed_at IS NOT NULL""",
            merchant_id,
        )
    show("segments_follow_one_customer_ms", statistics.median(taken), "ms", segments=followed,
         p99=round(quantile(taken, 0.99), 2), worst=round(max(taken), 2), goal=5)  # fmt: skip
