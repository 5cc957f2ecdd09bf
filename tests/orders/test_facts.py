"""Derived facts are exact after any sequence of changes: held against a recomputation in Python."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain.orders import facts
from core.domain.orders.ingest import ingest_orders
from core.domain.orders.refunds import ingest_refunds
from core.domain.shops.shops import create_shop, find_shop, update_shop
from core.installation import job_kinds
from core.sdk import OrderRecord, OrderState, RefundRecord, RefundState
from core.storage import jobs

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")
T = datetime(2026, 1, 1, 15, tzinfo=UTC)  # 23 o'clock in Shanghai, 10 o'clock in New York
COLUMNS = (
    "orders", "purchases", "first_purchase_at", "second_purchase_at", "last_purchase_at",
    "days_between", "paid", "refunded", "refunds",
)  # fmt: skip


async def take(merchant, shop_id, *records):
    async with merchant.work() as w:
        return await ingest_orders(w, await find_shop(w, str(shop_id)), records, "nick", False)


async def refund(merchant, shop_id, *records):
    async with merchant.work() as w:
        return await ingest_refunds(w, await find_shop(w, str(shop_id)), records, False)


async def second_shop(merchant):
    async with merchant.work() as w:
        return await create_shop(w, "abroad", "aliexpress", None, "America/New_York", "USD")


async def stored(merchant):
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT * FROM customer_facts WHERE merchant_id = $1", merchant.id
        )
    return {
        (r["customer_id"], r["shop_id"], r["currency"]): tuple(r[name] for name in COLUMNS)
        for r in rows
    }


async def recomputed(merchant):
    """The same from the stored orders, by the words of the definition."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT o.*, s.time_zone FROM orders o
               JOIN shops s ON s.merchant_id = o.merchant_id AND s.id = o.shop_id
               WHERE o.merchant_id = $1 AND o.customer_id IS NOT NULL""",
            merchant.id,
        )
    groups = defaultdict(list)
    for row in rows:
        if row["paid_at"] is not None and row["state"] != "closed_unpaid":
            groups[row["customer_id"], row["shop_id"], row["currency"]].append(row)
            groups[row["customer_id"], 0, row["currency"]].append(row)
    return {key: fold(orders) for key, orders in groups.items()}


def fold(orders):
    days, counted, paid, back, refunds = defaultdict(list), 0, 0, 0, 0
    for o in orders:
        closed = o["state"] == "closed_refunded"
        refunded = o["paid"] if closed else min(o["refunded"], o["paid"])
        paid, back, refunds = paid + o["paid"], back + refunded, refunds + (refunded > 0)
        if not closed and (o["paid"] == 0 or refunded < o["paid"]):
            counted += 1
            day = o["paid_at"].astimezone(ZoneInfo(o["time_zone"])).date()
            days[o["shop_id"], day].append(o["paid_at"])
    times = sorted(min(moments) for moments in days.values())
    dates = sorted(day for _, day in days)
    return (
        counted, len(times), times[0] if times else None, times[1] if len(times) > 1 else None,
        times[-1] if times else None, (dates[-1] - dates[0]).days if len(times) > 1 else None,
        paid, back, refunds,
    )  # fmt: skip


def order(number, state=OrderState.COMPLETED, paid=1000, at=T, **more):
    return OrderRecord(
        number, state, "CNY", paid, paid, at, paid_at=at, buyer_id=more.pop("buyer", "a"), **more
    )


async def test_orders_of_one_day_of_the_shop_are_one_purchase(merchant):
    # 23:00 and 01:00 in Shanghai are two days there and one in UTC
    await take(
        merchant, merchant.shop_id, order("1"), order("2", at=T + timedelta(minutes=50)),
        order("3", at=T + timedelta(hours=2)),
    )  # fmt: skip
    (shop, overall) = (await stored(merchant)).values()
    assert shop == overall
    assert shop[:2] == (3, 2)
    assert shop[2:6] == (T, T + timedelta(hours=2), T + timedelta(hours=2), 1)


async def test_what_was_paid_back_counts_no_more_than_what_was_paid(merchant):
    await take(merchant, merchant.shop_id, order("1"), order("2", at=T + timedelta(days=5)))
    big = RefundRecord("R1", "2", RefundState.REFUNDED, 99_999, T)
    assert await refund(merchant, merchant.shop_id, big) == ["created"]
    (facts, _) = (await stored(merchant)).values()
    assert facts == (1, 1, T, None, T, None, 2000, 1000, 1)


async def test_a_free_order_is_a_purchase_and_an_unpaid_one_is_not(merchant):
    unpaid = OrderRecord("2", OrderState.CREATED_UNPAID, "CNY", 1000, 0, T, buyer_id="a")
    await take(merchant, merchant.shop_id, order("1", paid=0), unpaid)
    (facts, _) = (await stored(merchant)).values()
    assert facts[:2] == (1, 1)


async def test_an_order_that_changes_its_buyer_takes_its_figures_along(merchant):
    await take(merchant, merchant.shop_id, order("1", buyer="a"))
    (before,) = {key[0] for key in await stored(merchant)}
    await take(merchant, merchant.shop_id, order("1", buyer="b"))
    (after,) = {key[0] for key in await stored(merchant)}
    assert before != after


async def test_currencies_are_never_added_up(merchant):
    abroad = await second_shop(merchant)
    await take(merchant, merchant.shop_id, order("1", phone="+8613800138000"))
    dollars = OrderRecord(
        "2", OrderState.COMPLETED, "USD", 500, 500, T, paid_at=T, phone="+8613800138000"
    )
    await take(merchant, abroad, dollars)
    facts = await stored(merchant)
    assert len({key[0] for key in facts}) == 1
    assert {key[1:]: value[6] for key, value in facts.items()} == {
        (merchant.shop_id, "CNY"): 1000, (0, "CNY"): 1000, (abroad, "USD"): 500, (0, "USD"): 500,
    }  # fmt: skip


async def test_another_time_zone_of_the_shop_moves_its_days(merchant, monkeypatch):
    monkeypatch.setattr(facts, "CHUNK", 2)
    for buyer in "abcde":
        await take(
            merchant, merchant.shop_id, order(f"1{buyer}", buyer=buyer),
            order(f"2{buyer}", buyer=buyer, at=T + timedelta(hours=2)),
        )  # fmt: skip
    assert {value[1] for value in (await stored(merchant)).values()} == {2}
    async with merchant.work() as w:
        await update_shop(w, merchant.shop_id, {"time_zone": "America/New_York"})
        job_id = await w.sql.fetchval(
            "SELECT id FROM jobs WHERE merchant_id = $1 AND kind = 'facts.refresh'", w.merchant_id
        )
    db = merchant.installation.db
    job = await jobs.claim(db, merchant.id, job_id)
    await jobs.perform(db, job, job_kinds(merchant.installation.registry))
    assert {value[1] for value in (await stored(merchant)).values()} == {1}
    assert await stored(merchant) == await recomputed(merchant)
    async with merchant.read() as session:
        row = await jobs.get(session, job_id)
    assert (row["state"], row["done"]) == ("succeeded", 5)


changes = st.lists(
    st.one_of(
        st.tuples(
            st.just("order"), st.sampled_from("123456"), st.booleans(), st.sampled_from("ab"),
            st.sampled_from(list(OrderState)), st.sampled_from([0, 1, 500, 1000]),
            st.integers(0, 96), st.sampled_from([None, 0, 300, 1000, 2000]),
            st.one_of(st.none(), st.integers(0, 5)),
        ),
        st.tuples(
            st.just("refund"), st.sampled_from("123456"), st.booleans(),
            st.sampled_from(["R1", "R2"]), st.sampled_from(list(RefundState)),
            st.sampled_from([0, 200, 1000, 5000]), st.one_of(st.none(), st.integers(0, 5)),
        ),
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(changes)
@pytest.mark.slow
async def test_facts_equal_a_recomputation_after_any_sequence(installation, changes):
    from core.domain.shops.setup import set_up_merchant
    from core.testing.fixtures import TestMerchant

    made = await set_up_merchant(installation.db, installation.registry, "Test", shop="shop")
    merchant = TestMerchant(
        made.merchant_id, made.shop_id, made.token, installation, installation.db.clock
    )
    abroad = await second_shop(merchant)
    for kind, number, far, *rest in changes:
        shop_id = abroad if far else merchant.shop_id
        if kind == "order":
            buyer, state, paid, hours, back, modified = rest
            at = T + timedelta(hours=hours)
            await take(
                merchant, shop_id,
                OrderRecord(
                    number, state, "USD" if far else "CNY", 1000, paid, at, refunded=back,
                    paid_at=None if state is OrderState.CREATED_UNPAID else at,
                    modified_at=None if modified is None else T + timedelta(minutes=modified),
                    buyer_id=buyer, phone="+8613800138000" if number == "6" else None,
                ),
            )  # fmt: skip
        else:
            external_id, state, amount, modified = rest
            await refund(
                merchant, shop_id,
                RefundRecord(
                    external_id + number, number, state, amount, T,
                    modified_at=None if modified is None else T + timedelta(minutes=modified),
                ),
            )  # fmt: skip
    assert await stored(merchant) == await recomputed(merchant)
