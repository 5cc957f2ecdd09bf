"""A year's official holidays, and the weekend days that are worked in return."""

from collections.abc import Mapping
from datetime import date

from core.domain.campaigns.policy.hours import DayKind
from core.domain.campaigns.policy.places import check_place
from core.domain.campaigns.policy.resting import wake_runs
from core.registry import Registry
from core.sdk.errors import Faults
from core.storage.database import Work


def chinese_days(year: int) -> tuple[Mapping[date, str], Mapping[date, str]]:
    """The holidays of a year in mainland China, and the weekend days worked in return (调休).

    Both by day, with Chinese names; both empty for a year that is not known yet, or no more.
    """
    # few ever ask, and it costs a process 8 MB
    from chinese_calendar import Holiday, holidays, workdays

    off, working = (
        {day: Holiday(name).chinese for day, name in days.items() if day.year == year}
        for days in (holidays, workdays)
    )
    return off, {day: f"{name}调休" for day, name in working.items()}


async def add_official_days(
    w: Work, registry: Registry, shop_id: int, year: int, kind: DayKind
) -> list[date]:
    """Add the official days of a year in mainland China, its holidays as `kind`; returns all.

    Days that are in the calendar already stay what they are. Raises InvalidInput, Several.
    """
    faults = Faults()
    with faults:
        await check_place(w, registry, shop_id)
    if kind == DayKind.WORKING:
        faults.wrong("holidays are quiet or off", "kind")
    off, working = chinese_days(year)
    if not off:
        faults.wrong(
            f"the official days of {year} are not known here: those of a year are published in the "
            "November before, and come with the next version; until then name them with "
            "sendingHolidaysSet",
            "year",
        )
    faults.tell()
    days = {**off, **working}
    await w.sql.execute(
        """INSERT INTO sending_holidays (merchant_id, shop_id, day, name, kind, updated_at)
           SELECT $1, $2, x.day, x.name, x.kind, $6
           FROM unnest($3::date[], $4::text[], $5::text[]) AS x (day, name, kind)
           ON CONFLICT (merchant_id, shop_id, day) DO NOTHING""",
        w.merchant_id, shop_id, list(days), list(days.values()),
        [DayKind.WORKING if day in working else kind for day in days], w.now,
    )  # fmt: skip
    await wake_runs(w)
    w.audit("sending_holidays.added", {"shop_id": shop_id, "year": year})
    return list(days)
