"""Segments of a merchant with a million customers, against SQL written by hand.

    python -m bench.segments [CUSTOMERS]

Makes CUSTOMERS customers (1,000,000 without it) with five orders each on average and eight lines
on five orders, tags, consents, custom fields, parcels and refunds, on an embedded server of its
own. Ours and the hand-written statement take turns; the ratio is the median of the turns' ratios.
Counts must be equal. Each figure is one JSON line.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bench.large import CUSTOMERS, ORDERS_EACH, show
from bench.processes import Peak
from bench.segment_data import END, load_segment_data
from bench.segment_questions import QUESTIONS, Question
from core.cli import run
from core.clock import MovableClock
from core.domain.segments.preview import preview_segment
from core.domain.segments.rules import cheapest, read_rule, stored_rule
from core.domain.shops.merchants import time_zone_of
from core.domain.shops.setup import set_up_merchant
from core.installation import Installation, open_installation
from core.sdk.facets import midnight
from core.settings import Settings
from core.storage.database import Session

TURNS = 5
NOW = END + timedelta(days=3)
Call = Callable[[], Awaitable[Any]]


def main() -> None:
    """Make the data, measure, and print one JSON line per figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else CUSTOMERS
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        run(measure(Path(folder) / "home", count))


async def measure(home: Path, count: int) -> None:
    """All figures on one set of data."""
    settings = Settings(home=home)
    async with open_installation(settings, clock=MovableClock(NOW), with_redis=False) as opened:
        made = await set_up_merchant(opened.db, opened.registry, "large", shop="shop")
        assert made.shop_id is not None
        started = time.perf_counter()
        await load_segment_data(opened, made.merchant_id, made.shop_id, count)
        show("segments_load_seconds", time.perf_counter() - started, "s", customers=count,
             orders=count * ORDERS_EACH, lines=count * 8)  # fmt: skip
        await figures(opened, made.merchant_id)


async def figures(opened: Installation, merchant_id: int) -> None:
    """What is measured, on loaded data."""
    with memory("previews"):
        await counts(opened, merchant_id)


@contextmanager
def memory(what: str) -> Any:
    """Show the process's memory at its peak in the block, beside what it was before."""
    with Peak(os.getpid()) as before:
        time.sleep(0.1)
    with Peak(os.getpid()) as peak:
        yield
    show(f"segments_memory_{what}", peak.bytes / 1e6, "MB", beside="the same process before",
         floor_mb=round(before.bytes / 1e6, 1))  # fmt: skip


async def in_turns(ours: Call, hand: Call, turns: int = TURNS) -> tuple[list[float], list[float]]:
    """Milliseconds of both, one after the other, after a round that does not count."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns + 1):
        for times, call in zip(taken, (ours, hand), strict=True):
            started = time.perf_counter()
            await call()
            if turn:
                times.append((time.perf_counter() - started) * 1000)
    return taken


def compared(
    figure: str, ours: list[float], hand: list[float], beside: str, goal: float, **more: Any
) -> float:
    """Show a figure beside its floor; returns the ratio."""
    ratios = [a / b for a, b in zip(ours, hand, strict=True)]
    ratio = statistics.median(ratios)
    show(figure, statistics.median(ours), "ms", beside=beside,
         floor_ms=round(statistics.median(hand), 3), ratio=round(ratio, 3),
         low=round(min(ratios), 3), high=round(max(ratios), 3), goal=goal, **more)  # fmt: skip
    return ratio


async def counts(opened: Installation, merchant_id: int) -> None:
    """Counting each segment's customers: reading the rule, choosing its form, and the statement."""
    ratios = []
    async with opened.db.read(merchant_id) as session:
        zone = ZoneInfo(await time_zone_of(session))
        today = session.now.astimezone(zone).date()

        def ago(days: int) -> str:
            return f"TIMESTAMPTZ '{midnight(today - timedelta(days), zone).isoformat()}'"

        for question in QUESTIONS:
            ratios.append(await count_one(opened, session, question, question.hand(ago)))
    show("segments_count_median_ratio", statistics.median(ratios), "", goal=1.05,
         worst=round(max(ratios), 3), segments=len(ratios))  # fmt: skip


async def count_one(
    opened: Installation, session: Session, question: Question, statement: str
) -> float:
    """One segment against its statement."""
    stored = await stored_rule(session, opened.registry, question.rule)

    async def ours() -> int:
        return (await preview_segment(session, opened.registry, stored, 0)).count

    async def hand() -> int:
        found: int = await session.sql.fetchval(statement, session.merchant_id)
        return found

    found, expected = await ours(), await hand()
    if found != expected:
        raise AssertionError(f"{question.name}: {found} customers, by hand {expected}")
    started = time.perf_counter()
    await cheapest(session, await read_rule(session, opened.registry, stored))
    chosen = (time.perf_counter() - started) * 1000
    return compared(
        f"segments_count_{question.name}_ms", *await in_turns(ours, hand), "SQL by hand", 1.2,
        customers=found, of_which_choosing_ms=round(chosen, 1),
    )  # fmt: skip


if __name__ == "__main__":
    main()
