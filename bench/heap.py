"""A platform with one shop on loopback, in a process of its own, and the connector to it."""

import asyncio
import contextlib
import hashlib
import multiprocessing
import random
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import orjson
from pydantic import BaseModel

from bench.processes import free_port
from core.domain.connections.connecting import connect
from core.domain.connections.opening import platform_of
from core.domain.shops.plugins import enable_plugin
from core.domain.shops.setup import set_up_merchant
from core.installation import Installation
from core.registry import Owned
from core.sdk import (
    Authorised,
    Budget,
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
    paging,
)

PAGE, DAYS = 100, 30
FIRST = 10**15
"""The number of the order at place 0 of the list."""
PATIENCE = 60.0
STATES = {
    "PAID": OrderState.TO_SHIP, "SENT": OrderState.SHIPPED, "SIGNED": OrderState.DELIVERED,
    "DONE": OrderState.COMPLETED,
}  # fmt: skip
NEXT = {"PAID": "SENT", "SENT": "SIGNED", "SIGNED": "DONE", "DONE": "DONE"}


# -- the platform -------------------------------------------------------------------------------


def serve(port: int, orders: int, end: int) -> None:
    """Answer until killed.

    /list/<first>/<last> gives orders by their place in the list, /get/<place> one of them. After
    /change/<first>/<last> these are a step further; /changed/<first second>/<last>/<page> gives
    those that were changed last in that time, the latest first.
    """
    dice = random.Random(1)
    rows = [_row(n, end - int(n * DAYS * 86_400 / orders) - 5, dice) for n in range(orders)]
    asyncio.run(_listen(port, _Store(rows)))


class _Store:
    """The orders, and in which order they changed."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.changes: list[tuple[int, int]] = []

    def answer(self, what: str, *numbers: int) -> tuple[int, list[dict[str, Any]]]:
        if what == "changed":
            first, last, page = numbers
            begin, end = (
                bisect_left(self.changes, (first, 0)),
                bisect_left(self.changes, (last + 1, 0)),
            )
            found = [
                self.rows[place]
                for at, place in reversed(self.changes[begin:end])
                if self.rows[place]["modified"] == at
            ]
            return len(found), found[(page - 1) * PAGE : page * PAGE]
        if what == "change":
            now = int(time.time())
            for place in range(*numbers):
                row = self.rows[place % len(self.rows)]
                row |= {"status": NEXT[row["status"]], "modified": now}
                self.changes.append((now, place % len(self.rows)))
            return numbers[1] - numbers[0], []
        if what == "get":
            return 1, [self.rows[numbers[0]]]
        return len(self.rows), self.rows[slice(*numbers)]


def _row(number: int, created: int, dice: random.Random) -> dict[str, Any]:
    buyer = hashlib.blake2b(str(dice.randrange(10**6)).encode(), digest_size=12).hexdigest()
    return {
        "tid": FIRST + number, "status": "PAID", "created": created, "modified": created,
        "payment": f"{dice.randrange(1, 500)}.90", "ouid": buyer, "state": "浙江省",
        "city": "杭州市",
        "orders": [{"oid": FIRST + number, "title": "龙井茶 250克", "num": 1, "sku": "250"}],
    }  # fmt: skip


async def _listen(port: int, store: _Store) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                what, *numbers = head.split(b" ", 2)[1].decode().strip("/").split("/")
                total, rows = store.answer(what, *map(int, numbers))
                body = orjson.dumps({"total": total, "rows": rows})
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
        if kind is Kind.BACKFILL:
            for start in range(first, last, PAGE):
                rows, _ = await self.rows(f"/list/{start}/{min(last, start + PAGE)}")
                yield Page([record(row) for row in rows], last - first)
            return
        span = f"{int(window.start.timestamp())}/{int(window.end.timestamp())}"

        async def ask(page: int, counted: bool) -> tuple[Sequence[Any], int]:
            return await self.rows(f"/changed/{span}/{page}")

        async for found, total in paging.backwards(ask, lambda row: row["tid"], PAGE, "orders"):
            yield Page([record(row) for row in found], total)

    async def fetch(self, resource: Resource, external_id: str) -> Sequence[Record]:
        rows, _ = await self.rows(f"/get/{int(external_id) - FIRST}")
        return [record(row) for row in rows]

    async def rows(self, path: str) -> tuple[list[Any], int]:
        await self.meter.spend("orders")
        told = orjson.loads((await self.client.get(path)).content)
        return told["rows"], told["total"]


def record(row: Any) -> OrderRecord:
    paid = round(float(row["payment"]) * 100)
    created = datetime.fromtimestamp(row["created"], UTC)
    return OrderRecord(
        str(row["tid"]), STATES[row["status"]], "CNY", paid, paid, created, paid_at=created,
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
            # a little further back: the shop is connected a while after its list ends
            Resource.ORDERS: Sync(reach=timedelta(days=DAYS, hours=1), slice=timedelta(days=1))
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

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Callable[[int, int], Awaitable[None]]]:
        """Gives what lets the orders of some places go a step further."""
        async with httpx2.AsyncClient(base_url=self.url, verify=False) as client:

            async def change(first: int, last: int) -> None:
                await client.get(f"/change/{first}/{last}")

            yield change


class Free:
    """A meter that counts, and lets everything through."""

    calls = 0

    async def spend(self, api: str, calls: int = 1) -> None:
        self.calls += calls

    async def ban(self, scope: str, seconds: float) -> None:
        raise AssertionError("nothing is banned here")


@contextmanager
def platform(orders: int) -> Iterator[Connector]:
    """A running platform with so many orders; the connector to it."""
    port, end = free_port(), datetime.now(UTC).replace(microsecond=0)
    process = multiprocessing.Process(
        target=serve, args=(port, orders, int(end.timestamp())), daemon=True
    )
    process.start()
    try:
        yield Connector(port, orders, end)
    finally:
        process.kill()


async def connected(opened: Installation, connector: Connector) -> tuple[Installation, int, int]:
    """The installation with the connector, and ids of a merchant and his connected shop."""
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
        heap = await platform_of(w, registry, "heap")
        shop_id = await connect(w, heap, Authorised("1", "Heap", Token("t")))
    return installation, made.merchant_id, shop_id
