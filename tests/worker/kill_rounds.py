"""kill -9 of API, worker, PostgreSQL and Redis at random moments while campaigns are sent.

`python -m tests.worker.kill_rounds --rounds 200` makes so many kills, prints each campaign's
account as a JSON line, and ends with exit code 0 only when every account is right: nobody is lost,
nobody got a message twice, no message's fate is left unknown, and the audit adds up, also while
all of it goes on. The provider is stand_in.py, which also falls silent after it took a message.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx2
import psutil
import redis

from core.clock import system_clock
from core.domain.campaigns.audit import audit_run
from core.domain.campaigns.campaigns import create_flow_campaign
from core.domain.campaigns.flows import message_flow
from core.domain.campaigns.links import message_key
from core.domain.segments.segments import create_segment
from core.domain.shops.plugins import enable_plugin
from core.domain.shops.setup import set_up_merchant
from core.installation import load_registry, open_installation
from core.schema.scalars import global_id
from core.settings import Settings
from core.storage.engines import Engines
from core.testing import TestMerchant
from tests.provider_kit import consent_to
from tests.sending_kit import ALL, add_customers, campaign_row, until
from tests.worker.stand_in import NAME, with_stand_in

LEASE_SECONDS = 2
PATIENCE = 180
TEXT = "hello https://shop.example/?name={{ customer.name }}"
"""With an address that is stored for each message, between its claim and its hand-over."""
START = (Path(__file__).parents[2] / "docs/operations/campaign-start.graphql").read_text()

COMMON = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from core.installation import load_registry, open_installation
from core.settings import Settings
from tests.worker.stand_in import with_stand_in

def installation(home):
    settings = Settings(home=Path(home))
    return open_installation(settings, registry=with_stand_in(load_registry(settings)))
"""
WORKER = f"""{COMMON}
from worker.runner import Runner

async def main():
    async with installation(sys.argv[1]) as opened:
        lease = timedelta(seconds={LEASE_SECONDS})
        await Runner(opened, lease=lease, sweep_seconds=0.3).run_until_signalled()

asyncio.run(main())
"""
API = f"""{COMMON}
import uvicorn
from core.app import create_app

async def main():
    async with installation(sys.argv[1]) as opened:
        app = create_app(opened)
        await uvicorn.Server(uvicorn.Config(app, port=int(sys.argv[2]), log_level="error")).serve()

asyncio.run(main())
"""


class Processes:
    """Two workers and an API, and the engines that they share: killed, and started again."""

    def __init__(self, home, port):
        self.home, self.port = home, port
        self.engines = Engines(home)
        self.workers = [self._start(WORKER) for _ in range(2)]
        self.api = self._start(API, str(port))

    def _start(self, program, *arguments):
        with (self.home / "processes.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-c", program, str(self.home), *arguments], stderr=log, stdout=log
            )

    def kill(self, what):
        getattr(self, f"_kill_{what}")()

    def _kill_worker(self):
        place = random.randrange(len(self.workers))
        self.workers[place].kill()
        self.workers[place].wait()
        self.workers[place] = self._start(WORKER)

    def _kill_api(self):
        self.api.kill()
        self.api.wait()
        self.api = self._start(API, str(self.port))

    def _kill_postgres(self):
        leader = int((self.home / "postgres/postmaster.pid").read_text().split()[0])
        server = psutil.Process(leader)
        family = [server, *server.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, 20)
        self._supervise(self.engines._start_postgres)

    def _kill_redis(self):
        with redis.Redis(unix_socket_path=str(self.engines._redis_socket())) as client:
            process = psutil.Process(client.info("server")["process_id"])
        process.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            process.wait(20)
        self._supervise(self.engines._start_redis)

    def _supervise(self, start):
        time.sleep(random.random())
        with self.engines._guard():  # a process that was killed before may start it, too
            start()

    def revive(self):
        """Start again what ended by itself, as a supervisor would."""
        self.workers = [w if w.poll() is None else self._start(WORKER) for w in self.workers]
        if self.api.poll() is not None:
            self.api = self._start(API, str(self.port))

    def end(self):
        for process in [*self.workers, self.api]:
            process.send_signal(signal.SIGTERM)
        for process in [*self.workers, self.api]:
            process.wait(60)


class Provider:
    """The stand-in's process and its log."""

    def __init__(self, home):
        self.log = home / "stand_in.log"
        self.log.touch()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.worker.stand_in", str(self.log)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(self.process.stdout.readline())

    def keys(self, start=0):
        with self.log.open() as file:
            file.seek(start)
            return file.read().split()


async def draft(merchant, number):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        segment_id = await create_segment(w, registry, f"segment {number}", ALL)
        flow = message_flow(segment_id, NAME, {"text": TEXT})
        return await create_flow_campaign(w, registry, name=f"campaign {number}", flow=flow)


async def start_by_api(merchant, port, campaign_id, processes):
    """Start a campaign over the API: the same call until it is answered."""
    variables = {
        "id": global_id("Campaign", campaign_id),
        "input": {"idempotencyKey": f"start {campaign_id}"},
    }
    async with asyncio.timeout(PATIENCE), httpx2.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                answer = (
                    await client.post(
                        f"http://127.0.0.1:{port}/graphql",
                        json={"query": START, "variables": variables},
                        headers={"authorization": f"Bearer {merchant.token}"},
                    )
                ).json()
                if "errors" not in answer:
                    assert answer["data"]["campaignStart"]["errors"] == [], answer
                    return
            processes.revive()
            await asyncio.sleep(0.1)


async def watched(merchant, campaign_id, recipients):
    """Whether the campaign is finished; its audit adds up at every moment."""
    with contextlib.suppress(Exception):  # the database may be away at this moment
        row = await campaign_row(merchant, campaign_id)
        async with merchant.read() as session:
            found = await audit_run(session, row["run_id"])
        if not adds_up(found, recipients):
            raise SystemExit(f"the audit does not add up: {found}")
        return row["state"] == "finished"
    return False


def adds_up(found, recipients):
    parts = found.sent + found.failed + found.unknown + found.pending
    parts += sum(found.skipped.values())
    return found.target == parts and found.target in (0, recipients)


async def account(merchant, campaign_id, recipients, keys):
    run_id = (await campaign_row(merchant, campaign_id))["run_id"]
    async with merchant.read() as session:
        found = await audit_run(session, run_id)
        ids = await session.sql.fetch(
            "SELECT id, attempts FROM deliveries WHERE merchant_id = $1 AND run_id = $2",
            merchant.id, run_id,
        )  # fmt: skip
    keyring = merchant.installation.db.keyring
    wanted = {message_key(keyring, merchant.id, row["id"]) for row in ids}
    twice = [key for key, times in Counter(keys).items() if times > 1]
    print(json.dumps({
        "campaign": campaign_id, "target": found.target, "sent": found.sent,
        "unknown": found.unknown, "arrived": len(keys), "twice": len(twice),
        "lost": len(wanted - set(keys)), "tried_again": sum(row["attempts"] > 1 for row in ids),
    }), flush=True)  # fmt: skip
    assert twice == [], "somebody got it twice"
    assert wanted == set(keys), "somebody is missing"
    assert found.sent == found.target == recipients, found


async def play(home, rounds, recipients, kills_each, victims):
    settings = Settings(home=home)
    registry = with_stand_in(load_registry(settings))
    async with open_installation(settings, registry=registry) as installation:
        made = await set_up_merchant(installation.db, registry, "Test", shop="shop")
        merchant = TestMerchant(
            made.merchant_id, made.shop_id, made.token, installation, system_clock
        )
        provider = Provider(home)
        await enable_plugin(installation.db, merchant.id, registry, NAME, {"port": provider.port})
        await add_customers(merchant, [f"c{n}@example.com" for n in range(recipients)], None)
        await consent_to(merchant, NAME)
        processes = Processes(home, free_port())
        try:
            made_kills = number = 0
            while made_kills < rounds:
                kills = min(kills_each, rounds - made_kills)
                await campaign(merchant, provider, processes, number, recipients, kills, victims)
                made_kills, number = made_kills + kills, number + 1
        finally:
            processes.end()
            provider.process.terminate()
            provider.process.wait()
    print(json.dumps({"rounds": made_kills, "campaigns": number}), flush=True)


async def campaign(merchant, provider, processes, number, recipients, kills, victims):
    campaign_id = await draft(merchant, number)
    start = provider.log.stat().st_size
    await start_by_api(merchant, processes.port, campaign_id, processes)
    for kill in range(kills):
        goal = (kill + random.random()) * recipients / (kills + 1)
        async with asyncio.timeout(PATIENCE):
            while len(provider.keys(start)) < goal:
                processes.revive()
                await asyncio.sleep(0.02)
        await asyncio.sleep(random.random() * 0.1)
        victim = random.choice(victims)
        await asyncio.to_thread(processes.kill, victim)
        print(json.dumps({"campaign": campaign_id, "killed": victim}), flush=True)

    async def done():
        processes.revive()
        return await watched(merchant, campaign_id, recipients)

    await until(done, PATIENCE)
    await account(merchant, campaign_id, recipients, provider.keys(start))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="how many kills")
    parser.add_argument("--recipients", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=5, help="kills in each campaign")
    parser.add_argument("--victims", default="worker,api,postgres,redis")
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.randrange(10**6)
    random.seed(seed)
    print(json.dumps({"seed": seed}), flush=True)
    # the pool's complaints about the killed database would hide the accounts
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(
            play(Path(home), given.rounds, given.recipients, given.kills,
                 given.victims.split(","))
        )  # fmt: skip


if __name__ == "__main__":
    main()
