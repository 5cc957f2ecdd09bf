"""When messages may go out, against a walk over the minutes."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.campaigns.policy.windows import (
    COMMUTE_AND_REST,
    HORIZON,
    Rules,
    Span,
    never_open,
    next_opening,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
LEGAL = Span(time(8), time(22))
MINUTE = timedelta(minutes=1)


def at(zone, *when, fold=0):
    return datetime(*when, tzinfo=zone, fold=fold).astimezone(UTC)


NIGHT = Span(time(22), time(8))
CASES = [
    # the hours themselves: the first minute is in, the last is not
    (SHANGHAI, Rules(LEGAL), (2026, 6, 15, 7, 59), (2026, 6, 15, 8), "legal_hours"),
    (SHANGHAI, Rules(LEGAL), (2026, 6, 15, 8), (2026, 6, 15, 8), None),
    (SHANGHAI, Rules(LEGAL), (2026, 6, 15, 21, 59, 59), (2026, 6, 15, 21, 59, 59), None),
    (SHANGHAI, Rules(LEGAL), (2026, 6, 15, 22), (2026, 6, 16, 8), "legal_hours"),
    (SHANGHAI, Rules(LEGAL), (2026, 12, 31, 23, 59, 59), (2027, 1, 1, 8), "legal_hours"),
    (SHANGHAI, Rules(LEGAL), (2026, 6, 16, 0), (2026, 6, 16, 8), "legal_hours"),
    # quiet times, alone and with the law's
    (SHANGHAI, Rules(quiet=[NIGHT]), (2026, 6, 15, 23), (2026, 6, 16, 8), "quiet_hours"),
    (SHANGHAI, Rules(LEGAL, quiet=COMMUTE_AND_REST), (2026, 6, 15, 7), (2026, 6, 15, 9, 30),
     "legal_hours"),
    (SHANGHAI, Rules(LEGAL, quiet=COMMUTE_AND_REST), (2026, 6, 15, 12, 30), (2026, 6, 15, 14),
     "quiet_hours"),
    (SHANGHAI, Rules(LEGAL, quiet=[Span(time(19, 30), time(23))]), (2026, 6, 15, 20),
     (2026, 6, 16, 8), "quiet_hours"),
    # weekdays: a night from Friday on ends on Saturday morning
    (SHANGHAI, Rules(quiet=[Span(time(22), time(8), frozenset({5}))]), (2026, 6, 20, 7),
     (2026, 6, 20, 8), "quiet_hours"),
    (SHANGHAI, Rules(quiet=[Span(time(22), time(8), frozenset({5}))]), (2026, 6, 19, 7),
     (2026, 6, 19, 7), None),
    (SHANGHAI, Rules(open=[[Span(time(9), time(18), frozenset({1, 2, 3, 4, 5}))]]),
     (2026, 6, 19, 18), (2026, 6, 22, 9), "channel_hours"),
    # every group has to be open
    (SHANGHAI, Rules(open=[[Span(time(9), time(12))], [Span(time(11), time(18))]]),
     (2026, 6, 15, 9), (2026, 6, 15, 11), "channel_hours"),
    # holidays are the zone's days, whole days too
    (SHANGHAI, Rules(LEGAL, holidays=frozenset({date(2026, 6, 15), date(2026, 6, 16)})),
     (2026, 6, 15, 0), (2026, 6, 17, 8), "holiday"),
    (SHANGHAI, Rules(holidays=frozenset({date(2026, 6, 15)})), (2026, 6, 15, 0), (2026, 6, 16, 0),
     "holiday"),
    (SHANGHAI, Rules(quiet=[Span(time(), time(), frozenset({7}))]), (2026, 6, 21, 12),
     (2026, 6, 22, 0), "quiet_hours"),
    # 02:00 to 03:00 does not exist on 29 March
    (BERLIN, Rules(quiet=[Span(time(1), time(2, 30))]), (2026, 3, 29, 1, 30), (2026, 3, 29, 3),
     "quiet_hours"),
    (BERLIN, Rules(open=[[Span(time(2), time(2, 30))]]), (2026, 3, 29, 1), (2026, 3, 30, 2),
     "channel_hours"),
    # 02:00 to 03:00 is twice on 25 October
    (BERLIN, Rules(quiet=[Span(time(1), time(2, 30))]), (2026, 10, 25, 1), (2026, 10, 25, 2, 30),
     "quiet_hours"),
    (BERLIN, Rules(quiet=[Span(time(2, 30), time(5))]), (2026, 10, 25, 2, 45), "repeated",
     "quiet_hours"),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "rules", "asked", "wanted", "rule"), CASES)
def test_the_next_opening(zone, rules, asked, wanted, rule):
    found = next_opening(at(zone, *asked), zone, rules)
    if wanted == "repeated":
        # the clock goes back to 02:00, which is not quiet
        assert found.at == at(BERLIN, 2026, 10, 25, 2, 0, fold=1)
    else:
        assert found.at == at(zone, *wanted)
    assert found.rule == rule


def test_what_is_never_open_is_asked_again_at_the_horizon():
    closed = Rules(LEGAL, quiet=[Span(time(7), time(23))])
    assert never_open(closed)
    now = at(SHANGHAI, 2026, 6, 15, 12)
    assert next_opening(now, SHANGHAI, closed).at == now + HORIZON
    assert not never_open(Rules(LEGAL, quiet=COMMUTE_AND_REST))
    assert not never_open(Rules(open=[[Span(time(9), time(10), frozenset({3}))]]))
    assert never_open(
        Rules(open=[[Span(time(9), time(10), frozenset({3}))], [Span(time(9), time(10),
              frozenset({4}))]])
    )  # fmt: skip


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [(time(9), time(9), {1}), (time(9), time(10), set()), (time(9), time(10), {0}),
     (time(9), time(10), {8})],
)  # fmt: skip
def test_an_empty_span_is_an_error(start, end, days):
    with pytest.raises(ValueError, match=r"no time at all|weekdays"):
        Span(start, end, frozenset(days))


# -- against a walk ------------------------------------------------------------------------------

ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
         "America/Havana", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"]  # fmt: skip
quarters = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
days = st.sets(st.integers(1, 7), min_size=1).map(frozenset)
spans = st.tuples(quarters, quarters, days).filter(lambda s: s[0] != s[1]).map(lambda s: Span(*s))
INSTANTS = [
    datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC),
    datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2026, 4, 4, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC),
    datetime(2026, 2, 15, tzinfo=UTC), datetime(2026, 6, 15, tzinfo=UTC),
]  # fmt: skip
WALK = 3 * 24 * 60


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(ZONES).map(ZoneInfo), st.sampled_from(INSTANTS),
    st.integers(-24 * 3600, 24 * 3600), st.none() | spans,
    st.lists(st.lists(spans, min_size=1, max_size=3), max_size=2), st.lists(spans, max_size=3),
    st.sets(st.integers(-1, 2), max_size=2),
)  # fmt: skip
def test_a_walk_over_the_minutes_finds_the_same(zone, base, shift, legal, groups, quiet, off):
    now = base + timedelta(seconds=shift)
    today = now.astimezone(zone).date()
    rules = Rules(legal, groups, quiet, frozenset(today + timedelta(days=n) for n in off))
    found = next_opening(now, zone, rules)

    def closed(moment):
        local = moment.astimezone(zone)
        return rules.closed_by(local.date(), local.hour * 60 + local.minute)

    assert found.rule == closed(now)
    moment, first = now, None
    for _ in range(WALK):
        if closed(moment) is None:
            first = moment
            break
        moment = moment.replace(second=0) + MINUTE
    if first is None:
        assert found.at >= moment
    else:
        assert found.at == first
