"""What the plugin adds to core: a facet, the timeline, results, and remarks on the platform."""

from datetime import timedelta

import pytest

from core.domain.customers.timeline import Wanted, read_timeline
from core.domain.shops.plugins import plugin_context
from core.sdk import Occurrence
from core.testing.facets import check_facet
from plugins.packages.facets import GotInsert
from plugins.packages.packing import code_of, confirm_parcel
from plugins.packages.remarks import write_missing, write_remark
from plugins.packages.results import Arm, results
from plugins.packages.unpacking import unpack_parcel
from tests.connections.conftest import platform_url, plugin, shop
from tests.connections.stand_in import Refusal
from tests.plugins.packages import kit
from tests.plugins.packages.kit import order

__all__ = ["platform_url", "plugin", "shop"]


async def parcels(merchant):
    async with merchant.read() as session:
        return await session.sql.fetch(
            """SELECT id, order_id, customer_id, remark, remark_reason FROM packages_parcels
               WHERE merchant_id = $1 ORDER BY id""",
            merchant.id,
        )


async def pack(merchant, parcel):
    async with merchant.work() as w:
        await confirm_parcel(w, merchant.installation.registry, code_of(parcel["id"]))


async def unpack(merchant, parcel):
    async with merchant.work() as w:
        await unpack_parcel(w, merchant.installation.registry, code_of(parcel["id"]))


async def test_who_got_an_insert_and_what_came_of_it(merchant):
    now = merchant.clock()
    await kit.add_orders(merchant, *(order(n, f"b{n}", now=now) for n in range(1, 5)))
    sample = await kit.insert(merchant, "sample", unit_cost=5)
    rule = await kit.rule(merchant, "rule", sample, orders={"items": ["TEA"]}, holdout=5000)
    await kit.wave(merchant)
    made = await parcels(merchant)
    for parcel in made[:3]:
        await pack(merchant, parcel)
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT customer_id, outcome FROM packages_choices
               WHERE merchant_id = $1 ORDER BY parcel_id""",
            merchant.id,
        )
    given = {row["customer_id"] for row in rows if row["outcome"] == 1}
    packed = {row["customer_id"] for row in rows[:3]} & given
    assert await check_facet(merchant, GotInsert(), {"inserts": ["sample"]}) == packed
    assert await check_facet(merchant, GotInsert(), {"inserts": ["other"]}) == set()
    assert await check_facet(merchant, GotInsert(), {"within_days": 5}) == packed
    merchant.clock.move(timedelta(days=20))
    assert await check_facet(merchant, GotInsert(), {"within_days": 5}) == set()
    await kit.add_orders(
        merchant, *(order(n + 10, f"b{n}", paid=700, now=merchant.clock()) for n in (1, 2))
    )
    merchant.clock.move(timedelta(days=20))
    again = {row["customer_id"] for row in rows[:2]}
    async with merchant.read() as session:
        assert await results(session, rule, 60) == []
        found = await results(session, rule, 30)
    held = {row["customer_id"] for row in rows} - given
    assert found == [
        Arm(insert, len(group), len(group & again), 700 * len(group & again))
        for insert, group in ((sample, given), (None, held))
        if group
    ]


@pytest.fixture
async def remarked(shop):
    """A parcel packed for an order of the shop on the platform, and how its remark is tried."""
    await shop.connect()
    merchant = shop.merchant
    shop.fair.order("N1", "paid")
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO orders (merchant_id, shop_id, external_id, state, currency, total, paid,
                   refunded, ordered_at, paid_at, content_hash, taken_at)
               VALUES ($1, $2, 'N1', 'to_ship', 'CNY', 1, 1, 0, $3, $3, '', $3)""",
            merchant.id, shop.id, w.now,
        )  # fmt: skip
    await kit.rule(merchant, "rule", await kit.insert(merchant, "茶样"))
    await kit.wave(merchant)
    (parcel,) = await parcels(merchant)
    await pack(merchant, parcel)
    await kit.enable(merchant, remarks=True)
    context = await plugin_context(shop.db, shop.registry, "packages", merchant.id)
    event = Occurrence(
        1, merchant.id, "packages.parcel_packed", merchant.clock(), {"parcel_id": parcel["id"]}
    )
    return parcel, lambda: write_remark(context, event)


async def test_a_remark_is_written_once(shop, remarked):
    parcel, tell = remarked
    await tell()
    assert shop.fair.remarks == {"N1": f"[{code_of(parcel['id'])} 1/1] 茶样"}
    shop.fair.remarks["N1"] = "call the buyer first"
    await tell()
    assert shop.fair.remarks["N1"] == "call the buyer first"
    assert (await parcels(shop.merchant))[0]["remark"] == "done"


async def test_a_remark_of_a_parcel_that_is_not_packed_is_corrected(shop, remarked):
    parcel, tell = remarked
    code = code_of(parcel["id"])
    await tell()
    await unpack(shop.merchant, parcel)
    assert (await parcels(shop.merchant))[0]["remark"] == "stale"
    shop.fair.faults.append(Refusal("limited", "wait", seconds=5))
    await tell()  # the platform is busy
    shop.merchant.clock.move(timedelta(minutes=5))
    context = await plugin_context(shop.db, shop.registry, "packages", shop.merchant.id)
    await write_missing(context)
    assert shop.fair.remarks == {"N1": f"[{code} 1/1] 未打包"}
    assert (await parcels(shop.merchant))[0]["remark"] is None
    await pack(shop.merchant, parcel)
    await tell()
    assert shop.fair.remarks == {"N1": f"[{code} 1/1] 茶样"}


async def test_what_was_packed_again_at_once_is_written_once_more(shop, remarked):
    parcel, tell = remarked
    await tell()
    await unpack(shop.merchant, parcel)
    shop.fair.remarks["N1"] = "[HP1 1/1] 未打包"  # as another worker just writes it
    await pack(shop.merchant, parcel)
    assert (await parcels(shop.merchant))[0]["remark"] is None
    await tell()
    assert shop.fair.remarks == {"N1": f"[{code_of(parcel['id'])} 1/1] 茶样"}


async def test_a_platform_that_is_busy_is_asked_again(shop, remarked):
    _, tell = remarked
    shop.fair.faults.append(Refusal("limited", "wait", seconds=5))
    await tell()
    assert (await parcels(shop.merchant))[0]["remark"] is None
    context = await plugin_context(shop.db, shop.registry, "packages", shop.merchant.id)
    shop.merchant.clock.move(timedelta(minutes=5))
    await write_missing(context)
    assert list(shop.fair.remarks) == ["N1"]


async def test_what_the_platform_refuses_is_said(shop, remarked):
    _, tell = remarked
    del shop.fair.orders["N1"]
    await tell()
    (row,) = await parcels(shop.merchant)
    assert row["remark"] == "failed"
    assert "no_such_order" in row["remark_reason"]


async def test_the_timeline_shows_what_was_in_the_parcel(merchant):
    await kit.add_orders(merchant, order(1, "a", now=merchant.clock()))
    await kit.rule(merchant, "rule", await kit.insert(merchant, "sample"))
    await kit.wave(merchant)
    (parcel,) = await parcels(merchant)
    await pack(merchant, parcel)
    async with merchant.read() as session:
        entries = await read_timeline(
            session, merchant.installation.registry, lambda _: True,
            Wanted(parcel["customer_id"], ["packages.packed"]), 10,
        )  # fmt: skip
    assert [one.title for one in entries] == ["A parcel was packed with sample"]
