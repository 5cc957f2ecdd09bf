"""Traces come late, twice and in disorder, and before their orders."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain.orders.ingest import ingest_orders
from core.domain.orders.parcels import ingest_traces
from core.domain.shops.shops import find_shop
from core.sdk import OrderRecord, OrderState, ParcelRecord, ParcelState, ParcelTrace, TraceEvent

T = datetime(2026, 1, 2, tzinfo=UTC)
P = ParcelState


def order(number="1", state=OrderState.SHIPPED, **more):
    return OrderRecord(number, state, "CNY", 1000, 1000, T, paid_at=T, buyer_id="a", **more)


def trace(*kinds, number="SF1", order="1"):
    events = [TraceEvent(kind, T + timedelta(hours=hours)) for kind, hours in kinds]
    return ParcelTrace(order, ParcelRecord(number, "顺丰", events))


async def take(merchant, *records, events=True):
    async with merchant.work() as w:
        return await ingest_orders(
            w, await find_shop(w, str(merchant.shop_id)), records, "nick", events
        )


async def news(merchant, *traces, events=True):
    async with merchant.work() as w:
        return await ingest_traces(w, await find_shop(w, str(merchant.shop_id)), traces, events)


async def table(merchant, name):
    async with merchant.read() as session:
        return await session.sql.fetch(
            f"SELECT * FROM {name} WHERE merchant_id = $1 ORDER BY id", merchant.id
        )


async def happened(merchant, kind="parcel.state_changed"):
    rows = await table(merchant, "outbox_events")
    payloads = [orjson.loads(row["payload"]) for row in rows if row["type"] == kind]
    return [(payload["old_state"], payload["state"]) for payload in payloads]


async def test_a_parcels_way(merchant):
    await take(merchant, order(parcels=[ParcelRecord("SF1"), ParcelRecord("SF2")]))
    assert await news(merchant, trace((P.SHIPPED, 0))) == ["taken"]
    await news(merchant, trace((P.ARRIVED_CITY, 20), (P.IN_TRANSIT, 10)))
    await news(merchant, trace((P.ARRIVED_CITY, 20)))  # told twice
    await news(merchant, trace((P.SIGNED, 30)))
    (first, second) = await table(merchant, "parcels")
    assert (first["state"], first["carrier"], first["signed_at"]) == (
        "signed", "顺丰", T + timedelta(hours=30),
    )  # fmt: skip
    assert second["state"] is None
    assert len(await table(merchant, "parcel_events")) == 4
    assert await happened(merchant) == [
        (None, "shipped"), ("shipped", "arrived_city"), ("arrived_city", "signed"),
    ]  # fmt: skip
    ((old,),) = [[row["state"] for row in await table(merchant, "orders")]]
    assert old == "shipped"  # the other parcel is on its way
    await news(merchant, trace((P.SIGNED, 40), number="SF2"))
    (stored,) = await table(merchant, "orders")
    assert (stored["state"], stored["delivered_at"]) == ("delivered", T + timedelta(hours=40))
    assert await happened(merchant, "order.state_changed") == [("shipped", "delivered")]
    # a platform that knows nothing of traces says "shipped" again
    await take(merchant, order(modified_at=T + timedelta(days=9)))
    assert [row["state"] for row in await table(merchant, "orders")] == ["delivered"]
    assert len(await happened(merchant, "order.state_changed")) == 1


async def test_late_scans_do_not_bring_a_signed_parcel_back(merchant):
    await take(merchant, order())
    await news(merchant, trace((P.SIGNED, 30)))
    await news(merchant, trace((P.OUT_FOR_DELIVERY, 29), (P.IN_TRANSIT, 31)))
    assert await happened(merchant) == [(None, "signed")]
    await news(merchant, trace((P.RETURNED, 50)))
    assert (await happened(merchant))[1:] == [("signed", "returned")]


async def test_news_of_an_unknown_order_wait_for_it(merchant):
    assert await news(merchant, trace((P.SHIPPED, 0)), trace((P.SIGNED, 9), order="2")) == [
        "waiting", "waiting",
    ]  # fmt: skip
    assert await news(merchant, trace((P.SHIPPED, 0))) == ["waiting"]
    assert len(await table(merchant, "waiting_records")) == 2
    await take(merchant, order())
    (parcel,) = await table(merchant, "parcels")
    assert parcel["state"] == "shipped"
    assert [row["order_external_id"] for row in await table(merchant, "waiting_records")] == ["2"]
    types = [row["type"] for row in await table(merchant, "outbox_events")]
    assert types == ["order.created", "parcel.state_changed"]


async def test_without_events_nothing_is_emitted(merchant):
    await take(merchant, order(), events=False)
    await news(merchant, trace((P.SIGNED, 9)), events=False)
    assert await table(merchant, "outbox_events") == []


async def test_two_at_once_tell_the_same_news_once(merchant):
    await take(merchant, order())
    await asyncio.gather(*(news(merchant, trace((P.SHIPPED, 0), (P.SIGNED, 9))) for _ in range(5)))
    assert await happened(merchant) == [(None, "signed")]
    assert len(await table(merchant, "parcel_events")) == 2


scans = st.lists(st.tuples(st.sampled_from(list(P)), st.integers(0, 5)), min_size=1, max_size=8)


@settings(max_examples=30, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(scans, st.randoms(use_true_random=False))
@pytest.mark.slow
async def test_the_state_is_the_same_in_whatever_order_scans_come(merchant, scans, rng):
    await take(merchant, order(), events=False)
    shuffled = rng.sample(scans, len(scans))
    first, second = uuid.uuid4().hex, uuid.uuid4().hex
    await news(merchant, trace(*scans, number=first), events=False)
    for scan in shuffled:
        await news(merchant, trace(scan, number=second), events=False)
    states = {row["tracking_number"]: row["state"] for row in await table(merchant, "parcels")}
    assert states[first] == states[second]
