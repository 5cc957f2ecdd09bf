"""Building, signing and handing over email against bare aiosmtplib: `python -m bench.email [N]`.

The bare loop sends messages that were built and signed beforehand to the same sink (in a process of
its own) by as many connections; ours builds and signs each message first. RSA signatures are made
in threads, so by the clock it counts how many processors are idle. The first line is the rendering
of N personalised messages, the last one what memory a run that is ten times as long takes more.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from bench.large import show
from bench.send import CONTENT, SENDER, bare, sink
from bench.turns import memory_growth, rates_compared, timed
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
SIGNED_BYTES = 600
"""So long are the headers that a signature is made of."""
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


def messages(count: int) -> Iterator[OutgoingMessage]:
    """Rendered messages, each to a person of its own."""
    made = Content(EmailChannel(), CONTENT, Shop("Bench", None, "Asia/Shanghai"))
    for n in range(count):
        yield OutgoingMessage(
            f"1.{n}.AAAAAAAAAAAAAAAAAAAA", f"c{n}@example.com",
            made.render(Recipient(f"Customer {n}", "浙江省", None, URL, URL)), "marketing", URL,
        )  # fmt: skip


async def ours(port: int, kind: str, given: Iterable[OutgoingMessage]) -> None:
    """Build, sign and hand over."""
    pool = SmtpPool(Smtp(host="127.0.0.1", port=port, tls="none"), "bounces@example.com")
    building, waiting = builder(kind), iter(given)

    async def work() -> None:
        for message in waiting:
            await pool.deliver(building.letter(message), building, "marketing")

    await pool.open()
    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    await pool.close()


async def ready(port: int, built: Sequence[tuple[str, bytes]], key: rsa.RSAPrivateKey) -> None:
    """The bare loop with one RSA signature for each message: what no sender can be faster than."""
    for _, data in built:
        key.sign(data[:SIGNED_BYTES], PKCS1v15(), SHA256())
    await bare(port, built)


async def measure(port: int, count: int) -> None:
    """Alternate ours and the bare loop, so that the machine's noise hits both."""
    started = time.perf_counter()
    given = list(messages(count))
    seconds = time.perf_counter() - started
    show("email_render_seconds", seconds, "s", messages=count, goal=2)
    for kind, key in KEYS.items():
        building = builder(kind)
        built = [building.build(message) for message in given]
        await bare(port, built[: count // 10])
        pairs, floors = [], []
        for _ in range(ROUNDS):
            mine = await timed(count, ours(port, kind, given))
            pairs.append((mine, await timed(count, bare(port, built))))
            if isinstance(key, rsa.RSAPrivateKey):
                floors.append((mine, await timed(count, ready(port, built, key))))
        rates_compared(
            f"email_{kind}", pairs, "bare aiosmtplib, built and signed beforehand", 0.7,
            messages=count, bytes=len(built[0][1]),
        )  # fmt: skip
        if floors:
            rates_compared(
                f"email_{kind}_floor", floors, "bare aiosmtplib and the signatures alone", 0.7
            )
    await memory_growth(
        "email_memory_growth", lambda some: ours(port, "ed25519", messages(some)), 10 * count
    )


def main() -> None:
    """Run the benchmark; the argument is the number of messages."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else 10_000
    with (
        tempfile.TemporaryDirectory() as name,
        sink(Path(name)) as (port, _),
        allowed(LOOPBACK),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(measure(port, count))


if __name__ == "__main__":
    main()
