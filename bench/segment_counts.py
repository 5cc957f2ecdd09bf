"""Counting the customers of segments, against SQL by hand."""

import statistics
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bench.large import show, timed
from bench.segment_questions import QUESTIONS, Ago, Question
from bench.turns import TURNS, compared, in_turns
from core.domain.segments.rules import Asked, cheapest, read_rule, stored_rule
from core.domain.shops.merchants import time_zone_of
from core.installation import Installation
from core.sdk.facets import midnight
from core.storage.database import Session


async def counts(opened: Installation, merchant_id: int) -> None:
    """Every question, and the median of all."""
    async with opened.db.read(merchant_id) as session:
        ratios = [await count_one(opened, session, question) for question in QUESTIONS]
    show("segments_count_median_ratio", statistics.median(ratios), "", goal=1.05,
         worst=round(max(ratios), 3), segments=len(ratios))  # fmt: skip


async def count_one(opened: Installation, session: Session, question: Question) -> float:
    """One segment against its statement; ours reads the rule and chooses its form each time."""
    stored = await stored_rule(session, opened.registry, question.rule)
    statement = question.hand(await _days(session))

    async def choose() -> Asked:
        return await cheapest(session, await read_rule(session, opened.registry, stored))

    async def ours() -> int:
        asked = await choose()
        return await _counted(session, asked.count, *asked.q.args)

    async def hand() -> int:
        return await _counted(session, statement, session.merchant_id)

    found, expected = await ours(), await hand()
    if found != expected:
        raise AssertionError(f"{question.name}: {found} customers, by hand {expected}")
    choosing = statistics.median(await timed(TURNS, choose))
    return compared(
        f"segments_count_{question.name}_ms", *await in_turns(ours, hand), "SQL by hand", 1.2,
        customers=found, of_which_choosing_ms=round(choosing, 2),
    )  # fmt: skip


async def _counted(session: Session, statement: str, *args: Any) -> int:
    return int((await session.figures(statement, *args))[0])


async def _days(session: Session) -> Ago:
    zone = ZoneInfo(await time_zone_of(session))
    today = session.now.astimezone(zone).date()
    return lambda days: f"TIMESTAMPTZ '{midnight(today - timedelta(days), zone).isoformat()}'"
