"""Refunds: guarded snapshots, and what they change of their orders."""

import asyncio
from datetime import UTC, datetime, timedelta

import orjson

from core.domain.orders.ingest import ingest_orders
from core.domain.orders.refunds import ingest_refunds
from core.domain.shops.setup import set_up_merchant
from core.domain.shops.shops import find_shop
from core.sdk import LineRecord, OrderRecord, OrderState, RefundKind, RefundRecord, RefundState

T = datetime(2026, 1, 2, tzinfo=UTC)
R = RefundState


def order(number="1", state=OrderState.COMPLETED, **more):
    return OrderRecord(
        number, state, "CNY", 1000, 1000, T, paid_at=T, buyer_id="a",
        lines=[LineRecord("L1", "茶", amount=1000)], **more,
    )  # fmt: skip


def refund(state, number="R1", order="1", amount=400, minutes=None, **more):
    modified = None if minutes is None else T + timedelta(minutes=minutes)
    return RefundRecord(number, order, state, amount, T, modified_at=modified, **more)


async def take(merchant, *records):
    async with merchant.work() as w:
        return await ingest_orders(
            w, await find_shop(w, str(merchant.shop_id)), records, "nick", True
        )


async def back(merchant, *records):
    async with merchant.work() as w:
        return await ingest_refunds(w, await find_shop(w, str(merchant.shop_id)), records, True)


async def table(merchant, name):
    async with merchant.read() as session:
        return await session.sql.fetch(
            f"SELECT * FROM {name} WHERE merchant_id = $1 ORDER BY id", merchant.id
        )


async def happened(merchant):
    return [
        (payload["old_state"], payload["state"])
        for row in await table(merchant, "outbox_events")
        if row["type"] == "refund.state_changed"
        for payload in [orjson.loads(row["payload"])]
    ]


async def test_a_refunds_way(merchant):
    await take(merchant, order())
    asked = refund(
        R.REQUESTED, minutes=1, line_external_id="L1", reason="尺码", kind=RefundKind.RETURN
    )
    assert await back(merchant, asked) == ["created"]
    assert await back(merchant, asked) == ["unchanged"]
    assert await back(merchant, refund(R.AWAIT_RETURN, minutes=3)) == ["updated"]
    assert await back(merchant, refund(R.REFUSED, minutes=2)) == ["unchanged"]  # older
    assert await back(merchant, refund(R.REFUNDED, minutes=5, refunded_at=T)) == ["updated"]
    assert await back(merchant, refund(R.REQUESTED, minutes=9)) == ["unchanged"]  # terminal
    (stored,), (line,) = await table(merchant, "refunds"), await table(merchant, "order_lines")
    assert (stored["state"], stored["reason"], stored["line_id"]) == (
        "refunded",
        "尺码",
        line["id"],
    )
    assert [row["refunded"] for row in await table(merchant, "orders")] == [400]
    assert await happened(merchant) == [
        (None, "requested"), ("requested", "await_return"), ("await_return", "refunded"),
    ]  # fmt: skip


async def test_an_order_has_at_least_the_refunds_that_were_paid_out(merchant):
    await take(merchant, order(refunded=100))
    await back(merchant, refund(R.REFUNDED, "R1", amount=300), refund(R.REFUNDED, "R2", amount=200))
    assert [row["refunded"] for row in await table(merchant, "orders")] == [500]
    # a snapshot that knows of less does not take it back, one that knows of more counts
    await take(merchant, order(refunded=0, modified_at=T + timedelta(days=1)))
    assert [row["refunded"] for row in await table(merchant, "orders")] == [500]
    await take(merchant, order(refunded=900, modified_at=T + timedelta(days=2)))
    assert [row["refunded"] for row in await table(merchant, "orders")] == [900]


async def test_refunds_of_unknown_orders_wait_and_the_newest_is_kept(merchant):
    assert await back(merchant, refund(R.REFUNDED, minutes=5)) == ["waiting"]
    assert await back(merchant, refund(R.REQUESTED, minutes=1)) == ["waiting"]
    assert await table(merchant, "refunds") == []
    await take(merchant, order())
    assert [row["state"] for row in await table(merchant, "refunds")] == ["refunded"]
    assert [row["refunded"] for row in await table(merchant, "orders")] == [400]
    assert await table(merchant, "waiting_records") == []
    assert await happened(merchant) == [(None, "refunded")]


async def test_two_snapshots_in_one_set_in_any_order(merchant):
    await take(merchant, order())
    outcomes = await back(
        merchant, refund(R.REFUNDED, minutes=5), refund(R.REQUESTED, minutes=1)
    )  # fmt: skip
    assert outcomes == ["created", "created"]
    assert [row["state"] for row in await table(merchant, "refunds")] == ["refunded"]


async def test_two_at_once(merchant):
    await take(merchant, order())
    states = [R.REQUESTED, R.AWAIT_RETURN, R.RETURN_IN_TRANSIT, R.REFUNDED]
    await asyncio.gather(
        *(back(merchant, refund(state, minutes=n)) for n, state in enumerate(states))
    )
    assert [row["state"] for row in await table(merchant, "refunds")] == ["refunded"]
    seen = await happened(merchant)
    assert seen[-1][1] == "refunded"
    assert [old for old, _ in seen[1:]] == [new for _, new in seen[:-1]]  # each once, in a chain


async def test_another_merchants_order_is_unknown(merchant, installation):
    other = await set_up_merchant(installation.db, installation.registry, "Other", shop="shop")
    await take(merchant, order())
    async with installation.db.work(other.merchant_id) as w:
        shop = await find_shop(w, str(other.shop_id))
        assert await ingest_refunds(w, shop, [refund(R.REFUNDED)], True) == ["waiting"]
    assert await table(merchant, "refunds") == []
