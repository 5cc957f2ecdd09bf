"""The points of a month, and what the outstanding ones are worth."""

from datetime import date
from decimal import Decimal

import strawberry

from core.domain.members.points_figures import PointsMonth, points_month
from core.domain.members.programme import get_programme
from core.schema.context import Info, field
from core.schema.costs import costs
from core.schema.long_reads import long_read
from core.schema.member_figures import rate
from core.schema.scalars import Money, money


@strawberry.type(
    description="Points of a month of the merchant's calendar: what was outstanding before, plus "
    "`earned`, `imported` and `adjusted`, less `takenBack`, `spent` and `expired`, is what was "
    "outstanding after."
)
class PointsFigures:
    month: date
    outstanding_before: int
    earned: int
    imported: int
    adjusted: int = strawberry.field(description="By hand; may be negative.")
    taken_back: int = strawberry.field(description="Since what they were given for was refunded.")
    spent: int = strawberry.field(description="Less what was given back; set aside counts.")
    expired: int
    outstanding_after: int
    held: int = strawberry.field(description="Set aside when the month ended.")
    breakage_rate: Decimal | None = strawberry.field(
        description="Of the points that expired in the year before, the share that was unused, 0 "
        "to 1; null if none did."
    )
    expected_breakage: int = strawberry.field(
        description="Of the outstanding points that expire, so many by this rate."
    )
    value_per_1000: Money | None = strawberry.field(
        description="What a thousand points were worth by the rules of that time."
    )
    liability: Money | None = strawberry.field(
        description="What outstanding points and those set aside are worth."
    )
    liability_after_breakage: Money | None


def points_figures_of(found: PointsMonth) -> PointsFigures:
    def worth(points: int) -> Money | None:
        minor = found.worth(points)
        return None if minor is None else money(minor, found.currency)

    owed = found.after + found.held
    share = found.breakage
    return PointsFigures(
        month=found.month,
        outstanding_before=found.before,
        earned=found.earned,
        imported=found.imported,
        adjusted=found.adjusted,
        taken_back=found.taken_back,
        spent=found.spent,
        expired=found.expired,
        outstanding_after=found.after,
        held=found.held,
        breakage_rate=None if share is None else rate(share.numerator, share.denominator),
        expected_breakage=found.expected_breakage,
        value_per_1000=worth(1000),
        liability=worth(owed),
        liability_after_breakage=worth(owed - found.expected_breakage),
    )


@strawberry.type
class PointsFigureQueries:
    @costs(50)
    @field(
        "MEMBERS_READ",
        description="The month that a day is in, of the merchant's calendar; up to now if it is "
        "not over. A past month gives the same figures whenever it is asked for.",
    )
    async def points_figures(self, info: Info, month: date) -> PointsFigures:
        async with long_read(info.context) as session:
            programme = await get_programme(session)
            return points_figures_of(await points_month(session, programme, month))
