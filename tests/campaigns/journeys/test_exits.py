"""What takes customers out; and the payment reminder, to the letter of its definition."""

from datetime import timedelta

import pytest

from core.domain.campaigns.control import cancel_campaign, pause_campaign, resume_campaign
from core.domain.campaigns.sending import send_run
from core.domain.customers.tags import tag_customers
from core.sdk import OrderState
from core.testing.smtp import smtp_sink
from tests.journey_kit import (
    CREATED,
    VIP,
    change_order,
    enrolments,
    go_on,
    messages,
    order,
    send,
    standing,
    start_journey,
    tag,
    take_orders,
    wait,
)
from tests.sending_kit import enable_email

UNPAID = CREATED | {"where": {"state": ["created_unpaid"]}}
HALF_AN_HOUR = wait("half_an_hour", span={"minutes": 30})
REMIND = send("remind", message_class="service")
REMINDER = {"entry": {"again": "order"}, "exit": {"order_states": ["created_unpaid"]}}


@pytest.fixture
async def sink(merchant):
    async with smtp_sink() as opened:
        await enable_email(merchant, opened.port)
        yield opened


async def deliver(merchant, run_id):
    installation = merchant.installation
    await send_run(installation.db, installation.registry, merchant.id, run_id, "http://x.example")


async def fates(merchant, run_id):
    return [(m[3], m[4]) for m in await messages(merchant, run_id)]


async def test_the_reminder_comes_when_the_delay_is_over(merchant, sink):
    _, run_id = await start_journey(merchant, UNPAID, [HALF_AN_HOUR, REMIND], **REMINDER)
    await take_orders(merchant, order("1", at=merchant.clock()))
    await go_on(merchant, minutes=29, seconds=59)
    assert await fates(merchant, run_id) == []
    await go_on(merchant, seconds=1)
    await deliver(merchant, run_id)
    assert await fates(merchant, run_id) == [("sent", None)]
    assert len(sink.accepted) == 1


@pytest.mark.parametrize("state", [OrderState.TO_SHIP, OrderState.CLOSED_UNPAID])
async def test_paid_or_closed_before_the_delay_is_over(merchant, sink, state):
    _, run_id = await start_journey(merchant, UNPAID, [HALF_AN_HOUR, REMIND], **REMINDER)
    record = order("1", at=merchant.clock())
    await take_orders(merchant, record)
    merchant.clock.move(timedelta(minutes=10))
    await change_order(merchant, record, state)
    assert await standing(merchant) == [("left", 0, "order_changed")]
    await go_on(merchant, minutes=20)
    assert await fates(merchant, run_id) == []


async def test_paid_between_planning_and_sending_is_skipped_with_the_reason(merchant, sink):
    _, run_id = await start_journey(merchant, UNPAID, [HALF_AN_HOUR, REMIND], **REMINDER)
    record = order("1", at=merchant.clock())
    await take_orders(merchant, record)
    await go_on(merchant, minutes=30)
    assert await fates(merchant, run_id) == [("pending", None)]
    await change_order(merchant, record, OrderState.TO_SHIP, heard=False)
    await deliver(merchant, run_id)
    assert await fates(merchant, run_id) == [("skipped", "order_changed")]
    assert sink.accepted == []


async def test_one_reminder_for_each_order_and_step(merchant, sink):
    steps = [HALF_AN_HOUR, REMIND, wait("more", span={"minutes": 30}),
             send("again", message_class="service")]  # fmt: skip
    _, run_id = await start_journey(merchant, UNPAID, steps, **REMINDER)
    now = merchant.clock()
    await take_orders(merchant, *(order(n, at=now, buyer_id="same") for n in ("1", "2")))
    await go_on(merchant, hours=1)
    for _ in range(2):
        await deliver(merchant, run_id)
        await go_on(merchant)
    found = await messages(merchant, run_id)
    assert sorted((m[0], m[2]) for m in found) == sorted(
        (step, row["order_id"]) for row in await enrolments(merchant) for step in (1, 3)
    )
    assert {m[3] for m in found} == {"sent"}


async def test_who_buys_something_else_leaves(merchant):
    steps = [wait("pause", span={"days": 10}), tag("nudged")]
    await start_journey(merchant, CREATED, steps, exit={"bought": True})
    first = order("1", at=merchant.clock(), buyer_id="same")
    await take_orders(merchant, first)
    merchant.clock.move(timedelta(days=1))
    await change_order(merchant, first, OrderState.TO_SHIP)
    assert await standing(merchant) == [("waiting", 0, None)]
    merchant.clock.move(timedelta(days=1))
    await take_orders(
        merchant, order("2", OrderState.TO_SHIP, at=merchant.clock(), buyer_id="same")
    )
    assert (await standing(merchant))[0] == ("left", 0, "bought")


async def test_who_fulfils_the_rule_leaves_at_the_next_look(merchant, sink):
    steps = [wait("pause", span={"days": 1}), REMIND, wait("more", span={"days": 1}), tag("end_")]
    _, run_id = await start_journey(merchant, CREATED, steps, exit={"rule": VIP})
    await take_orders(merchant, order("1", at=merchant.clock()), order("2", at=merchant.clock()))
    await go_on(merchant, days=1)
    first = (await enrolments(merchant))[0]
    async with merchant.work() as w:
        await tag_customers(w, [first["customer_id"]], ["vip"], "staff")
    await deliver(merchant, run_id)
    assert await fates(merchant, run_id) == [("skipped", "left"), ("sent", None)]
    await go_on(merchant, days=1)
    assert await standing(merchant) == [("left", 2, "left"), ("done", 3, None)]


async def test_pausing_holds_and_resuming_goes_on(merchant):
    steps = [wait("pause", span={"hours": 1}), tag("a")]
    campaign_id, _ = await start_journey(merchant, CREATED, steps)
    await take_orders(merchant, order("1", at=merchant.clock()))
    async with merchant.work() as w:
        await pause_campaign(w, campaign_id)
    await go_on(merchant, hours=2)
    assert await standing(merchant) == [("waiting", 0, None)]
    async with merchant.work() as w:
        await resume_campaign(w, merchant.installation.registry, campaign_id)
    await go_on(merchant)
    assert await standing(merchant) == [("done", 1, None)]


async def test_an_event_during_a_pause_is_not_lost(merchant):
    heard = {"kind": "wait_for", "key": "paid", "type": "order.state_changed",
             "timeout": {"hours": 1}, "otherwise": "end"}  # fmt: skip
    campaign_id, _ = await start_journey(merchant, CREATED, [heard, tag("a")])
    record = order("1", at=merchant.clock())
    await take_orders(merchant, record)
    async with merchant.work() as w:
        await pause_campaign(w, campaign_id)
    await change_order(merchant, record, OrderState.TO_SHIP)
    await go_on(merchant, hours=2)
    async with merchant.work() as w:
        await resume_campaign(w, merchant.installation.registry, campaign_id)
    await go_on(merchant)
    assert await standing(merchant) == [("done", 1, None)]


async def test_cancelling_leaves_nobody_inside(merchant):
    campaign_id, _ = await start_journey(merchant, CREATED, [wait("pause", span={"hours": 1})])
    await take_orders(merchant, order("1", at=merchant.clock()))
    async with merchant.work() as w:
        await cancel_campaign(w, campaign_id)
    assert await standing(merchant) == [("left", 0, "cancelled")]
