"""A campaign's send rate against bare aiosmtplib to the same sink: `python -m bench.send`.

Both use the same number of connections in one process with the same event loop. The bare loop sends
messages that were built beforehand, and nothing else: no database, no templates, no ledger.
Rates are by the clock and by the processor time of this process, which others on the machine
disturb less; the database's and the sink's are not in it. Prints one JSON line per figure.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop
from aiosmtplib import SMTP

from bench.turns import Rate, timed
from core.domain.campaigns.campaigns import create_campaign
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.sending import send_run
from core.domain.segments.segments import create_segment
from core.domain.shops.plugins import enable_plugin
from core.domain.shops.setup import set_up_merchant
from core.installation import Installation, open_installation
from core.sdk import OutgoingMessage
from core.sdk.outbound import LOOPBACK
from core.settings import Settings
from plugins.email.channel import CONCURRENCY
from plugins.email.message import MessageBuilder

RECIPIENTS = int(os.environ.get("BENCH_RECIPIENTS", "10000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SENDER = "shop@example.com"
ROW = "<tr><td>{{ shop.name }}</td><td>满299减50，全场包邮，限时三天</td></tr>\n"
CONTENT = {
    "subject": "{{ customer.name }}，好久不见，送您一张优惠券",
    "html": "<html><body><p>{{ customer.name }}，您好！</p><table>"
    + ROW * 12
    + "</table><p>{{ customer.province }}</p>"
    + '<a href="{{ unsubscribe_url }}">退订</a></body></html>',
    "text": "{{ customer.name }}，您好！满299减50，退订：{{ unsubscribe_url }}",
}


@contextmanager
def sink(folder: Path) -> Iterator[tuple[int, Path]]:
    """The SMTP sink in a process of its own: its port and its log."""
    log = folder / "sink.log"
    with subprocess.Popen(
        [sys.executable, "-m", "core.testing.smtp", "--log", str(log)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), log
        process.terminate()


async def bare(port: int, messages: Sequence[tuple[str, bytes]]) -> Rate:
    """Nothing but aiosmtplib."""
    waiting = iter(messages)
    connections = [
        SMTP(hostname="127.0.0.1", port=port, start_tls=False) for _ in range(CONCURRENCY)
    ]
    for connection in connections:
        await connection.connect()

    async def work(connection: SMTP) -> None:
        for recipient, data in waiting:
            await connection.sendmail(SENDER, recipient, data)

    rate = await timed(len(messages), asyncio.gather(*map(work, connections)))
    for connection in connections:
        await connection.quit()
    return rate


def prebuilt() -> list[tuple[str, bytes]]:
    """Messages like the campaign's, with the templates filled in."""
    builder = MessageBuilder(SENDER, "小店")
    filled = {
        name: text.replace("{{ customer.name }}", "Customer 1234")
        .replace("{{ shop.name }}", "Bench")
        .replace("{{ customer.province }}", "浙江省")
        .replace("{{ unsubscribe_url }}", "http://127.0.0.1:8000/unsubscribe/" + "x" * 30)
        for name, text in CONTENT.items()
    }
    return [
        builder.build(
            OutgoingMessage(f"bare.{n}", f"c{n}@example.com", filled, "marketing", "http://x/u")
        )
        for n in range(RECIPIENTS)
    ]


async def set_up(installation: Installation, port: int) -> tuple[int, int]:
    """(merchant, segment) of a shop with RECIPIENTS customers who agreed to marketing."""
    db, registry = installation.db, installation.registry
    made = await set_up_merchant(db, registry, "Bench")
    merchant_id = made.merchant_id
    settings = {"host": "127.0.0.1", "port": port, "tls": "none", "from_address": SENDER,
                "from_name": "小店"}  # fmt: skip
    await enable_plugin(db, merchant_id, registry, "email", settings)
    async with db.work(merchant_id) as w:
        rows = await w.sql.fetch(
            """INSERT INTO customers (merchant_id, name, province, version, created_at, updated_at)
               SELECT $1, 'Customer ' || n, '浙江省', 1, $3, $3 FROM generate_series(1, $2) n
               RETURNING id""",
            merchant_id, RECIPIENTS, w.now,
        )  # fmt: skip
        ids = [row["id"] for row in rows]
        addresses = [f"c{customer_id}@example.com" for customer_id in ids]
        await w.sql.execute(
            """UPDATE customers c SET email_sealed = x.sealed, email_index = x.idx
               FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) x (id, sealed, idx)
               WHERE c.merchant_id = $1 AND c.id = x.id""",
            merchant_id, ids,
            [db.keyring.seal(address, f"customers.email|{merchant_id}|{customer_id}")
             for customer_id, address in zip(ids, addresses, strict=True)],
            [db.keyring.blind_index("email", merchant_id, address) for address in addresses],
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
               SELECT $1, x, 'email', 'marketing', 'granted', $3 FROM unnest($2::bigint[]) x""",
            merchant_id, ids, w.now,
        )  # fmt: skip
        segment_id = await create_segment(
            w, registry, "everybody", {"version": 1, "rule": {"all": []}}
        )
        await w.sql.execute("ANALYZE customers")
    return merchant_id, segment_id


async def campaign(
    installation: Installation, merchant_id: int, segment_id: int, number: int
) -> Rate:
    """A whole campaign, from the start to the last row of the ledger."""
    db, registry = installation.db, installation.registry
    async with db.work(merchant_id) as w:
        campaign_id = await create_campaign(
            w, registry, name=f"campaign {number}", channel="email", segment_id=segment_id,
            content=CONTENT,
        )  # fmt: skip
        run_id = await start_campaign(w, registry, campaign_id)
        assert run_id is not None
    rate = await timed(
        RECIPIENTS, send_run(db, registry, merchant_id, run_id, "http://127.0.0.1:8000")
    )
    async with db.read(merchant_id) as session:
        sent = await session.sql.fetchval(
            """SELECT count(*) FROM deliveries
               WHERE merchant_id = $1 AND run_id = $2 AND state = 'sent'""",
            merchant_id, run_id,
        )  # fmt: skip
    assert sent == RECIPIENTS, f"only {sent} were sent"
    return rate


async def measure(folder: Path, port: int) -> None:
    """Alternate the two, so that noise of the machine hits both."""
    messages = prebuilt()
    settings = Settings(home=folder, private_networks=LOOPBACK)
    async with open_installation(settings, with_redis=False) as installation:
        merchant_id, segment_id = await set_up(installation, port)
        await bare(port, messages[:1000])
        ours, theirs = [], []
        for number in range(ROUNDS):
            theirs.append(await bare(port, messages))
            ours.append(await campaign(installation, merchant_id, segment_id, number))
    common = {"recipients": RECIPIENTS, "bytes": len(messages[0][1]), "connections": CONCURRENCY}
    for kind in ("clock", "processor"):
        by = {"by": kind}
        our, their = ([getattr(rate, kind) for rate in rates] for rates in (ours, theirs))
        for name, values in (("campaign", our), ("bare_aiosmtplib", their)):
            figure(name, values, 0, unit="messages/s", **by, **common)
        ratios = [one / other for one, other in zip(our, their, strict=True)]
        figure("campaign/bare", ratios, 2, goal=0.8, **by)


def figure(name: str, values: list[float], digits: int, **more: Any) -> None:
    """Print a figure: the median of the rounds, and their extremes."""
    print(json.dumps({
        "bench": "send", "figure": name, "value": round(statistics.median(values), digits),
        "low": round(min(values), digits), "high": round(max(values), digits), **more,
    }))  # fmt: skip


def main() -> None:
    """Run the benchmark in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            sink(folder) as (port, _),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(measure(folder, port))


if __name__ == "__main__":
    main()
