"""Reconciliation: how many orders a day had by the platform, beside how many are stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.domain.connections.backfill import read_again
from core.domain.connections.opening import Access, connection_of
from core.domain.connections.windows import SECOND
from core.registry import Registry
from core.sdk.connectors import Counting, Resource, Window
from core.sdk.errors import InvalidInput, WrongState
from core.storage.database import Session, Work

DAYS = 7
"""So many days back are counted, each day anew: platforms deliver late."""
COUNT_EVERY = timedelta(days=1)
NOT_YET = timedelta(hours=1)


@dataclass(frozen=True)
class DayReport:
    """Orders of one day of the shop."""

    day: date
    theirs: int
    ours: int
    counted_at: datetime

    @property
    def missing(self) -> int:
        """Orders that the platform has and that are not stored."""
        return max(0, self.theirs - self.ours)


def window_of(day: date, time_zone: str) -> Window:
    """A day of the shop, both of its seconds at the ends included."""
    zone = ZoneInfo(time_zone)
    start = datetime.combine(day, time(), zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
    return Window(start, end - SECOND)


async def count_days(access: Access) -> None:
    """Count the last days, and read those again of which something is missing."""
    session, shop = access.session, access.shop
    pause = COUNT_EVERY
    if isinstance(session, Counting):
        if await _past_is_coming(access):
            pause = NOT_YET
        else:
            zone = shop["time_zone"]
            today = access.platform_now().astimezone(ZoneInfo(zone)).date()
            for back in range(1, DAYS + 1):
                window = window_of(today - timedelta(days=back), zone)
                theirs = await access.platform.call(session.count_orders(window))
                await _note(access, today - timedelta(days=back), window, theirs)
    async with access.db.work(access.merchant_id) as w:
        await w.sql.execute(
            """UPDATE shop_connections SET count_at = $3
               WHERE merchant_id = $1 AND shop_id = $2""",
            w.merchant_id, shop["id"], w.now + pause,
        )  # fmt: skip


async def _past_is_coming(access: Access) -> bool:
    async with access.db.read(access.merchant_id) as session:
        return bool(
            await session.sql.fetchval(
                """SELECT TRUE FROM sync_slices WHERE merchant_id = $1 AND shop_id = $2
                     AND resource = 'orders' AND state = 'waiting' LIMIT 1""",
                session.merchant_id, access.shop["id"],
            )
        )  # fmt: skip


async def _note(access: Access, day: date, window: Window, theirs: int) -> None:
    shop_id = access.shop["id"]
    async with access.db.work(access.merchant_id) as w:
        ours = await w.sql.fetchval(
            """INSERT INTO day_counts (merchant_id, shop_id, day, theirs, ours, counted_at)
               SELECT $1, $2, $3, $4, count(*), $5 FROM orders
               WHERE merchant_id = $1 AND shop_id = $2 AND ordered_at >= $6
                 AND ordered_at < $7::timestamptz + INTERVAL '1 second'
               ON CONFLICT (merchant_id, shop_id, day) DO UPDATE SET theirs = excluded.theirs,
                   ours = excluded.ours, counted_at = excluded.counted_at
               RETURNING ours""",
            w.merchant_id, shop_id, day, theirs, w.now, window.start, window.end,
        )  # fmt: skip
        if ours < theirs:
            await read_again(w, shop_id, Resource.ORDERS, window)
        await w.notify("connection", shop_id)


async def day_reports(session: Session, shop_id: int, days: int) -> list[DayReport]:
    """The last counts, the newest day first."""
    rows = await session.sql.fetch(
        """SELECT day, theirs, ours, counted_at FROM day_counts
           WHERE merchant_id = $1 AND shop_id = $2 ORDER BY day DESC LIMIT $3""",
        session.merchant_id, shop_id, days,
    )  # fmt: skip
    return [DayReport(*row) for row in rows]


async def resync_day(
    w: Work, registry: Registry, shop_id: int, day: date, resources: Sequence[Resource] = ()
) -> None:
    """Read what was created on a day of the shop once more, and count it anew.

    Raises NotFound, WrongState when the shop is not connected, InvalidInput for a day to come.
    """
    connection = await connection_of(w, shop_id)
    owned = registry.connectors.get(connection["connector"])
    if connection["state"] != "connected" or owned is None:
        raise WrongState("the shop is not connected: connect it first", ("id",))
    zone = await w.sql.fetchval(
        "SELECT time_zone FROM shops WHERE merchant_id = $1 AND id = $2", w.merchant_id, shop_id
    )
    if day > w.now.astimezone(ZoneInfo(zone)).date():
        raise InvalidInput("the day has not come yet", ("input", "day"))
    window = window_of(day, zone)
    for resource in resources or owned.value.resources:
        await read_again(w, shop_id, resource, window)
    await w.sql.execute(
        "UPDATE shop_connections SET count_at = $3 WHERE merchant_id = $1 AND shop_id = $2",
        w.merchant_id, shop_id, w.now,
    )  # fmt: skip
    w.audit("shop.resync_started", {"shop": shop_id, "day": day.isoformat()})
