"""When a campaign with a schedule happens, in its shop's calendar. No I/O.

A time of day that a night of daylight saving skips is taken at the next one that exists; one that
comes twice is taken the first time.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from cronsim import CronSim

from core.sdk.flows import Schedule

FIRST_ZONE = timezone(timedelta(hours=14))
"""Where a time of day comes first."""
DAY = timedelta(days=1)
LONGEST = 400
"""So many days off in a row are gone through, and no more."""


@dataclass(frozen=True)
class Calendar:
    """Of a shop: its holidays, and the Saturdays and Sundays on which people work."""

    holidays: Collection[date] = frozenset()
    working: Collection[date] = frozenset()


NO_DAYS = Calendar()


def occurrences(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The moments later than `after`, in UTC, the earliest first."""
    for moment in CronSim(cron, after.astimezone(zone)):
        found = moment.astimezone(UTC)
        # in the hour that comes twice the clock's time alone may lie before `after`
        if found > after:
            yield found


def recurrences(
    schedule: Schedule, zone: ZoneInfo, after: datetime, calendar: Calendar = NO_DAYS
) -> Iterator[datetime]:
    """The moments of a schedule later than `after`, as it treats the shop's calendar.

    Two that are moved to the same moment are one.
    """
    if schedule.cron is None:
        return
    if schedule.holidays == "keep":
        yield from occurrences(schedule.cron, zone, after)
        return
    first = after.astimezone(zone).date()
    while schedule.holidays == "next" and _is_off(schedule, first - DAY, calendar):
        first -= DAY
    begun = datetime.combine(first, time(), zone) - timedelta.resolution
    day, found, skipped = first, set[datetime](), set[date]()
    for moment in occurrences(schedule.cron, zone, begun):
        own = moment.astimezone(zone).date()
        to = working_day(schedule, own, calendar)
        if to is None:
            skipped.add(own)
            if len(skipped) > LONGEST:
                break
            continue
        skipped.clear()
        if to != day:
            yield from sorted(one for one in found if one > after)
            day, found = to, set()
        found.add(_on_day(moment, to, zone))
    yield from sorted(one for one in found if one > after)


def moved(schedule: Schedule, zone: ZoneInfo, moment: datetime, calendar: Calendar) -> datetime:
    """A single moment, on another day if its own is off."""
    day = working_day(schedule, moment.astimezone(zone).date(), calendar)
    return moment if day is None else _on_day(moment, day, zone)


def working_day(schedule: Schedule, day: date, calendar: Calendar) -> date | None:
    """The day itself, or if it is off the one that takes its place, if any."""
    if schedule.holidays == "keep" or not _is_off(schedule, day, calendar):
        return day
    step = {"skip": None, "next": DAY, "previous": -DAY}[schedule.holidays]
    others = () if step is None else (day + number * step for number in range(1, LONGEST))
    return next((one for one in others if not _is_off(schedule, one, calendar)), None)


def _is_off(schedule: Schedule, day: date, calendar: Calendar) -> bool:
    weekend = schedule.weekends and day.isoweekday() > 5 and day not in calendar.working
    return day in calendar.holidays or weekend


def _on_day(moment: datetime, day: date, zone: ZoneInfo) -> datetime:
    local = moment.astimezone(zone)
    if local.date() == day:
        return moment
    return datetime.combine(day, local.time(), zone).astimezone(UTC)


def begin(schedule: Schedule, zone: ZoneInfo, occurrence: datetime) -> datetime:
    """When the first customer can be due: with `local` that is half a day or so before."""
    if not schedule.local:
        return occurrence
    return wall_clock(occurrence, zone).replace(tzinfo=FIRST_ZONE).astimezone(UTC)


def begun(schedule: Schedule, zone: ZoneInfo, moment: datetime) -> datetime:
    """The occurrence that begins at a moment: the reverse of `begin`."""
    if not schedule.local:
        return moment
    return wall_clock(moment, FIRST_ZONE).replace(tzinfo=zone).astimezone(UTC)


def wall_clock(moment: datetime, zone: ZoneInfo | timezone) -> datetime:
    """What the clocks of a zone show, without a zone."""
    return moment.astimezone(zone).replace(tzinfo=None)


def next_begin(
    schedule: Schedule, zone: ZoneInfo, after: datetime, calendar: Calendar = NO_DAYS
) -> datetime | None:
    """When the first occurrence later than `after` begins; None if nothing recurs any more."""
    found = next(recurrences(schedule, zone, after, calendar), None)
    return None if found is None else begin(schedule, zone, found)
