"""Points of orders: given once, pending, multiplied by the tier, taken back with a refund."""

from datetime import timedelta

import pytest

from core.domain.members.membership import find_membership, join, leave
from core.domain.members.points import balances, take
from core.domain.members.programme import create_tier, set_programme
from core.domain.members.reacting import follow_event
from core.domain.members.tiers import set_tier
from core.schema.scalars import global_id
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


async def test_by_rule_who_buys_joins_once(merchant):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", {**rules(pending_days=0), "join_on_purchase": True})
        pk, other = await customer(w), await customer(w)
        first = await buy(merchant, w, pk, 100)
        refunded = await buy(merchant, w, other, 100)
    await refund(merchant, refunded, 100)
    merchant.clock.move(DAY)
    await tell(merchant, first, pk)
    await tell(merchant, refunded, other)
    async with merchant.read() as session:
        assert await find_membership(session, pk) is not None
        assert await find_membership(session, other) is None
    merchant.clock.move(DAY)
    async with merchant.work() as w:
        second = await buy(merchant, w, pk, 50)
    await tell(merchant, second, pk)
    assert await points(merchant, pk) == (10, 0)
    async with merchant.work() as w:
        await leave(w, pk, "page")
    await tell(merchant, second, pk)
    async with merchant.read() as session:
        assert await find_membership(session, pk) is None


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
    ({"product_ids": ["tea"], "categories": ["cups"]}, 0), ({"shop_ids": []}, 0), ({}, 20),
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


async def test_a_discount_among_the_lines_multiplies_nothing(merchant):
    rule = {"key": "r", "points": 1, "per_amount": 100, "product_ids": ["tea"]}
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", {"points": {"orders": [rule], "pending_days": 0}})
        pk = await customer(w)
        await join(w, pk, "page")
        order = await buy(merchant, w, pk, 10)
        await w.sql.execute(
            """INSERT INTO order_lines (merchant_id, order_id, external_id, title, quantity, amount,
                   product_id)
               VALUES ($1, $2, '1', 't', 1, 10000, 'tea'), ($1, $2, '2', 'd', 1, -9000, 'fee')""",
            w.merchant_id, order,
        )  # fmt: skip
    await tell(merchant, order, pk)
    assert await points(merchant, pk) == (10, 0)


async def test_rules_of_the_payment_count_whatever_they_become(merchant):
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", rules(pending_days=0))
        pk = await customer(w)
        await join(w, pk, "page")
        before = await buy(merchant, w, pk, 100)
    await tell(merchant, before, pk)
    merchant.clock.move(DAY)
    async with merchant.work() as w:
        orders = [{"key": "spend", "points": 3, "per_amount": 1000}]
        await set_programme(w, "Club", "CNY", rules(pending_days=0, orders=orders))
        after = await buy(merchant, w, pk, 100)
    for order in (before, after):
        await tell(merchant, order, pk)
    assert await points(merchant, pk) == (20 + 30, 0)
    await refund(merchant, before, 50)
    await tell(merchant, before, pk)
    assert await points(merchant, pk) == (10 + 30, 0)


@pytest.mark.parametrize(("campaign", "expected"), [
    ({}, 200), ({"weekdays": [1]}, 200), ({"weekdays": [2, 7]}, 20), ({"weekdays": []}, 20),
    ({"start": START.isoformat(), "end": (START + DAY).isoformat()}, 200),
    ({"start": (START + DAY).isoformat()}, 20), ({"end": START.isoformat()}, 20),
    ({"shop_ids": []}, 20), ({"tier_ids": "best"}, 20), ({"tier_ids": "gold"}, 200),
    ({"shop_ids": "shop"}, 200),
])  # fmt: skip
async def test_campaigns_multiply_what_was_paid_in_them(merchant, campaign, expected):
    # START is a Monday in Shanghai
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", {})
        gold = await create_tier(w, "Gold", 1, None, None, [])
        best = await create_tier(w, "Best", 2, None, None, [])
        known = {"gold": [global_id("Tier", gold)], "best": [global_id("Tier", best)],
                 "shop": [global_id("Shop", merchant.shop_id)]}  # fmt: skip
        for name, value in campaign.items():
            if isinstance(value, str) and value in known:
                campaign = {**campaign, name: known[value]}
        # the highest of those that fit counts, and nothing is nothing special
        multipliers = [{"key": "tenfold", "percent": 1000, **campaign},
                       {"key": "always", "percent": 100}]  # fmt: skip
        await set_programme(w, "Club", "CNY", rules(pending_days=0, multipliers=multipliers))
        pk = await customer(w)
        await join(w, pk, "page")
        await set_tier(w, pk, gold, None)
        order = await buy(merchant, w, pk, 100)
    await tell(merchant, order, pk)
    assert await points(merchant, pk) == (expected, 0)


async def test_an_order_and_a_month_give_no_more_than_the_most(merchant):
    capped = [{"key": "spend", "points": 1, "per_amount": 100, "per_order": 60, "per_month": 100}]
    async with merchant.work() as w:
        await set_programme(w, "Club", "CNY", rules(pending_days=0, orders=capped))
        pk = await customer(w)
        await join(w, pk, "page")
    orders, gained = [], []
    for paid in (80, 30, 20, 5):
        async with merchant.work() as w:
            orders.append(await buy(merchant, w, pk, paid))
        await tell(merchant, orders[-1], pk)
        gained.append((await points(merchant, pk))[0])
        merchant.clock.move(timedelta(hours=1))
    assert gained == [60, 90, 100, 100]
    # what a refund leaves of the month is for the orders that followed
    await refund(merchant, orders[0], 80)
    await tell(merchant, orders[0], pk)
    assert (await points(merchant, pk))[0] == 30 + 20 + 5
    merchant.clock.move(31 * DAY)
    async with merchant.work() as w:
        later = await buy(merchant, w, pk, 70)
    await tell(merchant, later, pk)
    assert (await points(merchant, pk))[0] == 55 + 60
