"""The figures of tiers by month: shares, moves, contribution and activity."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import strawberry

from core.domain.members.figures import MonthFigures, Standing, TierState, month_figures
from core.domain.members.programme import get_programme
from core.schema.context import Info, field
from core.schema.costs import costs
from core.schema.long_reads import long_read
from core.schema.members import Tier, tiers_by_id
from core.schema.scalars import Money, money

PLACES = Decimal("0.0001")

strawberry.enum(
    TierState,
    description="TIER is in a tier, NONE a member without one, EXITED no member any more, NEW none "
    "yet.",
)


@strawberry.type(description="Where customers stand at the end of a month.")
class TierStanding:
    state: TierState
    tier: Tier | None = strawberry.field(description="Null unless the state is TIER.")


@strawberry.type(description="Members of a tier, at the end of the month before and of this one.")
class TierShare:
    standing: TierStanding
    before: int
    after: int
    share: Decimal | None = strawberry.field(description="Of all members at the end, 0 to 1.")


@strawberry.type
class TierMove:
    before: TierStanding
    after: TierStanding
    customers: int
    rate: Decimal | None = strawberry.field(
        description="Of those who stood at `before`, 0 to 1; null for NEW."
    )


@strawberry.type(description="Net sales to members by what they were when they paid.")
class TierContribution:
    standing: TierStanding
    net_sales: Money
    share_of_members: Decimal | None = strawberry.field(description="Of all sales to members.")
    share_of_shop: Decimal | None = strawberry.field(description="Of all sales.")


@strawberry.type(description="Members when the month began, and how many of them bought in it.")
class TierActivity:
    standing: TierStanding
    members: int
    bought: int
    rate: Decimal | None


@strawberry.type(
    description="A month of the merchant's calendar; rates are 0 to 1, null where there was nobody."
)
class TierFigures:
    month: date
    members_before: int
    members_after: int
    shares: list[TierShare]
    moves: list[TierMove]
    upgraded: int
    upgrade_rate: Decimal | None
    downgraded: int
    downgrade_rate: Decimal | None
    exited: int
    exit_rate: Decimal | None
    joined: int = strawberry.field(description="Who is a member at the end, and was none before.")
    contributions: list[TierContribution]
    member_sales: Money
    shop_sales: Money
    activities: list[TierActivity]


def rate(part: int, whole: int) -> Decimal | None:
    return (Decimal(part) / whole).quantize(PLACES) if whole else None


def figures_of(found: MonthFigures, tiers: Mapping[int, Tier]) -> TierFigures:
    def shown(one: Standing) -> TierStanding:
        return TierStanding(state=one.state, tier=tiers.get(one.tier_id or 0))

    began, ended, active = found.began(), found.ended(), found.active()
    of_members, currency = sum(found.sales.values()), found.currency
    members = [one for one in dict.fromkeys([*began, *ended]) if one.member]
    before = found.members_before
    return TierFigures(
        month=found.month,
        members_before=before,
        members_after=found.members_after,
        shares=[
            TierShare(
                standing=shown(one), before=began[one], after=ended[one],
                share=rate(ended[one], found.members_after),
            )
            for one in members
        ],
        moves=[
            TierMove(
                before=shown(move.before), after=shown(move.after), customers=move.customers,
                rate=None if move.before.state == TierState.NEW
                else rate(move.customers, began[move.before]),
            )
            for move in found.moves
        ],
        upgraded=found.upgraded(),
        upgrade_rate=rate(found.upgraded(), before),
        downgraded=found.downgraded(),
        downgrade_rate=rate(found.downgraded(), before),
        exited=found.exited(),
        exit_rate=rate(found.exited(), before),
        joined=found.joined(),
        contributions=[
            TierContribution(
                standing=shown(one), net_sales=money(net, currency),
                share_of_members=rate(net, of_members), share_of_shop=rate(net, found.shop_sales),
            )
            for one, net in found.sales.items()
        ],
        member_sales=money(of_members, currency),
        shop_sales=money(found.shop_sales, currency),
        activities=[
            TierActivity(
                standing=shown(one), members=began[one], bought=active[one],
                rate=rate(active[one], began[one]),
            )
            for one in members if began[one]
        ],
    )  # fmt: skip


@strawberry.type
class TierFigureQueries:
    @costs(50)
    @field(
        "MEMBERS_READ",
        description="The month that a day is in, of the merchant's calendar; up to now if it is "
        "not over.",
    )
    async def tier_figures(self, info: Info, month: date) -> TierFigures:
        async with long_read(info.context) as session:
            programme = await get_programme(session)
            found = await month_figures(session, programme, month)
            return figures_of(found, await tiers_by_id(session, None, programme, True))
