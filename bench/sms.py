"""The client of Alibaba Cloud's SMS against servers on loopback: `python -m bench.sms [MESSAGES]`.

In batches against the tests' stand-in, which checks every signature, in a process of its own; one
by one against a server that only answers, beside bare aiohttp that posts requests signed before.
Prints one JSON line per figure; rates per core count the processor time of the client's process.
"""

import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import uvloop
from aiohttp import ClientSession, TCPConnector
from yarl import URL

from bench.large import show
from bench.sms_server import TEMPLATE
from core.sdk import Receipt
from core.sdk.outbound import LOOPBACK, allowed
from plugins.sms.http import CONNECTIONS, Caller, connections
from plugins.sms.making import outside
from plugins.sms.providers.aliyun import Aliyun
from plugins.sms.settings import AliyunSettings
from plugins.sms.templates import Template
from plugins.sms.texts import Text

MESSAGES = 50_000
BATCH = 100
AT_ONCE = 20
ROUNDS = 3


def now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    """Measure, and print one JSON line per figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else MESSAGES
    with (
        allowed(LOOPBACK),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(measure(count))


async def measure(count: int) -> None:
    with server("stand_in") as url:
        rates, cores = [], []
        for _ in range(ROUNDS):
            seconds, used = await in_batches(url, count)
            rates.append(count / seconds)
            cores.append(count / used)
        show("SMS in batches of 100, against the stand-in", statistics.median(rates), "messages/s",
             spread=spread(rates))  # fmt: skip
        show("the same per core of the client", statistics.median(cores), "messages/s",
             spread=spread(cores))  # fmt: skip
    singles = count // 5
    with server("plain") as url:
        ours, bare = [], []
        for _ in range(ROUNDS):
            bare.append(singles / await bare_aiohttp(url, singles))
            ours.append(singles / await one_by_one(url, singles))
        show("SMS one by one", statistics.median(ours), "messages/s", spread=spread(ours))
        show("bare aiohttp, signed beforehand", statistics.median(bare), "messages/s",
             spread=spread(bare))  # fmt: skip
        show("ratio", statistics.median(ours) / statistics.median(bare), "")


def spread(values: Sequence[float]) -> float:
    """From the least to the most, as a share of the median."""
    return round((max(values) - min(values)) / statistics.median(values), 3)


async def in_batches(url: str, count: int) -> tuple[float, float]:
    """(seconds, processor seconds) for so many personalised messages."""
    async with connections() as session:
        client = opened(url, session)
        batches = [
            [text(number, "marketing") for number in range(start, start + BATCH)]
            for start in range(0, count, BATCH)
        ]
        gc.collect()
        began, used = time.perf_counter(), time.process_time()
        await spread_out(
            [partial(client.send, f"b{began}-{n}", batch) for n, batch in enumerate(batches)],
            AT_ONCE,
        )
        return time.perf_counter() - began, time.process_time() - used


async def one_by_one(url: str, count: int) -> float:
    async with connections() as session:
        client = opened(url, session)
        texts = [text(number, "service") for number in range(count)]
        began = time.perf_counter()
        await spread_out([partial(client.send, one.key, [one]) for one in texts], CONNECTIONS)
        return time.perf_counter() - began


class Recorder(Caller):
    """Keeps the requests that would be made."""

    def __init__(self) -> None:
        self.provider = "aliyun"
        self.requests: list[tuple[str, Any, Any]] = []

    async def ask(self, method: str, url: str, headers: Any = None, body: Any = None) -> Any:
        self.requests.append((url, headers, body))
        return _Fine()


class _Fine:
    def json(self) -> dict[str, str]:
        return {"Code": "OK", "BizId": "1"}


async def bare_aiohttp(url: str, count: int) -> float:
    recorder = Recorder()
    client = Aliyun(settings(url), recorder, now)
    for number in range(count):
        one = text(number, "service")
        await client.send(one.key, [one])
    async with ClientSession(connector=TCPConnector(limit=CONNECTIONS)) as session:

        async def post(request: tuple[str, Any, Any]) -> None:
            where, headers, body = request
            async with session.post(URL(where, encoded=True), headers=headers, data=body) as answer:
                await answer.read()

        began = time.perf_counter()
        await spread_out([partial(post, request) for request in recorder.requests], CONNECTIONS)
        return time.perf_counter() - began


async def spread_out(calls: Sequence[Callable[[], Awaitable[Any]]], at_once: int) -> None:
    """Make the calls, so many at the same time; one that fails ends the benchmark."""
    waiting = iter(calls)

    async def work() -> None:
        for call in waiting:
            answers = await call()
            assert answers is None or all(isinstance(one, Receipt) for one in answers)

    await asyncio.gather(*(work() for _ in range(at_once)))


def settings(url: str) -> AliyunSettings:
    return AliyunSettings.model_validate({
        "kind": "aliyun", "access_key_id": "testAK", "access_key_secret": "testSK",
        "endpoint": url,
    })  # fmt: skip


def opened(url: str, session: ClientSession) -> Aliyun:
    made = outside(settings(url), session, now)
    assert isinstance(made, Aliyun)
    return made


def text(number: int, message_class: Any) -> Text:
    values = {"name": f"客户{number}", "points": str(number)}
    return Text(
        f"1.{number}.k", f"+86138{number:08d}", "", "小店", message_class, 1,
        Template("SMS_1", TEMPLATE), values,
    )  # fmt: skip


@contextmanager
def server(kind: str) -> Iterator[str]:
    """The address of a server in a process of its own; see sms_server.py."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.sms_server", kind], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


if __name__ == "__main__":
    main()
