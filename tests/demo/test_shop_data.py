import csv
from collections import Counter
from datetime import date

import pytest

from demo.shop_data import make_shop, measure, write_taobao_csv

END = date(2026, 6, 14)


@pytest.fixture(scope="module")
def shop():
    return make_shop(END)


def test_sizes_are_exact(shop):
    assert len(shop.people) == 20_000
    assert len(shop.orders) == 60_000
    assert len({order.number for order in shop.orders}) == 60_000
    assert {order.person for order in shop.orders} == set(range(20_000))
    assert len({person.nick for person in shop.people}) == 20_000
    assert len({person.phone for person in shop.people}) == 20_000


@pytest.mark.parametrize("end", [END, date(2026, 11, 22)])
def test_figures_are_those_of_a_healthy_shop(shop, end):
    figures = measure(shop if end == END else make_shop(end))
    assert 0.43 <= figures.old_share <= 0.47
    assert 0.16 <= figures.old_repurchase <= 0.20


def test_same_seed_same_shop():
    def small(seed):
        return make_shop(END, seed, customers=300, orders=900)

    assert small(1) == small(1)
    assert small(1).orders != small(2).orders


def test_orders_make_sense(shop):
    for order in shop.orders:
        assert 0 <= order.refunded <= order.amount
        assert order.amount > 0
        assert END.toordinal() - 730 < order.ordered_at.date().toordinal() <= END.toordinal()
        if order.paid_at:
            assert order.ordered_at <= order.paid_at
            assert order.paid_at.date() == order.ordered_at.date()
        else:
            assert order.refunded == 0
            assert not order.parcels
    paid = [order for order in shop.orders if order.paid_at]
    assert 0.12 <= 1 - len(paid) / len(shop.orders) <= 0.18
    assert sum(len(order.parcels) > 1 for order in paid) > 2_000
    assert sum(0 < order.refunded < order.amount for order in paid) > 1_000
    assert sum(order.refunded == order.amount for order in paid) == 1_800
    emails = Counter("@" in person.account for person in shop.people)
    assert 0.68 <= emails[True] / 20_000 <= 0.72


def test_addresses_belong_to_nobody(shop):
    domains = {person.account.rpartition("@")[2] for person in shop.people if "@" in person.account}
    assert all(domain.endswith(".example") for domain in domains)


def test_file_is_a_taobao_export(tmp_path):
    shop = make_shop(END, customers=300, orders=900)
    path = tmp_path / "orders.csv"
    write_taobao_csv(shop, path, "回客茶铺")
    with path.open(encoding="gbk", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 900
    first, order = rows[0], shop.orders[0]
    assert first["订单编号"] == f'="{order.number}"'
    assert first["买家实际支付金额"] == (
        f"{order.amount / 100:.2f}" if order.paid_at is not None else "0.00"
    )
    assert first["收货人姓名"] == shop.people[order.person].name
    states = {row["订单状态"] for row in rows}
    assert {"交易成功", "交易关闭"} < states
    assert states <= {
        "等待买家付款", "买家已付款，等待卖家发货", "卖家已发货，等待买家确认", "交易成功",
        "交易关闭",
    }  # fmt: skip
