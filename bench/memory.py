"""Memory of the server and of a worker at rest and at work, and of the Python that both stand on.

    python -m bench.memory [server]

At rest, `rss` counts shared pages in each process, `pss` gives each process its part of them, and
`uss` counts what would be freed if it ended. At work, the server is asked the questions of
bench.graphql by 16 connections, and other peaks are of the command with the process that reads
its file, and of the worker that sends a campaign to everybody in the file. `server` measures the
server alone, in less than a minute.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.graphql.load import rate
from bench.graphql.questions import NAMES, our_target
from bench.import_orders import write_orders
from bench.processes import (
    HUIKE,
    Peak,
    ask,
    await_answer,
    environment,
    free_port,
    huike,
    running,
)
from bench.send import CONTENT, sink
from bench.soak import prepare

REST_SECONDS = 8.0
ORDERS = 60_000
CUSTOMERS, CONNECTIONS, LOAD_SECONDS = 2_000, 16, 2.0
FLOOR = "import uvicorn, strawberry, sys; print(flush=True); sys.stdin.read()"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        _under_load(Path(folder) / "home")
    if sys.argv[1:] != ["server"]:
        _at_rest()
        with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
            _at_work(Path(folder))


def _under_load(home: Path) -> None:
    data, token = asyncio.run(prepare(home, CUSTOMERS))
    port = free_port()
    with running(home, "serve", "--no-worker", "--port", str(port)) as server:
        await_answer(server, port, token)
        _print("memory_server_started", server.pid)
        for name in NAMES:
            rate(our_target(port, data, name, token), CONNECTIONS, LOAD_SECONDS)
            _print("memory_server_asked", server.pid, question=name)


def _at_rest() -> None:
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        home = Path(folder) / "home"
        token = huike(home, "init", "--shop", "bench").splitlines()[-1]
        port = free_port()
        with running(home, "serve", "--no-worker", "--port", str(port)) as server:
            await_answer(server, port, token)
            with running(home, "worker") as worker:
                _rest(worker.pid)
                _print("memory_server_at_rest", server.pid)
                _print("memory_worker_at_rest", worker.pid)
        with running(home, "serve", "--port", str(port)) as both:
            await_answer(both, port, token)
            _rest(both.pid)
            _print("memory_server_with_worker_at_rest", both.pid)
    with subprocess.Popen(
        [sys.executable, "-c", FLOOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as floor:
        assert floor.stdout is not None
        floor.stdout.readline()
        _print("memory_floor_imports", floor.pid)


def _rest(pid: int) -> None:
    """Wait until a process has started: on a busy machine that takes a while."""
    process, before = psutil.Process(pid), 0
    while (now := process.memory_info().rss) > before * 1.01:
        before = now
        time.sleep(REST_SECONDS)


def _at_work(folder: Path) -> None:
    home, file = folder / "work", folder / "orders.csv"
    write_orders(file, ORDERS)
    token = huike(home, "init", "--shop", "bench").splitlines()[-1]
    command = [
        str(HUIKE), "import", "orders", str(file), "--shop", "bench", "--consent", "email",
        "--evidence", "bench",
    ]  # fmt: skip
    with (
        subprocess.Popen(
            command, env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as taking,
        Peak(taking.pid) as peak,
    ):
        assert taking.wait() == 0
    _print_peak("memory_import_peak", peak, orders=ORDERS, file_mb=file.stat().st_size // 10**6)
    port = free_port()
    with (
        sink(folder) as (smtp, _),
        running(home, "serve", "--no-worker", "--port", str(port)) as it,
    ):
        await_answer(it, port, token)
        with running(home, "worker") as worker, Peak(worker.pid) as peak, Peak(it.pid) as server:
            sent = _campaign(port, token, smtp)
        _print_peak("memory_worker_sending_peak", peak, sent=sent)
        _print_peak("memory_server_meanwhile_peak", server)


def _campaign(port: int, token: str, smtp: int) -> int:
    """Send a campaign to everybody, and return how many messages were sent."""
    settings = {
        "host": "127.0.0.1", "port": smtp, "tls": "none", "from_address": "shop@example.com"
    }  # fmt: skip
    ask(port, token, """mutation ($s: JSON!) { pluginEnable(name: "email", input: {settings: $s}) {
        errors { message } } }""", s=settings)  # fmt: skip
    made = ask(port, token, """mutation { segmentCreate(input: {name: "all", rule: {all: []}}) {
        segment { id } errors { message } } }""")["segmentCreate"]  # fmt: skip
    content = [{"field": name, "text": text} for name, text in CONTENT.items()]
    made = ask(port, token, """mutation ($i: CampaignCreateInput!) { campaignCreate(input: $i) {
        campaign { id } errors { message path } } }""", i={
            "name": "all", "channel": "email", "segmentId": made["segment"]["id"],
            "content": content,
        })["campaignCreate"]  # fmt: skip
    campaign_id = made["campaign"]["id"]
    ask(port, token, """mutation ($id: ID!) { campaignStart(id: $id, input: {
        idempotencyKey: "1"}) { errors { message } } }""", id=campaign_id)  # fmt: skip
    while True:
        time.sleep(0.5)
        found = ask(port, token, """query ($id: ID!) { campaign(id: $id) { state
            runs { audit { sent } } } }""", id=campaign_id)["campaign"]  # fmt: skip
        if found["state"] == "FINISHED":
            return int(found["runs"][0]["audit"]["sent"])


def _print_peak(figure: str, peak: Peak, **more: int) -> None:
    line = {"figure": figure, "value": round(peak.bytes / 1024**2, 1), "unit": "MiB rss", **more}
    print(json.dumps(line), flush=True)


def _print(figure: str, pid: int, **more: str) -> None:
    memory = psutil.Process(pid).memory_full_info()
    line = {
        "figure": figure, "value": round(memory.rss / 1024**2, 1), "unit": "MiB rss",
        "pss": round(memory.pss / 1024**2, 1), "uss": round(memory.uss / 1024**2, 1), **more,
    }  # fmt: skip
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
