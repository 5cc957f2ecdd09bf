from datetime import timedelta

import pytest

from core.domain.campaigns.chance import choice, salt
from core.domain.customers.fields import create_field
from core.domain.customers.tags import tag_customers
from core.sdk import ConsentGranted, OrderState
from core.testing.smtp import smtp_sink
from tests.journey_kit import (
    CREATED,
    VIP,
    change_order,
    emit,
    enrolments,
    go_on,
    hear,
    make_list,
    messages,
    order,
    send,
    standing,
    start_journey,
    tag,
    tags_of,
    take_orders,
    tell_again,
    wait,
)
from tests.sending_kit import add_customers, enable_email

GRANTED = {"kind": "event", "type": "consent.granted"}
PAID = {"kind": "wait_for", "key": "paid", "type": "order.state_changed",
        "where": {"state": ["to_ship"]}, "timeout": {"minutes": 30}}  # fmt: skip


@pytest.fixture
async def sink():
    async with smtp_sink() as opened:
        yield opened


async def let_in(merchant, *customer_ids):
    await emit(
        merchant, *(ConsentGranted(pk, 0, "email", "marketing", "test") for pk in customer_ids)
    )


async def test_a_wait_is_over_to_the_second_and_is_not_stretched_by_delays(merchant):
    (customer,) = await add_customers(merchant, [None])
    hour = {"hours": 1}
    await start_journey(
        merchant, GRANTED,
        [wait("first", span=hour), tag("a"), wait("second", span=hour), tag("b")],
    )  # fmt: skip
    await let_in(merchant, customer)
    await go_on(merchant, minutes=59, seconds=59)
    assert await tags_of(merchant, customer) == []
    await go_on(merchant, minutes=20)  # a worker was late
    assert await tags_of(merchant, customer) == ["a"]
    await go_on(merchant, minutes=40)
    assert await tags_of(merchant, customer) == ["a"]
    await go_on(merchant, seconds=1)
    assert await tags_of(merchant, customer) == ["a", "b"]
    assert await standing(merchant) == [("done", 3, None)]


async def test_waiting_for_an_event_of_the_same_order(merchant):
    await start_journey(
        merchant, CREATED,
        [PAID | {"next": "thanks", "otherwise": "remind"},
         tag("remind", next="end"), tag("thanks")],
        entry={"again": "order"},
    )  # fmt: skip
    now = merchant.clock()
    first, second = (order(n, at=now, buyer_id="same") for n in ("1", "2"))
    await take_orders(merchant, first, second)
    (customer,) = {row["customer_id"] for row in await enrolments(merchant)}
    await change_order(merchant, second, OrderState.TO_SHIP)
    assert await tags_of(merchant, customer) == ["thanks"]
    await go_on(merchant, minutes=29, seconds=59)
    assert await tags_of(merchant, customer) == ["thanks"]
    await go_on(merchant, seconds=1)
    assert await tags_of(merchant, customer) == ["remind", "thanks"]


async def test_an_event_right_behind_the_one_that_lets_in_is_heard(merchant):
    steps = [tag("seen"), PAID | {"otherwise": "end"}, tag("paid_at_once")]
    await start_journey(merchant, CREATED, steps)
    record = order("1", at=merchant.clock())
    await take_orders(merchant, record, heard=False)
    await change_order(merchant, record, OrderState.TO_SHIP)
    assert await standing(merchant) == [("done", 2, None)]


async def test_an_event_that_is_told_again_wakes_nobody_at_the_next_wait(merchant):
    steps = [PAID | {"key": "one"}, PAID | {"key": "two"}, tag("end_of_it")]
    await start_journey(merchant, CREATED, steps)
    record = order("1", at=merchant.clock())
    await take_orders(merchant, record)
    await change_order(merchant, record, OrderState.TO_SHIP)
    assert await standing(merchant) == [("waiting", 1, None)]
    await tell_again(merchant)
    assert await standing(merchant) == [("waiting", 1, None)]


async def test_an_event_after_the_timeout_comes_too_late(merchant):
    steps = [PAID | {"next": "paid_in_time", "otherwise": "late"},
             tag("late", next="end"), tag("paid_in_time")]  # fmt: skip
    await start_journey(merchant, CREATED, steps)
    record = order("1", at=merchant.clock())
    await take_orders(merchant, record)
    merchant.clock.move(timedelta(minutes=30))  # and no worker has looked
    await change_order(merchant, record, OrderState.TO_SHIP)
    await go_on(merchant)
    (row,) = await enrolments(merchant)
    assert await tags_of(merchant, row["customer_id"]) == ["late"]


async def test_conditions_about_the_customer_and_its_order(merchant):
    rich = {"kind": "condition", "key": "rich", "otherwise": "poor",
            "order": {"total_at_least": 5000, "states": ["created_unpaid"]}}  # fmt: skip
    vip = {"kind": "condition", "key": "vip", "rule": VIP, "otherwise": "end"}
    await start_journey(
        merchant, CREATED, [rich, vip, tag("both", next="end"), tag("poor")]
    )  # fmt: skip
    now = merchant.clock()
    await take_orders(merchant, order("1", at=now))
    (small,) = await enrolments(merchant)
    assert await tags_of(merchant, small["customer_id"]) == ["poor"]
    await take_orders(merchant, order("2", at=now, total=5000))
    large = (await enrolments(merchant))[-1]
    assert await tags_of(merchant, large["customer_id"]) == []
    async with merchant.work() as w:
        await tag_customers(w, [small["customer_id"]], ["vip"], "staff")
    # the same customer with another order, for another journey
    await start_journey(merchant, CREATED, [vip, tag("both")], name="second")
    await take_orders(merchant, order("3", at=now, buyer_id="buyer-1", email="1@example.com"))
    assert await tags_of(merchant, small["customer_id"]) == ["both", "poor", "vip"]


async def test_branches_join_again_in_one_group(merchant):
    ids = await add_customers(merchant, [None] * 300)
    split = {"kind": "split", "key": "half",
             "branches": [{"next": "a", "share": 2}, {"next": "b", "share": 1}]}  # fmt: skip
    steps = [split, tag("a", next="all"), tag("b", next="all"), tag("all")]
    campaign_id, _ = await start_journey(merchant, GRANTED, steps)
    await let_in(merchant, *ids)
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT tag, array_agg(customer_id ORDER BY customer_id) AS ids FROM customer_tags
               WHERE merchant_id = $1 GROUP BY tag""",
            merchant.id,
        )  # fmt: skip
    found = {row["tag"]: row["ids"] for row in rows}
    mixed = salt(campaign_id, "half")
    assert found["all"] == ids
    assert found["a"] == [pk for pk in ids if choice(pk, mixed, [2, 1]) == 0]
    assert found["b"] == [pk for pk in ids if choice(pk, mixed, [2, 1]) == 1]
    assert 160 < len(found["a"]) < 240


async def test_tags_fields_and_lists_are_changed(merchant):
    ids = await add_customers(merchant, [None] * 3)
    registry_list = await make_list(merchant)
    async with merchant.work() as w:
        await create_field(w, "custom", "custom", "size", "Size", "int")
        await tag_customers(w, ids, ["old"], "staff")
    await start_journey(
        merchant, GRANTED,
        [{"kind": "tag", "key": "tags", "add": ["new"], "remove": ["old"]},
         {"kind": "set_field", "key": "size", "field": "custom.size", "value": 42},
         {"kind": "change_list", "key": "list", "segment_id": registry_list}],
    )  # fmt: skip
    await let_in(merchant, *ids)
    async with merchant.read() as session:
        sizes = await session.sql.fetch(
            "SELECT customer_id, number FROM custom_field_values WHERE merchant_id = $1",
            merchant.id,
        )
        members = await session.sql.fetch(
            "SELECT customer_id FROM segment_members WHERE merchant_id = $1 AND segment_id = $2",
            merchant.id, registry_list,
        )  # fmt: skip
    assert {row["customer_id"]: int(row["number"]) for row in sizes} == dict.fromkeys(ids, 42)
    assert sorted(row["customer_id"] for row in members) == ids
    assert await tags_of(merchant, ids[0]) == ["new"]


async def test_a_message_is_planned_for_each_with_its_order(merchant, sink):
    await enable_email(merchant, sink.port)
    _, run_id = await start_journey(
        merchant, CREATED, [send("hello", message_class="service"), tag("greeted")]
    )
    await take_orders(merchant, order("1", at=merchant.clock()), order("2", at=merchant.clock()))
    rows = await enrolments(merchant)
    assert await messages(merchant, run_id) == [
        (0, row["customer_id"], row["order_id"], "pending", None) for row in rows
    ]
    assert {row["state"] for row in rows} == {"done"}


async def test_a_message_much_later_than_planned_is_not_sent(merchant, sink):
    await enable_email(merchant, sink.port)
    steps = [wait("pause", span={"hours": 1}), send("hello", message_class="service"),
             wait("more", span={"days": 10}), send("again", message_class="service")]  # fmt: skip
    _, run_id = await start_journey(
        merchant, CREATED, steps, options={"max_lateness": {"hours": 2}}
    )
    await take_orders(merchant, order("1", at=merchant.clock()))
    await go_on(merchant, hours=3, seconds=1)
    await go_on(merchant, days=10, hours=-2, seconds=-1)
    assert [(m[0], m[3], m[4]) for m in await messages(merchant, run_id)] == [
        (1, "skipped", "too_late"), (3, "pending", None),
    ]  # fmt: skip


async def test_old_orders_that_come_in_late_are_not_reminded(merchant, sink):
    await enable_email(merchant, sink.port)
    steps = [wait("pause", span={"minutes": 30}), send("pay", message_class="service")]
    _, run_id = await start_journey(merchant, CREATED, steps)
    old = order("1", at=merchant.clock() - timedelta(days=3))
    late = order("2", at=merchant.clock() - timedelta(minutes=20))
    await take_orders(merchant, old, late)
    assert [m[4] for m in await messages(merchant, run_id)] == ["too_late"]
    await go_on(merchant, minutes=10)
    assert [m[4] for m in await messages(merchant, run_id)] == ["too_late", None]


async def test_a_step_that_cannot_be_taken_pauses_the_campaign_and_moves_nobody(merchant):
    (customer,) = await add_customers(merchant, [None])
    number = await make_list(merchant)
    steps = [tag("before"), {"kind": "change_list", "key": "list", "segment_id": number}]
    campaign_id, _ = await start_journey(merchant, GRANTED, steps)
    async with merchant.work() as w:
        await w.sql.execute("DELETE FROM segments WHERE merchant_id = $1", merchant.id)
    await let_in(merchant, customer)
    assert await standing(merchant) == [("waiting", 0, None)]
    assert await tags_of(merchant, customer) == []
    async with merchant.read() as session:
        row = await session.sql.fetchrow(
            "SELECT state, pause_reason FROM campaigns WHERE merchant_id = $1 AND id = $2",
            merchant.id, campaign_id,
        )  # fmt: skip
    assert row["state"] == "paused"
    assert "segment" in row["pause_reason"]
    assert await hear(merchant) == 0
