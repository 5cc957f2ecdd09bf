"""The RFM model: boundaries of scores, means, how customers are spread; products' cycles."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

import strawberry

from core.domain.lifecycle.calendar import Calendar
from core.domain.lifecycle.rfm import (
    BOUNDS,
    Bounds,
    Cell,
    RfmGroup,
    distribution,
    fix_bounds,
    rfm_model,
)
from core.schema.context import Info, field, mutation
from core.schema.costs import costs
from core.schema.customer_standing import place
from core.schema.errors import UserError
from core.schema.lifecycle import need_place
from core.schema.long_reads import long_read
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import Money, money, version_seen
from core.schema.setting_versions import IN_WORDS, version_of
from core.schema.shops import Shop, shops_by_id
from core.schema.where import IdColumn, IdFilter, IntFilter, StringFilter
from core.sdk.errors import Faults, InvalidInput
from core.sdk.money import to_minor

K = TypeVar("K")
Sum = tuple[int, int]


@strawberry.type(description="How many customers have the same three scores, and their net sales.")
class RfmScoreCount:
    r: int
    f: int
    m: int
    customers: int
    net: Money


@strawberry.type
class RfmGroupCount:
    group: RfmGroup
    customers: int
    net: Money


@strawberry.type(description="Today's customers by the boundaries in force.")
class RfmDistribution:
    scores: list[RfmScoreCount]
    groups: list[RfmGroupCount]


@strawberry.type(
    description="By what R (days since the last purchase), F (purchases) and M (net sales) of the "
    "last 365 days are scored. A score is one more than the boundaries below the value; R is "
    "scored the other way round. Groups go by the means."
)
class RfmModel:
    calendar: strawberry.Private[Calendar]
    currency: str
    fixed: bool = strawberry.field(description="Whether the boundaries are the merchant's own.")
    customers: int = strawberry.field(description="Of how many the boundaries were measured.")
    r: list[int]
    f: list[int]
    m: list[Money]
    r_mean: Decimal
    f_mean: Decimal
    m_mean: Money
    buyers: int = strawberry.field(description="Of how many the percentiles were measured.")
    percentiles: list[Money] = strawberry.field(
        description="99 boundaries of net sales of all time, the lowest first."
    )
    valid_from: date
    at: datetime = strawberry.field(description="When it was measured.")

    @field("SEGMENTS_READ", description=IN_WORDS)
    def version(self, info: Info) -> int:
        return version_of(info, BOUNDS, self.calendar.shop_id, self.currency)

    @field("SEGMENTS_READ", description="Reads the orders of a year: seconds for a large shop.")
    async def distribution(self, info: Info) -> RfmDistribution:
        async with long_read(info.context) as session:
            cells = await distribution(session, self.calendar, self.currency)
        return RfmDistribution(
            scores=[
                RfmScoreCount(r=r, f=f, m=m, customers=customers, net=money(net, self.currency))
                for (r, f, m), (customers, net) in added_up(cells, lambda cell: cell.scores)
            ],
            groups=[
                RfmGroupCount(group=group, customers=customers, net=money(net, self.currency))
                for group, (customers, net) in added_up(cells, lambda cell: cell.group)
            ],
        )


def added_up(cells: Sequence[Cell], key: Callable[[Cell], K]) -> Iterable[tuple[K, Sum]]:
    """Customers and net sales of the cells, by a key, in the order of the cells."""
    sums: dict[K, Sum] = {}
    for cell in cells:
        customers, net = sums.get(key(cell), (0, 0))
        sums[key(cell)] = (customers + cell.customers, net + cell.net)
    return sums.items()


def rfm_of(calendar: Calendar, row: Mapping[str, Any]) -> RfmModel:
    currency = row["currency"]
    return RfmModel(
        calendar=calendar,
        currency=currency,
        fixed=row["fixed"],
        customers=row["customers"],
        r=row["r_bounds"] or [],
        f=row["f_bounds"] or [],
        m=[money(minor, currency) for minor in row["m_bounds"] or []],
        r_mean=round(row["r_mean"] or Decimal(0), 2),
        f_mean=round(row["f_mean"] or Decimal(0), 2),
        m_mean=money(round(row["m_mean"] or 0), currency),
        buyers=row["buyers"],
        percentiles=[money(minor, currency) for minor in row["percentiles"] or []],
        valid_from=row["valid_from"],
        at=row["at"],
    )


@strawberry.input(
    description="Four rising boundaries each; with all three null by quintiles again."
)
class RfmThresholdsSetInput:
    shop_id: strawberry.ID | None = None
    currency: str | None = strawberry.field(
        default=None, description="The shop's or the merchant's if not given."
    )
    r: list[int] | None = None
    f: list[int] | None = None
    m: list[Decimal] | None = strawberry.field(default=None, description="Amounts, as 99.00.")
    if_version: int | None = version_seen()


@strawberry.type
class RfmThresholdsSetPayload:
    rfm: RfmModel | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def bounds_of(input: RfmThresholdsSetInput, currency: str) -> Bounds | None:
    """The boundaries given, None for quintiles. Raises InvalidInput."""
    if input.r is None and input.f is None and input.m is None:
        return None
    if input.r is None or input.f is None or input.m is None:
        missing = next(name for name in ("r", "f", "m") if getattr(input, name) is None)
        raise InvalidInput("give r, f and m, or none of them", ("input", missing))
    try:
        return Bounds(input.r, input.f, [to_minor(amount, currency) for amount in input.m])
    except ValueError as error:
        raise InvalidInput(str(error), ("input", "m")) from None


@strawberry.type(description="After how many days customers buy a product again.")
class ProductCycle:
    row: strawberry.Private[Any]
    product_id: str
    days: int = strawberry.field(description="The median.")
    sample: int = strawberry.field(description="How many times it was bought again.")
    customers: int = strawberry.field(description="By how many.")
    at: datetime = strawberry.field(description="When it was measured.")

    @field("SHOPS_READ")
    def shop(self, info: Info) -> Shop | None:
        return info.context.child("shops", self.row["shop_id"], shops_by_id)


def cycle_of(row: Any) -> ProductCycle:
    return ProductCycle(
        row=row,
        product_id=row["product_id"],
        days=row["days"],
        sample=row["sample"],
        customers=row["customers"],
        at=row["at"],
    )


@strawberry.input
class ProductCycleWhere:
    shop_id: strawberry.Maybe[IdFilter]
    product_id: strawberry.Maybe[StringFilter]
    days: strawberry.Maybe[IntFilter]
    sample: strawberry.Maybe[IntFilter]
    and_: strawberry.Maybe[list["ProductCycleWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["ProductCycleWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["ProductCycleWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class ProductCycleSortField(Enum):
    DAYS = "days"
    SAMPLE = "sample"


@strawberry.input
class ProductCycleSort:
    field: ProductCycleSortField
    direction: SortDirection = SortDirection.ASC


CYCLES = Listing(
    "productCycles", "product_cycles y", "y",
    {"shop_id": IdColumn("Shop", "y.shop_id"), "product_id": "y.product_id", "days": "y.days",
     "sample": "y.sample"},
    {"days": "y.days", "sample": "y.sample"},
    cycle_of,
)  # fmt: skip


@strawberry.type
class RfmQueries:
    @costs(50)
    @field(
        "SEGMENTS_READ",
        description="Of all shops or one; the currency is the shop's or the merchant's if not "
        "given. Null before the first measuring.",
    )
    async def rfm(
        self, info: Info, shop_id: strawberry.ID | None = None, currency: str | None = None
    ) -> RfmModel | None:
        async with info.context.read() as session:
            calendar = await place(session, shop_id)
            if calendar is None:
                return None
            row = await rfm_model(session, calendar.shop_id, currency or calendar.currency)
        return rfm_of(calendar, row) if row else None

    @costs(50)
    @field("SEGMENTS_READ", description="Products that were bought again often enough.")
    async def product_cycles(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: ProductCycleWhere | None = None,
        sort: list[ProductCycleSort] | None = None,
    ) -> Connection[ProductCycle]:
        return await page(info, CYCLES, where, sort, first, after)


@strawberry.type
class RfmMutations:
    @mutation(
        "SEGMENTS_WRITE",
        RfmThresholdsSetPayload,
        description="Score by boundaries of the merchant's own, or by quintiles again.",
    )
    async def rfm_thresholds_set(
        self, info: Info, input: RfmThresholdsSetInput
    ) -> RfmThresholdsSetPayload | None:
        async with info.context.work() as w:
            faults, bounds = Faults(), None
            calendar = await need_place(w, input.shop_id, faults)
            currency = input.currency or calendar.currency
            with faults:
                bounds = bounds_of(input, currency)
            with faults:
                await fix_bounds(w, calendar, currency, bounds, input.if_version)
            faults.tell()
            row = await rfm_model(w, calendar.shop_id, currency)
        assert row is not None
        return RfmThresholdsSetPayload(rfm=rfm_of(calendar, row))
