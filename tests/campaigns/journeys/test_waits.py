from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.campaigns.journeys.waits import wait_ends
from core.sdk.flows import Duration, Wait

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


def wait(**more):
    return Wait(key="pause", **more)


def local(text, zone=SHANGHAI):
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("pause", "begun", "ends"),
    [
        (wait(at=time(9, 30)), "2026-06-15T09:29:59", "2026-06-15T09:30:00"),
        (wait(at=time(9, 30)), "2026-06-15T09:30:00", "2026-06-15T09:30:00"),
        (wait(at=time(9, 30)), "2026-06-15T09:30:01", "2026-06-16T09:30:00"),
        (wait(span=Duration(days=1), at=time(8)), "2026-06-15T10:00:00", "2026-06-17T08:00:00"),
        (wait(weekday=1), "2026-06-15T10:00:00", "2026-06-15T10:00:00"),  # a Monday
        (wait(weekday=3), "2026-06-15T10:00:00", "2026-06-17T00:00:00"),
        (wait(weekday=1, at=time(9)), "2026-06-15T10:00:00", "2026-06-22T09:00:00"),
        (wait(weekday=7, at=time(9)), "2026-12-31T10:00:00", "2027-01-03T09:00:00"),
        (wait(), "2026-06-15T10:00:00", "2026-06-15T10:00:00"),
    ],
)
def test_until_a_time_of_day(pause, begun, ends):
    assert wait_ends(pause, local(begun), SHANGHAI) == local(ends)


def test_a_time_that_a_night_leaves_out_comes_after_the_gap():
    begun = local("2026-03-29T01:00:00", BERLIN)
    assert wait_ends(wait(at=time(2, 30)), begun, BERLIN) == datetime(
        2026, 3, 29, 1, 30, tzinfo=UTC
    )


def test_a_time_that_a_night_has_twice_is_the_first():
    begun = local("2026-10-25T01:00:00", BERLIN)
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert wait_ends(wait(at=time(2, 30)), begun, BERLIN) == first
    after = wait_ends(wait(at=time(2, 30)), first + timedelta(minutes=1), BERLIN)
    assert after == local("2026-10-26T02:30:00", BERLIN)


@given(
    st.integers(946_684_800, 4_102_444_800), st.times(), st.none() | st.integers(1, 7),
    st.sampled_from([SHANGHAI, BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Apia")]),
)  # fmt: skip
def test_it_ends_soon_at_the_wanted_time_of_day(seconds, at, weekday, zone):
    begun = datetime.fromtimestamp(seconds, UTC)
    ends = wait_ends(wait(at=at, weekday=weekday), begun, zone)
    # Apia left out a whole day once
    assert begun <= ends <= begun + timedelta(days=1 if weekday is None else 7, hours=26)
    shown = ends.astimezone(zone)
    wanted = datetime.combine(shown.date(), at, zone)
    if shown == wanted:
        assert weekday is None or shown.isoweekday() == weekday
    else:
        assert wanted.astimezone(UTC).astimezone(zone).time() != at, "there was such a time"
