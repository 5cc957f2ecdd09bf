"""Building, signing and handing over email against bare aiosmtplib: `python -m bench.email [N]`.

The bare loop sends messages that were built and signed beforehand to the same sink (in a process of
its own) by as many connections; ours builds and signs each message first. Both run in one process
on one core (the sink and the rest of the machine keep the other). The last lines are the
rendering of N personalised messages, and what memory a run that is ten times as long takes more.
"""

import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from bench.large import show
from bench.send import CONTENT, SENDER, bare, sink
from core.domain.campaigns.content.message import Content, Recipient
from core.domain.campaigns.content.message import Sender as Shop
from core.sdk import OutgoingMessage
from core.sdk.outbound import LOOPBACK, allowed
from plugins.email.channel import CONCURRENCY, EmailChannel
from plugins.email.dkim import PrivateKey, Signer
from plugins.email.message import MessageBuilder
from plugins.email.pool import SmtpPool
from plugins.email.settings import Smtp

ROUNDS = 3
URL = "https://crm.example/unsubscribe/" + "x" * 40
KEYS: dict[str, PrivateKey] = {
    "none": ed25519.Ed25519PrivateKey.generate(),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "rsa2048": rsa.generate_private_key(65537, 2048),
}


def builder(kind: str) -> MessageBuilder:
    """A builder that signs with one of KEYS."""
    signers = [] if kind == "none" else [Signer("example.com", "s1", KEYS[kind])]
    return MessageBuilder(SENDER, "小店", None, signers)


def messages(count: int) -> list[OutgoingMessage]:
    """Rendered messages, each to a person of its own."""
    made = Content(EmailChannel(), CONTENT, Shop("Bench", None, "Asia/Shanghai"))
    return [
        OutgoingMessage(
            f"1.{n}.AAAAAAAAAAAAAAAAAAAA", f"c{n}@example.com",
            made.render(Recipient(f"Customer {n}", "浙江省", None, URL, URL)), "marketing", URL,
        )
        for n in range(count)
    ]  # fmt: skip


async def ours(port: int, kind: str, given: Sequence[OutgoingMessage]) -> None:
    """Build, sign and hand over."""
    pool = SmtpPool(Smtp(host="127.0.0.1", port=port, tls="none"), "bounces@example.com")
    building, waiting = builder(kind), iter(given)

    async def work() -> None:
        for message in waiting:
            await pool.deliver(building.letter(message), building, "marketing")

    await pool.open()
    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    await pool.close()


@dataclass(frozen=True)
class Rate:
    """Messages per second of the clock, and of this process's processor time."""

    clock: float
    processor: float


async def timed(count: int, work: Awaitable[object]) -> Rate:
    """What a loop over so many messages comes to."""
    clock, processor = time.perf_counter(), time.process_time()
    await work
    return Rate(
        count / (time.perf_counter() - clock), count / (time.process_time() - processor)
    )  # fmt: skip


async def measure(port: int, count: int) -> None:
    """Alternate ours and the bare loop, so that the machine's noise hits both."""
    started = time.perf_counter()
    given = messages(count)
    seconds = time.perf_counter() - started
    show("email_render_seconds", seconds, "s", messages=count, goal=2)
    for kind in KEYS:
        building = builder(kind)
        built = [building.build(message) for message in given]
        await bare(port, built[: count // 10])
        pairs = [
            (await timed(count, ours(port, kind, given)), await timed(count, bare(port, built)))
            for _ in range(ROUNDS)
        ]
        ratios = [mine.processor / theirs.processor for mine, theirs in pairs]
        show(
            f"email_{kind}_rate", median(mine.processor for mine, _ in pairs),
            "messages/s of processor time", messages=count, bytes=len(built[0][1]),
            bare_aiosmtplib=round(median(theirs.processor for _, theirs in pairs)),
            ratio=round(median(ratios), 2), low=round(min(ratios), 2), high=round(max(ratios), 2),
            ratio_by_the_clock=round(
                median(mine.clock / theirs.clock for mine, theirs in pairs), 2
            ), goal=0.7,
        )  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(10):
        await ours(port, "ed25519", given)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    show("email_memory_growth", (after - before) / 1024, "MB", messages=10 * count)


def main() -> None:
    """Run the benchmark; the argument is the number of messages."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else 10_000
    if hasattr(os, "sched_setaffinity"):
        first = min(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name, sink(Path(name)) as (port, _), allowed(LOOPBACK):
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {first})
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(port, count))


if __name__ == "__main__":
    main()
