"""Points of orders: given once, pending, multiplied by the tier, taken back with a refund."""

from datetime import timedelta

import pytest

from core.domain.members.membership import join, leave
from core.domain.members.points import balances, take
from core.domain.members.programme import create_tier, set_programme
from core.domain.members.reacting import follow_event
from core.domain.members.tiers import set_tier
from core.sdk.events import Occurrence, OrderStateChanged
from core.testing.fixtures import START
from tests.members.test_membership import buy, customer, refund

DAY = timedelta(days=1)


def rules(**points):
    orders = [{"key": "spend", "points": 2, "per_amount": 1000}]
    return {"points": {"orders": orders, "expiry": {"kind": "never"}, **points}}


async def tell(merchant, order, pk):
    """What the worker does when the order's state changes; twice, as it may come."""
    payload = {"order_id": order, "customer_id": pk}
    for _ in range(2):
        await follow_event(
            merchant.installation.db,
            Occurrence(1, merchant.id, OrderStateChanged.type, merchant.clock(), payload),
        )


async def points(merchant, pk):
    async with merchant.read() as session:
        found = (await balances(session, [pk]))[pk]
    return found.available, found.pending


async def test_points_wait_until_the_order_can_no_longer_be_returned(merchant):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", rules())
        pk = await customer(w)
        await join(w, pk, "page")
        order = await buy(merchant, w, pk, 99)
    await tell(merchant, order, pk)
    assert await points(merchant, pk) == (0, 18)
    merchant.clock.move(15 * DAY)
    assert await points(merchant, pk) == (18, 0)


async def test_a_refund_takes_its_own_points_back(merchant):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", rules(pending_days=0))
        pk = await customer(w)
        await join(w, pk, "page")
        one, two = await buy(merchant, w, pk, 100), await buy(merchant, w, pk, 50)
    for order in (one, two):
        await tell(merchant, order, pk)
    assert await points(merchant, pk) == (30, 0)
    await refund(merchant, one, 25)
    await tell(merchant, one, pk)
    assert await points(merchant, pk) == (24, 0)
    async with merchant.work() as w:
        await take(w, pk, 24, "spend")
    await refund(merchant, one, 100)
    await tell(merchant, one, pk)
    assert await points(merchant, pk) == (-14, 0)
    # a refund that was cancelled gives them again
    await refund(merchant, one, 0)
    await tell(merchant, one, pk)
    assert await points(merchant, pk) == (6, 0)


async def test_without_debts_what_was_spent_is_forgiven(merchant):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", rules(pending_days=0, debts=False))
        pk = await customer(w)
        await join(w, pk, "page")
        order = await buy(merchant, w, pk, 100)
    await tell(merchant, order, pk)
    async with merchant.work() as w:
        await take(w, pk, 15, "spend")
    await refund(merchant, order, 100)
    await tell(merchant, order, pk)
    assert await points(merchant, pk) == (0, 0)


async def test_who_was_no_member_earns_nothing(merchant):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", rules(pending_days=0))
        pk = await customer(w)
        before = await buy(merchant, w, pk, 100, START - DAY)
        await join(w, pk, "page")
    merchant.clock.move(DAY)
    async with merchant.work() as w:
        during = await buy(merchant, w, pk, 100)
    merchant.clock.move(DAY)
    async with merchant.work() as w:
        await leave(w, pk, "page")
    merchant.clock.move(DAY)
    async with merchant.work() as w:
        after = await buy(merchant, w, pk, 100)
    for order in (before, during, after):
        await tell(merchant, order, pk)
    assert await points(merchant, pk) == (20, 0)


async def test_the_tier_at_payment_multiplies(merchant):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", rules(pending_days=0))
        gold = await create_tier(
            w, "Gold", 1, None, None, [{"kind": "points_multiplier", "percent": 150}]
        )
        pk = await customer(w)
        await join(w, pk, "page")
        plain = await buy(merchant, w, pk, 99, START)
    merchant.clock.move(DAY)
    async with merchant.work() as w:
        await set_tier(w, pk, gold, None)
    merchant.clock.move(DAY)
    async with merchant.work() as w:
        golden = await buy(merchant, w, pk, 99)
    for order in (plain, golden):
        await tell(merchant, order, pk)
    assert await points(merchant, pk) == (18 + 27, 0)


@pytest.mark.parametrize(("filters", "expected"), [
    ({"product_ids": ["tea"]}, 8), ({"categories": ["cups"]}, 10),
    ({"product_ids": ["tea"], "categories": ["cups"]}, 0), ({"shop_ids": [0]}, 0), ({}, 20),
])  # fmt: skip
async def test_a_rule_for_products_gives_for_their_share(merchant, filters, expected):
    order_rule = {"key": "r", "points": 2, "per_amount": 1000, **filters}
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", {
            "points": {"orders": [order_rule], "pending_days": 0}
        })  # fmt: skip
        pk = await customer(w)
        await join(w, pk, "page")
        order = await buy(merchant, w, pk, 100)
        await w.sql.execute(
            """INSERT INTO order_lines (merchant_id, order_id, external_id, title, quantity, amount,
                   product_id, category)
               VALUES ($1, $2, '1', 't', 1, 4200, 'tea', 'leaves'),
                      ($1, $2, '2', 'c', 2, 6000, 'cup', 'cups')""",
            w.merchant_id, order,
        )  # fmt: skip
    await tell(merchant, order, pk)
    assert await points(merchant, pk) == (expected, 0)
