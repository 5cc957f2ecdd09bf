from datetime import timedelta

import pytest

from core.domain.campaigns.audience import plan_run
from core.domain.campaigns.campaigns import update_campaign
from core.domain.campaigns.control import cancel_campaign, pause_campaign, resume_campaign
from core.domain.campaigns.flows import parse_flow
from core.domain.customers.tags import tag_customers
from core.domain.segments.changes import follow_changes
from core.domain.segments.lists import add_to_list, remove_from_list
from core.domain.segments.refresh import refresh_due
from core.domain.shops.shops import create_shop
from core.sdk import ConsentGranted, OrderState, Several
from core.sdk.errors import HuikeError
from core.storage import outbox
from tests.journey_kit import (
    CREATED,
    VIP,
    emit,
    enrolments,
    go_on,
    hear,
    make_list,
    make_segment,
    order,
    standing,
    start_journey,
    tag,
    tags_of,
    take_orders,
    tell_again,
    wait,
)
from tests.sending_kit import add_customers
from worker.duties import handlers

GRANTED = {"kind": "event", "type": "consent.granted"}
LONG = [wait("pause", span={"days": 30})]


def granted(customer_id, channel="email"):
    return ConsentGranted(customer_id, 0, channel, "marketing", "test")


async def test_an_order_lets_its_customer_in(merchant):
    _, run_id = await start_journey(merchant, CREATED, LONG)
    await take_orders(merchant, order("1", at=merchant.clock()))
    (row,) = await enrolments(merchant, run_id)
    assert row["state"] == "waiting"
    assert row["order_id"] is not None
    assert row["until"] == merchant.clock() + timedelta(days=30)


async def test_only_events_that_fit_the_filter(merchant):
    first, second = await add_customers(merchant, [None] * 2)
    trigger = GRANTED | {"where": {"channel": ["sms", "email"], "purpose": ["marketing"]}}
    await start_journey(merchant, trigger, LONG)
    await emit(merchant, granted(first, "phone"), granted(second, "sms"))
    assert [row["customer_id"] for row in await enrolments(merchant)] == [second]


async def test_an_event_that_is_told_again_lets_nobody_in_twice(merchant):
    (customer,) = await add_customers(merchant, [None])
    await start_journey(merchant, GRANTED, LONG, entry={"again": "always"})
    await emit(merchant, granted(customer))
    await tell_again(merchant)
    assert len(await enrolments(merchant)) == 1
    await emit(merchant, granted(customer))
    assert len(await enrolments(merchant)) == 2


async def test_never_again(merchant):
    (customer,) = await add_customers(merchant, [None])
    await start_journey(merchant, GRANTED, [tag("greeted")])
    await emit(merchant, granted(customer), granted(customer))
    assert await standing(merchant) == [("done", 0, None)]


async def test_once_for_each_order(merchant):
    await start_journey(
        merchant, {"kind": "event", "type": "order.state_changed"}, LONG, entry={"again": "order"}
    )
    now = merchant.clock()
    both = [order(number, at=now, buyer_id="same") for number in ("1", "2")]
    await take_orders(merchant, *both)
    for state in (OrderState.TO_SHIP, OrderState.SHIPPED):
        merchant.clock.move(timedelta(hours=1))
        for one in both:
            one.state, one.modified_at = state, merchant.clock()
        await take_orders(merchant, *both)
    rows = await enrolments(merchant)
    assert len(rows) == 2
    assert len({row["customer_id"] for row in rows}) == 1


async def test_at_least_so_many_days_in_between(merchant):
    (customer,) = await add_customers(merchant, [None])
    entry = {"again": "every", "days": 7}
    await start_journey(merchant, GRANTED, [tag("greeted")], entry=entry)
    await emit(merchant, granted(customer), granted(customer))
    merchant.clock.move(timedelta(days=7, seconds=-1))
    await emit(merchant, granted(customer))
    assert len(await enrolments(merchant)) == 1
    merchant.clock.move(timedelta(seconds=1))
    await emit(merchant, granted(customer))
    assert len(await enrolments(merchant)) == 2


async def test_only_who_fulfils_the_entry_rule(merchant):
    ids = await add_customers(merchant, [None] * 3)
    async with merchant.work() as w:
        await tag_customers(w, ids[:2], ["vip"], "staff")
    await start_journey(merchant, GRANTED, LONG, entry={"rule": VIP})
    await emit(merchant, *map(granted, ids))
    assert [row["customer_id"] for row in await enrolments(merchant)] == ids[:2]


@pytest.mark.parametrize("moment", ["entered", "left"])
async def test_a_segment_is_entered_and_left_by_many(merchant, moment):
    ids = await add_customers(merchant, [None] * 1500)
    segment_id = await make_list(merchant)
    trigger = {"kind": "segment", "segment_id": segment_id, "moment": moment}
    await start_journey(merchant, trigger, [tag("moved"), wait("pause", span={"days": 1})])
    for half in (ids[:1000], ids[1000:]):
        async with merchant.work() as w:
            await add_to_list(w, segment_id, half)
    await hear(merchant)
    assert len(await enrolments(merchant)) == (1500 if moment == "entered" else 0)
    async with merchant.work() as w:
        await remove_from_list(w, segment_id, ids[:1000])
    await hear(merchant)
    rows = await enrolments(merchant)
    assert len(rows) == (1500 if moment == "entered" else 1000)
    assert {(row["state"], row["step"]) for row in rows} == {("waiting", 1)}


async def test_all_of_a_segment_at_the_start(merchant):
    ids = await add_customers(merchant, [None] * 5)
    async with merchant.work() as w:
        await tag_customers(w, ids[:3], ["vip"], "staff")
    segment_id = await make_segment(merchant, VIP)
    trigger = {"kind": "audience", "segment_id": segment_id}
    _, run_id = await start_journey(merchant, trigger, [tag("asked"), *LONG])
    await go_on(merchant)
    assert [row["customer_id"] for row in await enrolments(merchant, run_id)] == ids[:3]
    assert await tags_of(merchant, ids[0]) == ["asked", "vip"]


@pytest.mark.parametrize("known", [True, False])
async def test_who_is_in_a_segment_comes_in_once_and_then_who_enters(merchant, known):
    ids = await add_customers(merchant, [None] * 5)
    async with merchant.work() as w:
        await tag_customers(w, ids[:2], ["vip"], "staff")
    segment_id = await make_segment(merchant, VIP)
    installation = merchant.installation
    if known:
        await refresh_due(installation.db, installation.registry, merchant.id)
        async with merchant.work() as w:  # in it by the rule, but not yet told
            await tag_customers(w, ids[2:3], ["vip"], "staff")
    trigger = {"kind": "segment", "segment_id": segment_id, "present": True}
    campaign_id, run_id = await start_journey(merchant, trigger, LONG, entry={"again": "always"})
    assert [row["customer_id"] for row in await enrolments(merchant)] == ids[:2]
    await refresh_due(installation.db, installation.registry, merchant.id)
    await follow_changes(installation.db, installation.registry, merchant.id)
    async with merchant.work() as w:
        await tag_customers(w, ids[3:4], ["vip"], "staff")
    await follow_changes(installation.db, installation.registry, merchant.id)
    await hear(merchant)
    entered = [ids[2], ids[3]] if known else [ids[3]]
    assert [row["customer_id"] for row in await enrolments(merchant)] == ids[:2] + entered
    async with merchant.work() as w:  # a new version does not let them in again
        flow = parse_flow({"trigger": trigger, "steps": LONG[:1], "entry": {"again": "always"}})
        await update_campaign(w, installation.registry, campaign_id, {"flow": flow})
    await plan_run(installation.db, installation.registry, merchant.id, run_id)
    assert len(await enrolments(merchant)) == 2 + len(entered)


def test_who_left_a_segment_is_not_present():
    with pytest.raises((HuikeError, Several), match="present"):
        parse_flow({
            "trigger": {"kind": "segment", "segment_id": 1, "moment": "left", "present": True},
            "steps": LONG,
        })  # fmt: skip


async def test_a_shops_journey_is_about_its_orders(merchant):
    await start_journey(merchant, CREATED, LONG, shop_id=merchant.shop_id)
    async with merchant.work() as w:
        other = await create_shop(w, "other", "taobao")
        await w.sql.execute(
            "UPDATE campaigns SET shop_id = $2 WHERE merchant_id = $1", merchant.id, other
        )
    await take_orders(merchant, order("1", at=merchant.clock()))
    assert await enrolments(merchant) == []


async def test_nobody_comes_in_while_it_is_paused_nor_after_the_end(merchant):
    ids = await add_customers(merchant, [None] * 3)
    registry = merchant.installation.registry
    campaign_id, _ = await start_journey(merchant, GRANTED, LONG)
    async with merchant.work() as w:
        await pause_campaign(w, campaign_id)
    await emit(merchant, granted(ids[0]))
    async with merchant.work() as w:
        await resume_campaign(w, registry, campaign_id)
    await emit(merchant, granted(ids[1]))
    async with merchant.work() as w:
        await cancel_campaign(w, campaign_id)
    await emit(merchant, granted(ids[2]))
    (row,) = await enrolments(merchant)
    assert (row["customer_id"], row["state"], row["reason"]) == (ids[1], "left", "cancelled")


async def test_a_rule_that_can_no_longer_be_asked_pauses_the_campaign(merchant):
    (customer,) = await add_customers(merchant, [None])
    segment_id = await make_segment(merchant, VIP)
    rule = {"version": 1, "rule": {"in_segment": {"segment_id": segment_id}}}
    campaign_id, _ = await start_journey(merchant, GRANTED, LONG, entry={"rule": rule})
    async with merchant.work() as w:
        await w.sql.execute("DELETE FROM segments WHERE merchant_id = $1", merchant.id)
    await emit(merchant, granted(customer))
    async with merchant.read() as session:
        row = await session.sql.fetchrow(
            "SELECT state, pause_reason FROM campaigns WHERE merchant_id = $1 AND id = $2",
            merchant.id, campaign_id,
        )  # fmt: skip
        open_events = await session.sql.fetchval(
            "SELECT count(*) FROM outbox_events WHERE merchant_id = $1 AND done_at IS NULL",
            merchant.id,
        )
    assert row["state"] == "paused"
    assert "segment" in row["pause_reason"]
    assert open_events == 0


async def test_core_is_told_before_the_plugins(merchant):
    names = list(handlers(merchant.installation))
    core = [name.startswith("core.") for name in names]
    assert core == sorted(core, reverse=True)
    assert "core.journeys" in names
    assert "anything" in outbox.EveryType()
