"""The merchant's own times: quiet hours, hours of channels, and the days of the calendar."""

from collections.abc import Mapping, Sequence
from datetime import date, time
from enum import StrEnum
from typing import Any

import orjson

from core.domain.campaigns.policy.places import check_place
from core.domain.campaigns.policy.resting import wake_runs
from core.domain.campaigns.policy.windows import Rules, Span, never_open
from core.domain.shops.merchants import check_name
from core.registry import Registry
from core.sdk.errors import Faults, NotFound
from core.storage.database import Work
from core.storage.versions import next_version, place

MAX_SPANS = 50
MAX_DAYS = 366
HOURS = "sending_hours"
"""The kind of setting, in places of shop and channel."""


class DayKind(StrEnum):
    """What a day is: nothing of marketing goes out; for schedules a holiday; or a Saturday or
    Sunday on which people work. A quiet day is a holiday for schedules too."""

    QUIET = "quiet"
    OFF = "off"
    WORKING = "working"


async def set_hours(
    w: Work,
    registry: Registry,
    shop_id: int,
    channel: str,
    *,
    open_: Sequence[Span] = (),
    quiet: Sequence[Span] = (),
    service: bool = False,
    if_version: int | None = None,
) -> int | None:
    """Set when messages in a shop's name, or of all, may go out by a channel, or by all.

    They replace what was set for the shop and channel; without any there is no rule, and None is
    returned, else the row's id. Raises InvalidInput, Several, Conflict.
    """
    faults = Faults()
    with faults:
        await check_place(w, registry, shop_id, channel)
    for spans, name in ((open_, "open"), (quiet, "quiet")):
        if len(spans) > MAX_SPANS:
            faults.wrong(f"there can be {MAX_SPANS} spans at most", name)
    if never_open(Rules(open=(tuple(open_),) if open_ else (), quiet=tuple(quiet))):
        faults.wrong("this leaves no time at all for messages", "quiet")
    faults.tell()
    is_set = bool(open_ or quiet)
    await next_version(w, HOURS, place(shop_id, channel), if_version, is_set=is_set)
    await wake_runs(w)
    w.audit("sending_hours.set", {"shop_id": shop_id, "channel": channel})
    if not is_set:
        await w.sql.execute(
            """DELETE FROM sending_hours WHERE merchant_id = $1 AND shop_id = $2
                  AND channel = $3""",
            w.merchant_id, shop_id, channel,
        )  # fmt: skip
        return None
    row_id: int = await w.sql.fetchval(
        """INSERT INTO sending_hours (merchant_id, shop_id, channel, open, quiet, service,
                                      updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (merchant_id, shop_id, channel)
           DO UPDATE SET open = EXCLUDED.open, quiet = EXCLUDED.quiet,
                         service = EXCLUDED.service, updated_at = EXCLUDED.updated_at
           RETURNING id""",
        w.merchant_id, shop_id, channel, _written(open_), _written(quiet), service, w.now,
    )  # fmt: skip
    return row_id


async def set_holidays(
    w: Work,
    registry: Registry,
    shop_id: int,
    days: Sequence[date],
    name: str,
    service: bool,
    kind: DayKind = DayKind.QUIET,
) -> None:
    """Say what these days are; with `service` no service message goes out on quiet ones either.

    Raises InvalidInput, Several.
    """
    faults = Faults()
    with faults:
        await check_place(w, registry, shop_id)
    with faults:
        name = check_name(name)
    if not 1 <= len(set(days)) <= MAX_DAYS:
        faults.wrong(f"one call takes 1 to {MAX_DAYS} days", "days")
    if service and kind != DayKind.QUIET:
        faults.wrong("only quiet days keep service messages back", "service")
    usual = [day for day in days if day.isoweekday() <= 5]
    if usual and kind == DayKind.WORKING:
        faults.wrong(
            f"{usual[0]} is no Saturday or Sunday: other days are working days anyway; "
            "sendingHolidayDelete makes a holiday a usual day again",
            "days",
        )
    faults.tell()
    await w.sql.execute(
        """INSERT INTO sending_holidays (merchant_id, shop_id, day, name, service, updated_at, kind)
           SELECT $1, $2, day, $4, $5, $6, $7 FROM unnest($3::date[]) AS day
           ON CONFLICT (merchant_id, shop_id, day)
           DO UPDATE SET name = EXCLUDED.name, service = EXCLUDED.service, kind = EXCLUDED.kind,
                         updated_at = EXCLUDED.updated_at""",
        w.merchant_id, shop_id, sorted(set(days)), name, service, w.now, kind,
    )  # fmt: skip
    await wake_runs(w)
    w.audit("sending_holidays.set", {"shop_id": shop_id, "days": len(set(days))})


async def delete_holiday(w: Work, holiday_id: int) -> None:
    """Make a holiday a day like others. Raises NotFound."""
    gone = await w.sql.fetchval(
        "DELETE FROM sending_holidays WHERE merchant_id = $1 AND id = $2 RETURNING id",
        w.merchant_id, holiday_id,
    )  # fmt: skip
    if gone is None:
        raise NotFound(f"there is no holiday {holiday_id}", ("id",))
    await wake_runs(w)
    w.audit("sending_holidays.deleted", {"holiday_id": holiday_id})


def stored_spans(value: str | Sequence[Mapping[str, Any]]) -> tuple[Span, ...]:
    """The spans of a database row, as JSON text or values."""
    given = orjson.loads(value) if isinstance(value, str) else value
    return tuple(
        Span(
            time.fromisoformat(one["start"]),
            time.fromisoformat(one["end"]),
            frozenset(one["weekdays"]),
        )
        for one in given
    )


def _written(spans: Sequence[Span]) -> str:
    return orjson.dumps([
        {"start": f"{span.start:%H:%M}", "end": f"{span.end:%H:%M}",
         "weekdays": sorted(span.weekdays)}
        for span in spans
    ]).decode()  # fmt: skip
