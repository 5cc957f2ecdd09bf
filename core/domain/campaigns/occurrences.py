"""When a campaign with a schedule happens, in its shop's calendar. No I/O.

A time of day that a night of daylight saving skips is taken at the next one that exists; one that
comes twice is taken the first time.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from cronsim import CronSim

from core.sdk.flows import Schedule

FIRST_ZONE = timezone(timedelta(hours=14))
"""Where a time of day comes first."""


def occurrences(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The moments later than `after`, in UTC, the earliest first."""
    for moment in CronSim(cron, after.astimezone(zone)):
        found = moment.astimezone(UTC)
        # in the hour that comes twice the clock's time alone may lie before `after`
        if found > after:
            yield found


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


def next_begin(schedule: Schedule, zone: ZoneInfo, after: datetime) -> datetime | None:
    """When the first occurrence later than `after` begins; None if nothing recurs any more."""
    found = next(occurrences(schedule.cron, zone, after), None) if schedule.cron else None
    return None if found is None else begin(schedule, zone, found)
