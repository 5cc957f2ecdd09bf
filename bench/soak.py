"""The server's memory over time at full load.

    python -m bench.soak [--minutes 10] [--customers 2000] [--connections 16]

One process with authentication, permissions and limits on answers the five questions of
bench.graphql in turn, documents that it has never seen, refused ones, and subscriptions that come
and go. One JSON line for each round: `soak_memory` in MiB; at the end `soak_growth` in MiB a
minute, a line through the second half of the time, and what was answered.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import psutil

from bench.graphql.load import rate
from bench.graphql.questions import NAMES, Data, our_target
from bench.large import START, load, show
from bench.processes import await_answer, free_port, running
from core.domain.shops.setup import set_up_merchant
from core.installation import open_installation
from core.settings import Settings

ROUND_SECONDS = 1.0
"""For each of the questions."""
FRESH = 200
"""So many new documents a round, and half as many that are refused."""
TOGETHER = 20
STREAMS = 20


def main() -> None:
    """Make the data, keep the server busy, and print its memory."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--customers", type=int, default=2_000)
    parser.add_argument("--connections", type=int, default=16)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="huike-bench-") as folder:
        home = Path(folder) / "home"
        data, token = asyncio.run(prepare(home, given.customers))
        port = free_port()
        with running(home, "serve", "--no-worker", "--port", str(port)) as server:
            await_answer(server, port, token)
            _soak(psutil.Process(server.pid), port, data, token, given)


async def prepare(home: Path, customers: int) -> tuple[Data, str]:
    """A merchant with so many customers in a new home, and his token."""
    async with open_installation(Settings(home=home)) as opened:
        made = await set_up_merchant(opened.db, opened.registry, "soak", shop="shop")
        assert made.shop_id is not None
        await load(opened, made.merchant_id, made.shop_id, customers)
        data = Data(opened.database_url, made.merchant_id, customers, START)
    return data, made.token


def _soak(
    process: psutil.Process, port: int, data: Data, token: str, given: argparse.Namespace
) -> None:
    targets = [our_target(port, data, name, token) for name in NAMES]
    started, answered, number = time.monotonic(), 0.0, 0
    seen: list[tuple[float, float]] = []
    while (minutes := (time.monotonic() - started) / 60) < given.minutes:
        for target in targets:
            answered += rate(target, given.connections, ROUND_SECONDS) * ROUND_SECONDS
        asyncio.run(_oddities(port, token, number))
        number += 1
        memory = process.memory_info().rss / 2**20
        seen.append((minutes, memory))
        show("soak_memory", memory, "MiB rss", minute=round(minutes, 2), round=number)
    late = [one for one in seen if one[0] >= given.minutes / 2]
    if len(late) > 1:
        slope, _ = statistics.linear_regression(*zip(*late, strict=True))
        show("soak_growth", slope, "MiB/minute", minutes=given.minutes, answers=round(answered))


async def _oddities(port: int, token: str, number: int) -> None:
    """New documents, refused ones, and streams that are left after their first event."""
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", timeout=60,
        headers={"authorization": f"Bearer {token}"},
    ) as client:  # fmt: skip
        for start in range(0, FRESH, TOGETHER):
            names = [f"x{number}_{one}" for one in range(start, start + TOGETHER)]
            known = [f"query {name} {{ {name}: shops {{ nodes {{ id }} }} }}" for name in names]
            unknown = [f"{{ {name} }}" for name in names[::2]]
            await asyncio.gather(*(_ask(client, {"query": one}) for one in known + unknown))
        await asyncio.gather(*(_peek(client) for _ in range(STREAMS)))


async def _ask(client: Any, body: dict[str, Any]) -> None:
    answer = await client.post("/graphql", json=body)
    assert answer.status_code == 200, answer.text


async def _peek(client: Any) -> None:
    body = {"query": 'subscription { customerTimeline(customerId: "Q3VzdG9tZXI6MQ==") { cursor } }'}
    given = {"json": body, "headers": {"accept": "text/event-stream"}}
    async with client.stream("POST", "/graphql", **given) as answer:
        async for line in answer.aiter_lines():
            assert line == "event: next", line
            break


if __name__ == "__main__":
    main()
