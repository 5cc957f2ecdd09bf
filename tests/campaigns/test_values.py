"""Values of variables: one statement for each kind of data, in the shop's own day."""

from datetime import UTC, datetime, timedelta

import pytest

from core.domain.campaigns.content.values import Occasion, fetch_values
from core.domain.campaigns.content.variables import VARIABLES
from core.sdk import LineRecord, ParcelRecord
from tests.merge_kit import make_customer, record, take

T = datetime(2026, 6, 14, 17, 30, tzinfo=UTC)


async def ordered(merchant):
    """A customer with an order of two lines in two parcels; returns the ids."""
    parcels = [
        ParcelRecord("SF1", "顺丰"),
        ParcelRecord("YT2"),
    ]
    lines = [LineRecord("1", "绿茶", quantity=2, amount=500), LineRecord("2", "杯子", sku="red")]
    await take(merchant, record("E77", ordered_at=T, paid_at=None, lines=lines, parcels=parcels))
    async with merchant.work() as w:
        customer = await make_customer(w)
        order_id = await w.sql.fetchval(
            """UPDATE orders SET customer_id = $2 WHERE merchant_id = $1 AND external_id = 'E77'
               RETURNING id""",
            merchant.id, customer,
        )  # fmt: skip
        rows = await w.sql.fetch(
            "SELECT id FROM parcels WHERE merchant_id = $1 AND order_id = $2 ORDER BY id",
            merchant.id, order_id,
        )  # fmt: skip
    return customer, order_id, [row["id"] for row in rows]


async def values(merchant, names, *occasions, zone="Asia/Shanghai"):
    async with merchant.read() as session:
        return await fetch_values(session, names, zone, occasions)


EVERY = {one.name for one in VARIABLES}


async def test_an_order_and_its_parcel_are_told(merchant):
    customer, order_id, parcel_ids = await ordered(merchant)
    found = await values(merchant, EVERY, Occasion(7, customer, order_id, parcel_ids[1]))
    shown = {name: str(value) for name, value in found[7].items() if name != "order.items"}
    assert shown == {
        "now": "2026-06-15 12:00", "today": "2026-06-15",
        "order.number": "E77", "order.shop": "shop", "order.total": "10.00", "order.paid": "10.00",
        "order.currency": "CNY", "order.ordered_at": "2026-06-15 01:30",
        "order.item_titles": "绿茶、杯子", "order.item_count": "3", "order.parcel_count": "2",
        "parcel.tracking_number": "YT2", "parcel.number": "2", "parcel.count": "2",
    }  # fmt: skip
    first, second = found[7]["order.items"]
    assert (first["title"], str(first["amount"])) == ("绿茶", "5.00")
    assert second == {"title": "杯子", "quantity": 1, "sku": "red"}


async def test_each_message_has_its_own_and_the_unnamed_is_not_asked_for(merchant):
    customer, order_id, parcel_ids = await ordered(merchant)
    found = await values(
        merchant, {"order.number", "parcel.carrier"},
        Occasion(1, customer, order_id, parcel_ids[0]), Occasion(2, customer),
    )  # fmt: skip
    assert found[1]["parcel.carrier"] == "顺丰"
    assert "order.items" not in found[1]
    assert found[2] == {}
    assert await values(merchant, {"customer.name"}, Occasion(1, customer, order_id)) == {1: {}}


async def test_another_merchants_order_has_no_values(merchant):
    customer, order_id, parcel_ids = await ordered(merchant)
    db = merchant.installation.db
    async with db.read(merchant.id + 10**6) as session:
        occasion = Occasion(1, customer, order_id, parcel_ids[0])
        found = await fetch_values(session, {"order.number", "parcel.number"}, "UTC", [occasion])
    assert found == {1: {}}


@pytest.mark.parametrize(("zone", "day"), [("Pacific/Kiritimati", "15"), ("America/Lima", "14")])
async def test_days_are_those_of_the_zone(merchant, zone, day):
    merchant.clock.move(timedelta(hours=-1))
    found = await values(merchant, {"today"}, Occasion(1, 1), zone=zone)
    assert found[1]["today"] == f"2026-06-{day}"
