"""The timeline: complete, in order, paged, filtered, and quick for who has thousands of orders."""

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from core.domain.customers import timeline as module
from core.domain.customers.consent import set_consent
from core.domain.customers.log import log_event
from core.domain.customers.notes import add_note
from core.domain.customers.tags import tag_customers
from core.domain.customers.timeline import (
    Wanted,
    count_timeline,
    read_timeline,
    timeline_sql,
)
from core.registry import Owned
from core.sdk import TimelineSource
from core.testing.fixtures import START
from tests.customers.kit import add_customer, add_order, add_parcel
from tests.results_kit import add_campaign, add_run

HOUR = timedelta(hours=1)
EVERYTHING = lambda permission: True  # noqa: E731


async def fill(w, customer_id):
    """Something of each kind; returns how many entries there are."""
    order = await add_order(
        w, customer_id, "A1", START - 9 * HOUR, paid_at=START - 8 * HOUR,
        shipped_at=START - 7 * HOUR, delivered_at=START - 3 * HOUR, closed_at=START - 1 * HOUR,
    )  # fmt: skip
    await add_parcel(
        w, order, "SF1",
        [("shipped", START - 7 * HOUR), ("out_for_delivery", START - 4 * HOUR),
         ("signed", START - 3 * HOUR)],
    )  # fmt: skip
    await w.sql.execute(
        """INSERT INTO refunds (merchant_id, shop_id, external_id, order_id, kind, state, amount,
               requested_at, refunded_at, content_hash, taken_at)
           VALUES ($1, 1, 'R1', $2, 'refund_only', 'refunded', 5, $3, $4, '', $4)""",
        w.merchant_id, order, START - 2 * HOUR, START - HOUR,
    )  # fmt: skip
    names = ("Welcome back", "New tea", "Not yet")
    runs = [await add_run(w, await add_campaign(w, name)) for name in names]
    await w.sql.execute(
        """INSERT INTO deliveries (merchant_id, run_id, step, customer_id, channel, state, reason,
               attempts, next_at, sent_at, updated_at)
           VALUES ($1, $5, 0, $2, 'email', 'sent', NULL, 1, $3, $3, $4),
                  ($1, $6, 0, $2, 'email', 'skipped', 'no_consent', 1, $3, NULL, $4),
                  ($1, $7, 0, $2, 'email', 'pending', NULL, 0, $3, NULL, $4)""",
        w.merchant_id, customer_id, START - 5 * HOUR, START - 5 * HOUR, *runs,
    )  # fmt: skip
    await set_consent(w, customer_id, "email", "marketing", "granted", "form")
    await tag_customers(w, [customer_id], ["vip", "新客"], "staff")
    await add_note(w, customer_id, "secret text")
    await log_event(w, [customer_id], "merged", {"from": 12})
    return 5 + 3 + 2 + 2 + 4


async def read(merchant, wanted, limit=100, after=None, may=EVERYTHING, registry=None):
    async with merchant.read() as session:
        return await read_timeline(
            session, registry or merchant.installation.registry, may, wanted, limit, after
        )


async def test_everything_is_there_the_newest_first(merchant):
    async with merchant.work() as w:
        pk, other = await add_customer(w), await add_customer(w)
        count = await fill(w, pk) + 1
        await log_event(w, [pk], "api.created", {"job_id": None})
        await add_order(w, other, "B1", START)
    entries = await read(merchant, Wanted(pk))
    assert len(entries) == count
    assert [e.at for e in entries] == sorted((e.at for e in entries), reverse=True)
    titles = {e.kind: e.title for e in entries}
    assert titles["order.paid"] == "Order A1 paid"
    assert titles["parcel.signed"] == "Parcel SF1 signed for"
    assert titles["refund.refunded"] == "Refund R1 paid out"
    assert titles["message.skipped"] == "No message by email (no_consent): New tea"
    assert titles["message.sent"] == "Message by email sent: Welcome back"
    assert titles["consent.granted"] == "Agreed to marketing by email"
    assert titles["tag_added"] == "Tagged vip, 新客"
    assert titles["merged"] == "Merged"
    assert titles["api.created"] == "Taken in over the API"
    assert {e.object_type for e in entries} == {
        "Order", "Refund", "Delivery", "CustomerNote", None,
    }  # fmt: skip
    shown = orjson.dumps([(e.title, e.data) for e in entries]).decode()
    assert "secret" not in shown
    assert "139" not in shown


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_pages_give_every_entry_once(merchant, size):
    async with merchant.work() as w:
        pk = await add_customer(w)
        await fill(w, pk)
        for number in range(6):  # many of one instant
            await add_order(
                w, pk, f"C{number}", START - HOUR, paid_at=START - HOUR, shipped_at=START - HOUR
            )
    wanted = [(e.at, e.source, e.key) for e in await read(merchant, Wanted(pk))]
    assert wanted == sorted(wanted, reverse=True)
    found, after = [], None
    while page := await read(merchant, Wanted(pk), size, after):
        assert len(page) <= size
        found += [(e.at, e.source, e.key) for e in page]
        after = found[-1]
    assert found == wanted
    assert len(set(found)) == 16 + 18


async def test_kinds_and_times_narrow_it(merchant):
    async with merchant.work() as w:
        pk = await add_customer(w)
        await fill(w, pk)
    kinds = ["order.paid", "tag_added", "no.such"]
    assert [e.kind for e in await read(merchant, Wanted(pk, kinds))] == ["tag_added", "order.paid"]
    assert await read(merchant, Wanted(pk, [])) == []
    span = Wanted(pk, None, START - 4 * HOUR, START - 2 * HOUR)
    found = await read(merchant, span)
    assert {e.kind for e in found} == {
        "parcel.out_for_delivery",
        "parcel.signed",
        "order.delivered",
    }
    async with merchant.read() as session:
        registry = merchant.installation.registry
        assert await count_timeline(session, registry, EVERYTHING, span, 100) == 3
        assert await count_timeline(session, registry, EVERYTHING, Wanted(pk), 5) == 5
        assert await count_timeline(session, registry, EVERYTHING, Wanted(pk), 100) == 16


async def test_only_what_one_may_see_is_shown(merchant):
    async with merchant.work() as w:
        pk = await add_customer(w)
        await fill(w, pk)
    found = await read(merchant, Wanted(pk), may=lambda permission: permission == "CUSTOMERS_READ")
    assert {e.kind for e in found} == {"consent.granted", "tag_added", "note_added", "merged"}
    assert await read(merchant, Wanted(pk), may=lambda permission: False) == []


async def test_another_merchants_customer_has_no_timeline(merchant, installation):
    from core.domain.shops.setup import set_up_merchant

    made = await set_up_merchant(installation.db, installation.registry, "Other", shop="shop")
    async with installation.db.work(made.merchant_id) as w:
        pk = await add_customer(w)
        await fill(w, pk)
    assert await read(merchant, Wanted(pk)) == []


def with_source(registry, **changes):
    made = TimelineSource(
        name="taobao_visit",
        kinds={"taobao.visit": "Looked at {page}"},
        sql="""SELECT updated_at AS at, 'taobao.visit' AS kind, id AS key, NULL AS object_type,
                      NULL AS object_id, name AS page
               FROM customers WHERE merchant_id = $1 AND id = $2""",
        data="jsonb_build_object('page', page)",
    )
    sources = registry.timeline_sources | {made.name: Owned("taobao", replace(made, **changes))}
    return replace(registry, timeline_sources=sources)


async def switch_on(merchant):
    from core.domain.shops.plugins import _store

    async with merchant.work() as w:
        await _store(w, "taobao", True, {})


async def test_a_plugins_source_shows_where_the_plugin_is_on(merchant):
    from core.domain.shops.plugins import disable_plugin

    registry = with_source(merchant.installation.registry)
    async with merchant.work() as w:
        pk = await add_customer(w, "the fair")
    await switch_on(merchant)
    (entry,) = await read(merchant, Wanted(pk), registry=registry)
    assert (entry.kind, entry.title) == ("taobao.visit", "Looked at the fair")
    async with merchant.work() as w:
        await disable_plugin(w, registry, "taobao")
    assert await read(merchant, Wanted(pk), registry=registry) == []


async def test_a_plugins_broken_source_is_left_out(merchant, monkeypatch):
    said = []
    monkeypatch.setattr(module.logger, "exception", said.append)
    registry = with_source(merchant.installation.registry, sql="SELECT nothing FROM nowhere")
    async with merchant.work() as w:
        pk = await add_customer(w)
        count = await fill(w, pk)
    await switch_on(merchant)
    assert len(await read(merchant, Wanted(pk), registry=registry)) == count
    assert "leaves out plugins" in said[0]


async def test_a_customer_with_thousands_of_orders_is_read_by_indexes(merchant):
    """5,000 orders with parcels among 40,000; no statement looks at other customers' rows."""
    async with merchant.work() as w:
        pk = (await add_customer(w)) or 0
        await w.sql.execute(
            """INSERT INTO orders (merchant_id, shop_id, external_id, customer_id, state, currency,
                   total, paid, refunded, ordered_at, paid_at, shipped_at, delivered_at, closed_at,
                   content_hash, taken_at)
               SELECT $1, 1, 'E' || n, CASE WHEN n % 8 = 0 THEN $2 ELSE $2 + n % 1999 END,
                      'completed', 'CNY', 1, 1, 0, at, at + INTERVAL '5 min',
                      at + INTERVAL '1 day', at + INTERVAL '3 days', at + INTERVAL '9 days', '', at
               FROM (SELECT n, $3::timestamptz - n * INTERVAL '1 hour' AS at
                     FROM generate_series(1, 40000) n) made""",
            w.merchant_id, pk, START,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO parcels (merchant_id, order_id, tracking_number, last_event_at)
               SELECT merchant_id, id, 'SF' || id, delivered_at FROM orders
               WHERE merchant_id = $1""",
            w.merchant_id,
        )  # fmt: skip
        await w.sql.execute(
            """INSERT INTO parcel_events (merchant_id, parcel_id, kind, at)
               SELECT p.merchant_id, p.id, e.kind, o.shipped_at + e.hours * INTERVAL '1 hour'
               FROM parcels p
               JOIN orders o ON o.merchant_id = p.merchant_id AND o.id = p.order_id,
               (VALUES ('shipped', 0), ('in_transit', 12), ('signed', 48)) e (kind, hours)
               WHERE p.merchant_id = $1""",
            w.merchant_id,
        )  # fmt: skip
    async with merchant.read() as session:
        for table in ("orders", "parcels", "parcel_events", "customers"):
            await session.sql.execute(f"ANALYZE {table}")
    sources = [owned.value for owned in merchant.installation.registry.timeline_sources.values()]
    args = [merchant.id, pk, START - timedelta(days=36500), None, None]
    async with merchant.read() as session:
        for after in (None, (START - timedelta(days=60), "parcel", 10**9)):
            more = [] if after is None else [after[0], after[2]]
            plan = await session.sql.fetchval(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {timeline_sql(sources, 21, after)}", *args, *more
            )
            read_rows = scanned(orjson.loads(plan)[0]["Plan"])
            big = {"orders", "parcels", "parcel_events"}
            assert not {t for t, node, _ in read_rows if node == "Seq Scan"} & big, read_rows
            # each of the sources walks through the customer's 5,000 orders at the most
            assert max(rows for _, _, rows in read_rows) <= 5_500, read_rows
    entries = await read(merchant, Wanted(pk), 50)
    assert len(entries) == 50


def scanned(node):
    """(table, kind of scan, rows) of a plan, with what the filters took away."""
    found = []
    if "Relation Name" in node:
        rows = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        found.append((node["Relation Name"], node["Node Type"], rows))
    for child in node.get("Plans", []):
        found += scanned(child)
    return found
