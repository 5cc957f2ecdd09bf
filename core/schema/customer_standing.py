"""Where a customer stands: its stage of the lifecycle, its RFM scores and its rank.

These are fields of the type Customer, which takes them over from `CustomerStanding`.
"""

from collections.abc import Awaitable, Callable
from datetime import date
from inspect import getdoc
from typing import Any

import strawberry

from core.domain.lifecycle.calendar import ALL_SHOPS, Calendar, calendar_of
from core.domain.lifecycle.rfm import RfmGroup, value_of
from core.domain.lifecycle.stages import LifecycleStage, Standing, standing_of
from core.domain.lifecycle.thresholds import Thresholds
from core.schema.context import Info, field
from core.schema.scalars import Money, money, read_id
from core.sdk.errors import NotFound
from core.storage.database import Session

strawberry.enum(LifecycleStage, description=getdoc(LifecycleStage))
strawberry.enum(RfmGroup, description=getdoc(RfmGroup))


@strawberry.type(description="Days after the last purchase up to which a stage lasts.")
class LifecycleDays:
    active: int
    silent: int
    sleeping: int


def days_of(thresholds: Thresholds) -> LifecycleDays:
    return LifecycleDays(**vars(thresholds))


@strawberry.type(description="Where a customer stands in its lifecycle today.")
class CustomerLifecycle:
    stage: LifecycleStage
    days_since_last_purchase: int | None
    next_purchase: date | None = strawberry.field(
        description="When the next purchase is expected: after the customer's mean gap, or before "
        "its third purchase when it would no longer be active. May be past."
    )
    thresholds: LifecycleDays = strawberry.field(description="Those in force today.")


@strawberry.type(
    description="What a customer is worth: its figures of the last 365 days, scored 1 to 5 (5 is "
    "best) by the boundaries measured last."
)
class CustomerRfm:
    r: int = strawberry.field(description="The score of recency.")
    f: int = strawberry.field(description="The score of frequency.")
    m: int = strawberry.field(description="The score of money.")
    group: RfmGroup
    days_since_last_purchase: int
    purchases: int
    net: Money = strawberry.field(description="Paid less refunded.")
    top_percent: int = strawberry.field(
        description="Among the best so many percent of buyers by net sales of all time."
    )


async def place(session: Session, shop_id: str | None) -> Calendar | None:
    """The calendar of a shop's global id, of all shops for None; None for a foreign one."""
    pk = ALL_SHOPS if shop_id is None else read_id("Shop", shop_id)
    if pk is None or (shop_id is not None and pk == ALL_SHOPS):
        return None
    try:
        return await calendar_of(session, pk)
    except NotFound:
        return None


def lifecycles_of(
    shop_id: str | None,
) -> Callable[[Session, list[int]], Awaitable[dict[int, CustomerLifecycle]]]:
    """Loads where many customers stand."""

    async def load(session: Session, pks: list[int]) -> dict[int, CustomerLifecycle]:
        calendar = await place(session, shop_id)
        if calendar is None:
            return {}
        return {pk: shown(one) for pk, one in (await standing_of(session, calendar, pks)).items()}

    def shown(standing: Standing) -> CustomerLifecycle:
        return CustomerLifecycle(
            stage=standing.stage,
            days_since_last_purchase=standing.days_since_last,
            next_purchase=standing.next_purchase,
            thresholds=days_of(standing.thresholds),
        )

    return load


def rfms_of(
    shop_id: str | None, currency: str | None
) -> Callable[[Session, list[int]], Awaitable[dict[int, CustomerRfm]]]:
    """Loads the values of many customers."""

    async def load(session: Session, pks: list[int]) -> dict[int, CustomerRfm]:
        calendar = await place(session, shop_id)
        if calendar is None:
            return {}
        code = currency or calendar.currency
        return {
            pk: CustomerRfm(
                r=one.scores[0],
                f=one.scores[1],
                m=one.scores[2],
                group=one.group,
                days_since_last_purchase=one.days_since_last,
                purchases=one.purchases,
                net=money(one.net, code),
                top_percent=one.top_percent,
            )
            for pk, one in (await value_of(session, calendar, code, pks)).items()
        }

    return load


@strawberry.type
class CustomerStanding:
    row: strawberry.Private[Any]

    @field("CUSTOMERS_READ", description="In all shops, or in one by its purchases alone.")
    async def lifecycle(
        self, info: Info, shop_id: strawberry.ID | None = None
    ) -> CustomerLifecycle | None:
        key = ("customer.lifecycle", shop_id)
        return await info.context.load(key, self.row["id"], lifecycles_of(shop_id))

    @field(
        "CUSTOMERS_READ",
        description="Null without a purchase in the last 365 days in the currency, which is that "
        "of the shop or merchant if not given, and before the first measuring.",
    )
    async def rfm(
        self, info: Info, shop_id: strawberry.ID | None = None, currency: str | None = None
    ) -> CustomerRfm | None:
        key = ("customer.rfm", shop_id, currency)
        return await info.context.load(key, self.row["id"], rfms_of(shop_id, currency))
