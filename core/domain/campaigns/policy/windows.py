"""When messages may go out, by the clock on the wall of one time zone. Pure rules, no I/O.

All is decided by the local date and minute. So an hour that a clock change repeats is judged alike
both times, one that it leaves out does not exist, and a span over midnight belongs to the weekday
on which it begins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = 24 * 60
EVERY_DAY = frozenset(range(1, 8))
HORIZON = timedelta(days=400)
"""So far ahead an opening is looked for; where there is none it is asked again then."""


@dataclass(frozen=True)
class Span:
    """Times of day from `start` until before `end`, on the weekdays (1 is Monday) it begins on.

    An `end` at or before `start` is the next day's; with both at midnight it is the whole day.
    Seconds do not count. Raises ValueError when it is empty.
    """

    start: time
    end: time
    weekdays: frozenset[int] = EVERY_DAY

    def __post_init__(self) -> None:
        if self.start == self.end and _minute(self.start):
            raise ValueError(
                f"from {self.start:%H:%M} to {self.end:%H:%M} is no time at all; the whole day is "
                "from 00:00 to 00:00"
            )
        if not self.weekdays or not self.weekdays <= EVERY_DAY:
            raise ValueError("weekdays are numbers from 1 (Monday) to 7, and at least one of them")

    def holds(self, day: date, minute: int) -> bool:
        """Whether a minute (0 to 1439) of a day lies in it."""
        start, end = _minute(self.start), _minute(self.end) or DAY
        if start < end:
            return start <= minute < end and day.isoweekday() in self.weekdays
        if minute >= start:
            return day.isoweekday() in self.weekdays
        return minute < end and (day - timedelta(days=1)).isoweekday() in self.weekdays


COMMUTE_AND_REST = (
    Span(time(7, 30), time(9, 30)), Span(time(12, 30), time(14)), Span(time(17, 30), time(19, 30)),
)  # fmt: skip
"""The times at which a message is not read but disturbs: on the way to work and home, and noon."""


@dataclass(frozen=True)
class Rules:
    """When one step's messages may go out.

    `legal` are the only hours that the channel allows at all. Each group of `open` must have the
    minute in one of its spans; none of `quiet` may; and it may not be one of the `holidays`.
    """

    legal: Span | None = None
    open: tuple[tuple[Span, ...], ...] = ()
    quiet: tuple[Span, ...] = ()
    holidays: frozenset[date] = frozenset()

    def closed_by(self, day: date, minute: int) -> str | None:
        """The rule that forbids a minute of a local day, None if all allow it."""
        if day in self.holidays:
            return "holiday"
        if self.legal is not None and not self.legal.holds(day, minute):
            return "legal_hours"
        if any(not any(span.holds(day, minute) for span in group) for group in self.open):
            return "channel_hours"
        if any(span.holds(day, minute) for span in self.quiet):
            return "quiet_hours"
        return None

    def boundaries(self) -> list[int]:
        """The minutes of a day at which the answer may change."""
        spans = [*(span for group in self.open for span in group), *self.quiet]
        if self.legal is not None:
            spans.append(self.legal)
        found = {_minute(moment) for span in spans for moment in (span.start, span.end)}
        return sorted(found | {0})


@dataclass(frozen=True)
class Opening:
    """The first instant at which messages may go out; `rule` is what forbids it until then."""

    at: datetime
    rule: str | None = None


def next_opening(instant: datetime, zone: ZoneInfo, rules: Rules) -> Opening:
    """The first instant, at or after the given one, that the rules allow in the zone."""
    rule = _closed_by(instant, zone, rules)
    if rule is None:
        return Opening(instant)
    last = instant + HORIZON
    for moment in _changes(instant, last, zone, rules.boundaries()):
        if _closed_by(moment, zone, rules) is None:
            return Opening(moment, rule)
    return Opening(last, rule)


def never_open(rules: Rules) -> bool:
    """Whether the rules leave not one minute of an ordinary week."""
    monday = date(2026, 6, 15)
    week = [monday + timedelta(days=n) for n in range(7)]
    ordinary = Rules(rules.legal, rules.open, rules.quiet)
    minutes = ordinary.boundaries()
    return all(ordinary.closed_by(day, minute) for day in week for minute in minutes)


def _closed_by(instant: datetime, zone: ZoneInfo, rules: Rules) -> str | None:
    local = instant.astimezone(zone)
    return rules.closed_by(local.date(), _minute(local.time()))


def _changes(
    after: datetime, last: datetime, zone: ZoneInfo, minutes: Sequence[int]
) -> Iterator[datetime]:
    """The instants in between at which the clock on the wall passes one of the minutes of a day,
    or is changed, in order."""
    day = after.astimezone(zone).date()
    while True:
        found: set[datetime] = set(_clock_changes(day, zone))
        for minute in minutes:
            wall = datetime.combine(day, time(*divmod(minute, 60)), zone)
            found |= {wall.astimezone(UTC), wall.replace(fold=1).astimezone(UTC)}
        for moment in sorted(found):
            if moment > last:
                return
            if moment > after:
                yield moment
        day += timedelta(days=1)


def _clock_changes(day: date, zone: ZoneInfo) -> Iterator[datetime]:
    """The instants of a day at which the zone's offset changes, to the minute."""
    low = datetime.combine(day, time(), zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
    while low < end:
        high = min(low + timedelta(hours=1), end)
        before = low.astimezone(zone).utcoffset()
        if high.astimezone(zone).utcoffset() != before:
            moment = low
            while moment.astimezone(zone).utcoffset() == before:
                moment += timedelta(minutes=1)
            yield moment
        low = high


def _minute(moment: time) -> int:
    return moment.hour * 60 + moment.minute
