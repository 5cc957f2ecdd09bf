"""Up to how many days after the last purchase a customer is active, silent or sleeping.

A shop's own thresholds come first, then those for all shops, then `DEFAULT`. They hold from a day
on and are never forgotten, so that the stages of a past day can be told again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, get_args

from core.domain.customers.suppressions import check_reason
from core.domain.lifecycle.calendar import ALL_SHOPS, Calendar
from core.sdk.errors import Faults
from core.storage.database import Session, Work
from core.storage.versions import next_version, place

MAX_THRESHOLD = 3_650
MAX_AHEAD = 366
MAX_HISTORY = 100
THRESHOLDS = "lifecycle"
"""The kind of setting, in places of shops."""

Name = Literal["active", "silent", "sleeping"]
Source = Literal["default", "model", "manual"]


@dataclass(frozen=True)
class Thresholds:
    """Days after the last purchase up to which a customer is active, silent, sleeping."""

    active: int
    silent: int
    sleeping: int

    def check(self) -> None:
        """Raises InvalidInput or Several unless they rise, from at least 1 day."""
        before, faults = 0, Faults()
        for name in get_args(Name):
            days = getattr(self, name)
            if not 1 <= days <= MAX_THRESHOLD:
                faults.wrong(f"{name} is from 1 to {MAX_THRESHOLD} days", name)
            elif days <= before:
                faults.wrong("the days must rise from active to silent to sleeping", name)
            before = days
        faults.tell()


DEFAULT = Thresholds(30, 60, 90)


@dataclass(frozen=True)
class InForce:
    """Thresholds that hold; `row` is their row, None where it is the default that holds."""

    thresholds: Thresholds
    source: Source
    row: Mapping[str, Any] | None


def in_force_sql(shop: str, day: str) -> str:
    """FROM and WHERE that leave the row `m` in force on a day, at most one; both are SQL.

    Nothing in it changes from customer to customer, so that it is looked up once per statement.
    """
    return f"""FROM lifecycle_models m WHERE m.merchant_id = $1
        AND m.shop_id IN ({ALL_SHOPS}, {shop}) AND m.valid_from <= {day}
        AND (m.valid_to IS NULL OR m.valid_to > {day}) ORDER BY m.shop_id DESC LIMIT 1"""


def threshold_sql(name: Name, shop: str, day: str) -> str:
    """A threshold in force on a day as SQL; see `in_force_sql`."""
    return f"COALESCE((SELECT m.{name} {in_force_sql(shop, day)}), {getattr(DEFAULT, name)})"


async def thresholds_in_force(session: Session, shop_id: int, day: date) -> InForce:
    """The thresholds that hold in a shop (0: all shops) on a day."""
    row = await session.sql.fetchrow(
        f"SELECT m.* {in_force_sql('$2::bigint', '$3::date')}", session.merchant_id, shop_id, day
    )
    if row is None:
        return InForce(DEFAULT, "default", None)
    return InForce(Thresholds(row["active"], row["silent"], row["sleeping"]), row["source"], row)


async def set_thresholds(
    w: Work,
    calendar: Calendar,
    thresholds: Thresholds,
    reason: str,
    *,
    from_day: date | None = None,
    source: Source = "manual",
    sample: int | None = None,
    min_age_days: int | None = None,
    if_version: int | None = None,
) -> int:
    """Let thresholds hold in a shop from today or a later day on; returns the row's id.

    Who decides is the session's actor. Days that are over keep theirs. Raises InvalidInput,
    Conflict.
    """
    faults = Faults()
    with faults:
        thresholds.check()
    with faults:
        check_reason(reason)
    first = from_day or calendar.today
    latest = calendar.today + timedelta(days=MAX_AHEAD)
    if not calendar.today <= first <= latest:
        faults.wrong(
            f"thresholds hold from today or a day until {latest}: past days keep theirs", "from"
        )
    faults.tell()
    await next_version(w, THRESHOLDS, place(calendar.shop_id), if_version)
    await w.sql.execute(
        """UPDATE lifecycle_models SET valid_to = GREATEST(valid_from, $3)
           WHERE merchant_id = $1 AND shop_id = $2 AND (valid_to IS NULL OR valid_to > $3)""",
        w.merchant_id, calendar.shop_id, first,
    )  # fmt: skip
    made: int = await w.sql.fetchval(
        """INSERT INTO lifecycle_models (merchant_id, shop_id, active, silent, sleeping, source,
                                         sample, min_age_days, reason, actor, at, valid_from)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id""",
        w.merchant_id, calendar.shop_id, thresholds.active, thresholds.silent,
        thresholds.sleeping, source, sample, min_age_days, reason.strip(), w.actor, w.now, first,
    )  # fmt: skip
    w.audit(
        "lifecycle.thresholds_set",
        {"shop_id": calendar.shop_id, "active": thresholds.active, "silent": thresholds.silent,
         "sleeping": thresholds.sleeping, "source": source, "from": first.isoformat()},
    )  # fmt: skip
    return made


async def threshold_history(session: Session, shop_id: int) -> list[Mapping[str, Any]]:
    """What was decided for a shop (0: all shops), the last first, up to `MAX_HISTORY` rows."""
    rows: list[Mapping[str, Any]] = await session.sql.fetch(
        """SELECT * FROM lifecycle_models WHERE merchant_id = $1 AND shop_id = $2
           ORDER BY id DESC LIMIT $3""",
        session.merchant_id, shop_id, MAX_HISTORY,
    )  # fmt: skip
    return rows
