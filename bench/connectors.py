"""A shop's past and present from a platform on loopback: rates, lag, calls and memory.

    python -m bench.connectors [ORDERS [CHANGES [SECONDS]]]

The platform, a process of its own, gives ORDERS orders (50,000 without it) of 30 days in pages of
100. They are fetched and parsed alone, and then backfilled with storage; the ratio is that of the
two. Then CHANGES changes a second (100) are pushed for SECONDS (10); the lag is from the push to
the event in the outbox. The calls that windows need are computed by the driver's own arithmetic.
"""

import asyncio
import contextlib
import hashlib
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import orjson
import psutil
from pydantic import BaseModel

from bench.large import show
from bench.processes import free_port
from core.cli import run
from core.domain.connections.backfill import read_past
from core.domain.connections.connecting import connect
from core.domain.connections.inbox import take_in
from core.domain.connections.opening import platform_of
from core.domain.connections.windows import Position, after_reading, next_window
from core.domain.shops.plugins import enable_plugin
from core.domain.shops.setup import set_up_merchant
from core.installation import Installation, open_installation
from core.registry import Owned
from core.sdk import (
    Authorised,
    Budget,
    Changed,
    ConnectedShop,
    Kind,
    LineRecord,
    Manifest,
    Meter,
    NoSettings,
    OrderRecord,
    OrderState,
    Page,
    Record,
    Resource,
    Sync,
    Text,
    Token,
    Window,
)
from core.settings import Settings
from worker.runner import Runner

DEFAULTS = (50_000, 100, 10)
"""Orders, changes a second, seconds of changes."""
PAGE, DAYS = 100, 30
PATIENCE = 60.0


# -- the platform -------------------------------------------------------------------------------


def serve(port: int, orders: int, end: int) -> None:
    """Answer the paths /<first order>/<last order> and /get/<order>, until killed."""
    dice = random.Random(1)
    rows = [_row(n, end - int(n * DAYS * 86_400 / orders) - 5, dice) for n in range(orders)]
    asyncio.run(_listen(port, rows))


def _row(number: int, created: int, dice: random.Random) -> dict[str, Any]:
    buyer = hashlib.blake2b(str(dice.randrange(10**6)).encode(), digest_size=12).hexdigest()
    return {
        "tid": 10**15 + number, "status": "PAID", "created": created, "modified": created,
        "payment": f"{dice.randrange(1, 500)}.90", "ouid": buyer, "state": "浙江省",
        "city": "杭州市",
        "orders": [{"oid": 10**15 + number, "title": "龙井茶 250克", "num": 1, "sku": "250"}],
    }  # fmt: skip


async def _listen(port: int, rows: list[dict[str, Any]]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first, last = head.split(b" ", 2)[1].decode().strip("/").split("/")
                if first == "get":
                    now = int(time.time())
                    found = [rows[int(last)] | {"status": "SENT", "modified": now}]
                else:
                    found = rows[int(first) : int(last)]
                body = orjson.dumps({"total": len(rows), "rows": found})
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                             b"content-length: %d\r\n\r\n" % len(body) + body)  # fmt: skip
                await writer.drain()

    server = await asyncio.start_server(talk, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


# -- its connector ------------------------------------------------------------------------------


class Session:
    """Reads the one long list; a window is a part of it."""

    def __init__(self, connector: "Connector", client: httpx2.AsyncClient, meter: Meter) -> None:
        self.connector, self.client, self.meter = connector, client, meter

    async def capabilities(self) -> frozenset[str]:
        return frozenset()

    async def pull(self, resource: Resource, window: Window, kind: Kind) -> AsyncIterator[Page]:
        first, last = self.connector.places(window)
        if kind is Kind.INCREMENTAL:
            return
        for start in range(first, last, PAGE):
            rows = await self.rows(f"/{start}/{min(last, start + PAGE)}")
            yield Page([record(row) for row in rows], last - first)

    async def fetch(self, resource: Resource, external_id: str) -> Sequence[Record]:
        return [record(row) for row in await self.rows(f"/get/{int(external_id) - 10**15}")]

    async def rows(self, path: str) -> list[Any]:
        await self.meter.spend("orders")
        answer = await self.client.get(path)
        rows: list[Any] = orjson.loads(answer.content)["rows"]
        return rows


def record(row: Any) -> OrderRecord:
    paid = round(float(row["payment"]) * 100)
    created = datetime.fromtimestamp(row["created"], UTC)
    state = OrderState.SHIPPED if row["status"] == "SENT" else OrderState.TO_SHIP
    return OrderRecord(
        str(row["tid"]), state, "CNY", paid, paid, created, paid_at=created,
        platform_state=row["status"], modified_at=datetime.fromtimestamp(row["modified"], UTC),
        buyer_id=row["ouid"], province=row["state"], city=row["city"],
        lines=[LineRecord(str(line["oid"]), line["title"], line["num"], line["sku"])
               for line in row["orders"]],
    )  # fmt: skip


class Connector:
    name = "heap"
    title = Text("Heap", "堆")
    identity_kind = "heap_buyer"
    budgets: Sequence[Budget] = ()

    def __init__(self, port: int, orders: int, end: datetime) -> None:
        self.url, self.orders, self.end = f"http://127.0.0.1:{port}", orders, end
        self.resources: Mapping[Resource, Sync] = {
            Resource.ORDERS: Sync(reach=timedelta(days=DAYS), slice=timedelta(days=1))
        }

    def places(self, window: Window) -> tuple[int, int]:
        """The part of the list, the newest first, that was created in a window."""
        each = timedelta(days=DAYS) / self.orders
        first = max(0, (self.end - window.end) // each)
        return first, min(self.orders, (self.end - window.start) // each + 1)

    @asynccontextmanager
    async def open(
        self, settings: BaseModel, shop: ConnectedShop, meter: Meter
    ) -> AsyncIterator[Session]:
        async with httpx2.AsyncClient(base_url=self.url, verify=False) as client:
            yield Session(self, client, meter)


class Free:
    """A meter that counts, and lets everything through."""

    calls = 0

    async def spend(self, api: str, calls: int = 1) -> None:
        self.calls += calls

    async def ban(self, scope: str, seconds: float) -> None:
        raise AssertionError("nothing is banned here")


# -- the measurements ---------------------------------------------------------------------------


def main() -> None:
    """Measure and print one JSON line per figure."""
    given = [int(text) for text in sys.argv[1:] if text.isdecimal()]
    orders, changes, seconds = (*given, *DEFAULTS[len(given) :])
    port, end = free_port(), datetime.now(UTC).replace(microsecond=0)
    platform = multiprocessing.Process(
        target=serve, args=(port, orders, int(end.timestamp())), daemon=True
    )
    platform.start()
    try:
        with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
            run(_measure(Path(folder) / "home", Connector(port, orders, end), changes, seconds))
    finally:
        platform.kill()
    _windows(changes)


async def _measure(home: Path, connector: Connector, changes: int, seconds: int) -> None:
    alone = await _alone(connector)
    async with open_installation(Settings(home=home)) as opened:
        manifest = Manifest("heap", "Heap", "1.0", ">=0.1", settings=NoSettings)
        registry = replace(
            opened.registry,
            manifests={**opened.registry.manifests, "heap": manifest},
            connectors={"heap": Owned("heap", connector)},
        )
        installation = replace(opened, registry=registry)
        made = await set_up_merchant(installation.db, registry, "Bench")
        await enable_plugin(installation.db, made.merchant_id, registry, "heap", {})
        async with installation.db.work(made.merchant_id) as w:
            platform = await platform_of(w, registry, "heap")
            shop_id = await connect(w, platform, Authorised("1", "Heap", Token("t")))
        await _backfill(installation, made.merchant_id, shop_id, connector, alone)
        await _push(installation, made.merchant_id, connector, changes, seconds)


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


async def _backfill(
    installation: Installation, merchant_id: int, shop_id: int, connector: Connector, alone: float
) -> None:
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
        calls = await session.sql.fetchval(
            """SELECT used FROM call_budgets WHERE merchant_id = $1 AND scope = $2""",
            merchant_id, f"shop:{shop_id}",
        )  # fmt: skip
    assert stored == connector.orders, stored
    cpu = now.user + now.system - used.user - used.system
    quarter = max(1, len(sizes) // 4)
    show("backfill", stored / took, "orders/s", orders=stored, alone=round(alone),
         ratio=round(stored / took / alone, 3), per_own_cpu=round(stored / cpu))  # fmt: skip
    show("backfill, calls", calls, "calls", least=-(-stored // PAGE))
    show("backfill, memory", max(sizes), "MiB", first_quarter=round(max(sizes[:quarter]), 1),
         last_quarter=round(max(sizes[-quarter:]), 1))  # fmt: skip


async def _push(
    installation: Installation, merchant_id: int, connector: Connector, changes: int, seconds: int
) -> None:
    """Push changes at a steady rate to a running worker, and see when their events are there."""
    runner = Runner(installation)
    await runner.start()
    await asyncio.sleep(5)  # what is due after the backfill is done
    sent: dict[str, datetime] = {}
    began = time.monotonic()
    try:
        for n in range(changes * seconds):
            await asyncio.sleep(max(0.0, began + n / changes - time.monotonic()))
            number = str(10**15 + n)
            now = datetime.now(UTC)
            change = Changed(f"m{n}", "1", Resource.ORDERS, number, now.replace(microsecond=0))
            sent[number] = now
            async with installation.db.work(merchant_id) as w:
                await take_in(w, connector.name, [change])
        lags = await _lags(installation, merchant_id, sent)
    finally:
        await runner.stop()
    lags.sort()
    show("lag from push to event", statistics.median(lags), "s", changes_per_second=changes,
         events=len(lags), of=len(sent), p95=round(lags[int(len(lags) * 0.95)], 3),
         largest=round(lags[-1], 3))  # fmt: skip


async def _lags(
    installation: Installation, merchant_id: int, sent: Mapping[str, datetime]
) -> list[float]:
    deadline = time.monotonic() + PATIENCE
    while True:
        async with installation.db.read(merchant_id) as session:
            rows = await session.sql.fetch(
                """SELECT o.external_id, e.created_at FROM outbox_events e
                   JOIN orders o ON o.merchant_id = e.merchant_id
                               AND o.id = (e.payload ->> 'order_id')::bigint
                   WHERE e.merchant_id = $1 AND e.type = 'order.state_changed'""",
                merchant_id,
            )
        if len(rows) >= len(sent) or time.monotonic() > deadline:
            return [(row[1] - sent[row[0]]).total_seconds() for row in rows]
        await asyncio.sleep(0.2)


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
