"""Windows and counts, asked directly."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from core.clock import MovableClock
from core.sdk import ConnectedShop, Kind, OrderRecord, RefundRecord, Resource, Window
from plugins.woocommerce.connector import WooCommerceConnector
from plugins.woocommerce.settings import WooCommerceSettings
from tests.plugins.taobao.kit import Meter
from tests.plugins.woocommerce.kit import Platform
from tests.stand_ins.woocommerce import serve

NOW = datetime(2026, 1, 1, 4, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@asynccontextmanager
async def opened(**more):
    async with serve(MovableClock(NOW), **more) as store:
        connector = WooCommerceConnector()
        token = Platform(store, connector).token()
        shop = ConnectedShop(7, "shop.example", "Asia/Shanghai", "EUR", token)
        async with connector.open(WooCommerceSettings(), shop, Meter()) as session:
            yield store, session


@pytest.mark.parametrize("kind", Kind)
async def test_both_ends_of_a_window_are_in_it(kind):
    async with opened() as (store, session):
        at = store.now()
        for seconds in (-2, -1, 0, 1, 2):
            store.order(at=at + timedelta(seconds=seconds))
        window = Window(NOW - SECOND, NOW + SECOND)
        pages = [page async for page in session.pull(Resource.ORDERS, window, kind)]
        moments = sorted(record.ordered_at for page in pages for record in page.records)
        assert moments == [NOW - SECOND, NOW, NOW + SECOND]
        assert {page.total for page in pages} == {3}


async def test_a_day_is_counted_without_drafts():
    async with opened() as (store, session):
        store.order()
        store.order("checkout-draft")
        store.order("failed")
        assert await session.count_orders(Window(NOW, NOW)) == 2
        assert await session.count_orders(Window(NOW + SECOND, NOW + SECOND)) == 0


async def test_a_refund_is_fetched_with_its_order():
    async with opened() as (store, session):
        number = store.order("processing")
        refunds = [store.refund(number, "0.10") for _ in range(101)]
        records = await session.fetch(Resource.REFUNDS, f"{number}:{refunds[0]}")
        assert [type(record) for record in records[:2]] == [OrderRecord, RefundRecord]
        assert records[0].refunded == 1010
        assert [one.external_id for one in records[1:]] == [f"{number}:{one}" for one in refunds]
        assert await session.fetch(Resource.ORDERS, "999") == []
        assert await session.fetch(Resource.ORDERS, "no number") == []
