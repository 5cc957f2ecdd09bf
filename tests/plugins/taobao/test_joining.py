"""The file of the seller centre and the platform's own word are one history."""

import pytest

from core.domain.orders.ingest import ingest_orders
from plugins.taobao.orders import order
from tests.orders.test_identities import rows, work_off
from tests.plugins.taobao.test_formats import line, take

TID = 3900000000000000001


def told(tid=TID, ouid="AAGsynOuid0001", **more):
    """The same order as the platform tells it."""
    row = {
        "tid": tid, "ouid": ouid, "buyer_open_uid": f"open-{ouid}", "status": "TRADE_FINISHED",
        "created": "2026-01-02 03:04:05", "pay_time": "2026-01-02 03:05:00",
        "modified": "2026-01-10 08:00:00", "payment": "108.00", "receiver_state": "浙江省",
        "receiver_city": "杭州市",
        "orders": [
            {"oid": tid + 1, "title": "龙井茶", "num": 2, "divide_order_fee": "80.00",
             "status": "TRADE_FINISHED", "invoice_no": "SF1", "logistics_company": "顺丰"},
            {"oid": tid + 2, "title": "茶杯", "num": 1, "divide_order_fee": "28.00",
             "status": "TRADE_FINISHED", "invoice_no": "SF2", "logistics_company": "顺丰"},
        ],
    }  # fmt: skip
    return order(row | more, "12345678")


async def platform_tells(merchant, *records):
    async with merchant.work() as w:
        shop = await w.sql.fetchrow(
            "SELECT * FROM shops WHERE merchant_id = $1 AND id = $2", merchant.id, merchant.shop_id
        )
        return await ingest_orders(w, shop, records, "ouid", events=True)


async def ids(merchant):
    found = await rows(merchant, "customer_identities")
    return {(row["scope"], row["kind"]) for row in found}


async def shape(merchant):
    orders, customers = await rows(merchant, "orders"), await rows(merchant, "customers")
    articles = [row["title"] for row in await rows(merchant, "order_lines")]
    parcels = [row["tracking_number"] for row in await rows(merchant, "parcels")]
    return len(orders), len(customers), sorted(articles), sorted(parcels)


@pytest.mark.parametrize("file_first", [True, False])
async def test_one_order_one_customer_one_set_of_articles(merchant, tmp_path, file_first):
    if file_first:
        await take(merchant, tmp_path / "o.csv", [line(TID)], "gbk")
        assert await platform_tells(merchant, told()) == ["updated"]
    else:
        assert await platform_tells(merchant, told()) == ["created"]
        await take(merchant, tmp_path / "o.csv", [line(TID)], "gbk")
    assert await shape(merchant) == (1, 1, ["茶杯", "龙井茶"], ["SF1", "SF2"])
    assert {("shop", "taobao_nick"), ("shop", "ouid"), ("app", "open_uid")} <= await ids(merchant)


async def test_the_buyers_further_orders_are_his_as_well(merchant, tmp_path):
    """The file knows his older orders by nick, the platform his newer ones by ouid."""
    await take(merchant, tmp_path / "o.csv", [line(TID), line(TID + 10)], "gbk")
    await platform_tells(merchant, told(TID + 20))  # before anything says who that is
    assert len(await rows(merchant, "customers")) == 2
    await platform_tells(merchant, told(TID))
    assert await work_off(merchant) == [1]
    (customer,) = await rows(merchant, "customers")
    orders = await rows(merchant, "orders")
    assert [row["customer_id"] for row in orders] == [customer["id"]] * 3


async def test_a_masked_nick_leads_to_the_same_customer_all_the_same(merchant, tmp_path):
    masked = line(TID, 买家会员名="小***")
    await take(merchant, tmp_path / "o.csv", [masked], "gbk")
    await platform_tells(merchant, told())
    assert len(await rows(merchant, "customers")) == 1
    await platform_tells(merchant, told(TID + 20))
    assert len(await rows(merchant, "customers")) == 1


async def test_two_buyers_who_have_their_parcels_sent_to_one_phone_stay_two(merchant, tmp_path):
    rows_of_file = [line(TID, 买家会员名="小***"), line(TID + 10, 买家会员名="大***")]
    await take(merchant, tmp_path / "o.csv", rows_of_file, "gbk")
    await platform_tells(merchant, told(TID), told(TID + 10, ouid="AAGsynOuid0002"))
    found = await rows(merchant, "customer_identities")
    owners = {row["value"]: row["customer_id"] for row in found if row["kind"] == "ouid"}
    assert owners["AAGsynOuid0001"] != owners["AAGsynOuid0002"]


async def test_an_order_that_the_platform_gives_to_another_buyer_changes_hands(merchant):
    await platform_tells(merchant, told())
    await platform_tells(merchant, told(ouid="AAGsynOuid0002", modified="2026-01-11 08:00:00"))
    customers = await rows(merchant, "customers")
    assert len(customers) == 2
