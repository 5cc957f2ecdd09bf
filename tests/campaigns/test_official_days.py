"""Official holidays of mainland China and the weekend days worked in return.

The days of 2026 are those of the State Council's notice of November 2025.
"""

from datetime import UTC, date, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from core.domain.campaigns.campaigns import campaign_calendar
from core.domain.campaigns.occurrences import recurrences
from core.domain.campaigns.policy.gate import read_gate
from core.domain.campaigns.policy.hours import DayKind, set_holidays
from core.domain.campaigns.policy.official_days import add_official_days, chinese_days
from core.sdk.errors import HuikeError
from core.sdk.flows import Schedule, Send, Variant

SHANGHAI = ZoneInfo("Asia/Shanghai")
WORKDAYS = Schedule(cron="0 9 * * *", holidays="skip", weekends=True)


async def add(merchant, kind=DayKind.OFF, year=2026, shop_id=0):
    async with merchant.work() as w:
        return await add_official_days(w, merchant.installation.registry, shop_id, year, kind)


async def name(merchant, day, kind=DayKind.QUIET, service=False):
    async with merchant.work() as w:
        registry = merchant.installation.registry
        await set_holidays(w, registry, 0, [date.fromisoformat(day)], "own", service, kind)


async def coming(merchant, number, month, day):
    async with merchant.read() as session:
        calendar = await campaign_calendar(session, None, WORKDAYS)
    after = datetime(2026, month, day, 16, tzinfo=UTC)
    found = islice(recurrences(WORKDAYS, SHANGHAI, after, calendar), number)
    return [f"{one.astimezone(SHANGHAI):%m-%d}" for one in found]


def test_the_published_days_of_a_year():
    off, working = chinese_days(2026)
    assert sorted(working) == [
        date(2026, 1, 4), date(2026, 2, 14), date(2026, 2, 28), date(2026, 5, 9),
        date(2026, 9, 20), date(2026, 10, 10),
    ]  # fmt: skip
    assert working[date(2026, 10, 10)] == "国庆节调休"
    assert [off[date(2026, 2, day)] for day in range(15, 24)] == ["春节"] * 9
    assert len(off) == 33
    assert chinese_days(1999) == ({}, {})


async def test_schedules_of_working_days_keep_to_them(merchant):
    assert await coming(merchant, 3, 9, 30) == ["10-01", "10-02", "10-05"]
    assert len(await add(merchant)) == 39
    assert await coming(merchant, 4, 9, 30) == ["10-08", "10-09", "10-10", "10-12"]
    assert await coming(merchant, 2, 2, 13) == ["02-14", "02-24"]


async def test_messages_go_out_on_days_that_are_only_off(merchant):
    await name(merchant, "2026-10-01")
    await add(merchant)
    send = Send(key="s", channel="email", variants=(Variant(content={}),))
    async with merchant.read() as session:
        session.now = datetime(2026, 10, 1, 4, tzinfo=UTC)
        channel = merchant.installation.registry.channels["email"].value
        gate = await read_gate(session, channel, send, None, 0)
    # the merchant's own word stays, and the days after it keep nothing back
    assert gate.rules.holidays == {date(2026, 10, 1)}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: add(m, year=2099), "2099 are not known"),
        (lambda m: add(m, kind=DayKind.WORKING), "quiet or off"),
        (lambda m: add(m, shop_id=99), "no shop"),
        (lambda m: name(m, "2026-06-15", DayKind.WORKING), "no Saturday or Sunday"),
        (lambda m: name(m, "2026-06-15", DayKind.OFF, service=True), "only quiet days"),
    ],
)
async def test_what_makes_no_sense_is_refused(merchant, call, words):
    with pytest.raises(HuikeError, match=words):
        await call(merchant)
