"""Messages, orders and runs put straight into the tables, as many as a figure needs."""

from datetime import timedelta

import orjson

from core.sdk.flows import Flow, OnAudience, Options, Send, Variant
from core.testing.fixtures import START


def hours(number):
    """So many hours after the start of the tests' clock."""
    return START + timedelta(hours=number)


def flow_of(channel="email", variants=1):
    content = {"subject": "hi", "html": "<p>hi</p>"}
    send = Send(key="send", channel=channel, variants=[Variant(content=content)] * variants)
    return Flow(trigger=OnAudience(segment_id=1), steps=[send])


async def add_people(w, number):
    rows = await w.sql.fetch(
        """INSERT INTO customers (merchant_id, version, created_at, updated_at)
           SELECT $1, 1, $3, $3 FROM generate_series(1, $2::int) RETURNING id""",
        w.merchant_id, number, START,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def add_campaign(w, name="campaign", *, flow=None, shop_id=None, **options):
    flow = flow or flow_of()
    return await w.sql.fetchval(
        """INSERT INTO campaigns (merchant_id, name, kind, channel, message_class, segment_id,
               shop_id, flow, options, state, version, created_at, updated_at)
           VALUES ($1, $2, $3, 'email', 'marketing', 1, $4, $5, $6, 'finished', 1, $7, $7)
           RETURNING id""",
        w.merchant_id, name, flow.kind, shop_id, flow.model_dump_json(),
        Options(**options).model_dump_json(), START,
    )  # fmt: skip


async def add_run(w, campaign_id, *, at=START, finished=START, occurrence=None):
    return await w.sql.fetchval(
        """INSERT INTO campaign_runs (merchant_id, campaign_id, version, state, flow, options,
               occurrence, created_at, planned_at, finished_at)
           SELECT merchant_id, id, version, 'finished', flow, options, $5, $3, $3, $4
           FROM campaigns WHERE merchant_id = $1 AND id = $2 RETURNING id""",
        w.merchant_id, campaign_id, at, finished, occurrence,
    )  # fmt: skip


async def add_messages(w, run_id, messages):
    """Each a dict with customer_id, and what is not as usual; returns the ids."""
    usual = {
        "run_id": run_id, "step": 0, "enrolment_id": 0, "order_id": None, "variant": 0,
        "channel": "email", "marketing": True, "state": "sent", "reason": None, "attempts": 1,
        "next_at": START, "provider": None, "cost": None, "currency": None, "receipt": None,
        "sent_at": START, "delivered_at": None, "opened_at": None, "clicked_at": None,
        "updated_at": START,
    }  # fmt: skip
    made = [usual | one for one in messages]
    rows = await w.sql.fetch(
        f"""INSERT INTO deliveries (merchant_id, customer_id, {", ".join(usual)})
            SELECT $1, r.customer_id, {", ".join(f"r.{name}" for name in usual)}
            FROM jsonb_populate_recordset(NULL::deliveries, $2) r RETURNING id""",
        w.merchant_id, orjson.dumps(made).decode(),
    )  # fmt: skip
    return [row["id"] for row in rows]


async def add_orders(w, shop_id, orders):
    """Each a dict with customer_id and paid_at, and what is not as usual; returns the ids."""
    last = await w.sql.fetchval("SELECT count(*) FROM orders WHERE merchant_id = $1", w.merchant_id)
    usual = {
        "shop_id": shop_id, "state": "completed", "currency": "CNY", "total": 10_000,
        "paid": 10_000, "refunded": 0, "ordered_at": START, "paid_at": None, "content_hash": "",
        "taken_at": START, "in_dispute": False,
    }  # fmt: skip
    made = [usual | {"external_id": str(last + number)} | one for number, one in enumerate(orders)]
    columns = [*usual, "external_id"]
    rows = await w.sql.fetch(
        f"""INSERT INTO orders (merchant_id, customer_id, {", ".join(columns)})
            SELECT $1, r.customer_id, {", ".join(f"r.{name}" for name in columns)}
            FROM jsonb_populate_recordset(NULL::orders, $2) r RETURNING id""",
        w.merchant_id, orjson.dumps(made).decode(),
    )  # fmt: skip
    return [row["id"] for row in rows]


async def credits(merchant):
    """The credited message of each order that has one."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT order_id, delivery_id, touch FROM attributions WHERE merchant_id = $1",
            merchant.id,
        )
    return {row["order_id"]: (row["delivery_id"], row["touch"]) for row in rows}
