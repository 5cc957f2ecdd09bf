"""Campaigns that are planned and claimed without anything being handed over."""

from datetime import timedelta

from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.claiming import Step, claim
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.flows import campaign_channel, stored_flow, stored_options
from core.domain.campaigns.policy.caps import Cap, set_cap
from core.domain.shops.plugins import _store
from core.sdk.flows import Options
from tests.sending_kit import make_campaign

LEASE = timedelta(minutes=1)


async def enable_channel(merchant):
    settings = {"host": "localhost", "port": 25, "tls": "none", "from_address": "a@example.com"}
    async with merchant.work() as w:
        await _store(w, "email", True, settings)


async def end_all(merchant):
    """End the merchant's runs, which a sweep in a later test would find."""
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE campaign_runs SET state = 'cancelled' WHERE merchant_id = $1", merchant.id
        )


async def planned(merchant, name, **options):
    """A broadcast to everybody, started and planned; returns its run's id."""
    if "options" in options:
        options["options"] = Options(**options["options"])
    campaign_id = await make_campaign(merchant, name=name, **options)
    opened = merchant.installation
    async with merchant.work() as w:
        run_id = await start_campaign(w, opened.registry, campaign_id)
    await plan_run(opened.db, opened.registry, merchant.id, run_id)
    return run_id


async def step_of(merchant, run_id):
    async with merchant.read() as session:
        row = await session.sql.fetchrow(
            """SELECT r.flow, r.options, r.priority, c.shop_id FROM campaign_runs r
               JOIN campaigns c ON c.merchant_id = r.merchant_id AND c.id = r.campaign_id
               WHERE r.merchant_id = $1 AND r.id = $2""",
            merchant.id, run_id,
        )  # fmt: skip
    ((number, send),) = stored_flow(row["flow"]).sends().items()
    assert stored_options(row["options"]).priority == row["priority"]
    channel = campaign_channel(merchant.installation.registry, send.channel)
    return Step(run_id, number, send, channel, row["shop_id"], row["priority"])


async def claimed(merchant, run_id, limit=1000, owner="w"):
    """Claim what is due of a run; returns the claim."""
    step = await step_of(merchant, run_id)
    async with merchant.work() as w:
        return await claim(w, step, owner, LEASE, limit)


async def send_all(merchant, run_id):
    """Claim what is due and record it as sent; returns how many."""
    taken = await claimed(merchant, run_id)
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE deliveries SET state = 'sent', sent_at = $3, updated_at = $3,
                      lease_owner = NULL, lease_until = NULL
               WHERE merchant_id = $1 AND run_id = $2 AND state = 'sending'""",
            merchant.id, run_id, w.now,
        )  # fmt: skip
    return sum(row["reason"] is None for row in taken.rows)


async def rows_of(merchant, run_id):
    """(state, reason, next_at) of each row of a run, by customer."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT state, reason, next_at FROM deliveries
               WHERE merchant_id = $1 AND run_id = $2 ORDER BY customer_id, id""",
            merchant.id, run_id,
        )  # fmt: skip
    return [tuple(row) for row in rows]


async def cap(merchant, messages, hours, channel="*", shop_id=0):
    async with merchant.work() as w:
        registry = merchant.installation.registry
        return await set_cap(w, registry, Cap(shop_id, channel, hours, messages))
