"""Journeys that let people in by a schedule, and by dates of theirs."""

from datetime import UTC, date, datetime, timedelta

import pytest

from core.domain.campaigns.campaigns import update_campaign
from core.domain.campaigns.control import pause_campaign, resume_campaign
from core.domain.campaigns.flows import parse_flow
from core.domain.campaigns.journeys.advance import advance
from core.domain.campaigns.journeys.figures import version_figures
from core.domain.campaigns.recurring import begin_due_occurrences
from core.domain.customers.field_values import FieldChange, set_fields
from core.domain.customers.fields import create_field
from core.sdk import Several
from core.sdk.errors import HuikeError
from tests.journey_kit import VIP, enrolments, make_segment, start_journey, tag, tags_of
from tests.sending_kit import add_customers

ALWAYS = {"again": "always"}
BIRTHDAY = {"kind": "date", "field": "birthday", "at": "09:00"}


async def sweep(merchant, until=None, step=timedelta(hours=6)):
    installation = merchant.installation
    while True:
        await begin_due_occurrences(installation.db, installation.registry, merchant.id)
        await advance(installation.db, installation.registry, merchant.id)
        if until is None or merchant.clock() >= until:
            return
        merchant.clock.move(min(step, until - merchant.clock()))


async def born(merchant, *days):
    """Customers with these birthdays; returns their ids."""
    ids = await add_customers(merchant, [None] * len(days))
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE customers c SET birthday = b.day
               FROM unnest($2::bigint[], $3::date[]) AS b (id, day)
               WHERE c.merchant_id = $1 AND c.id = b.id""",
            merchant.id, ids, [day and date.fromisoformat(day) for day in days],
        )  # fmt: skip
    return ids


async def came(merchant):
    """(customer, day in UTC on which it began) of each enrolment."""
    rows = await enrolments(merchant)
    return [(row["customer_id"], f"{row['entered_at']:%m-%d %H:%M}") for row in rows]


async def test_a_birthday_begins_at_its_hour_in_the_shops_zone(merchant):
    # the clock stands at noon of 15 June in Shanghai
    ids = await born(merchant, "1990-06-15", "1990-06-16", "2001-06-17", "1990-07-16", None)
    await start_journey(merchant, BIRTHDAY, [tag("greeted")], entry=ALWAYS)
    await sweep(merchant, until=datetime(2026, 6, 17, 3, tzinfo=UTC))
    assert await came(merchant) == [(ids[1], "06-16 01:00"), (ids[2], "06-17 01:00")]
    assert await tags_of(merchant, ids[1]) == ["greeted"]
    assert await tags_of(merchant, ids[0]) == []


async def test_days_before_reach_over_the_years_end_and_it_comes_once_a_year(merchant):
    (one,) = await born(merchant, "1990-01-02")
    trigger = BIRTHDAY | {"days_before": 5}
    await start_journey(merchant, trigger, [tag("greeted")], entry=ALWAYS)
    merchant.clock.move(datetime(2026, 12, 27, tzinfo=UTC) - merchant.clock())
    await sweep(merchant, until=datetime(2026, 12, 30, tzinfo=UTC))
    assert await came(merchant) == [(one, "12-28 01:00")]
    async with merchant.work() as w:  # nobody has a second birthday for a corrected date
        await w.sql.execute(
            "UPDATE customers SET birthday = '1990-01-05' WHERE merchant_id = $1", merchant.id
        )
    await sweep(merchant, until=datetime(2027, 1, 2, tzinfo=UTC))
    assert len(await came(merchant)) == 1
    merchant.clock.move(datetime(2027, 12, 30, tzinfo=UTC) - merchant.clock())
    await sweep(merchant, until=datetime(2028, 1, 1, tzinfo=UTC))
    assert [day for _, day in await came(merchant)] == ["12-28 01:00", "12-31 01:00"]


@pytest.mark.parametrize(("year", "day"), [(2027, "02-28 01:00"), (2028, "02-29 01:00")])
async def test_the_29th_of_february(merchant, year, day):
    (leap, plain) = await born(merchant, "1992-02-29", "1992-02-28")
    merchant.clock.move(datetime(year, 2, 27, tzinfo=UTC) - merchant.clock())
    await start_journey(merchant, BIRTHDAY, [tag("greeted")], entry=ALWAYS)
    await sweep(merchant, until=datetime(year, 3, 2, tzinfo=UTC))
    assert sorted(await came(merchant)) == sorted([(plain, "02-28 01:00"), (leap, day)])


async def test_a_day_missed_is_made_up_within_the_lateness_allowed(merchant):
    ids = await born(merchant, "1990-06-16", "1990-06-17", "1990-06-18", "1990-06-19")
    options = {"max_lateness": {"days": 2}}
    campaign_id, run_id = await start_journey(
        merchant, BIRTHDAY, [tag("greeted")], entry=ALWAYS, options=options
    )
    merchant.clock.move(timedelta(days=3, hours=12))  # the 19th at midnight; the server was down
    await sweep(merchant)
    assert [customer for customer, _ in await came(merchant)] == ids[1:3]
    await sweep(merchant)
    assert len(await came(merchant)) == 2
    assert await missed(merchant, campaign_id) == ["06-16 01:00"]
    async with merchant.read() as session:
        (version,) = (await version_figures(session, [campaign_id]))[campaign_id]
    assert (version.run_id, version.entered) == (run_id, 2)
    async with merchant.work() as w:  # what was missed is no version to go on from
        flow = parse_flow({"trigger": BIRTHDAY, "steps": [tag("hailed")], "entry": ALWAYS})
        await update_campaign(w, merchant.installation.registry, campaign_id, {"flow": flow})
    await sweep(merchant, until=merchant.clock() + timedelta(hours=10))
    assert await tags_of(merchant, ids[3]) == ["hailed"]


async def missed(merchant, campaign_id):
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT occurrence FROM campaign_runs WHERE merchant_id = $1 AND campaign_id = $2
                 AND state = 'missed' ORDER BY occurrence""",
            merchant.id, campaign_id,
        )  # fmt: skip
    return [f"{row['occurrence']:%m-%d %H:%M}" for row in rows]


async def test_of_a_segments_occurrences_all_but_the_newest_are_missed(merchant):
    segment_id = await make_segment(merchant, VIP)
    (first,) = await add_customers(merchant, [None])
    await give_tag(merchant, first)
    trigger = {"kind": "audience", "segment_id": segment_id, "schedule": {"cron": "0 9 * * *"}}
    campaign_id, _ = await start_journey(merchant, trigger, [tag("daily")], entry=ALWAYS)
    merchant.clock.move(timedelta(days=3))
    await sweep(merchant)
    await sweep(merchant)
    assert len(await came(merchant)) == 1
    assert await missed(merchant, campaign_id) == ["06-16 01:00", "06-17 01:00"]


async def test_days_after_a_date_of_a_custom_field(merchant):
    first, second = await add_customers(merchant, [None, None])
    async with merchant.work() as w:
        await create_field(w, "custom", "custom", "adopted", "领养日", "date")
        await create_field(w, "custom", "custom", "size", "尺码", "text")
        for customer_id, day in ((first, "2024-06-10"), (second, "2026-06-14")):
            change = FieldChange("custom.adopted", day)
            await set_fields(w, customer_id, [change], "custom")
    yearly = {"kind": "date", "field": "custom.adopted", "days_before": -7, "at": "09:00"}
    await start_journey(merchant, yearly, [tag("yearly")], entry=ALWAYS, name="yearly")
    await start_journey(
        merchant, yearly | {"yearly": False}, [tag("once")], entry=ALWAYS, name="once"
    )
    await sweep(merchant, until=datetime(2026, 6, 22, tzinfo=UTC))
    assert await tags_of(merchant, first) == ["yearly"]
    assert await tags_of(merchant, second) == ["once", "yearly"]


@pytest.mark.parametrize("field", ["nameday", "custom.size"])
async def test_what_is_no_date_is_refused(merchant, field):
    async with merchant.work() as w:
        await create_field(w, "custom", "custom", "size", "尺码", "text")
    with pytest.raises((HuikeError, Several)) as caught:
        await start_journey(merchant, BIRTHDAY | {"field": field}, [tag("x")])
    (error,) = caught.value.errors
    assert error.path == ("input", "flow", "trigger", "field")


async def test_a_segment_comes_in_at_each_occurrence(merchant):
    segment_id = await make_segment(merchant, VIP)
    first, second = await add_customers(merchant, [None, None])
    await give_tag(merchant, first)
    trigger = {"kind": "audience", "segment_id": segment_id, "schedule": {"cron": "0 9 * * *"}}
    campaign_id, _ = await start_journey(merchant, trigger, [tag("daily")], entry=ALWAYS)
    await start_journey(merchant, trigger, [tag("once")], name="once")
    await sweep(merchant)
    assert await came(merchant) == []
    await sweep(merchant, until=datetime(2026, 6, 16, 2, tzinfo=UTC))
    await give_tag(merchant, second)
    async with merchant.work() as w:
        await pause_campaign(w, campaign_id)
    await sweep(merchant, until=datetime(2026, 6, 17, 2, tzinfo=UTC))
    async with merchant.work() as w:
        await resume_campaign(w, merchant.installation.registry, campaign_id)
    await sweep(merchant, until=datetime(2026, 6, 18, 2, tzinfo=UTC))
    daily = [row["customer_id"] for row in await enrolments(merchant)
             if row["campaign_id"] == campaign_id]  # fmt: skip
    assert sorted(daily) == sorted([first, first, second])
    assert len(await enrolments(merchant)) == 5


async def give_tag(merchant, customer_id):
    async with merchant.work() as w:
        await w.sql.execute(
            """INSERT INTO customer_tags (merchant_id, customer_id, tag, source, created_at)
               VALUES ($1, $2, 'vip', 'staff', $3)""",
            merchant.id, customer_id, w.now,
        )  # fmt: skip
