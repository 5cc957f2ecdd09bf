"""How many joined platforms' own programmes and left them, day by day."""

from dataclasses import dataclass
from datetime import date

from core.sdk.errors import InvalidInput
from core.storage.database import Session


@dataclass(frozen=True)
class PlatformCount:
    """Joins and exits of a shop on a day of the merchant's calendar."""

    day: date
    shop_id: int
    joined: int
    left: int


async def platform_counts(
    session: Session, first: date, last: date, shop_id: int | None = None
) -> list[PlatformCount]:
    """The days that have any, both ends included. Raises InvalidInput."""
    if last < first:
        raise InvalidInput("the last day is before the first", ("last",))
    rows = await session.sql.fetch(
        """WITH bounds AS (
               SELECT time_zone, $2::date::timestamp AT TIME ZONE time_zone AS start,
                      ($3::date + 1)::timestamp AT TIME ZONE time_zone AS stop
               FROM merchants WHERE id = $1),
           moves AS (
               SELECT p.platform_member_id, p.joined_at AS at, 1 AS joined, 0 AS gone
               FROM platform_memberships p, bounds b
               WHERE p.merchant_id = $1 AND p.joined_at >= b.start AND p.joined_at < b.stop
               UNION ALL
               SELECT p.platform_member_id, p.left_at, 0, 1
               FROM platform_memberships p, bounds b
               WHERE p.merchant_id = $1 AND p.left_at >= b.start AND p.left_at < b.stop)
           SELECT (v.at AT TIME ZONE b.time_zone)::date AS day, m.shop_id,
                  sum(v.joined)::int AS joined, sum(v.gone)::int AS gone
           FROM moves v CROSS JOIN bounds b
           JOIN platform_members m ON m.merchant_id = $1 AND m.id = v.platform_member_id
           WHERE $4::bigint IS NULL OR m.shop_id = $4
           GROUP BY 1, 2 ORDER BY 1, 2""",
        session.merchant_id, first, last, shop_id,
    )  # fmt: skip
    return [PlatformCount(row["day"], row["shop_id"], row["joined"], row["gone"]) for row in rows]
