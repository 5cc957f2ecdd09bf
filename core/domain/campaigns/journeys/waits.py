"""When a wait ends."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.sdk.flows import Wait


def wait_ends(wait: Wait, begun: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which a wait that begun at an instant ends.

    After its length it goes on until the next time of day `at`, on the weekday if there is one; a
    moment that fits already ends it. A time of day that a clock change leaves out comes after the
    gap, and one that comes twice is the first. A weekday alone begins at its midnight.
    """
    after = begun + wait.span.span
    if wait.at is None and wait.weekday is None:
        return after
    local = after.astimezone(zone)
    if wait.at is None and local.isoweekday() == wait.weekday:
        return after
    day = local.date()
    while True:
        if wait.weekday is None or day.isoweekday() == wait.weekday:
            ends = datetime.combine(day, wait.at or time.min, zone).astimezone(UTC)
            if ends >= after:
                return ends
        day += timedelta(days=1)
