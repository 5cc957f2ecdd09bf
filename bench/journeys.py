"""Journeys: from trigger to message, and very many who wait: `python -m bench.journeys`.

    python -m bench.journeys [WAITING] [RATE] [SECONDS] [ORDERS]

The whole worker runs in this process, on an embedded server of its own. First ORDERS (100) unpaid
orders are taken in one after the other, and the time until the channel, which answers at once, is
given the message is measured. Then WAITING (1,000,000) people wait in a journey, of whom RATE
(1,000) come due in each of SECONDS (30) seconds and get a tag; each one's lateness is measured, and
the processor time of this process and of PostgreSQL. Prints one JSON line per figure.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import uvloop

from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.campaigns import create_flow_campaign
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.flows import parse_flow
from core.domain.orders.ingest import ingest_orders
from core.domain.shops.plugins import enable_plugin
from core.domain.shops.setup import set_up_merchant
from core.domain.shops.shops import find_shop
from core.installation import Installation, open_installation
from core.registry import Owned
from core.sdk import (
    ChannelSession,
    OrderRecord,
    OrderState,
    OutgoingMessage,
    PluginContext,
    Receipt,
)
from core.sdk.outbound import LOOPBACK
from core.settings import Settings
from plugins.email.channel import EmailChannel
from worker.runner import Runner

WAITING, RATE, SECONDS, ORDERS = 1_000_000, 1_000, 30, 100
AHEAD = 5
"""Seconds until the first is due."""
SETTINGS = {"host": "127.0.0.1", "port": 25, "tls": "none", "from_address": "shop@example.com",
            "from_name": "shop"}  # fmt: skip
TEXT = {"subject": "waiting", "html": '<a href="{{ unsubscribe_url }}">x</a>'}


class InstantChannel(EmailChannel):
    """Takes every message at once, and remembers when."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[float] = asyncio.Queue()

    def open_for(self, context: PluginContext) -> AbstractAsyncContextManager[ChannelSession]:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[ChannelSession]:
        yield self

    async def send(self, message: OutgoingMessage) -> Receipt:
        self.arrived.put_nowait(time.perf_counter())
        return Receipt()


def tell(figure: str, **values: Any) -> None:
    print(json.dumps({"figure": figure, **values}), flush=True)


async def start(installation: Installation, merchant_id: int, name: str, flow: Any) -> int:
    """Start a journey; returns its run's id."""
    db, registry = installation.db, installation.registry
    async with db.work(merchant_id) as w:
        made = await create_flow_campaign(w, registry, name=name, flow=parse_flow(flow))
        run_id = await start_campaign(w, registry, made)
    assert run_id is not None
    await plan_run(db, registry, merchant_id, run_id)
    return run_id


async def latency(
    installation: Installation, merchant_id: int, shop_id: int, channel: InstantChannel, orders: int
) -> None:
    """From the taking in of an order to the hand-over of its message."""
    send = {"kind": "send", "key": "hello", "channel": "email", "message_class": "service",
            "variants": [{"content": TEXT}]}  # fmt: skip
    flow = {"trigger": {"kind": "event", "type": "order.created"}, "steps": [send]}
    await start(installation, merchant_id, "latency", flow)
    took = []
    for number in range(orders):
        record = OrderRecord(
            f"{number}", OrderState.CREATED_UNPAID, currency="CNY", total=100, paid=0,
            ordered_at=installation.db.clock(), buyer_id=f"b{number}",
            email=f"b{number}@example.com",
        )  # fmt: skip
        began = time.perf_counter()
        async with installation.db.work(merchant_id) as w:
            shop = await find_shop(w, str(shop_id))
            await ingest_orders(w, shop, [record], "nick", True)
        async with asyncio.timeout(60):
            took.append(await channel.arrived.get() - began)
    took.sort()
    tell(
        "trigger_to_send_seconds", median=round(statistics.median(took), 3),
        p99=round(took[min(len(took) - 1, len(took) * 99 // 100)], 3), orders=orders,
    )  # fmt: skip


async def waiting(
    installation: Installation, merchant_id: int, people: int, rate: int, seconds: int
) -> None:
    """Many wait, some of whom come due in each second."""
    db = installation.db
    steps = [{"kind": "wait", "key": "pause", "span": {"days": 30}},
             {"kind": "tag", "key": "after", "add": ["after"]}]  # fmt: skip
    flow = {"trigger": {"kind": "event", "type": "custom.never"}, "steps": steps}
    run_id = await start(installation, merchant_id, "waiting", flow)
    async with db.work(merchant_id) as w:
        await w.sql.execute(
            """WITH made AS (
                   INSERT INTO customers (merchant_id, version, created_at, updated_at)
                   SELECT $1, 1, $2, $2 FROM generate_series(1, $3::int) RETURNING id)
               INSERT INTO enrolments (merchant_id, campaign_id, run_id, customer_id, entry_key,
                   entered_at, wake_at, until)
               SELECT $1, r.campaign_id, r.id, made.id, 0, $2, $5, $5 FROM made, campaign_runs r
               WHERE r.merchant_id = $1 AND r.id = $4""",
            merchant_id, w.now, people, run_id, w.now + timedelta(days=30),
        )  # fmt: skip
    async with db.read(merchant_id) as session:
        await session.sql.execute("VACUUM ANALYZE customers, enrolments")
    first = db.clock() + timedelta(seconds=AHEAD)
    async with db.work(merchant_id) as w:
        await w.sql.execute(
            """UPDATE enrolments e SET wake_at = d.due, until = d.due
               FROM (SELECT id, $3::timestamptz + INTERVAL '1 s'
                         * (row_number() OVER (ORDER BY id) - 1) / $4::float8 AS due
                     FROM (SELECT id FROM enrolments WHERE merchant_id = $1 AND run_id = $2
                           ORDER BY id LIMIT $5) chosen) d
               WHERE e.merchant_id = $1 AND e.id = d.id""",
            merchant_id, run_id, first, float(rate), rate * seconds,
        )  # fmt: skip
    begun, used = time.perf_counter(), processor_seconds(installation)
    runner = Runner(installation)
    await runner.start()
    async with asyncio.timeout(seconds * 5 + 120):
        while await left(installation, merchant_id, run_id):  # noqa: ASYNC110 - of others' doing
            await asyncio.sleep(0.5)
    wall = time.perf_counter() - begun
    own, database = (
        after - before for after, before in zip(processor_seconds(installation), used, strict=True)
    )
    await runner.stop()
    async with db.read(merchant_id) as session:
        row = await session.figures(
            """SELECT count(*) AS n, max(late) AS worst,
                      percentile_disc(0.5) WITHIN GROUP (ORDER BY late) AS median,
                      percentile_disc(0.99) WITHIN GROUP (ORDER BY late) AS p99
               FROM (SELECT extract(epoch FROM ended_at - $3::timestamptz)
                            - (row_number() OVER (ORDER BY id) - 1) / $4::float8 AS late
                     FROM enrolments
                     WHERE merchant_id = $1 AND run_id = $2 AND state = 'done') x""",
            merchant_id, run_id, first, float(rate),
        )  # fmt: skip
    tell(
        "waiting_lateness_seconds", waiting=people, due_per_second=rate, moved=row["n"],
        median=round(float(row["median"]), 2), p99=round(float(row["p99"]), 2),
        worst=round(float(row["worst"]), 2),
    )  # fmt: skip
    tell(
        "waiting_processor_share", worker=round(own / wall, 2), postgresql=round(database / wall, 2)
    )


async def left(installation: Installation, merchant_id: int, run_id: int) -> bool:
    """Whether anybody who comes due in the time of the measuring still waits."""
    async with installation.db.read(merchant_id) as session:
        found: bool = await session.sql.fetchval(
            """SELECT EXISTS (SELECT 1 FROM enrolments WHERE merchant_id = $1 AND run_id = $2
                  AND state = 'waiting' AND wake_at < $3::timestamptz + INTERVAL '1 day')""",
            merchant_id, run_id, session.now,
        )  # fmt: skip
    return found


def processor_seconds(installation: Installation) -> tuple[float, float]:
    """Of this process, and of the PostgreSQL of this installation."""
    own = sum(psutil.Process().cpu_times()[:2])
    home = str(installation.settings.home)
    database = 0.0
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "postgres" and home in " ".join(process.info["cmdline"] or []):
            family = [process, *process.children(recursive=True)]
            database += sum(sum(one.cpu_times()[:4]) for one in family)
            break
    return own, database


async def measure(folder: Path, people: int, rate: int, seconds: int, orders: int) -> None:
    async with open_installation(Settings(home=folder, private_networks=LOOPBACK)) as opened:
        channel = InstantChannel()
        registry = replace(
            opened.registry, channels={"email": Owned("email", channel)}, settings_checks={}
        )
        installation = replace(opened, registry=registry)
        made = await set_up_merchant(installation.db, registry, "Bench", shop="shop")
        assert made.shop_id is not None
        await enable_plugin(installation.db, made.merchant_id, registry, "email", SETTINGS)
        runner = Runner(installation)
        await runner.start()
        await latency(installation, made.merchant_id, made.shop_id, channel, orders)
        await runner.stop()
        await waiting(installation, made.merchant_id, people, rate, seconds)


def main() -> None:
    """Run both; the sizes are arguments."""
    given = [int(text) for text in sys.argv[1:] if text.isdecimal()]
    sizes = (*given, *(WAITING, RATE, SECONDS, ORDERS)[len(given):])  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(measure(Path(folder), *sizes))


if __name__ == "__main__":
    main()
