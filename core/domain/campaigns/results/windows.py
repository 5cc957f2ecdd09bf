"""For how long a touch counts: by channel and kind, each merchant's own, effective from now on.

The kinds of touch, the stronger the later: a message was delivered, opened, clicked, or it reminded
of the very order that was then paid.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from core.sdk.errors import InvalidInput
from core.storage.database import Session, Work
from core.storage.versions import next_version, place

Touch = Literal["delivery", "open", "click", "reminder"]
TOUCHES: tuple[Touch, ...] = get_args(Touch)
"""The weakest first: of two touches at the same instant the later in this list counts."""

ANY_CHANNEL = "*"
WINDOW = "attribution_window"
"""The kind of setting, in places of channel and touch."""
MAX_HOURS = 90 * 24

DEFAULTS: Mapping[str, Mapping[Touch, int]] = {
    "email": {"delivery": 0, "open": 120, "click": 120, "reminder": 120},
    "sms": {"delivery": 12, "open": 0, "click": 120, "reminder": 120},
    ANY_CHANNEL: {"delivery": 12, "open": 24, "click": 120, "reminder": 120},
}
"""Hours by channel, of channels that are not named those of "*"; 0: does not count."""

SINCE_EVER = datetime(1970, 1, 1, tzinfo=UTC)
FOR_EVER = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Window:
    """A touch on a channel counts for `hours`, for orders paid from `since` until before `until`.

    `actor` is None where it is the default that holds.
    """

    channel: str
    touch: Touch
    hours: int
    since: datetime
    until: datetime
    actor: str | None


async def windows(session: Session) -> list[Window]:
    """The windows of all times, without a gap for each kind of touch of each known channel.

    Known are the channels with defaults, and those that were ever decided about.
    """
    rows = await session.sql.fetch(
        """SELECT * FROM attribution_windows WHERE merchant_id = $1 AND valid_to IS DISTINCT FROM
               valid_from ORDER BY channel, touch, valid_from, id""",
        session.merchant_id,
    )
    decided: dict[tuple[str, Touch], list[Mapping[str, Any]]] = {}
    for row in rows:
        decided.setdefault((row["channel"], row["touch"]), []).append(row)
    known = {*DEFAULTS, *(channel for channel, _ in decided)}
    return [
        window
        for channel in sorted(known)
        for touch in TOUCHES
        for window in _in_turn(channel, touch, decided.get((channel, touch), []))
    ]


def _in_turn(channel: str, touch: Touch, rows: Sequence[Mapping[str, Any]]) -> list[Window]:
    first = rows[0]["valid_from"] if rows else FOR_EVER
    default = DEFAULTS.get(channel, DEFAULTS[ANY_CHANNEL])[touch]
    return [
        Window(channel, touch, default, SINCE_EVER, first, None),
        *(
            Window(channel, touch, row["hours"], row["valid_from"], row["valid_to"] or FOR_EVER,
                   row["actor"])
            for row in rows
        ),
    ]  # fmt: skip


def in_force(found: Sequence[Window], at: datetime) -> list[Window]:
    """Those of the windows that are for orders paid at that instant."""
    return [window for window in found if window.since <= at < window.until]


def longest(found: Sequence[Window], at: datetime, channels: Iterable[str]) -> timedelta:
    """How long after a touch on one of the channels an order of that instant can be credited."""
    known = {window.channel for window in found}
    meant = {channel if channel in known else ANY_CHANNEL for channel in channels}
    hours = (window.hours for window in in_force(found, at) if window.channel in meant)
    return timedelta(hours=max(hours, default=0))


async def set_window(
    w: Work, channel: str, touch: Touch, hours: int, if_version: int | None = None
) -> None:
    """Let a touch count for so many hours, for orders paid from now on; 0 is not at all.

    Orders paid before keep their windows, so that past reports come out the same. Raises
    InvalidInput, Conflict.
    """
    if not 0 <= hours <= MAX_HOURS:
        raise InvalidInput(f"a window has 0 to {MAX_HOURS} hours", ("input", "hours"))
    await next_version(w, WINDOW, place(channel, touch), if_version)
    await w.sql.execute(
        """UPDATE attribution_windows SET valid_to = $4
           WHERE merchant_id = $1 AND channel = $2 AND touch = $3 AND valid_to IS NULL""",
        w.merchant_id, channel, touch, w.now,
    )  # fmt: skip
    await w.sql.execute(
        """INSERT INTO attribution_windows (merchant_id, channel, touch, hours, actor, valid_from)
           VALUES ($1, $2, $3, $4, $5, $6)""",
        w.merchant_id, channel, touch, hours, w.actor, w.now,
    )  # fmt: skip
    w.audit("attribution.window_set", {"channel": channel, "touch": touch, "hours": hours})
