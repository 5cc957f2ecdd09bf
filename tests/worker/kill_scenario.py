"""Campaigns whose workers and engines are killed; run in a process of its own by test_kills.py.

`python -m tests.worker.kill_scenario HOME workers|engines` prints the account as JSON lines and
ends with exit code 0 only when every account is right.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psutil
import redis

from core.clock import system_clock
from core.domain.campaigns.audit import audit_run
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.links import message_key
from core.domain.shops.setup import set_up_merchant
from core.installation import open_installation
from core.sdk.outbound import LOOPBACK
from core.settings import Settings
from core.storage.engines import Engines
from core.testing import TestMerchant
from tests.processes import Process
from tests.sending_kit import add_customers, campaign_row, enable_email, make_campaign, until
from worker.runner import Runner

RECIPIENTS = 3000
CAMPAIGNS = 2
KILLS_PER_CAMPAIGN = 5
LEASE_SECONDS = 2
SECONDS = 300


async def work(home):
    async with open_installation(Settings(home=home, private_networks=LOOPBACK)) as installation:
        lease = timedelta(seconds=LEASE_SECONDS)
        await Runner(installation, lease=lease, sweep_seconds=0.3).run_until_signalled()


def run_worker(home):
    asyncio.run(work(home))


class Sink:
    """The SMTP sink in a process of its own, and what it wrote down before it answered."""

    def __init__(self, folder):
        self.log = folder / "sink.log"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "core.testing.smtp", "--log", str(self.log)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(self.process.stdout.readline())
        self.begin()

    def begin(self):
        self.start = self.log.stat().st_size

    def keys(self):
        """The keys of the messages that came since `begin`."""
        with self.log.open() as file:
            file.seek(self.start)
            return [line.split("@")[0] for line in file]

    def count(self):
        return len(self.keys())


class Workers:
    """Worker processes, to be killed and replaced."""

    def __init__(self, home):
        self.home = home
        self.processes = []

    def add(self):
        self.processes.append(Process(run_worker, self.home, env=os.environ))

    def kill_one(self):
        self.processes.pop(random.randrange(len(self.processes))).kill()

    def end(self):
        for process in self.processes:
            process.signal(signal.SIGTERM)
        return [process.end() for process in self.processes]


async def account(merchant, campaign_id, sink):
    """Whether ledger and sink agree: no recipient lost, none served twice."""
    run_id = (await campaign_row(merchant, campaign_id))["run_id"]
    async with merchant.read() as session:
        found = await audit_run(session, run_id)
        rows = await session.sql.fetch(
            "SELECT id, state FROM deliveries WHERE merchant_id = $1 AND run_id = $2",
            merchant.id, run_id,
        )  # fmt: skip
    keys = {"sent": set(), "unknown": set()}
    for row in rows:
        key = message_key(merchant.installation.db.keyring, merchant.id, row["id"])
        keys.setdefault(row["state"], set()).add(key)
    arrived = sink.keys()
    print(json.dumps({
        "target": found.target, "sent": found.sent, "unknown": found.unknown,
        "arrived": len(arrived), "unknown_but_arrived": len(keys["unknown"] & set(arrived)),
    }))  # fmt: skip
    assert len(set(arrived)) == len(arrived), "a message arrived twice"
    assert keys.keys() == {"sent", "unknown"}, "a row is neither sent nor unknown"
    assert keys["sent"] <= set(arrived) <= keys["sent"] | keys["unknown"], "the sink disagrees"
    assert found.target == RECIPIENTS == found.sent + found.unknown, "recipients are missing"
    return found


async def finished(merchant, campaign_id):
    with contextlib.suppress(Exception):  # the database may be away at this moment
        return (await campaign_row(merchant, campaign_id))["state"] == "finished"


async def started_campaign(merchant, number):
    campaign_id = await make_campaign(merchant, name=f"campaign {number}")
    async with merchant.work() as w:
        await start_campaign(w, merchant.installation.registry, campaign_id)
    return campaign_id


async def kill_workers(merchant, sink, workers):
    """kill -9 of workers at random moments, ten times, two workers at a time."""
    workers.add()
    workers.add()
    for number in range(CAMPAIGNS):
        sink.begin()
        campaign_id = await started_campaign(merchant, number)
        for kill in range(KILLS_PER_CAMPAIGN):
            goal = (kill + random.random()) * RECIPIENTS / (KILLS_PER_CAMPAIGN + 1)
            await until(lambda goal=goal: sink.count() >= goal, SECONDS)
            await asyncio.sleep(random.random() * 0.05)
            workers.kill_one()
            workers.add()
        await until(lambda campaign_id=campaign_id: finished(merchant, campaign_id), SECONDS)
        found = await account(merchant, campaign_id, sink)
        assert found.unknown <= 150 * KILLS_PER_CAMPAIGN, "too many rows were in flight"


async def kill_engines(merchant, sink, workers):
    """Redis wiped and killed, PostgreSQL restarted and killed, in the middle of a campaign."""
    home = merchant.installation.settings.home
    engines = Engines(home)
    workers.add()
    sink.begin()
    campaign_id = await started_campaign(merchant, 0)
    await until(lambda: sink.count() > 500, SECONDS)
    with redis.Redis(unix_socket_path=str(engines._redis_socket())) as client:
        client.flushall()
    await until(lambda: sink.count() > 1000, SECONDS)
    with redis.Redis(unix_socket_path=str(engines._redis_socket())) as client:
        os.kill(client.info("server")["process_id"], signal.SIGKILL)
    await until(lambda: sink.count() > 1400, SECONDS)
    stop_postgres(home, signal.SIGINT)
    await asyncio.sleep(0.5)
    engines._start_postgres()
    await until(lambda: sink.count() > 2000, SECONDS)
    stop_postgres(home, signal.SIGQUIT)
    engines._start_postgres()
    engines._start_redis()
    await until(lambda: finished(merchant, campaign_id), SECONDS)
    found = await account(merchant, campaign_id, sink)
    assert found.unknown == 0, "the worker lived on, so nothing should be in doubt"


def stop_postgres(home, number):
    server = psutil.Process(int((home / "postgres/postmaster.pid").read_text().split()[0]))
    server.send_signal(number)
    with contextlib.suppress(psutil.NoSuchProcess):
        server.wait(120)


async def main(home, scenario):
    async with open_installation(Settings(home=home, private_networks=LOOPBACK)) as installation:
        made = await set_up_merchant(installation.db, installation.registry, "Test", shop="shop")
        merchant = TestMerchant(
            made.merchant_id, made.shop_id, made.token, installation, system_clock
        )
        sink, workers = Sink(home), Workers(home)
        try:
            await enable_email(merchant, sink.port)
            await add_customers(merchant, [f"c{n}@example.com" for n in range(RECIPIENTS)])
            await scenario(merchant, sink, workers)
        finally:
            ended = workers.end()
            sink.process.terminate()
            sink.process.wait()
        # a worker that has not begun yet dies of the signal
        assert {one.returncode for one in ended} <= {0, -signal.SIGTERM}, ended


if __name__ == "__main__":
    scenarios = {"workers": kill_workers, "engines": kill_engines}
    asyncio.run(main(Path(sys.argv[1]), scenarios[sys.argv[2]]))
