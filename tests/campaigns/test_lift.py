"""Lift against a holdout: known differences are found, and what is too small is called so."""

import random
from datetime import timedelta

import pytest

from core.domain.campaigns.results.bootstrap import Group, Spend, Verdict, lift_of
from core.domain.campaigns.results.holdout import Holdout, holdout_of
from core.domain.campaigns.results.lift import (
    Score,
    flow_length,
    lift_curve,
    lift_of_run,
    read_run,
)
from core.domain.lifecycle.calendar import calendar_of
from core.sdk.facets import Query
from core.sdk.flows import Condition, Duration, Flow, OnEvent, Options, Send, Variant, Wait, WaitFor
from core.testing.fixtures import START
from tests.results_kit import (
    add_campaign,
    add_messages,
    add_orders,
    add_people,
    add_run,
    hours,
)


def drawn(r, customers, conversion, amounts=(5_000, 10_000, 30_000)):
    """A group of which each customer buys with that probability."""
    counts = dict.fromkeys(amounts, 0)
    for _ in range(customers):
        if r.random() < conversion:
            counts[r.choice(amounts)] += 1
    return Group(customers, [Spend(n, n * a) for a, n in counts.items() if n])


def test_the_worked_example():
    """900 treated of whom 90 bought for 9,000 yuan, 100 held out of whom 5 bought for 400."""
    treated = Group(900, [Spend(90, 900_000)])
    lift = lift_of(treated, Group(100, [Spend(5, 40_000)]), seed=1)
    assert lift.conversion.value == pytest.approx(0.10 - 0.05)
    assert lift.revenue.value == pytest.approx(1_000 - 400)
    assert lift.incremental_buyers == 90 - 5 * 9
    assert lift.incremental_sales == 900_000 - 40_000 * 9
    assert lift == lift_of(treated, Group(100, [Spend(5, 40_000)]), seed=1)
    assert lift.conversion != lift_of(treated, Group(100, [Spend(5, 40_000)]), seed=2).conversion


@pytest.mark.parametrize(
    ("treated", "control", "verdict"),
    [
        ((10_000, 1_200), (10_000, 1_000), Verdict.MORE),
        ((10_000, 1_000), (10_000, 1_200), Verdict.LESS),
        ((10_000, 1_010), (10_000, 1_000), Verdict.TOO_SMALL),
        ((10_000, 5_000), (99, 10), Verdict.TOO_SMALL),
        ((10_000, 5_000), (100, 4), Verdict.TOO_SMALL),
        ((10_000, 5_000), (100, 5), Verdict.MORE),
        ((10_000, 0), (10_000, 1_000), Verdict.TOO_SMALL),
        ((10_000, 1_000), (0, 0), Verdict.TOO_SMALL),
    ],
)
def test_a_difference_is_told_only_when_it_is_one(treated, control, verdict):
    groups = [Group(n, [Spend(b, b * 100)] if b else []) for n, b in (treated, control)]
    lift = lift_of(*groups, seed=3)
    assert (lift.conversion.verdict, lift.revenue.verdict) == (verdict, verdict)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """95 percent of the intervals, give or take what chance allows in so many trials."""
    r = random.Random(5)
    trials, covered, none_told = 300, {"conversion": 0, "revenue": 0}, 0
    mean = sum((5_000, 10_000, 30_000)) / 3
    for trial in range(trials):
        lift = lift_of(drawn(r, 2_000, 0.12), drawn(r, 800, 0.09), seed=trial, resamples=400)
        truth = {"conversion": 0.03, "revenue": 0.03 * mean}
        for name, value in truth.items():
            found = getattr(lift, name)
            covered[name] += found.low <= value <= found.high
        same = lift_of(drawn(r, 2_000, 0.1), drawn(r, 800, 0.1), seed=trial, resamples=400)
        none_told += same.conversion.verdict is not Verdict.TOO_SMALL
    for name, times in covered.items():
        assert 0.91 <= times / trials <= 0.98, (name, times)
    assert none_told / trials <= 0.09  # where nothing is, 5 percent are told wrongly


def test_the_interval_is_as_wide_as_theory_has_it():
    treated, control = Group(100_000, [Spend(3_000, 3)]), Group(100_000, [Spend(2_800, 3)])
    lift = lift_of(treated, control, seed=9)
    deviation = sum(g.conversion * (1 - g.conversion) / g.customers for g in (treated, control))
    width = 2 * 1.96 * deviation**0.5
    assert lift.conversion.high - lift.conversion.low == pytest.approx(width, rel=0.1)


# -- from the ledger -----------------------------------------------------------------------------


async def test_the_holdout_is_the_same_in_sql_and_python(merchant):
    holdout = holdout_of(77, Options(holdout_percent=20))
    assert holdout_of(77, Options()) is None
    q = Query(merchant.id, START, "UTC")
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            f"""SELECT n, {holdout.reason_sql(q, "n")} AS reason
                FROM generate_series(1, 5000) n WHERE $1::bigint > 0""",
            *q.args,
        )
    held = {row["n"] for row in rows if row["reason"] == "holdout"}
    assert held == {n for n in range(1, 5_001) if holdout.has(n)}
    assert 0.18 < len(held) / 5_000 < 0.22
    smaller = {n for n in range(1, 5_001) if Holdout(77, 10).has(n)}
    assert smaller < held  # a greater one takes more, it does not shuffle
    assert held != {n for n in range(1, 5_001) if Holdout(78, 20).has(n)}


async def broadcast(merchant, **times):
    """A run to 300 of whom 100 are held out: 12 of the treated and 6 of the control buy."""
    async with merchant.work() as w:
        people = await add_people(w, 320)
        campaign = await add_campaign(w, holdout_percent=33)
        run = await add_run(w, campaign)
        held = {"state": "skipped", "reason": "holdout", "sent_at": None, "attempts": 0}
        no_consent = held | {"reason": "no_consent"}
        too_late = held | {"reason": "opted_out", "attempts": 1}
        kinds = [{}] * 190 + [too_late] * 10 + [held] * 100 + [no_consent] * 20
        await add_messages(
            w, run, [{"customer_id": one} | kind for one, kind in zip(people, kinds, strict=True)]
        )
        buyers = people[:10] + people[190:192] + people[200:206] + people[300:310]
        await add_orders(
            w, merchant.shop_id,
            [{"customer_id": one, "paid_at": hours(1), "paid": 3_000, "refunded": 1_000}
             for one in buyers]
            + [{"customer_id": people[n], "paid_at": hours(hour), "state": state}
               for n, hour, state in ((11, -1, "completed"), (12, 120, "completed"),
                                      (13, 1, "closed_refunded"), (210, 121, "completed"))]
            + [{"customer_id": people[14], "paid_at": hours(1), "currency": "USD"}],
        )  # fmt: skip
    return run, people


async def test_lift_of_a_broadcast(merchant):
    run_id, _people = await broadcast(merchant)
    async with merchant.read() as session:
        run = await read_run(session, run_id)
        lift = await lift_of_run(session, await calendar_of(session), run)
    assert (lift.treated.customers, lift.treated.buyers, lift.treated.amount) == (200, 12, 24_000)
    assert (lift.control.customers, lift.control.buyers, lift.control.amount) == (100, 6, 12_000)
    assert lift.conversion.value == 0
    assert lift.incremental_sales == 0
    assert lift.conversion.verdict is Verdict.TOO_SMALL


async def test_without_a_holdout_there_is_no_lift(merchant):
    async with merchant.work() as w:
        run_id = await add_run(w, await add_campaign(w))
        await add_messages(w, run_id, [{"customer_id": one} for one in await add_people(w, 2)])
    async with merchant.read() as session:
        calendar = await calendar_of(session)
        assert await lift_of_run(session, calendar, await read_run(session, run_id)) is None


CONTENT = {"subject": "hi", "html": "<p>hi</p>"}
JOURNEY = Flow(
    trigger=OnEvent(type="order.created"),
    steps=[
        Wait(key="pause", span=Duration(hours=2)),
        WaitFor(key="paid", type="order.paid", timeout=Duration(days=1), next="end",
                otherwise="ask"),
        Condition(key="ask", otherwise="end"),
        Send(key="send", channel="email", variants=[Variant(content=CONTENT)]),
    ],
)  # fmt: skip


async def test_lift_of_a_journey_counts_from_coming_in(merchant):
    assert flow_length(JOURNEY) == timedelta(hours=26)
    after = 26 + 120
    async with merchant.work() as w:
        people = await add_people(w, 8)
        campaign = await add_campaign(w, flow=JOURNEY, holdout_percent=50)
        run_id = await add_run(w, campaign)
        await w.sql.executemany(
            """INSERT INTO enrolments (merchant_id, campaign_id, run_id, customer_id, entry_key,
                   state, reason, entered_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
            [
                (w.merchant_id, campaign, run_id, one, key, "left" if n >= 4 else "done",
                 "holdout" if n >= 4 else None, hours(n + 1_000 * key))
                for n, one in enumerate(people) for key in (0, 1)
            ],
        )  # fmt: skip
        await add_orders(
            w, merchant.shop_id,
            [{"customer_id": people[n], "paid_at": hours(n + hour)}
             for n, hour in ((0, -1), (1, 0), (2, after - 0.01), (3, after), (4, 1), (5, after))],
        )  # fmt: skip
    async with merchant.read() as session:
        calendar = await calendar_of(session)
        lift = await lift_of_run(session, calendar, await read_run(session, run_id))
    assert (lift.treated.customers, lift.treated.buyers) == (4, 2)
    assert (lift.control.customers, lift.control.buyers) == (4, 1)


async def test_many_different_amounts_are_grouped_without_losing_any(merchant):
    async with merchant.work() as w:
        people = await add_people(w, 1_000)
        run_id = await add_run(w, await add_campaign(w))
        held = {"state": "skipped", "reason": "holdout", "sent_at": None, "attempts": 0}
        await add_messages(
            w, run_id,
            [{"customer_id": one} | (held if n % 2 else {}) for n, one in enumerate(people)],
        )  # fmt: skip
        paid = [(n + 1) ** 2 for n in range(800)]
        await add_orders(
            w, merchant.shop_id,
            [{"customer_id": one, "paid_at": START, "paid": amount}
             for one, amount in zip(people, paid, strict=False)],
        )  # fmt: skip
    async with merchant.read() as session:
        calendar = await calendar_of(session)
        lift = await lift_of_run(session, calendar, await read_run(session, run_id))
    assert (lift.treated.amount, lift.control.amount) == (sum(paid[::2]), sum(paid[1::2]))
    assert (lift.treated.buyers, lift.control.buyers) == (400, 400)
    assert 50 < len(lift.treated.spends) <= 101


async def test_the_lift_curve(merchant):
    """10 customers by what they spent before: the best 2 hold 2 of the 4 responders."""
    async with merchant.work() as w:
        people = await add_people(w, 10)
        run_id = await add_run(w, await add_campaign(w))
        clicks = {0, 1, 4, 9}
        await add_messages(
            w, run_id,
            [{"customer_id": one, "clicked_at": START if n in clicks else None}
             for n, one in enumerate(people)],
        )  # fmt: skip
        await add_orders(
            w, merchant.shop_id,
            [{"customer_id": one, "paid_at": hours(-24), "paid": 1_000 - n}
             for n, one in enumerate(people)]
            # neither what came after, nor what is too old, makes anybody better
            + [{"customer_id": people[9], "paid_at": at} for at in (START, hours(-24 * 365 - 1))],
        )  # fmt: skip
    async with merchant.read() as session:
        run, calendar = await read_run(session, run_id), await calendar_of(session)
        curve = await lift_curve(session, calendar, run, Score.NET_SALES)
        orders = await lift_curve(session, calendar, run, Score.ORDERS)
        assert await lift_curve(session, calendar, run, Score.ORDERS) == orders
    assert [one.percent for one in curve] == list(range(5, 105, 5))
    found = {one.percent: (one.customers, one.responders) for one in curve}
    assert found[5] == found[10] == (1, 1)
    assert found[15] == found[20] == (2, 2)
    assert found[50] == (5, 3)
    assert found[95] == found[100] == (10, 4)
    assert (orders[-1].customers, orders[-1].responders) == (10, 4)
