"""A shop's past and present from a platform on loopback: rates, lag, calls and memory.

    python -m bench.connectors [ORDERS [CHANGES [SECONDS]]]

The platform, a process of its own, gives ORDERS orders (50,000 without it) of 30 days in pages of
100. They are fetched and parsed alone, and then backfilled with storage; the ratio is that of the
two. Then CHANGES changes a second (100) of as many orders are pushed for SECONDS (10); the lag is
from the push to the event in the outbox. A large shop in a promotion: 500000 500 300.
The calls that windows need are computed by the driver's own arithmetic.
"""

import asyncio
import gc
import statistics
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import psutil

from bench.heap import DAYS, FIRST, PAGE, PATIENCE, Connector, Free, connected, platform
from bench.large import show
from core.cli import run
from core.domain.connections.backfill import read_past
from core.domain.connections.inbox import take_in
from core.domain.connections.windows import Position, after_reading, next_window
from core.installation import Installation, open_installation
from core.sdk import Changed, ConnectedShop, Kind, NoSettings, Resource, Sync, Token, Window
from core.settings import Settings
from worker.runner import Runner

DEFAULTS = (50_000, 100, 10)
"""Orders, changes a second, seconds of changes; no order changes twice."""
TICK = 0.1


# -- the measurements ---------------------------------------------------------------------------


def main() -> None:
    """Measure and print one JSON line per figure."""
    given = [int(text) for text in sys.argv[1:] if text.isdecimal()]
    orders, changes, seconds = (*given, *DEFAULTS[len(given) :])
    if changes * seconds > orders:
        sys.exit("there are more changes than orders")
    with (
        platform(orders) as connector,
        tempfile.TemporaryDirectory(prefix="huike-bench-") as folder,
    ):
        run(_measure(Path(folder) / "home", connector, changes, seconds))
    _windows(changes)


async def _measure(home: Path, connector: Connector, changes: int, seconds: int) -> None:
    alone = await _alone(connector)
    async with open_installation(Settings(home=home)) as opened:
        installation, merchant_id, shop_id = await connected(opened, connector)
        gc.freeze()  # as a worker does
        await backfill(installation, merchant_id, shop_id, connector, alone)
        await _push(installation, merchant_id, shop_id, connector, changes, seconds)


async def _alone(connector: Connector) -> float:
    """Orders per second fetched and parsed, and not stored."""
    shop = ConnectedShop(1, "1", "UTC", "CNY", Token("t"))
    whole = Window(connector.end - timedelta(days=DAYS), connector.end)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            async with connector.open(NoSettings(), shop, Free()) as session:
                began, count = time.monotonic(), 0
                async for page in session.pull(Resource.ORDERS, whole, Kind.BACKFILL):
                    count += len(page.records)
                return count / (time.monotonic() - began)
        except httpx2.ConnectError:  # the platform makes its orders yet
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


async def backfill(
    installation: Installation, merchant_id: int, shop_id: int, connector: Connector, alone: float
) -> None:
    """Read the past, and show how fast that was."""
    process, sizes = psutil.Process(), []

    async def watch() -> None:
        while True:
            sizes.append(process.memory_info().rss / 2**20)
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    began, used = time.monotonic(), process.cpu_times()
    while await read_past(installation.db, installation.registry, merchant_id, shop_id):
        pass
    took, now = time.monotonic() - began, process.cpu_times()
    watching.cancel()
    async with installation.db.read(merchant_id) as session:
        stored = await session.sql.fetchval(
            "SELECT count(*) FROM orders WHERE merchant_id = $1", merchant_id
        )
    calls = await _used(installation, merchant_id, shop_id)
    assert stored == connector.orders, stored
    cpu = now.user + now.system - used.user - used.system
    quarter = max(1, len(sizes) // 4)
    show("backfill", stored / took, "orders/s", orders=stored, alone=round(alone),
         ratio=round(stored / took / alone, 3), per_own_cpu=round(stored / cpu))  # fmt: skip
    show("backfill, calls", calls, "calls", least=-(-stored // PAGE))
    show("backfill, memory", max(sizes), "MiB", first_quarter=round(max(sizes[:quarter]), 1),
         last_quarter=round(max(sizes[-quarter:]), 1))  # fmt: skip


async def _push(
    installation: Installation,
    merchant_id: int,
    shop_id: int,
    connector: Connector,
    changes: int,
    seconds: int,
) -> None:
    """Push changes at a steady rate to a running worker, and see when their events are there."""
    process, runner = psutil.Process(), Runner(installation)
    await runner.start()
    await asyncio.sleep(5)  # what is due after the backfill is done
    total = changes * seconds
    sent: list[tuple[int, datetime]] = []
    used, size = await _used(installation, merchant_id, shop_id), _size(process)
    began, n = time.monotonic(), 0
    try:
        async with connector.changing() as change:
            while n < total:
                await asyncio.sleep(TICK)
                # what is due by now, as from a queue that is asked now and then
                end = min(total, int((time.monotonic() - began) * changes))
                await change(n, end)
                now = datetime.now(UTC)
                told = [
                    Changed(f"m{number}", "1", Resource.ORDERS, str(FIRST + number),
                            now.replace(microsecond=0))
                    for number in range(n, end)
                ]  # fmt: skip
                async with installation.db.work(merchant_id) as w:
                    await take_in(w, connector.name, told)
                sent.append((n, now))
                n = end
        late = time.monotonic() - began - seconds
        lags = await _lags(installation, merchant_id, sent, total)
        took = time.monotonic() - began
        calls = await _used(installation, merchant_id, shop_id) - used
    finally:
        await runner.stop()
    tenth = max(1, len(lags) // 10)
    course = [statistics.median(lags[n : n + tenth]) for n in range(0, 10 * tenth, tenth)]
    lags.sort()
    show("lag from push to event", statistics.median(lags), "s", changes_per_second=changes,
         events=len(lags), of=total, p95=round(lags[int(len(lags) * 0.95)], 3),
         largest=round(lags[-1], 3), course=[round(one, 1) for one in course],
         pushed_late=round(late, 2), all_told_after=round(took, 1))  # fmt: skip
    least = -(-total // PAGE)
    show("calls of these changes", calls, "calls", least=least, one_each=total)
    show("memory meanwhile", _size(process), "MiB", at_first=round(size, 1))


def _size(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 2**20)


async def _used(installation: Installation, merchant_id: int, shop_id: int) -> int:
    async with installation.db.read(merchant_id) as session:
        used: int = await session.sql.fetchval(
            "SELECT used FROM call_budgets WHERE merchant_id = $1 AND scope = $2",
            merchant_id, f"shop:{shop_id}",
        )  # fmt: skip
    return used


async def _lags(
    installation: Installation, merchant_id: int, sent: Sequence[tuple[int, datetime]], count: int
) -> list[float]:
    """Seconds from each change to its event, in the order of the changes."""
    deadline = time.monotonic() + 3 * PATIENCE
    while True:
        async with installation.db.read(merchant_id) as session:
            rows = await session.sql.fetch(
                """SELECT o.external_id, e.created_at FROM outbox_events e
                   JOIN orders o ON o.merchant_id = e.merchant_id
                               AND o.id = (e.payload ->> 'order_id')::bigint
                   WHERE e.merchant_id = $1 AND e.type = 'order.state_changed' ORDER BY e.id""",
                merchant_id,
            )
        if len(rows) >= count or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    places = sorted((int(row[0]) - FIRST, row[1]) for row in rows)
    firsts = [first for first, _ in sent]
    return [(at - sent[bisect_right(firsts, place) - 1][1]).total_seconds() for place, at in places]


def _windows(changes: int) -> None:
    """The pages that an hour of windows reads, beside those that the changes would fill."""
    sync, now = Sync(), datetime(2026, 1, 1, tzinfo=UTC)
    position = Position(now - sync.overlap, now - sync.overlap)
    end, pages = now + timedelta(hours=1), 0
    while now < end:
        now += sync.every
        while (window := next_window(position, now, sync)) is not None:
            seconds = (window.end - window.start).total_seconds()
            pages += max(1, -(-int(seconds * changes) // PAGE))
            position = after_reading(position, window, now, sync)
    least = 3600 * changes // PAGE
    show("windows of an hour, calls", pages, "calls", least=least, ratio=round(pages / least, 2),
         changes_per_second=changes)  # fmt: skip


if __name__ == "__main__":
    main()
