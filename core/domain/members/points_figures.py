"""Points by month: issued, spent, expired, outstanding, and what they are worth.

All figures are read from the ledger as it was at two instants, so that a past month gives the same
figures whenever it is asked for. Every entry moves what is outstanding:

    after = before + earned + imported + adjusted + transferred - taken_back - spent - expired

What is set aside counts as spent until it is given back; transfers move points from one customer to
another, so their sum is 0.

Of outstanding points that expire at all, as many are expected to break (to expire unused) as did of
the points that expired within the year before. The liability is what the points that are
outstanding or set aside are worth by the rules of that time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from core.domain.members.figures import bounds
from core.domain.members.programme import Programme, rules_at
from core.sdk.errors import InvalidInput
from core.storage.database import Session

HISTORY = timedelta(days=365)
MOMENT = timedelta(microseconds=1)

KINDS = """
    SELECT CASE WHEN e.kind IN ('spend', 'hold', 'return') THEN 'spent' ELSE e.kind END AS kind,
           COALESCE(sum(e.points) FILTER (WHERE e.at < $2
               AND COALESCE(h.expires_at > $2, TRUE)), 0)::bigint AS before,
           COALESCE(sum(e.points) FILTER (
               WHERE COALESCE(h.expires_at > $3, TRUE)), 0)::bigint AS after
    FROM points_entries e
    LEFT JOIN points_holds h ON e.kind = 'hold' AND h.merchant_id = $1 AND h.entry_id = e.id
         AND h.state = 'held'
    WHERE e.merchant_id = $1 AND e.at < $3 GROUP BY 1
"""
"""What entries until $2 and until $3 add up to; a hold that lapsed by then counts as given back,
whether or not a worker wrote that down already."""

LOTS = """
    WITH moves AS (
        SELECT expires_at, points AS before, points AS after, points AS kept
        FROM points_entries
        WHERE merchant_id = $1 AND lot AND at < $3 AND expires_at IS NOT NULL
        UNION ALL
        SELECT l.expires_at,
               CASE WHEN u.at < $2 AND COALESCE(h.expires_at > $2, TRUE) THEN -u.points ELSE 0 END,
               CASE WHEN COALESCE(h.expires_at > $3, TRUE) THEN -u.points ELSE 0 END,
               CASE WHEN x.kind = 'reverse' THEN -u.points ELSE 0 END
        FROM points_uses u
        JOIN points_entries l ON l.merchant_id = $1 AND l.id = u.lot_id AND l.lot AND l.at < $3
             AND l.expires_at IS NOT NULL
        JOIN points_entries x ON x.merchant_id = $1 AND x.id = u.entry_id
        LEFT JOIN points_holds h ON h.merchant_id = $1 AND h.entry_id = u.entry_id
             AND h.state = 'held'
        WHERE u.merchant_id = $1 AND u.at < $3)
    SELECT COALESCE(sum(before) FILTER (WHERE expires_at <= $2), 0)::bigint AS expired_before,
           COALESCE(sum(after) FILTER (WHERE expires_at <= $3), 0)::bigint AS expired_after,
           COALESCE(sum(after) FILTER (WHERE expires_at > $3), 0)::bigint AS expiring,
           COALESCE(sum(after) FILTER (
               WHERE expires_at > $4 AND expires_at <= $3), 0)::bigint AS broken,
           COALESCE(sum(kept) FILTER (
               WHERE expires_at > $4 AND expires_at <= $3), 0)::bigint AS ended
    FROM moves
"""
"""What lots that expired until $2 and until $3 had left, and of those of the time since $4."""

HELD = """
    SELECT COALESCE(-sum(e.points), 0)::bigint FROM points_holds h
    JOIN points_entries e ON e.merchant_id = $1 AND e.id = h.entry_id
    WHERE h.merchant_id = $1 AND e.at < $2 AND h.expires_at > $2
      AND COALESCE(h.settled_at >= $2, TRUE)
"""


@dataclass(frozen=True)
class PointsMonth:
    """A month's points. `before` and `after` are what was outstanding when it began and ended.

    `adjusted` may be negative; `spent` is less what was given back. `held` is set aside at the end,
    `expiring` the part of `after` that expires some day. `breakage` is the share (0 to 1) that was
    unused of the points that expired in the year before, None if there were none.
    `value_per_1000` is in minor units of the currency; None: nobody had said so.
    """

    month: date
    currency: str
    before: int
    earned: int
    imported: int
    adjusted: int
    taken_back: int
    spent: int
    expired: int
    after: int
    held: int
    expiring: int
    breakage: Fraction | None
    value_per_1000: int | None

    @property
    def expected_breakage(self) -> int:
        """So many of the outstanding points will expire unused, going by history."""
        return round(max(self.expiring, 0) * self.breakage) if self.breakage else 0

    def worth(self, points: int) -> int | None:
        """What points are worth in minor units, if anybody had said so."""
        if self.value_per_1000 is None:
            return None
        return round(Fraction(points * self.value_per_1000, 1000))


async def points_month(session: Session, programme: Programme, month: date) -> PointsMonth:
    """The points of the month that a day is in; up to now, if it is not over.

    Raises InvalidInput for a month to come.
    """
    first, last = bounds(programme, month)
    if first > session.now:
        raise InvalidInput("the month has not begun", ("month",))
    last = min(last, session.now + MOMENT)
    rows = await session.sql.fetch(KINDS, session.merchant_id, first, last)
    kinds = {row["kind"]: (row["before"], row["after"]) for row in rows}
    lots = await session.figures(LOTS, session.merchant_id, first, last, last - HISTORY)
    held = await session.figures(HELD, session.merchant_id, last)
    rules = await rules_at(session, last - MOMENT)
    return PointsMonth(
        month=month.replace(day=1),
        currency=programme.currency,
        before=sum(before for before, _ in kinds.values()) - lots["expired_before"],
        earned=_moved(kinds, "earn"),
        imported=_moved(kinds, "import"),
        adjusted=_moved(kinds, "adjust"),
        taken_back=-_moved(kinds, "reverse"),
        spent=-_moved(kinds, "spent"),
        expired=lots["expired_after"] - lots["expired_before"],
        after=sum(after for _, after in kinds.values()) - lots["expired_after"],
        held=held[0],
        expiring=lots["expiring"],
        breakage=Fraction(lots["broken"], lots["ended"]) if lots["ended"] > 0 else None,
        value_per_1000=rules.points.value_per_1000,
    )


def _moved(kinds: Mapping[str, tuple[int, int]], kind: str) -> int:
    before, after = kinds.get(kind, (0, 0))
    return after - before
