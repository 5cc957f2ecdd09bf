"""Five questions, beside a floor and rivals that take turns, by the clock and by processor time.

    python -m bench.graphql [--customers N] [--seconds S] [--connections N ...] [--rounds N]
                            [--only SERVER ...] [--questions NAME ...] [--home FOLDER]

All servers are up and are asked one after the other, round by round, from one database: this
project's server with authentication, permissions and limits on; `floor`, the same by hand without
GraphQL; `plain` and `cached`, Strawberry on Tortoise as documented, without and with its caches;
`postgraphile`, where node and npm are installed. One JSON line for each figure, of which the
medians of the rounds count. `graphql_processor` is what one answer costs the server process and
the database in processor time, which says more than the clock where others use the machine too.
`graphql_ratio` is this project's rate divided by the other's, and the same of processor time.
The data is made anew, or once in FOLDER, where later runs find it: a million customers take some
sixteen minutes.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil

from bench.graphql import rival
from bench.graphql.load import Target, ask, rate
from bench.graphql.questions import NAMES, PAGE, Data, floor_requests, our_target
from bench.large import START, load, show
from bench.processes import await_answer, free_port, running
from core.domain.shops.setup import set_up_merchant
from core.installation import Installation, open_installation
from core.settings import Settings

SERVERS = ("floor", "huike", "plain", "cached", "postgraphile")
PATIENCE = 120.0


@dataclass(frozen=True)
class Home:
    """An installation with data, and a token that may do everything."""

    folder: Path
    data: Data
    token: str


def main() -> None:
    """Make the data, ask every server, and print one JSON line for each figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.graphql")
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--connections", type=int, nargs="+", default=[16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=SERVERS, default=SERVERS)
    parser.add_argument("--questions", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        asyncio.run(_run(given.home or Path(folder) / "home", given))


async def _run(folder: Path, given: argparse.Namespace) -> None:
    """Measure on the data in a folder, which is made where it is not there."""
    about = folder / "bench.json"
    async with open_installation(Settings(home=folder), with_redis=True) as opened:
        if not about.exists():
            about.write_bytes(orjson.dumps(await _data(opened, given.customers)))
        found = orjson.loads(about.read_bytes())
        data = Data(opened.database_url, found["merchant"], found["customers"], START)
        await asyncio.to_thread(measure, Home(folder, data, found["token"]), given)


async def _data(opened: Installation, customers: int) -> dict[str, Any]:
    """A merchant with so many customers, ready for every server."""
    made = await set_up_merchant(opened.db, opened.registry, "graphql", shop="shop")
    assert made.shop_id is not None
    await load(opened, made.merchant_id, made.shop_id, customers)
    async with opened.db.read(made.merchant_id) as session:
        await session.sql.execute("VACUUM (ANALYZE)")
    await rival.prepare(Data(opened.database_url, made.merchant_id, customers, START))
    return {"merchant": made.merchant_id, "customers": customers, "token": made.token}


@dataclass(frozen=True)
class Taken:
    """One round of one question to one server: answers per second, and milliseconds for each."""

    rate: float
    server_ms: float
    database_ms: float


def measure(home: Home, given: argparse.Namespace) -> None:
    """Every server in turn for each question, then the ratios."""
    with contextlib.ExitStack() as stack:
        servers = {}
        for name in given.only:
            if name == "postgraphile" and not rival.available():
                print("node or npm is missing: PostGraphile is left out", file=sys.stderr)
                continue
            process, targets = servers[name] = stack.enter_context(_serving(name, home))
            for question in given.questions:
                target = targets[question]
                _check(name, question, target)
                rate(target, 16, 1)  # plans, caches and connections
        for question in given.questions:
            for connections in given.connections:
                found: dict[str, list[Taken]] = defaultdict(list)
                for _ in range(given.rounds):
                    for name, (process, targets) in servers.items():
                        found[name].append(
                            _round(home, process, targets[question], connections, given.seconds)
                        )
                _tell(found, question=question, connections=connections,
                      customers=home.data.customers)  # fmt: skip
        for name, (process, _) in servers.items():
            show("graphql_memory", _memory(process) / 2**20, "MiB rss", server=name)


def _round(home: Home, process: Any, target: Target, connections: int, seconds: float) -> Taken:
    database = int((home.folder / "postgres" / "postmaster.pid").read_text().split()[0])
    before = [_processor_seconds(one) for one in (process.pid, database)]
    started = time.monotonic()
    found = rate(target, connections, seconds)
    answers = found * (time.monotonic() - started)
    if not answers:
        raise RuntimeError(f"nothing came from {target.path} in time: give more --seconds")
    taken = [
        (_processor_seconds(one) - spent) / answers * 1000
        for one, spent in zip((process.pid, database), before, strict=True)
    ]
    return Taken(found, *taken)


def _tell(found: dict[str, list[Taken]], **about: Any) -> None:
    ours = found.get("huike")
    for name, rounds in found.items():
        show("graphql_rate", statistics.median(one.rate for one in rounds), "requests/s",
             server=name, low=round(min(one.rate for one in rounds), 1),
             high=round(max(one.rate for one in rounds), 1), **about)  # fmt: skip
        show("graphql_processor", statistics.median(one.server_ms for one in rounds), "ms",
             server=name, least=round(min(one.server_ms for one in rounds), 3),
             database=round(statistics.median(one.database_ms for one in rounds), 3),
             **about)  # fmt: skip
    for name, rounds in found.items():
        if ours and name != "huike":
            pairs = list(zip(ours, rounds, strict=True))
            show("graphql_ratio", statistics.median(a.rate / b.rate for a, b in pairs),
                 "of the other's rate", beside=name,
                 processor=round(statistics.median(b.server_ms / a.server_ms for a, b in pairs), 3),
                 **about)  # fmt: skip


def _processor_seconds(pid: int) -> float:
    """What a process and its children have taken, those that have ended included."""
    found = psutil.Process(pid)
    times = [one.cpu_times() for one in (found, *found.children(recursive=True))]
    return sum(sum(one[:4]) for one in times)


@contextlib.contextmanager
def _serving(name: str, home: Home) -> Iterator[tuple[Any, dict[str, Target]]]:
    port, data = free_port(), home.data
    if name == "huike":
        with running(home.folder, "serve", "--no-worker", "--port", str(port)) as server:
            await_answer(server, port, home.token)
            yield server, _targets(port, data, home.token)
        return
    if name == "postgraphile":
        with rival.serving(port, data) as server:
            targets = {
                question: Target(port, "/graphql", _lines(rival.requests(data, question)))
                for question in NAMES
            }
            _await(server, next(iter(targets.values())))
            yield server, targets
        return
    extra = [data.since.isoformat()] if name == "floor" else ["cached"] * (name == "cached")
    module = "bench.graphql.floor" if name == "floor" else "bench.graphql.plain"
    command = [sys.executable, "-m", module, str(port), data.url, str(data.merchant_id), *extra]
    with stopped_at_the_end(command) as server:
        targets = _targets(port, data, None)
        if name == "floor":
            targets = {
                question: Target(port, f"/{question}", _lines(floor_requests(data, question)))
                for question in NAMES
            }
        _await(server, next(iter(targets.values())))
        yield server, targets


@contextlib.contextmanager
def stopped_at_the_end(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until the end of the block."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, **options) as server:
        try:
            yield server
        finally:
            server.terminate()
            server.wait(PATIENCE)


def _targets(port: int, data: Data, token: str | None) -> dict[str, Target]:
    return {question: our_target(port, data, question, token) for question in NAMES}


def _lines(requests: list[dict[str, Any]]) -> list[bytes]:
    return [orjson.dumps(one) for one in requests]


def _await(server: "subprocess.Popen[bytes]", target: Target) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            ask(target, target.bodies[0])
            return
        except (OSError, asyncio.IncompleteReadError):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not come up") from None
            time.sleep(0.05)


def _check(name: str, question: str, target: Target) -> None:
    """Raises RuntimeError unless the answer has what was asked for."""
    answer = ask(target, target.bodies[0])
    text = orjson.dumps(answer).decode()
    errors = answer.get("errors") if isinstance(answer, dict) else None
    many = {"page": PAGE, "nested": PAGE, "filtered": PAGE}.get(question, 1)
    if errors or text.count('"id"') < many:
        raise RuntimeError(f"{name} answered {question} with {text[:500]}")


def _memory(process: Any) -> int:
    found = psutil.Process(process.pid)
    return sum(one.memory_info().rss for one in (found, *found.children(recursive=True)))


if __name__ == "__main__":
    os.environ.setdefault("NODE_ENV", "production")
    main()
