"""Tiers by month: shares, moves, contribution and activity, from the history of tiers.

A month is one of the merchant's calendar. What was at an instant is read from the history: a
customer is in the best of the tiers that it had then (after a merge there may be two), a member
without one, or "exited" if it was a member before. So the figures of a past month stay the same,
but for refunds, which are booked to the payment, and for merges.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from core.domain.members.programme import Programme
from core.domain.orders.facts import COUNTED, REFUNDED
from core.sdk.errors import InvalidInput
from core.sdk.facets import midnight
from core.storage.database import Session


class TierState(StrEnum):
    """Where a customer stands at the end of a month; NEW: no member yet."""

    TIER = "tier"
    NONE = "none"
    EXITED = "exited"
    NEW = "new"


@dataclass(frozen=True)
class Standing:
    """A state, with the tier if it is one."""

    state: TierState
    tier_id: int | None = None

    @property
    def member(self) -> bool:
        return self.state in (TierState.TIER, TierState.NONE)


@dataclass(frozen=True)
class Move:
    """So many customers from where they stood when the month began to where they stood when it
    ended; `bought` of them had a purchase in it."""

    before: Standing
    after: Standing
    customers: int
    bought: int


@dataclass(frozen=True)
class MonthFigures:
    """A month's moves, and its net sales (minor units of `currency`): to members by what they were
    when they paid, and of the shops altogether."""

    month: date
    currency: str
    moves: list[Move]
    sales: Mapping[Standing, int]
    shop_sales: int
    ranks: Mapping[int, int]

    def began(self) -> Counter[Standing]:
        """Customers by where they stood when the month began."""
        return _counted((move.before, move.customers) for move in self.moves)

    def ended(self) -> Counter[Standing]:
        """Customers by where they stood when it ended."""
        return _counted((move.after, move.customers) for move in self.moves)

    def active(self) -> Counter[Standing]:
        """Who bought in the month, by where they stood when it began."""
        return _counted((move.before, move.bought) for move in self.moves)

    @property
    def members_before(self) -> int:
        return sum(number for one, number in self.began().items() if one.member)

    @property
    def members_after(self) -> int:
        return sum(number for one, number in self.ended().items() if one.member)

    def upgraded(self) -> int:
        return sum(move.customers for move in self.moves if self._step(move) > 0)

    def downgraded(self) -> int:
        return sum(move.customers for move in self.moves if self._step(move) < 0)

    def exited(self) -> int:
        return sum(
            move.customers for move in self.moves
            if move.before.member and move.after.state == TierState.EXITED
        )  # fmt: skip

    def joined(self) -> int:
        """Who was no member when the month began, and is one when it ends."""
        return sum(
            move.customers for move in self.moves if move.after.member and not move.before.member
        )

    def _step(self, move: Move) -> int:
        if not (move.before.member and move.after.member):
            return 0
        return self._rank(move.after) - self._rank(move.before)

    def _rank(self, one: Standing) -> int:
        return -1 if one.tier_id is None else self.ranks.get(one.tier_id, -1)


BEST_THEN = """SELECT i.tier_id FROM tier_intervals i
    LEFT JOIN tiers t ON t.merchant_id = $1 AND t.id = i.tier_id
    WHERE i.merchant_id = $1 AND i.customer_id = {customer} AND {then}
    ORDER BY t.rank DESC NULLS LAST LIMIT 1"""

MOVES = f"""
    WITH known AS (
        SELECT customer_id, bool_or(joined_at < $2) AS before,
               bool_or(joined_at < $2 AND COALESCE(left_at >= $2, TRUE)) AS began,
               bool_or(COALESCE(left_at >= $3, TRUE)) AS ended
        FROM memberships WHERE merchant_id = $1 AND joined_at < $3 GROUP BY customer_id),
    tiered AS (
        SELECT DISTINCT ON (i.customer_id, at.month_end) i.customer_id, at.month_end, i.tier_id
        FROM tier_intervals i
        JOIN (VALUES (FALSE, $2::timestamptz), (TRUE, $3::timestamptz)) at (month_end, instant)
          ON i.valid_from < at.instant AND COALESCE(i.valid_to >= at.instant, TRUE)
        LEFT JOIN tiers t ON t.merchant_id = $1 AND t.id = i.tier_id
        WHERE i.merchant_id = $1
        ORDER BY i.customer_id, at.month_end, t.rank DESC NULLS LAST),
    buyers AS (
        SELECT DISTINCT o.customer_id FROM orders o
        WHERE o.merchant_id = $1 AND {COUNTED} AND o.paid_at >= $2 AND o.paid_at < $3)
    SELECT k.before, k.began, k.ended, CASE WHEN k.began THEN b.tier_id END AS from_tier,
           CASE WHEN k.ended THEN e.tier_id END AS to_tier,
           count(*) AS customers, count(p.customer_id) AS bought
    FROM known k
    LEFT JOIN tiered b ON b.customer_id = k.customer_id AND NOT b.month_end
    LEFT JOIN tiered e ON e.customer_id = k.customer_id AND e.month_end
    LEFT JOIN buyers p ON p.customer_id = k.customer_id
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""
"""Customers of merchant $1 by where they stood at $2 and at $3; each is counted once."""

SALES = f"""
    SELECT m.member, CASE WHEN m.member THEN b.tier_id END AS tier_id,
           sum(o.paid - {REFUNDED})::bigint AS net
    FROM orders o
    CROSS JOIN LATERAL (SELECT EXISTS (
        SELECT 1 FROM memberships m WHERE m.merchant_id = $1 AND m.customer_id = o.customer_id
          AND m.joined_at <= o.paid_at AND COALESCE(m.left_at > o.paid_at, TRUE)) AS member) m
    LEFT JOIN LATERAL ({
    BEST_THEN.format(
        customer="o.customer_id",
        then="i.valid_from <= o.paid_at AND COALESCE(i.valid_to > o.paid_at, TRUE)",
    )
}) b ON TRUE
    WHERE o.merchant_id = $1 AND {COUNTED} AND o.currency = $4
      AND o.paid_at >= $2 AND o.paid_at < $3
    GROUP BY 1, 2
"""
"""Net sales in currency $4 from $2 until $3, by what the customer was when paying."""


async def month_figures(session: Session, programme: Programme, month: date) -> MonthFigures:
    """The figures of the month that a day is in; up to now, if it is not over.

    Raises InvalidInput for a month to come.
    """
    first, last = bounds(programme, month)
    if first > session.now:
        raise InvalidInput("the month has not begun", ("month",))
    last = min(last, session.now)
    moves = await session.sql.fetch(MOVES, session.merchant_id, first, last)
    sales = await session.sql.fetch(SALES, session.merchant_id, first, last, programme.currency)
    ranks = await session.sql.fetch(
        "SELECT id, rank FROM tiers WHERE merchant_id = $1", session.merchant_id
    )
    return MonthFigures(
        month.replace(day=1),
        programme.currency,
        [_move(row) for row in moves],
        {_standing(True, True, row["tier_id"]): row["net"] for row in sales if row["member"]},
        sum(row["net"] for row in sales),
        {row["id"]: row["rank"] for row in ranks},
    )


def bounds(programme: Programme, month: date) -> tuple[datetime, datetime]:
    """The first instant of a month and of the next one, in the merchant's calendar."""
    following = (month.year + month.month // 12, month.month % 12 + 1)
    return (
        midnight(month.replace(day=1), programme.zone),
        midnight(date(*following, 1), programme.zone),
    )


def _counted(pairs: Iterable[tuple[Standing, int]]) -> Counter[Standing]:
    found: Counter[Standing] = Counter()
    for standing, number in pairs:
        found[standing] += number
    return found


def _move(row: Mapping[str, Any]) -> Move:
    return Move(
        _standing(row["before"], row["began"], row["from_tier"]),
        _standing(True, row["ended"], row["to_tier"]),
        row["customers"],
        row["bought"],
    )


def _standing(known: bool, member: bool, tier_id: int | None) -> Standing:
    if not known:
        return Standing(TierState.NEW)
    if not member:
        return Standing(TierState.EXITED)
    return Standing(TierState.NONE) if tier_id is None else Standing(TierState.TIER, tier_id)
