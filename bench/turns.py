"""Two ways that take turns, so that what else the machine does falls on both."""

import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.large import show
from bench.processes import Peak

TURNS = 5
Call = Callable[[], Awaitable[Any]]


async def in_turns(ours: Call, floor: Call, turns: int = TURNS) -> tuple[list[float], list[float]]:
    """Milliseconds of both, one after the other, after a round that does not count."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns + 1):
        for times, call in zip(taken, (ours, floor), strict=True):
            started = time.perf_counter()
            await call()
            if turn:
                times.append((time.perf_counter() - started) * 1000)
    return taken


def compared(
    figure: str,
    ours: Sequence[float],
    floor: Sequence[float],
    beside: str,
    goal: float,
    **more: Any,
) -> float:
    """Show the median beside that of its floor; returns the median of the turns' ratios."""
    ratios = [a / b for a, b in zip(ours, floor, strict=True)]
    ratio = statistics.median(ratios)
    show(figure, statistics.median(ours), "ms", beside=beside,
         floor_ms=round(statistics.median(floor), 3), ratio=round(ratio, 3),
         low=round(min(ratios), 3), high=round(max(ratios), 3), goal=goal, **more)  # fmt: skip
    return ratio


@contextmanager
def memory(figure: str) -> Iterator[None]:
    """Show this process's memory at its peak in the block, beside what it was before."""
    with Peak(os.getpid()) as before:
        time.sleep(0.1)
    with Peak(os.getpid()) as peak:
        yield
    show(figure, peak.bytes / 1e6, "MB", beside="the same process before",
         floor_mb=round(before.bytes / 1e6, 1))  # fmt: skip
