"""`python -m demo [--exit]`: from an empty folder to a campaign sent, every message accounted for.

Everything is real: engines, import, consent, segment, campaign, worker and SMTP. Only the shop is
invented, the mail server keeps what it gets, and while a busy mailbox is tried again the clock is
moved forward.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import socket
import sys
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from core.cli import EXPECTED, configure_logging
from core.domain.campaigns.audit import Audit, audit_run
from core.domain.campaigns.campaigns import create_campaign
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.links import message_key
from core.domain.campaigns.preview import preview_campaign
from core.domain.customers.consent import unsubscribe
from core.domain.segments.preview import preview_segment
from core.domain.segments.segments import create_segment
from core.domain.shops.plugins import enable_plugin
from core.domain.shops.setup import NewMerchant, set_up_merchant
from core.installation import Installation, open_installation
from core.sdk import outbound
from core.sdk.errors import HuikeError, Several
from core.settings import Settings, from_environment
from core.storage.engines import EngineError, Engines
from demo.clock import DemoClock
from demo.figures import chart, figures_of, months_of
from demo.reminder import MINUTES, Reminder
from demo.shop_data import CUSTOMERS, ORDERS, make_shop, measure, write_taobao_csv
from demo.sink import MailSink, mail_sink
from demo.story import DemoFailed, Story
from worker.runner import Runner

SHOP = "回客茶铺"
SENDER = "hello@huike.example"
MARKER = "made-by-demo"
WIN_BACK = {
    "version": 1,
    "rule": {
        "all": [
            {"order_count": {"at_least": 2}},
            {"days_since_last_purchase": {"at_least": 90, "at_most": 400}},
        ]
    },
}
SUBJECT = "{{ customer.name }}，好久不见"
MESSAGE = """<p>{{ customer.name }}，您好：</p>
<p>上次的茶喝完了吗？老客回来，新茶九折。—— {{ shop.name }}</p>
<p><a href="{{ unsubscribe_url }}">退订</a></p>"""
MEANINGS = {
    "failed": "   no such mailbox (550), or busy (450) at every one of many tries",
    "unknown": "   the connection broke at the end: perhaps taken, so never sent again blindly",
    "pending": "   not yet sent",
}
UNSUBSCRIBERS = 25
SEND_SECONDS = 120.0
FIRST_QUERY = (
    "{ segments { nodes { name preview(sample: 3) "
    "{ preview { count explanation sample { name province } } } } } }"
)


@dataclass(frozen=True)
class Sizes:
    """How big the shop is."""

    customers: int
    orders: int


@dataclass(frozen=True)
class Demo:
    """What the stages work with."""

    story: Story
    installation: Installation
    clock: DemoClock
    made: NewMerchant
    end: date
    sizes: Sizes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--exit", action="store_true", help="end after the account")
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="for a smaller shop")
    parser.add_argument("--orders", type=int, default=ORDERS, help="three times the customers")
    arguments = parser.parse_args()
    try:
        settings = demo_settings(os.environ)
        configure_logging(replace(settings, log_level="ERROR"))
        sizes = Sizes(arguments.customers, arguments.orders)
        asyncio.run(run(settings, sizes, arguments.exit))
    except KeyboardInterrupt:
        print("\nended by Ctrl-C")
        sys.exit(130)
    except (*EXPECTED, HuikeError, Several, DemoFailed) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        sys.exit(1)


async def run(settings: Settings, sizes: Sizes, exit_after: bool) -> None:
    """The whole demo. Raises DemoFailed when anything does not add up."""
    story = Story()
    wipe(settings.home)
    made = await tell(settings, sizes, story)
    if not exit_after:
        await serve(settings, made.token, story)


def demo_settings(environment: dict[str, str] | os._Environ[str]) -> Settings:
    """A home of its own beside the real one, engines of its own, and a port that is free."""
    ours = {
        key: value
        for key, value in environment.items()
        if key not in ("DATABASE_URL", "REDIS_URL", "HUIKE_KEYRING", "HUIKE_PUBLIC_URL")
    }
    settings = from_environment(ours)
    return replace(
        settings,
        home=settings.home / "demo",
        host="127.0.0.1",
        port=free_port(settings.port),
        private_networks=outbound.LOOPBACK,
    )


def free_port(wanted: int) -> int:
    """The wanted port if nobody listens there, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise DemoFailed("no port is free on this machine")


def wipe(home: Path) -> None:
    """Begin with nothing; a folder that no demo made is left alone."""
    if home.exists():
        if not (home / MARKER).exists():
            raise DemoFailed(f"{home} was not made by the demo: move it away, or set HUIKE_HOME")
        try:
            Engines(home).stop()
        except EngineError:
            raise DemoFailed(f"another demo works in {home}: end it first") from None
        shutil.rmtree(home)
    home.mkdir(parents=True)
    (home / MARKER).touch()


async def tell(settings: Settings, sizes: Sizes, story: Story) -> NewMerchant:
    """All stages up to the account."""
    clock = DemoClock()
    end = clock().astimezone(ZoneInfo("Asia/Shanghai")).date() - timedelta(days=1)
    print(
        "Huike (回客) demo: from an empty folder to a campaign sent, every message accounted for."
    )
    file = settings.home / "ExportOrderList.csv"
    story.stage(
        f"Inventing a shop: {sizes.customers:,} customers (客户), {sizes.orders:,} orders (订单), "
        "two years"
    )
    data = make_shop(end, customers=sizes.customers, orders=sizes.orders)
    invented = measure(data)
    write_taobao_csv(data, file, SHOP)
    story.done(f"written as the seller centre's export: {file.name}, GBK, {_size(file)}")
    story.stage("Starting PostgreSQL and Redis from wheels, making merchant (商家) and shop (店铺)")
    async with open_installation(settings, clock=clock) as installation:
        made = await set_up_merchant(
            installation.db, installation.registry, "回客演示", shop=SHOP, platform="taobao"
        )
        story.done(f"merchant {made.merchant_id}, shop {made.shop_id} ({SHOP})")
        demo = Demo(story, installation, clock, made, end, sizes)
        await import_orders(demo, file)
        async with installation.db.read(made.merchant_id) as session:
            stored = await figures_of(session, end)
        story.say(
            f"sales of the last year from old customers (老客占比): {stored.old_share:.1%}; "
            f"one-year repurchase (老客复购率): {stored.old_repurchase:.1%}"
        )
        if abs(stored.old_share - invented.old_share) > 1e-9 or (
            abs(stored.old_repurchase - invented.old_repurchase) > 1e-9
        ):
            raise DemoFailed(f"the stored orders are not the invented ones: {stored}, {invented}")
        async with mail_sink(settings.home / "mail-sink.log") as sink:
            await campaign(demo, sink)
            await show_chart(demo)
            await remind(demo, sink)
    story.say("")
    story.say(f"All of it adds up, in {story.seconds:.0f} seconds.")
    return made


async def import_orders(demo: Demo, file: Path) -> None:
    """The command that a merchant would type, in a process of its own."""
    demo.story.stage(f"Taking the file in: huike import orders {file.name} --shop {SHOP}")
    settings = demo.installation.settings
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from core.cli import main; main()",
        "import", "orders", str(file), "--shop", SHOP,
        "--consent", "email", "--evidence", "下单时勾选同意接收店铺邮件（演示）",
        env={**settings.environment, "HUIKE_HOME": str(settings.home)},
    )  # fmt: skip
    if await process.wait() != 0:
        raise DemoFailed("the import failed, see above")
    async with demo.installation.db.read(demo.made.merchant_id) as session:
        row = await session.sql.fetchrow(
            """SELECT (SELECT count(*) FROM orders WHERE merchant_id = $1) AS orders,
                      (SELECT count(*) FROM customers WHERE merchant_id = $1) AS customers,
                      (SELECT count(*) FROM consents WHERE merchant_id = $1) AS consents""",
            demo.made.merchant_id,
        )
    demo.story.done(
        f"{row['orders']:,} orders of {row['customers']:,} customers; "
        f"consent to email (同意) recorded for {row['consents']:,}, as the merchant states"
    )
    if (row["orders"], row["customers"]) != (demo.sizes.orders, demo.sizes.customers):
        raise DemoFailed("orders or customers are missing")


async def campaign(demo: Demo, sink: MailSink) -> None:
    """Segment, dry run, campaign, account, and the comparison with what arrived."""
    run_id = await prepare(demo, sink)
    story, merchant_id = demo.story, demo.made.merchant_id
    story.stage("Sending through SMTP: the worker claims, marks, hands over, records")
    runner = Runner(demo.installation)
    await runner.start()
    try:
        audit = await follow(demo, run_id)
    finally:
        await runner.stop()
    story.done(f"{audit.sent:,} sent")
    story.stage("The account (对账): what became of each recipient")
    for name, number in (("target", audit.target), ("sent", audit.sent)):
        story.say(f"{name:<24}{number:>8,}")
    for reason, number in sorted(audit.skipped.items()):
        story.say(f"{'skipped, ' + reason:<24}{number:>8,}")
    for name, number in (
        ("failed", audit.failed), ("unknown", audit.unknown), ("pending", audit.pending),
    ):  # fmt: skip
        story.say(f"{name:<24}{number:>8,}{MEANINGS[name] if number else ''}")
    parts = audit.sent + sum(audit.skipped.values()) + audit.failed + audit.unknown + audit.pending
    if audit.target != parts or audit.pending:
        raise DemoFailed("the account does not add up")
    async with demo.installation.db.read(merchant_id) as session:
        rows = await session.sql.fetch(
            "SELECT id FROM deliveries WHERE merchant_id = $1 AND run_id = $2 AND state = 'sent'",
            merchant_id, run_id,
        )  # fmt: skip
        keyring = session.keyring
    domain = SENDER.partition("@")[2]
    sent = {f"{message_key(keyring, merchant_id, row['id'])}@{domain}" for row in rows}
    received = sink.received()
    twice = sum(count > 1 for count in received.values())
    story.say(
        f"the mail server took {received.total():,} messages: "
        f"{len(sent & received.keys()):,} of the {len(sent):,} marked sent, "
        f"{len(received.keys() - sent)} others, {twice} twice"
    )
    if received.keys() != sent or twice:
        raise DemoFailed("what was sent and what arrived differ")
    story.done("sent and received are the same, message by message")


async def prepare(demo: Demo, sink: MailSink) -> int:
    """Segment, plugin and campaign, up to its start; returns the run's id."""
    story, merchant_id = demo.story, demo.made.merchant_id
    db, registry = demo.installation.db, demo.installation.registry
    story.stage("Building a win-back segment (人群) and trying it out")
    async with db.work(merchant_id) as w:
        segment_id = await create_segment(w, registry, "沉睡老客", WIN_BACK)
        found = await preview_segment(w, registry, WIN_BACK, sample=UNSUBSCRIBERS)
        for customer_id in found.sample:
            await unsubscribe(w, customer_id, "email", "demo")
    story.say(f"who {found.explanation}")
    story.done(f"{found.count:,} customers; {len(found.sample)} of them have unsubscribed (退订)")
    story.stage("Switching the plugin email on, writing the campaign (活动), dry run (试运行)")
    await enable_plugin(
        db, merchant_id, registry, "email",
        {"host": "127.0.0.1", "port": sink.port, "tls": "none", "from_address": SENDER,
         "from_name": SHOP},
    )  # fmt: skip
    async with db.work(merchant_id) as w:
        campaign_id = await create_campaign(
            w, registry, name="老客回归", channel="email", segment_id=segment_id,
            content={"subject": SUBJECT, "html": MESSAGE}, shop_id=demo.made.shop_id,
        )  # fmt: skip
    async with db.read(merchant_id) as session:
        preview = await preview_campaign(session, registry, campaign_id, sample=1)
    skipped = ", ".join(f"{n:,} {reason}" for reason, n in preview.skipped.items()) or "nobody"
    story.say(f"would send {preview.would_send:,}, skip {skipped}")
    for sample in preview.samples:
        story.say(f"for instance: {sample.content['subject']}")
    async with db.work(merchant_id) as w:
        run_id = await start_campaign(w, registry, campaign_id)
        assert run_id is not None
    story.done("started")
    return run_id


async def follow(demo: Demo, run_id: int) -> Audit:
    """Show the run's progress to its end; mailboxes that are busy are tried in moved time."""
    story, db, merchant_id = demo.story, demo.installation.db, demo.made.merchant_id
    until = story.seconds + SEND_SECONDS
    moves = 0
    while story.seconds < until:
        await asyncio.sleep(0.2)
        async with db.read(merchant_id) as session:
            row = await session.sql.fetchrow(
                """SELECT r.state, (SELECT min(d.next_at) FROM deliveries d
                       WHERE d.merchant_id = $1 AND d.run_id = r.id AND d.state = 'pending'
                         AND NOT EXISTS (SELECT 1 FROM deliveries s
                             WHERE s.merchant_id = $1 AND s.run_id = r.id AND s.state = 'sending')
                       ) AS next_at
                   FROM campaign_runs r WHERE r.merchant_id = $1 AND r.id = $2""",
                merchant_id, run_id,
            )  # fmt: skip
            # after the state, so that a finished run's account is its last
            audit = await audit_run(session, run_id)
        if row["state"] == "finished":
            story.progress(audit.target, audit.target, "finished")
            return audit
        if row["state"] not in ("planning", "running"):
            raise DemoFailed(f"the run is {row['state']}")
        busy = row["next_at"] is not None and row["next_at"] > demo.clock()
        if busy:
            moves += 1
            demo.clock.move_to(row["next_at"] + timedelta(seconds=1))
            async with db.work(merchant_id) as w:
                w.ring("run.send", merchant_id, run_id)
        if not audit.target:
            continue  # the audience is still being written down
        story.progress(
            audit.target - audit.pending, audit.target,
            f"busy mailboxes: {audit.pending}; clock moved on {moves} times" if moves else "",
        )  # fmt: skip
    raise DemoFailed(f"the run did not end within {SEND_SECONDS:.0f} seconds")


async def remind(demo: Demo, sink: MailSink) -> None:
    """The recipe of the payment reminder, with an order that is forgotten and one that is paid."""
    story, made = demo.story, demo.made
    assert made.shop_id is not None
    story.stage("Payment reminder (催付): two orders come in, one of them is paid in time")
    runner = Runner(demo.installation)
    await runner.start()
    try:
        found = await Reminder(demo.installation, demo.clock, made.merchant_id, made.shop_id).show()
    finally:
        await runner.stop()
    arrived = sink.received()[f"{found.key}@{SENDER.partition('@')[2]}"]
    if arrived != 1:
        raise DemoFailed(f"the reminder arrived {arrived} times")
    story.say(f"order {found.order}, {MINUTES} minutes later: {found.subject}")
    story.done("the order that was paid meanwhile was not reminded of")


async def show_chart(demo: Demo) -> None:
    demo.story.stage("Sales by month: █ new customers (新客)  ░ old customers (老客)")
    async with demo.installation.db.read(demo.made.merchant_id) as session:
        months = await months_of(session)
    for line in chart(months):
        demo.story.say(line)


async def serve(settings: Settings, token: str, story: Story) -> None:
    """Serve the API with the demo's data until Ctrl-C."""
    from core.app import serve_forever  # the web stack is needed only here

    story.stage("Serving the GraphQL API; Ctrl-C ends it")
    server = asyncio.create_task(serve_forever(settings, Runner))
    while not server.done():
        await asyncio.sleep(0.1)
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(settings.host, settings.port)
            writer.close()
            story.say(f"http://{settings.host}:{settings.port}/graphiql#token={token}")
            story.say(f"a first query to try:  {FIRST_QUERY}")
            break
    await server
    print("\nended; PostgreSQL and Redis are stopped, the data stays in", settings.home)


def _size(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
