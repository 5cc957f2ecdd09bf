"""A shop full of customers, and a campaign to them, made quickly."""

import asyncio
import inspect
from zoneinfo import ZoneInfo

from core.domain.campaigns.campaigns import create_campaign
from core.domain.campaigns.policy.gate import Gate
from core.domain.campaigns.policy.windows import Rules
from core.domain.segments.segments import create_segment
from core.domain.shops.plugins import enable_plugin

ALL = {"version": 1, "rule": {"all": []}}
CONTENT = {
    "subject": "{{ customer.name }}，好久不见",
    "html": "<p>{{ customer.name }} from {{ customer.province }}</p>"
    '<a href="{{ unsubscribe_url }}">退订</a>',
}


async def add_customers(merchant, addresses, consent="granted"):
    """Insert a customer for each address (None for no address); returns their ids."""
    keyring = merchant.installation.db.keyring
    async with merchant.work() as w:
        ids = [
            row["id"]
            for row in await w.sql.fetch(
                """INSERT INTO customers
                       (merchant_id, name, province, version, created_at, updated_at)
                   SELECT $1, 'Customer ' || n, '浙江省', 1, $3, $3 FROM generate_series(1, $2) n
                   RETURNING id""",
                merchant.id, len(addresses), w.now,
            )
        ]  # fmt: skip
        rows = [
            (merchant.id, i, keyring.seal(a, f"customers.email|{merchant.id}|{i}"),
             keyring.blind_index("email", merchant.id, a))
            for i, a in zip(ids, addresses, strict=True) if a
        ]  # fmt: skip
        await w.sql.execute(
            """UPDATE customers c SET email_sealed = x.sealed, email_index = x.idx
               FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) x (id, sealed, idx)
               WHERE c.merchant_id = $1 AND c.id = x.id""",
            merchant.id, [r[1] for r in rows], [r[2] for r in rows], [r[3] for r in rows],
        )  # fmt: skip
        if consent:
            await w.sql.execute(
                """INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
                   SELECT $1, x, 'email', 'marketing', $3, $4 FROM unnest($2::bigint[]) x""",
                merchant.id, ids, consent, w.now,
            )  # fmt: skip
    return ids


async def enable_email(merchant, port, **changes):
    settings = {
        "host": "127.0.0.1", "port": port, "tls": "none", "from_address": "shop@example.com",
        "from_name": "小店",
    } | changes  # fmt: skip
    await enable_plugin(
        merchant.installation.db, merchant.id, merchant.installation.registry, "email", settings
    )


async def make_campaign(merchant, content=None, rule=None, name="campaign", **options):
    """A draft to everybody; returns its id."""
    registry = merchant.installation.registry
    async with merchant.work() as w:
        segment_id = await create_segment(w, registry, f"segment {name} {w.now}", rule or ALL)
        return await create_campaign(
            w, registry, name=name, channel="email", segment_id=segment_id,
            content=content or CONTENT, **options,
        )  # fmt: skip


def open_gate(w):
    """A policy without any rules."""
    return Gate(w.now, ZoneInfo("Asia/Shanghai"), Rules())


async def states(merchant, run_id):
    """How many rows of the ledger are in each state."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT state, count(*) AS n FROM deliveries
               WHERE merchant_id = $1 AND run_id = $2 GROUP BY state""",
            merchant.id, run_id,
        )  # fmt: skip
    return {row["state"]: row["n"] for row in rows}


async def campaign_row(merchant, campaign_id):
    async with merchant.read() as session:
        return dict(
            await session.sql.fetchrow(
                """SELECT c.state, r.state AS run_state, r.pause_reason, r.resume_at, r.id AS run_id
                   FROM campaigns c LEFT JOIN campaign_runs r
                     ON r.merchant_id = c.merchant_id AND r.campaign_id = c.id
                   WHERE c.merchant_id = $1 AND c.id = $2""",
                merchant.id, campaign_id,
            )
        )  # fmt: skip


async def until(condition, seconds=120):
    """Wait until a function (or coroutine function) returns something true."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.002)
