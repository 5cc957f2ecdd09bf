"""Hours, holidays and rates in the ledger: what waits, what is dropped, and for how long."""

import asyncio
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.campaigns.claiming import RATE, claim
from core.domain.campaigns.control import start_campaign
from core.domain.campaigns.due import due_runs
from core.domain.campaigns.policy.hours import delete_holiday, set_holidays, set_hours
from core.domain.campaigns.policy.rates import set_rate
from core.domain.campaigns.policy.windows import COMMUTE_AND_REST, Span
from core.domain.campaigns.sending import send_run
from core.sdk import InvalidInput, Several, marketing_hours
from core.sdk.errors import HuikeError
from core.storage.buckets import Bucket
from core.testing.smtp import smtp_sink
from tests.campaigns.policy_kit import (
    LEASE,
    cap,
    claimed,
    enable_channel,
    end_all,
    planned,
    rows_of,
    send_all,
    step_of,
)
from tests.sending_kit import (
    add_customers,
    campaign_row,
    enable_email,
    make_campaign,
    states,
    until,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
NIGHT = Span(time(21), time(8))
URL = "http://shop.example"


def local(*when):
    return datetime(2026, 6, *when, tzinfo=SHANGHAI)


@pytest.fixture
async def shop(merchant):
    await enable_channel(merchant)
    await add_customers(merchant, ["a@example.com"])
    yield merchant
    await end_all(merchant)


async def quiet(merchant, *spans, shop_id=0, channel="*", open_=(), service=False):
    async with merchant.work() as w:
        registry = merchant.installation.registry
        return await set_hours(
            w, registry, shop_id, channel, open_=open_, quiet=spans, service=service
        )


async def holidays(merchant, *days, shop_id=0, service=False):
    async with merchant.work() as w:
        await set_holidays(w, merchant.installation.registry, shop_id, days, "holiday", service)


async def due(merchant):
    """The runs of this merchant that have something to do now."""
    found = await due_runs(merchant.installation.db, 10_000)
    return {run.run_id for run in found if run.merchant_id == merchant.id}


def go_to(merchant, *when):
    merchant.clock.move(local(*when) - merchant.clock())


async def test_planned_in_quiet_hours_it_waits_for_their_end(shop):
    await quiet(shop, *COMMUTE_AND_REST)
    go_to(shop, 15, 12, 45)
    run_id = await planned(shop, "one")
    assert await rows_of(shop, run_id) == [("pending", "quiet_hours", local(15, 14))]
    assert run_id not in await due(shop)
    assert await send_all(shop, run_id) == 0
    go_to(shop, 15, 14)
    assert run_id in await due(shop)
    assert await send_all(shop, run_id) == 1


async def test_what_may_not_wait_so_long_is_dropped_with_the_rule_that_forbade_it(shop):
    await quiet(shop, NIGHT)
    go_to(shop, 15, 22)
    short = {"options": {"max_lateness": {"hours": 9}}}
    (row,) = await rows_of(shop, await planned(shop, "one", **short))
    assert row[:2] == ("skipped", "quiet_hours")
    (row,) = await rows_of(
        shop, await planned(shop, "two", options={"max_lateness": {"hours": 10}})
    )
    assert row == ("pending", "quiet_hours", local(16, 8))


async def test_too_late_is_after_the_last_moment_not_at_it(shop):
    options = {"options": {"max_lateness": {"hours": 1}}}
    one, two = await planned(shop, "one", **options), await planned(shop, "two", **options)
    shop.clock.move(timedelta(hours=1))
    assert await send_all(shop, one) == 1
    shop.clock.move(timedelta(microseconds=1))
    assert await send_all(shop, two) == 0
    assert [row[:2] for row in await rows_of(shop, two)] == [("skipped", "too_late")]


async def test_service_messages_go_out_at_night_unless_the_hours_are_theirs_too(shop):
    await quiet(shop, NIGHT)
    go_to(shop, 15, 23)
    assert await send_all(shop, await planned(shop, "one", message_class="service")) == 1
    await quiet(shop, NIGHT, service=True)
    (row,) = await rows_of(shop, await planned(shop, "two", message_class="service"))
    assert row == ("pending", "quiet_hours", local(16, 8))


async def test_holidays_for_marketing_and_for_all(shop):
    await holidays(shop, date(2026, 6, 15), date(2026, 6, 16))
    assert await rows_of(shop, await planned(shop, "one")) == [("skipped", "holiday", shop.clock())]
    go_to(shop, 16, 12)
    assert await rows_of(shop, await planned(shop, "two")) == [("pending", "holiday", local(17, 0))]
    assert await send_all(shop, await planned(shop, "three", message_class="service")) == 1
    await holidays(shop, date(2026, 6, 16), service=True)
    assert await send_all(shop, await planned(shop, "four", message_class="service")) == 0


async def test_hours_of_one_shop_or_channel_are_not_the_others(shop):
    await quiet(shop, NIGHT, shop_id=shop.shop_id)
    go_to(shop, 15, 23)
    assert await send_all(shop, await planned(shop, "one")) == 1
    assert await send_all(shop, await planned(shop, "two", shop_id=shop.shop_id)) == 0
    await quiet(shop, channel="email", open_=[Span(time(9), time(18), frozenset({1, 2, 3, 4, 5}))])
    go_to(shop, 19, 18)
    run_id = await planned(shop, "three", options={"max_lateness": {"days": 3}})
    assert await rows_of(shop, run_id) == [("pending", "channel_hours", local(22, 9))]
    assert await quiet(shop, channel="email") is None
    assert await send_all(shop, await planned(shop, "four")) == 1


async def test_a_day_begins_at_midnight_of_the_shops_zone(shop):
    async with shop.work() as w:
        await w.sql.execute(
            "UPDATE shops SET time_zone = 'America/New_York' WHERE merchant_id = $1", shop.id
        )
    await holidays(shop, date(2026, 6, 15))
    shop.clock.move(datetime(2026, 6, 15, 3, 59, 59, tzinfo=ZoneInfo("UTC")) - shop.clock())
    # still the 14th in New York, but the 15th in Shanghai
    assert await send_all(shop, await planned(shop, "one", shop_id=shop.shop_id)) == 1
    assert await send_all(shop, await planned(shop, "two")) == 0
    shop.clock.move(timedelta(seconds=1))
    (row,) = await rows_of(shop, await planned(shop, "three", shop_id=shop.shop_id))
    assert row[1] == "holiday"


async def test_a_room_in_the_night_is_no_room(shop):
    await cap(shop, 1, 8)
    await quiet(shop, NIGHT)
    go_to(shop, 15, 20)
    await send_all(shop, await planned(shop, "one"))
    run_id = await planned(shop, "two", options={"max_lateness": {"days": 2}})
    assert await rows_of(shop, run_id) == [("pending", "capped", local(16, 4))]
    go_to(shop, 16, 4)
    assert (await claimed(shop, run_id)).closed.at == local(16, 8)
    go_to(shop, 16, 8)
    assert await send_all(shop, run_id) == 1


async def test_hours_that_close_while_a_run_is_sent_let_it_rest_without_writing_its_rows(merchant):
    await add_customers(merchant, [f"c{n}@example.com" for n in range(1000)])
    await quiet(merchant, NIGHT)
    go_to(merchant, 15, 20, 59, 59)
    installation = merchant.installation
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
        campaign_id = await make_campaign(merchant)
        async with merchant.work() as w:
            run_id = await start_campaign(w, installation.registry, campaign_id)
        sending = asyncio.create_task(
            send_run(installation.db, installation.registry, merchant.id, run_id, URL)
        )
        await until(lambda: len(sink.accepted) >= 20)
        merchant.clock.move(timedelta(seconds=1))
        at_close = len(sink.accepted)
        await sending
        assert len(sink.accepted) - at_close <= 100
        row = await campaign_row(merchant, campaign_id)
        assert (row["state"], row["resume_at"]) == ("running", local(16, 8))
        assert (await states(merchant, run_id)).keys() == {"sent", "pending"}
        untouched = {(None, local(15, 20, 59, 59)), (None, local(15, 21))}
        waiting = [row[1:] for row in await rows_of(merchant, run_id) if row[0] == "pending"]
        assert set(waiting) <= untouched
        assert run_id not in await due(merchant)
        go_to(merchant, 16, 8)
        await send_run(installation.db, installation.registry, merchant.id, run_id, URL)
        assert len({to for _, to in sink.accepted}) == len(sink.accepted) == 1000


async def test_what_cannot_wait_for_the_opening_is_skipped_at_the_close(shop):
    run_id = await planned(shop, "one", options={"max_lateness": {"hours": 12}})
    await quiet(shop, NIGHT)
    go_to(shop, 15, 21)
    closed = (await claimed(shop, run_id)).closed
    assert (closed.at, closed.rule) == (local(16, 8), "quiet_hours")
    assert [row[:2] for row in await rows_of(shop, run_id)] == [("skipped", "quiet_hours")]


async def test_by_the_clocks_where_customers_live_each_row_has_its_own_hours(merchant):
    await enable_channel(merchant)
    places = [("CN", None), ("US", None), ("US", "California"), (None, None), ("DE", None)]
    ids = await add_customers(merchant, [f"c{n}@example.com" for n in range(len(places))])
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE customers c SET country = x.country, province = x.province
               FROM unnest($2::bigint[], $3::text[], $4::text[]) x (id, country, province)
               WHERE c.merchant_id = $1 AND c.id = x.id""",
            merchant.id, ids, *map(list, zip(*places, strict=True)),
        )  # fmt: skip
    await quiet(merchant, NIGHT)
    await holidays(merchant, date(2026, 6, 14))
    run_id = await planned(merchant, "one", options={"max_lateness": {"days": 2}})
    step = replace(await step_of(merchant, run_id), local=True)
    async with merchant.work() as w:
        found = await claim(w, step, "w", LEASE, 10)
    assert found.closed is None
    # noon in Shanghai is midnight in New York, nine in the evening of a holiday in California
    at = {
        "America/New_York": datetime(2026, 6, 15, 8, tzinfo=ZoneInfo("America/New_York")),
        "America/Los_Angeles": datetime(2026, 6, 15, 8, tzinfo=ZoneInfo("America/Los_Angeles")),
        "Europe/Berlin": datetime(2026, 6, 15, 8, tzinfo=ZoneInfo("Europe/Berlin")),
    }
    assert await rows_of(merchant, run_id) == [
        ("sending", None, merchant.clock()),
        ("pending", "quiet_hours", at["America/New_York"]),
        ("pending", "holiday", at["America/Los_Angeles"]),
        ("sending", None, merchant.clock()),
        ("pending", "quiet_hours", at["Europe/Berlin"]),
    ]
    # at night in the shop too, those who are awake get it
    merchant.clock.move(at["America/New_York"] + timedelta(hours=2) - merchant.clock())
    async with merchant.work() as w:
        found = await claim(w, step, "w", LEASE, 10)
    assert sorted(row["customer_id"] for row in found.rows if row["reason"] is None) == [
        ids[1], ids[4],
    ]  # fmt: skip
    await end_all(merchant)


async def test_hours_are_checked(merchant):
    registry = merchant.installation.registry
    async with merchant.work() as w:
        with pytest.raises(InvalidInput, match="no time at all"):
            await set_hours(w, registry, 0, "*", quiet=[Span(time(), time())])
        with pytest.raises((HuikeError, Several)):
            await set_hours(w, registry, 0, "pigeon", quiet=[NIGHT])
        with pytest.raises(InvalidInput):
            await set_holidays(w, registry, 0, [], "none", False)
        with pytest.raises(Exception, match="no holiday"):
            await delete_holiday(w, 10**9)


def test_a_channel_to_phones_is_held_to_the_laws_hours_unless_it_says_its_own():
    class Phone:
        contact = "phone"

    class Later(Phone):
        marketing_hours = (time(9), time(21))

    class Free(Phone):
        marketing_hours = None

    class Email:
        contact = "email"

    assert marketing_hours(Phone()) == (time(8), time(22))
    assert marketing_hours(Later()) == (time(9), time(21))
    assert marketing_hours(Free()) is marketing_hours(Email()) is None


# -- rates ---------------------------------------------------------------------------------------


async def rate(merchant, messages, seconds):
    async with merchant.work() as w:
        await set_rate(w, merchant.installation.registry, "email", messages, seconds)


async def test_a_claim_takes_as_many_as_the_rate_has_room_for(merchant):
    await enable_channel(merchant)
    await add_customers(merchant, [f"c{n}@example.com" for n in range(200)])
    await rate(merchant, 100, 60)
    runs = [await planned(merchant, name) for name in ("one", "two")]
    assert (await claimed(merchant, runs[0])).closed.rule == RATE
    merchant.clock.move(timedelta(minutes=1))
    taken = [await claimed(merchant, run_id) for run_id in runs]
    assert [len(one.rows) for one in taken] == [10, 0]
    wait = taken[1].closed.at - merchant.clock()
    assert timedelta(seconds=0.6) < wait < timedelta(seconds=0.7)
    merchant.clock.move(wait)
    assert len((await claimed(merchant, runs[1])).rows) == 1
    await rate(merchant, None, 60)
    assert len((await claimed(merchant, runs[1])).rows) == 199


async def test_skipped_rows_take_no_token(merchant):
    await enable_channel(merchant)
    ids = await add_customers(merchant, [f"c{n}@example.com" for n in range(10)])
    await rate(merchant, 50, 60)
    run_id = await planned(merchant, "one")
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE consents SET status = 'denied' WHERE merchant_id = $1
               AND customer_id = ANY($2::bigint[])""",
            merchant.id, ids[:5],
        )  # fmt: skip
    merchant.clock.move(timedelta(minutes=1))
    assert len((await claimed(merchant, run_id)).rows) == 5
    assert len((await claimed(merchant, run_id)).rows) == 5


async def test_workers_share_the_rate(merchant):
    await enable_channel(merchant)
    await add_customers(merchant, [f"c{n}@example.com" for n in range(100)])
    await rate(merchant, 300, 60)
    run_id = await planned(merchant, "one")
    merchant.clock.move(timedelta(minutes=1))
    taken = await asyncio.gather(*(claimed(merchant, run_id, 8, f"w{n}") for n in range(12)))
    assert sum(len(one.rows) for one in taken) == 30


@pytest.mark.parametrize("messages", [0, 2_000_000])
async def test_a_rate_is_checked(merchant, messages):
    async with merchant.work() as w:
        with pytest.raises(InvalidInput):
            await set_rate(w, merchant.installation.registry, "email", messages, 60)
        with pytest.raises(InvalidInput):
            await set_rate(w, merchant.installation.registry, "email", 5, 3600)


@given(
    st.integers(1, 500), st.sampled_from([1, 60]),
    st.lists(st.tuples(st.floats(0, 1.5), st.integers(1, 200)), max_size=80),
)  # fmt: skip
def test_no_period_sees_more_than_is_allowed(messages, seconds, asked):
    bucket = Bucket(messages, seconds)
    now = begin = datetime(2026, 6, 15, tzinfo=ZoneInfo("UTC"))
    tokens, filled, sent = 0.0, begin, []
    for pause, wanted in asked:
        now += timedelta(seconds=pause * seconds)
        tokens, filled = bucket.tokens(tokens, filled, now), now
        taken = min(wanted, int(tokens + 1e-6))
        tokens = max(0.0, tokens - taken)
        sent.append((now, taken))
        if not taken:
            assert bucket.ready_at(1, tokens, now) > now
    for start, _ in sent:
        within = [n for at, n in sent if start <= at < start + timedelta(seconds=seconds)]
        assert sum(within) <= messages


async def test_a_run_that_outruns_its_rate_waits_and_ends(merchant):
    await add_customers(merchant, [f"c{n}@example.com" for n in range(40)])
    await rate(merchant, 100, 60)
    installation = merchant.installation
    async with smtp_sink() as sink:
        await enable_email(merchant, sink.port)
        campaign_id = await make_campaign(merchant)
        async with merchant.work() as w:
            run_id = await start_campaign(w, installation.registry, campaign_id)
        turns = 0
        while (await campaign_row(merchant, campaign_id))["state"] == "running":
            await send_run(installation.db, installation.registry, merchant.id, run_id, URL)
            resume_at = (await campaign_row(merchant, campaign_id))["resume_at"]
            merchant.clock.move(timedelta(seconds=3))
            turns += 1
            assert resume_at is not None
            assert turns < 40
        assert len(sink.accepted) == 40
        assert 9 <= turns <= 15
