"""An order is credited once, to the last touch before it was paid; a brute-force oracle agrees."""

import random
from datetime import timedelta

import orjson
import pytest

from core.domain.campaigns.results import attribution
from core.domain.campaigns.results.attribution import (
    Credited,
    credit_changed,
    credit_period,
    merchants_to_credit,
)
from core.domain.campaigns.results.windows import (
    DEFAULTS,
    TOUCHES,
    in_force,
    longest,
    set_window,
    windows,
)
from core.installation import job_kinds
from core.sdk.errors import InvalidInput
from core.storage import jobs
from core.testing.fixtures import START
from tests.results_kit import (
    add_campaign,
    add_messages,
    add_orders,
    add_people,
    add_run,
    credits,
    hours,
)
from tests.sending_kit import until
from worker.duties import Duties


async def set_up(merchant, messages, orders):
    """(ids of messages, ids of orders) of one customer, credited."""
    async with merchant.work() as w:
        (person,) = await add_people(w, 1)
        run = await add_run(w, await add_campaign(w))
        sent = await add_messages(
            w, run, [{"customer_id": person, "enrolment_id": n} | one
                     for n, one in enumerate(messages)],
        )  # fmt: skip
        bought = await add_orders(
            w, merchant.shop_id, [{"customer_id": person} | one for one in orders]
        )
    await credit_changed(merchant.installation.db, merchant.id)
    return sent, bought


@pytest.mark.parametrize(
    ("message", "paid", "touch"),
    [
        # email counts when it was opened or clicked, for 5 days
        ({}, 1, None),
        ({"opened_at": hours(2)}, 1, None),
        ({"opened_at": hours(2)}, 2, "open"),
        ({"opened_at": hours(2)}, 2 + 120 - 0.001, "open"),
        ({"opened_at": hours(2)}, 2 + 120, None),
        ({"opened_at": hours(2), "clicked_at": hours(3)}, 122.5, "click"),
        ({"opened_at": hours(2), "clicked_at": hours(2)}, 2, "click"),
        # SMS also when it was delivered, for 12 hours from the receipt's time
        ({"channel": "sms"}, 12 - 0.001, "delivery"),
        ({"channel": "sms"}, 12, None),
        ({"channel": "sms", "delivered_at": hours(1), "receipt": "delivered"}, 12.5, "delivery"),
        ({"channel": "sms", "receipt": "undelivered"}, 1, None),
        ({"channel": "sms", "opened_at": hours(1)}, 13, None),
        # a channel that is not named
        ({"channel": "pigeon", "opened_at": hours(1)}, 24.5, "open"),
        # what was not sent, or is of service, has touched nobody
        ({"channel": "sms", "state": "unknown", "sent_at": None}, 1, None),
        ({"channel": "sms", "marketing": False, "clicked_at": hours(1)}, 2, None),
    ],
)  # fmt: skip
async def test_what_counts_as_a_touch(merchant, message, paid, touch):
    (sent,), (order,) = await set_up(merchant, [message], [{"paid_at": hours(paid)}])
    assert await credits(merchant) == ({order: (sent, touch)} if touch else {})


async def test_the_last_touch_gets_all_the_credit(merchant):
    sent, orders = await set_up(
        merchant,
        [
            {"opened_at": hours(1)},
            {"channel": "sms", "sent_at": hours(3), "clicked_at": hours(9)},
            {"sent_at": hours(4), "opened_at": hours(5)},
            {"sent_at": hours(4), "opened_at": hours(5)},
        ],
        [{"paid_at": hours(n)} for n in (2, 4, 6, 9)],
    )
    assert await credits(merchant) == {
        orders[0]: (sent[0], "open"),
        orders[1]: (sent[1], "delivery"),
        orders[2]: (sent[3], "open"),  # of two at once the newer message
        orders[3]: (sent[1], "click"),
    }


async def test_a_reminder_is_credited_with_the_order_it_is_about(merchant):
    """Also when it is of service, and nobody opened it; other orders are not its merit."""
    async with merchant.work() as w:
        (person,) = await add_people(w, 1)
        run = await add_run(w, await add_campaign(w))
        unpaid = {"customer_id": person, "state": "created_unpaid", "paid": 0}
        about, other = await add_orders(w, merchant.shop_id, [unpaid, unpaid])
        (reminder,) = await add_messages(
            w, run, [{"customer_id": person, "order_id": about, "marketing": False}]
        )
    await credit_changed(merchant.installation.db, merchant.id)
    assert await credits(merchant) == {}
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE orders SET state = 'to_ship', paid = 100, paid_at = $2 WHERE merchant_id = $1",
            w.merchant_id, hours(1),
        )  # fmt: skip
    await credit_changed(merchant.installation.db, merchant.id)
    assert await credits(merchant) == {about: (reminder, "reminder")}
    assert other not in await credits(merchant)


async def test_late_news_corrects_the_credit(merchant):
    """A click told late, a receipt told late, an order taken in late and one taken back."""
    db = merchant.installation.db
    sent, (order,) = await set_up(
        merchant,
        [{"channel": "sms"}, {"sent_at": hours(1)}, {"channel": "sms", "sent_at": hours(2)}],
        [{"paid_at": hours(4)}],
    )
    assert await credits(merchant) == {order: (sent[2], "delivery")}

    async def tell(what, *args):
        async with merchant.work() as w:
            await w.sql.execute(what, w.merchant_id, *args)
        assert merchant.id in await merchants_to_credit(db)
        assert await credit_changed(db, merchant.id) == 1
        assert merchant.id not in await merchants_to_credit(db)
        return await credits(merchant)

    message = "UPDATE deliveries SET {} WHERE merchant_id = $1 AND id = $2"
    failed = message.format("receipt = 'undelivered'")
    assert await tell(failed, sent[2]) == {order: (sent[0], "delivery")}
    clicked = message.format("clicked_at = $3")
    assert await tell(clicked, sent[1], hours(3)) == {order: (sent[1], "click")}
    paid = "UPDATE orders SET paid_at = $3 WHERE merchant_id = $1 AND id = $2"
    assert await tell(paid, order, hours(2)) == {order: (sent[0], "delivery")}
    closed = "UPDATE orders SET state = 'closed_unpaid' WHERE merchant_id = $1 AND id = $2"
    assert await tell(closed, order) == {}
    open_again = "UPDATE orders SET state = 'completed' WHERE merchant_id = $1 AND id = $2"
    assert await tell(open_again, order) == {order: (sent[0], "delivery")}
    unpaid = "UPDATE orders SET paid_at = NULL WHERE merchant_id = $1 AND id = $2"
    assert await tell(unpaid, order) == {}


async def test_a_later_click_is_a_later_touch(merchant):
    """Of people, not of machines; the message itself notes only the first."""
    db = merchant.installation.db
    sent, (order,) = await set_up(
        merchant,
        [{"clicked_at": hours(1)}, {"opened_at": hours(2)}],
        [{"paid_at": hours(10)}],
    )
    assert await credits(merchant) == {order: (sent[1], "open")}
    for machine, at in ((True, 5), (None, 6), (False, 11), (False, 1.5), (False, 4)):
        async with merchant.work() as w:
            click = await w.sql.fetchval(
                """INSERT INTO link_clicks (merchant_id, delivery_id, link_id, at)
                   VALUES ($1, $2, 1, $3) RETURNING id""",
                merchant.id, sent[0], hours(at),
            )  # fmt: skip
            await w.sql.execute(
                "UPDATE link_clicks SET machine = $3 WHERE merchant_id = $1 AND id = $2",
                merchant.id, click, machine,
            )  # fmt: skip
        await credit_changed(db, merchant.id)
        expected = (sent[0], "click") if at == 4 else (sent[1], "open")
        assert await credits(merchant) == {order: expected}


async def test_what_changes_no_credit_is_not_logged(merchant):
    await set_up(merchant, [{}], [{"paid_at": hours(1)}])
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE orders SET refunded = 5, state = 'closed_refunded' WHERE merchant_id = $1",
            w.merchant_id,
        )
        await w.sql.execute(
            "UPDATE deliveries SET attempts = 2, sent_at = $2 WHERE merchant_id = $1",
            w.merchant_id, hours(0.5),
        )  # fmt: skip
    assert merchant.id not in await merchants_to_credit(merchant.installation.db)


async def test_an_order_moves_with_its_customer(merchant):
    """As a merge does it: the other's messages count from now on."""
    async with merchant.work() as w:
        one, other = await add_people(w, 2)
        run = await add_run(w, await add_campaign(w))
        await add_messages(w, run, [{"customer_id": one, "channel": "sms"}])
        (later,) = await add_messages(
            w, run, [{"customer_id": other, "channel": "sms", "sent_at": hours(1)}]
        )
        (order,) = await add_orders(
            w, merchant.shop_id, [{"customer_id": one, "paid_at": hours(2)}]
        )
    await credit_changed(merchant.installation.db, merchant.id)
    assert later not in {message for message, _ in (await credits(merchant)).values()}
    async with merchant.work() as w:
        await w.sql.execute(
            "UPDATE deliveries SET customer_id = $2, enrolment_id = 1 "
            "WHERE merchant_id = $1 AND customer_id = $3",
            w.merchant_id, one, other,
        )  # fmt: skip
    await credit_changed(merchant.installation.db, merchant.id)
    assert await credits(merchant) == {order: (later, "delivery")}


async def test_other_windows_hold_for_orders_paid_from_then_on(merchant):
    """The past is credited as it was, whenever it is credited anew."""
    db = merchant.installation.db
    merchant.clock.move(timedelta(hours=10))
    async with merchant.work() as w:
        await set_window(w, "sms", "delivery", 2)
    sent, orders = await set_up(
        merchant,
        [{"channel": "sms", "sent_at": hours(0)}, {"channel": "sms", "sent_at": hours(9)}],
        [{"paid_at": hours(n)} for n in (8, 10, 10.5, 11)],
    )
    expected = {
        orders[0]: (sent[0], "delivery"),
        orders[1]: (sent[1], "delivery"),
        orders[2]: (sent[1], "delivery"),
    }
    assert await credits(merchant) == expected
    merchant.clock.move(timedelta(hours=10))
    async with merchant.work() as w:
        await set_window(w, "sms", "delivery", 0)
        await w.sql.execute("DELETE FROM attributions WHERE merchant_id = $1", w.merchant_id)
    assert await credit_period(db, merchant.id, hours(0), hours(24)) == Credited(4, 3)
    assert await credits(merchant) == expected
    assert await credit_period(db, merchant.id, hours(0), hours(24)) == Credited(4, 0)
    async with merchant.read() as session:
        found = await windows(session)
    sms = [one for one in found if (one.channel, one.touch) == ("sms", "delivery")]
    assert [(one.hours, one.actor) for one in sms] == [(12, None), (2, "system"), (0, "system")]
    assert (
        [one.until for one in sms[:2]] == [one.since for one in sms[1:]] == [hours(10), hours(20)]
    )
    assert longest(found, hours(9), ["sms"]) == timedelta(hours=120)


async def test_windows_are_refused_beyond_their_limits(merchant):
    async with merchant.work() as w:
        for wrong in (-1, 90 * 24 + 1):
            with pytest.raises(InvalidInput):
                await set_window(w, "sms", "click", wrong)


# -- the oracle ----------------------------------------------------------------------------------


def touches(message, order):
    """(instant, strength, touch) of all touches of a message for an order."""
    arrived = message["receipt"] in (None, "delivered")
    if message["state"] != "sent":
        return
    if message["marketing"]:
        if arrived:
            yield message["delivered_at"] or message["sent_at"], 1, "delivery"
        yield message["opened_at"], 2, "open"
        yield message["clicked_at"], 3, "click"
    if message["order_id"] == order["id"] and arrived:
        yield message["sent_at"], 4, "reminder"


def last_touch(messages, order, allowed):
    if order["paid_at"] is None or order["state"] == "closed_unpaid":
        return None
    found = []
    for message in messages:
        if message["customer_id"] != order["customer_id"]:
            continue
        for at, strength, touch in touches(message, order):
            if at is None or message["sent_at"] > order["paid_at"] or at > order["paid_at"]:
                continue
            if order["paid_at"] < at + allowed(message["channel"], touch, order["paid_at"]):
                found.append((at, strength, message["id"], touch))
    return max(found)[2:] if found else None


def by_brute_force(messages, orders, allowed):
    found = {order["id"]: last_touch(messages, order, allowed) for order in orders}
    return {order: credit for order, credit in found.items() if credit is not None}


@pytest.mark.parametrize("seed", range(4))
async def test_random_touches_and_orders_agree_with_brute_force(merchant, seed):
    r = random.Random(seed)

    def moment(after=0.0):
        # whole hours, so that many fall together and on the edges of windows
        return hours(after + r.choice([0, 1, 2, 12, 24, 25, 119, 120, 121, 144]))

    def maybe(after=0.0):
        return moment(after) if r.random() < 0.4 else None

    async with merchant.work() as w:
        people = await add_people(w, 12)
        run = await add_run(w, await add_campaign(w))
        orders = [
            {"customer_id": r.choice(people), "paid_at": maybe() or moment() if r.random() < 0.9
             else None, "state": r.choice(["completed", "to_ship", "closed_unpaid",
                                           "closed_refunded"])}
            for _ in range(120)
        ]  # fmt: skip
        for order, number in zip(
            orders, await add_orders(w, merchant.shop_id, orders), strict=True
        ):
            order["id"] = number
        messages = []
        for n in range(120):
            sent = moment()
            about = r.choice(orders)
            messages.append({
                "customer_id": about["customer_id"], "enrolment_id": n, "sent_at": sent,
                "order_id": about["id"] if r.random() < 0.3 else None,
                "channel": r.choice(["email", "sms", "pigeon"]), "marketing": r.random() < 0.8,
                "state": r.choice(["sent", "sent", "sent", "failed"]),
                "receipt": r.choice([None, None, "delivered", "undelivered", "bounced"]),
                "delivered_at": maybe(), "opened_at": maybe(), "clicked_at": maybe(),
            })  # fmt: skip
        for message, number in zip(messages, await add_messages(w, run, messages), strict=True):
            message["id"] = number
    merchant.clock.move(timedelta(hours=24))
    async with merchant.work() as w:
        await set_window(w, "email", "click", 24)
        await set_window(w, "email", "delivery", 1)
    async with merchant.read() as session:
        decided = await windows(session)

    def allowed(channel, touch, at):
        named = channel if channel in DEFAULTS else "*"
        (found,) = [
            one.hours for one in in_force(decided, at)
            if (one.channel, one.touch) == (named, touch)
        ]  # fmt: skip
        return timedelta(hours=found)

    db = merchant.installation.db
    await credit_period(db, merchant.id, START - timedelta(days=1), hours(1_000))
    expected = by_brute_force(messages, orders, allowed)
    assert await credits(merchant) == expected
    assert len(expected) > 25
    assert {touch for _, touch in expected.values()} == set(TOUCHES)

    # the log of changes leads to the same as crediting everything anew
    async with merchant.work() as w:
        for message in r.sample(messages, 40):
            for name in r.sample(["delivered_at", "opened_at", "clicked_at"], 2):
                message[name] = maybe()
            await w.sql.execute(
                """UPDATE deliveries SET delivered_at = $3, opened_at = $4, clicked_at = $5
                   WHERE merchant_id = $1 AND id = $2""",
                w.merchant_id, message["id"], message["delivered_at"], message["opened_at"],
                message["clicked_at"],
            )  # fmt: skip
        for order in r.sample(orders, 20):
            order["paid_at"] = maybe()
            await w.sql.execute(
                "UPDATE orders SET paid_at = $3 WHERE merchant_id = $1 AND id = $2",
                w.merchant_id, order["id"], order["paid_at"],
            )  # fmt: skip
    await credit_changed(db, merchant.id)
    assert await credits(merchant) == by_brute_force(messages, orders, allowed)


@pytest.mark.slow
async def test_a_worker_credits_orders_and_writes_reports_by_itself(merchant):
    async with merchant.work() as w:
        (person,) = await add_people(w, 1)
        run = await add_run(w, await add_campaign(w))
        (sent,) = await add_messages(w, run, [{"customer_id": person, "channel": "sms"}])
        (order,) = await add_orders(
            w, merchant.shop_id, [{"customer_id": person, "paid_at": hours(1)}]
        )
    merchant.clock.move(timedelta(days=6))
    duties = Duties(merchant.installation)

    async def credited():
        await duties.sweep()  # too much due at once is left for the next sweep
        return await credits(merchant) == {order: (sent, "delivery")}

    async def reported():
        await duties.sweep()
        async with merchant.read() as session:
            return await session.sql.fetchval(
                "SELECT id FROM campaign_reports WHERE merchant_id = $1 AND run_id = $2",
                merchant.id, run,
            )  # fmt: skip

    await until(credited)
    await until(reported)
    await duties.stop()


async def test_a_job_credits_a_period_in_steps(merchant, monkeypatch):
    monkeypatch.setattr(attribution, "AT_ONCE", 3)
    _sent, orders = await set_up(
        merchant, [{"channel": "sms"}], [{"paid_at": hours(n // 2)} for n in range(9)]
    )
    async with merchant.work() as w:
        await w.sql.execute("DELETE FROM attributions WHERE merchant_id = $1", merchant.id)
        params = {"since": hours(1).isoformat(), "until": hours(4).isoformat()}
        job_id = await jobs.enqueue(w, attribution.AttributionRecompute.name, params)
    db = merchant.installation.db
    job = await jobs.claim(db, merchant.id, job_id)
    await jobs.perform(db, job, job_kinds(merchant.installation.registry))
    async with merchant.read() as session:
        row = await session.sql.fetchrow(
            "SELECT state, result FROM jobs WHERE merchant_id = $1 AND id = $2", merchant.id, job_id
        )
    assert (row["state"], orjson.loads(row["result"])) == ("succeeded", {"orders": 6, "changed": 6})
    assert sorted(await credits(merchant)) == sorted(orders[2:8])
