"""Planning into the ledger and sending out of it: `python -m bench.ledger --recipients 1000000`.

Planning is compared with a bare INSERT ... SELECT of the same rows into a table with the same
indexes and checks. Sending goes to a channel inside the process that answers at once, one message
in a call and 100 in a call. Last, everybody is planned once more under a frequency cap, which
counts what was sent before. Figures are given per second of the clock and per second of processor
time, of the worker alone and with the database's. Prints one JSON line per figure.
"""

import argparse
import asyncio
import json
import os
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import uvloop
from pydantic import BaseModel

from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.campaigns import create_campaign
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.policy.caps import Cap, set_cap
from core.domain.campaigns.policy.places import ALL_CHANNELS, ALL_SHOPS
from core.domain.campaigns.sending import send_run
from core.domain.segments.segments import create_segment
from core.domain.shops.plugins import enable_plugin
from core.domain.shops.setup import set_up_merchant
from core.installation import Installation, load_registry, open_installation
from core.registry import Owned, Registry
from core.sdk import (
    Channel,
    ChannelSession,
    ContactKind,
    ContentField,
    Manifest,
    OutgoingMessage,
    OutsideError,
    Receipt,
)
from core.settings import Settings

URL = "http://127.0.0.1:8000"
CONTENT = {"text": "{{ customer.name }}，好久不见，退订 {{ unsubscribe_url }} 拒收请回复R"}
PORTION = 50_000
GOALS = {"plan": 30_000, "send": 5_000}


class NullSession:
    """Takes every message at once."""

    async def send(self, message: OutgoingMessage) -> Receipt:
        return Receipt(message.key[-20:], "null", 1)


class NullBatchSession(NullSession):
    """Takes a hundred messages at once."""

    batch = 100

    async def send_many(
        self, messages: Sequence[OutgoingMessage]
    ) -> Sequence[Receipt | OutsideError]:
        return [await self.send(message) for message in messages]


class NullChannel:
    """A channel without a provider."""

    contact: ContactKind = "phone"
    marketing_hours = None
    """So that it can be measured at night."""
    fields: tuple[ContentField, ...] = (ContentField("text", "Text", max_length=500),)

    def __init__(self, name: str, concurrency: int, session: Callable[[], ChannelSession]) -> None:
        self.name = self.title = name
        self.concurrency = concurrency
        self._session = session

    @asynccontextmanager
    async def open(self, settings: BaseModel) -> AsyncIterator[ChannelSession]:
        yield self._session()


CHANNELS = {
    "null_one": NullChannel("null_one", 500, NullSession),
    "null_many": NullChannel("null_many", 10, NullBatchSession),
}


def with_null_channels(registry: Registry) -> Registry:
    """The registry with the channels of this benchmark."""
    made: dict[str, Owned[Channel]] = {n: Owned(n, channel) for n, channel in CHANNELS.items()}
    manifests = {name: Manifest(name, name, "1", ">=0") for name in CHANNELS}
    return replace(
        registry,
        channels={**registry.channels, **made},
        manifests={**registry.manifests, **manifests},
    )


async def set_up(installation: Installation, recipients: int) -> tuple[int, int]:
    """(merchant, segment) of a shop whose customers agreed to marketing on each channel."""
    db, registry = installation.db, installation.registry
    made = await set_up_merchant(db, registry, "Bench")
    merchant_id = made.merchant_id
    for name in CHANNELS:
        await enable_plugin(db, merchant_id, registry, name, {})
    for start in range(0, recipients, PORTION):
        numbers = range(start, min(start + PORTION, recipients))
        async with db.work(merchant_id) as w:
            ids = await w.new_ids("customers", len(numbers))
            phones = [f"+8613{number:09}" for number in numbers]
            await w.sql.execute(
                """INSERT INTO customers (id, merchant_id, name, province, version, created_at,
                       updated_at, phone_sealed, phone_index)
                   SELECT x.id, $1, 'Customer ' || x.id, '浙江省', 1, $2, $2, x.sealed, x.index
                   FROM unnest($3::bigint[], $4::bytea[], $5::bytea[]) AS x (id, sealed, index)""",
                merchant_id, w.now, ids,
                [db.keyring.seal(phone, f"customers.phone|{merchant_id}|{customer_id}")
                 for customer_id, phone in zip(ids, phones, strict=True)],
                [db.keyring.blind_index("phone", merchant_id, phone) for phone in phones],
            )  # fmt: skip
            await w.sql.execute(
                """INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
                   SELECT $1, x, channel, 'marketing', 'granted', $4
                   FROM unnest($2::bigint[]) x, unnest($3::text[]) AS channel""",
                merchant_id, ids, list(CHANNELS), w.now,
            )  # fmt: skip
    async with db.work(merchant_id) as w:
        await w.sql.execute("ANALYZE customers, consents")
        segment_id = await create_segment(
            w, registry, "everybody", {"version": 1, "rule": {"all": []}}
        )
    return merchant_id, segment_id


async def started(
    installation: Installation, merchant_id: int, segment_id: int, channel: str, name: str
) -> int:
    """The run of a campaign to everybody."""
    registry = installation.registry
    async with installation.db.work(merchant_id) as w:
        campaign_id = await create_campaign(
            w, registry, name=name, channel=channel, segment_id=segment_id, content=CONTENT
        )
        run_id = await start_campaign(w, registry, campaign_id)
    assert run_id is not None
    return run_id


def figure(name: str, value: float, unit: str, **more: Any) -> None:
    """Print a figure."""
    print(json.dumps({
        "bench": "ledger", "figure": name, "value": round(value, 2), "unit": unit, **more,
    }), flush=True)  # fmt: skip


async def plan(
    installation: Installation, merchant_id: int, run_id: int, recipients: int, **more: Any
) -> None:
    """Plan a run, and write the same rows barely."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent = Spent(installation)
    await plan_run(installation.db, installation.registry, merchant_id, run_id)
    wall, own, database = spent.until_now()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    async with installation.db.work(merchant_id) as w:
        planned = await w.sql.fetchval(
            "SELECT count(*) FROM deliveries WHERE merchant_id = $1 AND run_id = $2",
            merchant_id, run_id,
        )  # fmt: skip
        assert planned == recipients, f"{planned} rows"
        await w.sql.execute("CREATE TABLE bare (LIKE deliveries INCLUDING ALL)")
        spent = Spent(installation)
        await w.sql.execute(
            "INSERT INTO bare SELECT * FROM deliveries WHERE merchant_id = $1 AND run_id = $2",
            merchant_id, run_id,
        )  # fmt: skip
        bare_wall, bare_own, bare_database = spent.until_now()
        await w.sql.execute("DROP TABLE bare")
    more = {"recipients": recipients, **more}
    figure("plan", recipients / wall, "messages/s", goal=GOALS["plan"], **more)
    figure("plan_all_cores", recipients / (own + database), "messages/s", **more)
    figure("bare_insert", recipients / bare_wall, "messages/s", **more)
    figure("plan/bare_insert", bare_wall / wall, "ratio", **more,
           processor=round((bare_own + bare_database) / (own + database), 2))  # fmt: skip
    figure("plan_memory_grown", grown, "MB", **more)


def database_cpu(home: Path) -> float:
    """Processor seconds of the embedded server's processes so far."""
    leader = psutil.Process(int((home / "postgres/postmaster.pid").read_text().split()[0]))
    seconds = 0.0
    for process in [leader, *leader.children()]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds += times.user + times.system
    return seconds


class Spent:
    """Seconds of the clock, of this process's processor time and of the database's, from now on."""

    def __init__(self, installation: Installation) -> None:
        self._home = installation.settings.home
        self._begun = self._now()

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), database_cpu(self._home)

    def until_now(self) -> tuple[float, float, float]:
        """What was spent so far."""
        wall, own, database = (
            now - begun for now, begun in zip(self._now(), self._begun, strict=True)
        )
        return wall, own, database


async def send(
    installation: Installation, merchant_id: int, run_id: int, channel: str, recipients: int
) -> None:
    """Send a planned run."""
    spent = Spent(installation)
    await send_run(installation.db, installation.registry, merchant_id, run_id, URL)
    wall, own, database = spent.until_now()
    async with installation.db.read(merchant_id) as session:
        sent = await session.sql.fetchval(
            """SELECT count(*) FROM deliveries
               WHERE merchant_id = $1 AND run_id = $2 AND state = 'sent'""",
            merchant_id, run_id,
        )  # fmt: skip
    assert sent == recipients, f"only {sent} were sent"
    more = {"channel": channel, "recipients": recipients}
    figure("send", recipients / wall, "messages/s", **more)
    figure("send_worker_core", recipients / own, "messages/s", goal=GOALS["send"], **more)
    figure("send_all_cores", recipients / (own + database), "messages/s", **more)


async def measure(folder: Path, recipients: int) -> None:
    """Everything, in an installation of its own."""
    settings = Settings(home=folder)
    registry = with_null_channels(load_registry(settings))
    async with open_installation(settings, registry=registry, with_redis=False) as installation:
        merchant_id, segment_id = await set_up(installation, recipients)
        for channel in CHANNELS:
            run_id = await started(installation, merchant_id, segment_id, channel, channel)
            await plan(installation, merchant_id, run_id, recipients)
            await send(installation, merchant_id, run_id, channel, recipients)
        async with installation.db.work(merchant_id) as w:
            await set_cap(w, registry, Cap(ALL_SHOPS, ALL_CHANNELS, 24, 5))
        run_id = await started(installation, merchant_id, segment_id, "null_one", "capped")
        await plan(installation, merchant_id, run_id, recipients, capped=True)


def main() -> None:
    """Run the benchmark in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--recipients", type=int, default=int(os.environ.get("BENCH_RECIPIENTS", "100000"))
    )
    given, _ = parser.parse_known_args()
    with (
        tempfile.TemporaryDirectory() as name,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(measure(Path(name), given.recipients))


if __name__ == "__main__":
    main()
