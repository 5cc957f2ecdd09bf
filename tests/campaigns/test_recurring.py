from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from core.domain.campaigns.campaigns import get_campaign, update_campaign
from core.domain.campaigns.control import (
    cancel_campaign,
    finish_campaign,
    pause_campaign,
    resume_campaign,
    schedule_campaign,
    start_campaign,
)
from core.domain.campaigns.due import due_runs
from core.domain.campaigns.flows import parse_options, stored_flow, with_schedule
from core.domain.campaigns.occurrences import (
    Calendar,
    begin,
    begun,
    next_begin,
    occurrences,
    recurrences,
)
from core.domain.campaigns.policy.hours import set_holidays
from core.domain.campaigns.recurring import begin_due_occurrences, next_occurrences, plan_anew
from core.domain.campaigns.scheduling import start_due_campaigns
from core.domain.campaigns.sending import send_run
from core.sdk import InvalidInput, Several, WrongState
from core.sdk.errors import HuikeError
from core.sdk.flows import Schedule
from core.testing.smtp import smtp_sink
from tests.sending_kit import add_customers, enable_email, make_campaign

URL = "http://shop.example"
CONTENT = {"subject": "hello", "html": '<a href="{{ unsubscribe_url }}">T</a>'}
SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


@pytest.fixture
async def sink(merchant):
    async with smtp_sink() as opened:
        await enable_email(merchant, opened.port)
        yield opened
    async with merchant.work() as w:  # else its runs would go on through the other tests
        rows = await w.sql.fetch(
            """SELECT id FROM campaigns WHERE merchant_id = $1 AND state NOT IN
               ('finished', 'cancelled')""",
            merchant.id,
        )  # fmt: skip
        for row in rows:
            await cancel_campaign(w, row["id"])


async def recurring(merchant, cron, local=False, name="member day", **more):
    """A running campaign that recurs; returns its id."""
    campaign_id = await make_campaign(merchant, name=name)
    registry = merchant.installation.registry
    async with merchant.work() as w:
        flow = stored_flow((await get_campaign(w, campaign_id))["flow"])
        flow = with_schedule(flow, Schedule(cron=cron, local=local, **more))
        await update_campaign(w, registry, campaign_id, {"flow": flow})
        assert await start_campaign(w, registry, campaign_id) is None
    return campaign_id


async def sweep(merchant, until=None):
    """What the worker does, once; or at each hour until an instant."""
    installation = merchant.installation
    while True:
        await start_due_campaigns(installation.db, installation.registry, merchant.id)
        await begin_due_occurrences(installation.db, installation.registry, merchant.id)
        for run in await due_runs(installation.db, 1000):
            if run.merchant_id == merchant.id:
                await send_run(installation.db, installation.registry, merchant.id, run.run_id, URL)
        if until is None or merchant.clock() >= until:
            return
        merchant.clock.move(min(timedelta(hours=1), until - merchant.clock()))


async def runs(merchant, campaign_id):
    """(state, occurrence in Shanghai) of each run, in order."""
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT state, occurrence FROM campaign_runs
               WHERE merchant_id = $1 AND campaign_id = $2 ORDER BY occurrence""",
            merchant.id, campaign_id,
        )  # fmt: skip
    return [(row["state"], f"{row['occurrence'].astimezone(SHANGHAI):%m-%d %H:%M}") for row in rows]


async def state(merchant, campaign_id):
    async with merchant.read() as session:
        return (await get_campaign(session, campaign_id))["state"]


async def coming(merchant, campaign_id, first=3):
    async with merchant.read() as session:
        row = await get_campaign(session, campaign_id)
        found = await next_occurrences(session, row, first)
    return [f"{moment.astimezone(SHANGHAI):%m-%d %H:%M}" for moment in found]


async def act(merchant, action, *args):
    async with merchant.work() as w:
        return await action(w, *args)


def berlin(cron, after, count):
    moments = occurrences(cron, BERLIN, datetime.fromisoformat(after))
    return [f"{next(moments).astimezone(BERLIN):%m-%dT%H:%M%z}" for _ in range(count)]


def test_nights_of_daylight_saving():
    # the night of 29 March 2026 has no half past two, that of 25 October has two
    assert berlin("30 2 * * *", "2026-03-28T12:00+01:00", 2) == [
        "03-29T03:00+0200", "03-30T02:30+0200"
    ]  # fmt: skip
    assert berlin("30 2 * * *", "2026-10-24T12:00+02:00", 2) == [
        "10-25T02:30+0200", "10-26T02:30+0100"
    ]  # fmt: skip
    # asked within the hour that comes twice, for the second time
    assert berlin("45 2 * * *", "2026-10-25T02:15+01:00", 1) == ["10-26T02:45+0100"]
    assert berlin("0 * * * *", "2026-10-25T01:30+02:00", 3) == [
        "10-25T02:00+0200", "10-25T02:00+0100", "10-25T03:00+0100"
    ]  # fmt: skip


def test_ends_of_months():
    days = occurrences("0 9 L * *", SHANGHAI, datetime(2028, 1, 31, 12, tzinfo=UTC))
    assert [f"{next(days):%m-%d}" for _ in range(3)] == ["02-29", "03-31", "04-30"]
    days = occurrences("0 9 31 * *", SHANGHAI, datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert [f"{next(days):%m-%d}" for _ in range(2)] == ["03-31", "05-31"]


def test_a_local_occurrence_begins_where_the_day_begins():
    schedule = Schedule(cron="0 10 * * *", local=True)
    noon = datetime(2026, 6, 15, 4, tzinfo=UTC)
    # ten o'clock of the 16th in Kiribati
    assert next_begin(schedule, SHANGHAI, noon) == datetime(2026, 6, 15, 20, tzinfo=UTC)
    moment = datetime(2026, 6, 16, 2, tzinfo=UTC)
    assert begun(schedule, SHANGHAI, begin(schedule, SHANGHAI, moment)) == moment


@pytest.mark.parametrize("cron", ["", "* * * *", "0 0 10 * * *", "61 * * * *", "0 0 31 2 *", "x"])
def test_what_is_no_cron(cron):
    with pytest.raises(ValueError):
        Schedule(cron=cron)


async def test_a_run_for_each_occurrence(merchant, sink):
    await add_customers(merchant, ["a@example.com", "b@example.com"])
    campaign_id = await recurring(merchant, "0 10 * * TUE")  # the clock stands at Monday noon
    assert await coming(merchant, campaign_id) == ["06-16 10:00", "06-23 10:00", "06-30 10:00"]
    await sweep(merchant)
    assert sink.accepted == []
    await sweep(merchant, until=datetime(2026, 6, 24, tzinfo=UTC))
    assert await runs(merchant, campaign_id) == [
        ("finished", "06-16 10:00"), ("finished", "06-23 10:00")
    ]  # fmt: skip
    assert len(sink.accepted) == 4
    assert await state(merchant, campaign_id) == "running"
    assert await coming(merchant, campaign_id, 1) == ["06-30 10:00"]


def test_days_off_are_skipped_or_moved():
    """Against a calendar made by hand: 1 to 3 October 2026 (Thursday to Saturday) are holidays.

    Saturday the 10th is worked in return.
    """
    off = {date(2026, 10, day) for day in (1, 2, 3)}
    worked = {date(2026, 10, 10)}
    after = datetime(2026, 9, 29, 16, tzinfo=UTC)  # the 30th in Shanghai

    def coming(cron, number, **more):
        schedule = Schedule(cron=cron, **more)
        found = islice(recurrences(schedule, SHANGHAI, after, Calendar(off, worked)), number)
        return [f"{one.astimezone(SHANGHAI):%m-%d %H}" for one in found]

    assert coming("0 9,18 * * *", 5, holidays="skip") == [
        "09-30 09", "09-30 18", "10-04 09", "10-04 18", "10-05 09"
    ]  # fmt: skip
    assert coming("0 9 * * *", 3, holidays="next") == ["09-30 09", "10-04 09", "10-05 09"]
    assert coming("0 9 * * *", 3, holidays="previous") == ["09-30 09", "10-04 09", "10-05 09"]
    assert coming("0 18 1 * *", 2, holidays="previous") == ["09-30 18", "11-01 18"]
    assert coming("0 9 1,3 * *", 2, holidays="next", weekends=True) == ["10-05 09", "11-02 09"]
    assert coming("0 9 2 * *", 2, holidays="skip", weekends=True) == ["11-02 09", "12-02 09"]
    assert coming("0 9 10,11 * *", 2, holidays="next", weekends=True) == ["10-10 09", "10-12 09"]
    assert coming("0 9 11 * *", 1, holidays="previous", weekends=True) == ["10-10 09"]
    assert coming("0 9 * * SAT", 2, holidays="skip", weekends=True) == ["10-10 09"]
    assert coming("0 9 1 10 *", 2) == ["10-01 09", "10-01 09"]
    # what lies before, and is moved to a day after it
    after = datetime(2026, 10, 2, 16, tzinfo=UTC)
    assert coming("0 9,18 1 * *", 2, holidays="next") == ["10-04 09", "10-04 18"]
    assert coming("0 9 3 * *", 1, holidays="previous") == ["11-03 09"]


@pytest.mark.parametrize(
    "wrong",
    [{"at": datetime(2026, 10, 1, tzinfo=UTC), "holidays": "skip"},
     {"cron": "0 9 * * *", "weekends": True}],
)  # fmt: skip
def test_days_off_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="skip"):
        Schedule(**wrong)


async def set_days(merchant, *days):
    async with merchant.work() as w:
        await set_holidays(
            w, merchant.installation.registry, 0, [date.fromisoformat(one) for one in days], "off",
            False,
        )  # fmt: skip
        await plan_anew(w)


async def test_a_campaign_passes_holidays_over_also_those_told_later(merchant, sink):
    await add_customers(merchant, ["a@example.com"])
    await set_days(merchant, "2026-06-16")
    campaign_id = await recurring(merchant, "0 10 * * *", holidays="skip")
    assert await coming(merchant, campaign_id, 2) == ["06-17 10:00", "06-18 10:00"]
    await set_days(merchant, "2026-06-17")
    assert await coming(merchant, campaign_id, 2) == ["06-18 10:00", "06-19 10:00"]
    await sweep(merchant, until=datetime(2026, 6, 18, 4, tzinfo=UTC))
    assert await runs(merchant, campaign_id) == [("finished", "06-18 10:00")]
    with pytest.raises(WrongState, match="never"):
        await recurring(merchant, "0 9 * * SUN", name="never", holidays="skip", weekends=True)


async def test_one_that_began_for_who_lives_east_does_not_begin_again(merchant, sink):
    await add_customers(merchant, ["a@example.com"])
    campaign_id = await recurring(merchant, "0 10 * * *", local=True, holidays="next")
    await sweep(merchant, until=datetime(2026, 6, 15, 21, tzinfo=UTC))
    await set_days(merchant, "2026-06-20")
    await sweep(merchant)
    assert await runs(merchant, campaign_id) == [("running", "06-16 10:00")]


async def test_a_single_message_is_moved_off_a_holiday(merchant, sink):
    await add_customers(merchant, ["a@example.com"])
    await set_days(merchant, "2026-06-17", "2026-06-16")
    registry, at = merchant.installation.registry, datetime(2026, 6, 17, 2, tzinfo=UTC)
    campaign_id = await make_campaign(merchant, CONTENT)
    later = Schedule(at=at, holidays="next")
    await act(merchant, schedule_campaign, registry, campaign_id, later)
    assert await coming(merchant, campaign_id) == []  # it has no schedule, but a time to start at
    async with merchant.read() as session:
        row = await get_campaign(session, campaign_id)
    assert row["scheduled_at"] == at + timedelta(days=1)
    before = Schedule(at=at, holidays="previous")  # an hour of today that is over
    with pytest.raises(InvalidInput, match="past"):
        await act(merchant, schedule_campaign, registry, campaign_id, before)


@pytest.mark.parametrize(("hours", "state_then"), [(3, "finished"), (5, "paused")])
async def test_a_start_may_be_as_late_as_the_merchant_allows(merchant, sink, hours, state_then):
    await add_customers(merchant, ["a@example.com"])
    options = parse_options({"start_lateness": {"hours": 4}})
    campaign_id = await make_campaign(merchant, CONTENT, options=options)
    when = Schedule(at=merchant.clock() + timedelta(hours=1))
    await act(merchant, schedule_campaign, merchant.installation.registry, campaign_id, when)
    merchant.clock.move(timedelta(hours=1 + hours))
    await sweep(merchant)
    assert await state(merchant, campaign_id) == state_then


def test_no_start_is_exact():
    with pytest.raises((HuikeError, Several), match="minute"):
        parse_options({"start_lateness": {}})


async def test_of_missed_occurrences_the_newest_runs(merchant, sink):
    await add_customers(merchant, ["a@example.com"])
    campaign_id = await recurring(merchant, "0 10 * * *")
    merchant.clock.move(timedelta(days=3, hours=1))  # the server was down
    await sweep(merchant)
    assert await runs(merchant, campaign_id) == [
        ("missed", "06-16 10:00"), ("missed", "06-17 10:00"), ("finished", "06-18 10:00")
    ]  # fmt: skip
    assert len(sink.accepted) == 1
    assert await coming(merchant, campaign_id, 1) == ["06-19 10:00"]


async def test_what_is_too_late_is_only_noted(merchant, sink):
    await add_customers(merchant, ["a@example.com"])
    campaign_id = await recurring(merchant, "0 10 1 * *")
    merchant.clock.move(timedelta(days=18))  # 3 July, and no later than a day is allowed
    await sweep(merchant)
    assert await runs(merchant, campaign_id) == [("missed", "07-01 10:00")]
    assert sink.accepted == []
    assert await state(merchant, campaign_id) == "running"


async def test_an_occurrence_may_begin_while_the_last_one_still_sends(merchant, sink):
    await add_customers(merchant, ["retry450@example.com"])
    campaign_id = await recurring(merchant, "30 * * * *")
    await sweep(merchant, until=merchant.clock() + timedelta(hours=2))
    assert await runs(merchant, campaign_id) == [
        ("running", "06-15 12:30"), ("running", "06-15 13:30")
    ]  # fmt: skip


async def test_pausing_passes_occurrences_over_and_ending_ends(merchant, sink):
    registry = merchant.installation.registry
    await add_customers(merchant, ["a@example.com"])
    campaign_id = await recurring(merchant, "0 10 * * *")
    await act(merchant, pause_campaign, campaign_id)
    await sweep(merchant, until=merchant.clock() + timedelta(days=2))
    assert await runs(merchant, campaign_id) == []
    assert await act(merchant, resume_campaign, registry, campaign_id) is None
    await sweep(merchant, until=merchant.clock() + timedelta(days=1))
    assert await runs(merchant, campaign_id) == [("finished", "06-18 10:00")]
    await act(merchant, finish_campaign, campaign_id)
    assert await state(merchant, campaign_id) == "finished"
    assert await coming(merchant, campaign_id) == []
    await sweep(merchant, until=merchant.clock() + timedelta(days=2))
    assert len(sink.accepted) == 1


async def test_ending_waits_for_what_is_being_sent(merchant, sink):
    await add_customers(merchant, ["retry450@example.com"])
    campaign_id = await recurring(merchant, "30 * * * *")
    await sweep(merchant, until=merchant.clock() + timedelta(hours=1))
    await act(merchant, finish_campaign, campaign_id)
    assert await state(merchant, campaign_id) == "running"
    await sweep(merchant, until=merchant.clock() + timedelta(days=2))
    assert await runs(merchant, campaign_id) == [("finished", "06-15 12:30")]
    assert await state(merchant, campaign_id) == "finished"


async def test_cancelled_campaigns_recur_no_more(merchant, sink):
    await add_customers(merchant, ["a@example.com"])
    campaign_id = await recurring(merchant, "30 * * * *")
    await act(merchant, cancel_campaign, campaign_id)
    await sweep(merchant, until=merchant.clock() + timedelta(hours=3))
    assert await runs(merchant, campaign_id) == []


async def test_one_that_cannot_begin_is_paused(merchant, sink):
    campaign_id = await recurring(merchant, "30 * * * *")
    async with merchant.work() as w:
        row = await get_campaign(w, campaign_id)
        await delete_segment_of(w, row)
    await sweep(merchant, until=merchant.clock() + timedelta(hours=1))
    async with merchant.read() as session:
        row = await get_campaign(session, campaign_id)
    assert row["state"] == "paused"
    assert "no segment" in row["pause_reason"]


async def delete_segment_of(w, row):
    await w.sql.execute(
        "DELETE FROM segments WHERE merchant_id = $1 AND id = $2", w.merchant_id, row["segment_id"]
    )


async def place(merchant, customer_ids, country, province=None):
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE customers SET country = $3, province = $4
               WHERE merchant_id = $1 AND id = ANY($2::bigint[])""",
            merchant.id, customer_ids, country, province,
        )  # fmt: skip


async def test_a_message_at_each_customers_own_time(merchant, sink):
    addresses = ["home", "tokyo", "berlin", "austin", "boston"]
    ids = await add_customers(merchant, [f"{name}@example.com" for name in addresses])
    for customer_id, country, province in zip(
        ids, [None, "JP", "DE", "US", "US"], [None, None, None, "Texas", "MA"], strict=True
    ):
        await place(merchant, [customer_id], country, province)
    campaign_id = await make_campaign(merchant, CONTENT)
    at = datetime(2026, 6, 16, 2, tzinfo=UTC)  # ten in the shop
    when = Schedule(at=at, local=True)
    await act(merchant, schedule_campaign, merchant.installation.registry, campaign_id, when)
    assert await coming(merchant, campaign_id) == ["06-16 10:00"]
    came = {}
    for _ in range(40):
        await sweep(merchant)
        for _, to in sink.accepted:
            came.setdefault(to.partition("@")[0], merchant.clock())
        merchant.clock.move(timedelta(hours=1))
    zones = {"home": "Asia/Shanghai", "tokyo": "Asia/Tokyo", "berlin": "Europe/Berlin",
             "austin": "America/Chicago", "boston": "America/New_York"}  # fmt: skip
    assert {
        name: f"{moment.astimezone(ZoneInfo(zones[name])):%m-%d %H:%M}"
        for name, moment in came.items()
    } == dict.fromkeys(addresses, "06-16 10:00")
    assert await state(merchant, campaign_id) == "finished"


async def test_for_whom_the_moment_has_passed_gets_it_at_once(merchant, sink):
    ids = await add_customers(merchant, ["auckland@example.com", "berlin@example.com"])
    await place(merchant, ids[:1], "NZ")
    await place(merchant, ids[1:], "DE")
    campaign_id = await make_campaign(merchant, CONTENT)
    at = merchant.clock() + timedelta(hours=1)  # one o'clock in the shop, five in Auckland
    when = Schedule(at=at, local=True)
    await act(merchant, schedule_campaign, merchant.installation.registry, campaign_id, when)
    await sweep(merchant)
    assert [to for _, to in sink.accepted] == ["auckland@example.com"]


async def test_only_one_message_once_is_local(merchant, sink):
    campaign_id = await recurring(merchant, "0 10 * * *")
    await act(merchant, finish_campaign, campaign_id)
    other = await make_campaign(merchant, name="other")
    registry = merchant.installation.registry
    async with merchant.work() as w:
        flow = stored_flow((await get_campaign(w, other))["flow"])
        await update_campaign(
            w, registry, other, {"flow": with_schedule(flow, Schedule(cron="0 10 * * *"))}
        )
    at = merchant.clock() + timedelta(hours=1)
    with pytest.raises(InvalidInput, match="sent once"):
        await act(merchant, schedule_campaign, registry, other, Schedule(at=at, local=True))
