import csv

import pytest

from core.domain.orders.importing import import_local, import_params
from core.tabular.bulk import rejects_of
from core.tabular.reading import examine

HEADERS = (
    "订单编号", "买家会员名", "买家支付宝账号", "买家应付货款", "买家应付邮费", "总金额",
    "买家实际支付金额", "订单状态", "收货人姓名", "收货地址", "联系电话", "联系手机",
    "订单创建时间", "订单付款时间", "宝贝标题", "物流单号", "物流公司", "宝贝总数量",
    "订单关闭原因", "退款金额",
)  # fmt: skip


def line(number, **more):
    values = {
        "订单编号": f'="{number}"', "买家会员名": "小明2020", "买家支付宝账号": "ming@example.com",
        "买家应付货款": "100.00", "买家应付邮费": "8.00", "总金额": "108.00",
        "买家实际支付金额": "108.00", "订单状态": "交易成功", "收货人姓名": "李雷",
        "收货地址": "浙江省 杭州市 西湖区 文三路 1 号", "联系电话": "", "联系手机": "'13800138000",
        "订单创建时间": "2026-01-02 03:04:05", "订单付款时间": "2026-01-02 03:05:00",
        "宝贝标题": "龙井茶，茶杯", "物流单号": "No:SF1;No:SF2", "物流公司": "顺丰",
        "宝贝总数量": "3",
        "订单关闭原因": "", "退款金额": "0.00",
    } | more  # fmt: skip
    return [values[header] for header in HEADERS]


async def take(merchant, path, rows, encoding):
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([HEADERS, *rows])
    opened, facts = merchant.installation, examine(path)
    params = import_params(merchant.shop_id, None, {}, None, facts.sha256)
    ended = await import_local(opened.db, opened.registry, merchant.id, facts, params)
    assert ended.error is None
    rejects = [r async for r in rejects_of(opened.db, merchant.id, ended.job_id)]
    async with merchant.read() as session:
        orders = await session.sql.fetch(
            "SELECT * FROM orders WHERE merchant_id = $1 ORDER BY external_id", merchant.id
        )
        parcels = await session.sql.fetch(
            "SELECT tracking_number, carrier FROM parcels WHERE merchant_id = $1 ORDER BY 1",
            merchant.id,
        )
        customers = await session.sql.fetch(
            "SELECT * FROM customers WHERE merchant_id = $1", merchant.id
        )
        lines = await session.sql.fetch(
            "SELECT * FROM order_lines WHERE merchant_id = $1", merchant.id
        )
    return orders, parcels, customers, lines, rejects


@pytest.mark.parametrize("encoding", ["gbk", "utf-8-sig"])
async def test_the_seller_centre_export(merchant, tmp_path, encoding):
    orders, parcels, customers, lines, rejects = await take(
        merchant, tmp_path / "o.csv", [line(3900000000000000001)], encoding
    )
    assert rejects == []
    (order,), (customer,), (article,) = orders, customers, lines
    assert order["external_id"] == "3900000000000000001"
    assert (order["total"], order["paid"], order["state"]) == (10800, 10800, "completed")
    assert order["ordered_at"].isoformat() == "2026-01-01T19:04:05+00:00"
    assert (order["province"], order["city"]) == ("浙江省", "杭州市")
    assert (article["title"], article["quantity"]) == ("龙井茶，茶杯", 3)
    assert [tuple(p) for p in parcels] == [("SF1", "顺丰"), ("SF2", "顺丰")]
    keyring = merchant.installation.db.keyring
    email = keyring.open(
        customer["email_sealed"], f"customers.email|{merchant.id}|{customer['id']}"
    )
    assert email == "ming@example.com"
    assert customer["phone_index"] == keyring.blind_index("phone", merchant.id, "+8613800138000")


async def test_states_and_closed_orders(merchant, tmp_path):
    unpaid = {"买家实际支付金额": "0.00", "订单付款时间": ""}
    rows = [
        line(1, 订单状态="等待买家付款", **unpaid),
        line(2, 订单状态="买家已付款,等待卖家发货"),
        line(3, 订单状态="卖家已发货，等待买家确认"),
        line(4, 订单状态="卖家部分发货"),
        line(5, 订单状态="交易关闭", **unpaid),
        line(6, 订单状态="交易关闭", 退款金额="108.00"),
        line(7, 订单状态="交易关闭", 退款金额="null"),
        line(8, 订单状态="从未见过"),
    ]
    orders, _, customers, _, rejects = await take(merchant, tmp_path / "o.csv", rows, "gb18030")
    assert [(o["state"], o["paid"], o["refunded"]) for o in orders] == [
        ("created_unpaid", 0, 0), ("to_ship", 10800, 0), ("shipped", 10800, 0),
        ("part_shipped", 10800, 0), ("closed_unpaid", 0, 0), ("closed_refunded", 10800, 10800),
        ("closed_refunded", 10800, 10800),
    ]  # fmt: skip
    assert [(r.row, r.code, r.column) for r in rejects] == [(9, "BAD_STATE", "订单状态")]
    assert len(customers) == 1


async def test_masked_buyers_are_nobody(merchant, tmp_path):
    masked = {
        "买家会员名": "小**", "买家支付宝账号": "min***@example.com", "收货人姓名": "李**",
        "联系手机": "138****8000", "收货地址": "浙江省 杭州市 西湖区 ****",
    }  # fmt: skip
    virtual = {**masked, "联系手机": "18877771111-123"}
    rows = [line(1, **masked), line(2, **masked), line(3, **virtual)]
    orders, _, customers, _, rejects = await take(merchant, tmp_path / "o.csv", rows, "gbk")
    assert rejects == []
    assert [o["customer_id"] for o in orders] == [None, None, None]
    assert not customers
    assert orders[0]["province"] == "浙江省"
