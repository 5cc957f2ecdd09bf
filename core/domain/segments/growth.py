"""How a segment's size went, day by day, from the times of its members."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from core.domain.shops.merchants import time_zone_of
from core.sdk.errors import InvalidInput
from core.sdk.facets import midnight
from core.storage.database import Session

MAX_DAYS = 366


@dataclass(frozen=True)
class DayOfSegment:
    """A calendar day of the merchant: members when it ended, and who came and went in it.

    Of today it is the size by now. Who left and came back on one day counts in both.
    """

    day: date
    size: int
    entered: int
    left: int


GROWTH = """
    WITH moves AS (
        SELECT width_bucket(m.entered_at, $3::timestamptz[]) AS place, 1 AS change,
               m.entered_at > s.filled_at AS shown
        FROM segments s
        JOIN segment_members m ON m.merchant_id = s.merchant_id AND m.segment_id = s.id
        WHERE s.merchant_id = $1 AND s.id = $2
        UNION ALL
        SELECT width_bucket(left_at, $3::timestamptz[]), -1, TRUE
        FROM segment_members
        WHERE merchant_id = $1 AND segment_id = $2 AND left_at IS NOT NULL),
    days AS (
        SELECT place, sum(change) AS change,
               count(*) FILTER (WHERE change > 0 AND shown) AS entered,
               count(*) FILTER (WHERE change < 0) AS "left"
        FROM moves GROUP BY place)
    SELECT (sum(COALESCE(change, 0)) OVER (ORDER BY place))::int AS size,
           COALESCE(entered, 0) AS entered, COALESCE("left", 0) AS "left"
    FROM generate_series(0, cardinality($3::timestamptz[]) - 1) AS place
    LEFT JOIN days USING (place)
    ORDER BY place
"""
"""The days that begin at all but the last of the times $3, after a row for what was before."""


async def segment_growth(
    session: Session, segment_id: int, first: date, last: date
) -> list[DayOfSegment]:
    """The days from `first` to `last`, both included, of which something is known.

    That is from the day on which the segment's members were first written down, until today. Who
    was found on that first occasion counts in `size`, and not as one who entered. Raises
    InvalidInput for more than 366 days.
    """
    if first > last:
        raise InvalidInput("from is after to", ("from",))
    if (last - first).days >= MAX_DAYS:
        raise InvalidInput(f"at most {MAX_DAYS} days at once", ("to",))
    zone = ZoneInfo(await time_zone_of(session))
    filled_at = await session.sql.fetchval(
        "SELECT filled_at FROM segments WHERE merchant_id = $1 AND id = $2",
        session.merchant_id, segment_id,
    )  # fmt: skip
    if filled_at is None:
        return []
    days = _known(
        max(first, filled_at.astimezone(zone).date()),
        min(last, session.now.astimezone(zone).date()),
    )
    if not days:
        return []
    edges = [midnight(day, zone) for day in [*days, days[-1] + timedelta(days=1)]]
    rows = await session.sql.fetch(GROWTH, session.merchant_id, segment_id, edges)
    return [
        DayOfSegment(day, row["size"], row["entered"], row["left"])
        for day, row in zip(days, rows[1:], strict=True)
    ]


def _known(first: date, last: date) -> Sequence[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
