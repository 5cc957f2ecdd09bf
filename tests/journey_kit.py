"""Journeys made quickly, events that reach them, and where everybody stands."""

from dataclasses import replace
from datetime import timedelta

from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.campaigns import create_flow_campaign
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.flows import parse_flow, parse_options
from core.domain.campaigns.journeys.advance import advance
from core.domain.orders.ingest import ingest_orders
from core.domain.segments.segments import create_kept_segment, create_segment
from core.domain.shops.shops import find_shop
from core.sdk import OrderRecord, OrderState
from core.storage import outbox
from worker.duties import handlers

VIP = {"version": 1, "rule": {"tag": {"any_of": ["vip"]}}}
CREATED = {"kind": "event", "type": "order.created"}
TEXT = {"subject": "{{ customer.name }}", "html": '<a href="{{ unsubscribe_url }}">T</a>'}


def send(key, **more):
    variants = [{"content": TEXT}]
    return {"kind": "send", "key": key, "channel": "email", "variants": variants} | more


def tag(key, name=None, **more):
    return {"kind": "tag", "key": key, "add": [name or key]} | more


def wait(key, **more):
    return {"kind": "wait", "key": key} | more


async def start_journey(merchant, trigger, steps, *, name="journey", shop_id=None, **more):
    """Start a journey and plan its run; returns the ids of campaign and run.

    `options` are those of the campaign, `entry` and `exit` of its flow.
    """
    registry = merchant.installation.registry
    options = parse_options(more.pop("options", {}))
    flow = parse_flow({"trigger": trigger, "steps": steps} | more)
    async with merchant.work() as w:
        campaign_id = await create_flow_campaign(
            w, registry, name=name, flow=flow, options=options, shop_id=shop_id
        )
        run_id = await start_campaign(w, registry, campaign_id)
    await plan_run(merchant.installation.db, registry, merchant.id, run_id)
    return campaign_id, run_id


async def make_segment(merchant, rule, name="segment"):
    async with merchant.work() as w:
        return await create_segment(w, merchant.installation.registry, name, rule)


async def make_list(merchant, name="list"):
    async with merchant.work() as w:
        return await create_kept_segment(w, name, "list")


async def hear(merchant):
    """Hand every open event to the journeys, as a worker does."""
    installation = merchant.installation
    return await outbox.drain(installation.db, merchant.id, handlers(installation))


async def go_on(merchant, **later):
    """Let time pass, and move on who is due."""
    merchant.clock.move(timedelta(**later))
    await advance(merchant.installation.db, merchant.installation.registry, merchant.id)


async def tell_again(merchant):
    """Every event comes once more, as after a crash."""
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE outbox_events SET done_at = NULL, handled_by = '[]', next_at = $2
               WHERE merchant_id = $1""",
            merchant.id, w.now,
        )  # fmt: skip
    await hear(merchant)


async def emit(merchant, *events):
    async with merchant.work() as w:
        for event in events:
            w.emit(event)
    await hear(merchant)


def order(number, state=OrderState.CREATED_UNPAID, *, at, **more):
    unpaid = state in (OrderState.CREATED_UNPAID, OrderState.CLOSED_UNPAID)
    values = {
        "currency": "CNY", "total": 1000, "paid": 0 if unpaid else 1000, "ordered_at": at,
        "paid_at": None if unpaid else at, "buyer_id": f"buyer-{number}",
        "email": f"{number}@example.com", "name": "李雷",
    }  # fmt: skip
    return OrderRecord(number, state, **values | more)


async def take_orders(merchant, *records, heard=True):
    """Take in orders as a platform tells them, with their events."""
    async with merchant.work() as w:
        shop = await find_shop(w, str(merchant.shop_id))
        await ingest_orders(w, shop, list(records), "nick", True)
    if heard:
        await hear(merchant)


async def change_order(merchant, record, state, heard=True):
    """The same order in another state, now."""
    changed = replace(
        record,
        state=state,
        modified_at=merchant.clock(),
        paid_at=record.paid_at or merchant.clock(),
    )
    await take_orders(merchant, changed, heard=heard)


async def enrolments(merchant, run_id=None):
    """The rows of enrolments, of all runs or of one, in the order in which people came."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT * FROM enrolments WHERE merchant_id = $1
                 AND ($2::bigint IS NULL OR run_id = $2)
               ORDER BY id""",
            merchant.id, run_id,
        )  # fmt: skip
    return [dict(row) for row in rows]


async def standing(merchant, run_id=None):
    """(state, step, reason) of each enrolment."""
    rows = await enrolments(merchant, run_id)
    return [(row["state"], row["step"], row["reason"]) for row in rows]


async def tags_of(merchant, customer_id):
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT tag FROM customer_tags WHERE merchant_id = $1 AND customer_id = $2
               ORDER BY tag""",
            merchant.id, customer_id,
        )  # fmt: skip
    return [row["tag"] for row in rows]


async def messages(merchant, run_id):
    """(step, customer, order, state, reason) of each row of the ledger."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT step, customer_id, order_id, state, reason FROM deliveries
               WHERE merchant_id = $1 AND run_id = $2 ORDER BY step, customer_id, id""",
            merchant.id, run_id,
        )  # fmt: skip
    return [tuple(row) for row in rows]
