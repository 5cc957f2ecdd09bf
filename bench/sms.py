"""The client of Alibaba Cloud's SMS against servers on loopback: `python -m bench.sms [MESSAGES]`.

In batches against the tests' stand-in, which checks every signature, in a process of its own; one
by one against a server that only answers, beside bare aiohttp that posts requests signed before.
Prints one JSON line per figure; rates per core and the ratio count the processor time of the
client's process. The memory is that of twice as many messages.
"""

import asyncio
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
from bench.turns import memory_growth, rates_compared, timed
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
        rates = [await timed(count, in_batches(url, count)) for _ in range(ROUNDS)]
        for figure, values in (
            ("sms_batches", [rate.clock for rate in rates]),
            ("sms_batches_per_core", [rate.processor for rate in rates]),
        ):
            show(figure, statistics.median(values), "messages/s", low=round(min(values)),
                 high=round(max(values)), goal=5000)  # fmt: skip
        await memory_growth("sms_memory_growth", partial(in_batches, url), 2 * count)
    singles = count // 5
    texts = [text(number, "service") for number in range(singles)]
    requests = await signed(texts)
    with server("plain") as url:
        await one_by_one(url, texts)
        pairs = [
            (await timed(singles, one_by_one(url, texts)),
             await timed(singles, bare_aiohttp(url, requests)))
            for _ in range(ROUNDS)
        ]  # fmt: skip
        rates_compared("sms_singles", pairs, "bare aiohttp, signed beforehand", 0.8)


async def in_batches(url: str, count: int) -> None:
    """Make and send so many personalised messages."""
    run = time.perf_counter()
    async with connections() as session:
        client = opened(url, session)
        batches = (
            partial(
                client.send, f"{run}-{start}",
                [text(number, "marketing") for number in range(start, start + BATCH)],
            )
            for start in range(0, count, BATCH)
        )  # fmt: skip
        await spread_out(batches, AT_ONCE)


async def one_by_one(url: str, texts: Sequence[Text]) -> None:
    async with connections() as session:
        client = opened(url, session)
        await spread_out((partial(client.send, one.key, [one]) for one in texts), CONNECTIONS)


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


async def signed(texts: Sequence[Text]) -> Sequence[tuple[str, Any, Any]]:
    """The requests that send the texts."""
    recorder = Recorder()
    client = Aliyun(settings("http://127.0.0.1"), recorder, now)
    for one in texts:
        await client.send(one.key, [one])
    return recorder.requests


async def bare_aiohttp(url: str, requests: Sequence[tuple[str, Any, Any]]) -> None:
    async with ClientSession(connector=TCPConnector(limit=CONNECTIONS)) as session:

        async def post(request: tuple[str, Any, Any]) -> None:
            where, headers, body = request
            there = URL(url + where.removeprefix("http://127.0.0.1"), encoded=True)
            async with session.post(there, headers=headers, data=body) as answer:
                await answer.read()

        await spread_out((partial(post, request) for request in requests), CONNECTIONS)


async def spread_out(calls: Iterator[Callable[[], Awaitable[Any]]], at_once: int) -> None:
    """Make the calls, so many at the same time; one that fails ends the benchmark."""

    async def work() -> None:
        for call in calls:
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
