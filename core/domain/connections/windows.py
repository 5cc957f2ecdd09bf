"""Which stretch of the platform's time is to be read next. Pure arithmetic.

Lists lag: a change may be shown long after its time. So a stretch counts as settled only once it
was read `overlap` after its end; between, what is new is read often, and what is not settled yet
now and then.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.sdk.connectors import Sync, Window

SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Position:
    """All shown up to `cursor` is stored, and nothing up to `settled` can be shown any more."""

    cursor: datetime
    settled: datetime


def whole_second(moment: datetime) -> datetime:
    """Platforms count in seconds: a window begins and ends on one, and the next one shares it."""
    return moment.replace(microsecond=0)


def next_window(
    position: Position, now: datetime, sync: Sync, longest: timedelta | None = None
) -> Window | None:
    """The window to read now, None if there is nothing to read yet.

    `longest` is shorter than the platform allows where a window held too much.
    """
    end = whole_second(now - sync.safety)
    if end <= position.cursor:
        return None
    unsettled = end - position.settled >= 2 * sync.overlap
    start = position.settled if unsettled else position.cursor
    return Window(start, min(end, start + (longest or sync.window)))


def after_reading(position: Position, window: Window, now: datetime, sync: Sync) -> Position:
    """The position after all of a window was stored that was read from `now` on."""
    settled = position.settled
    if window.start <= settled:
        settled = max(settled, min(window.end, whole_second(now - sync.overlap)))
    return Position(max(position.cursor, window.end), settled)


def halved(window: Window) -> timedelta | None:
    """The length of half a window; None when it cannot be shorter."""
    length = window.end - window.start
    return max(SECOND, whole(length / 2)) if length > SECOND else None


def whole(length: timedelta) -> timedelta:
    """So many whole seconds."""
    return length // SECOND * SECOND
