"""Two ways that take turns, so that what else the machine does falls on both."""

import os
import resource
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Rate:
    """How many a second, of the clock and of this process's processor time."""

    clock: float
    processor: float


async def timed(count: int, work: Awaitable[object]) -> Rate:
    """The rate of something done `count` times."""
    clock, processor = time.perf_counter(), time.process_time()
    await work
    return Rate(
        count / (time.perf_counter() - clock), count / (time.process_time() - processor)
    )  # fmt: skip


def rates_compared(
    figure: str, pairs: Sequence[tuple[Rate, Rate]], beside: str, goal: float, **more: Any
) -> None:
    """Show ours beside the floor, by processor time: what else the machine does counts little."""
    ratios = [ours.processor / floor.processor for ours, floor in pairs]
    show(
        figure, round(statistics.median(ours.processor for ours, _ in pairs)),
        "messages/s of processor time", beside=beside,
        floor=round(statistics.median(floor.processor for _, floor in pairs)),
        ratio=round(statistics.median(ratios), 2), low=round(min(ratios), 2),
        high=round(max(ratios), 2), goal=goal,
        ratio_by_the_clock=round(
            statistics.median(ours.clock / floor.clock for ours, floor in pairs), 2
        ), **more,
    )  # fmt: skip


async def memory_growth(figure: str, work: Callable[[int], Awaitable[object]], count: int) -> None:
    """Show by how much this process's peak grows from a tenth of the messages to all of them."""
    await work(count // 10)
    before = _peak()
    await work(count - count // 10)
    show(figure, _peak() - before, "MB", messages=count, peak_mb=round(_peak()))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def memory(figure: str) -> Iterator[None]:
    """Show this process's memory at its peak in the block, beside what it was before."""
    with Peak(os.getpid()) as before:
        time.sleep(0.1)
    with Peak(os.getpid()) as peak:
        yield
    show(figure, peak.bytes / 1e6, "MB", beside="the same process before",
         floor_mb=round(before.bytes / 1e6, 1))  # fmt: skip
