"""Who is in a segment and since when, what uses it, and which segments a customer is in."""

from datetime import date, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import strawberry

from core.domain.segments.references import users_of
from core.domain.shops.merchants import time_zone_of
from core.schema.context import CHILDREN, Info, field
from core.schema.customers import Customer, customer_by_id
from core.schema.pages import After, Connection, First, Listing, page
from core.schema.scalars import global_id
from core.schema.where import DateTimeFilter, IdColumn, IdFilter
from core.sdk.facets import midnight
from core.storage.database import Session

if TYPE_CHECKING:
    from core.schema.segments import Segment


@strawberry.type(description="A customer's time in a segment.")
class SegmentMembership:
    row: strawberry.Private[Any]
    entered_at: datetime
    left_at: datetime | None

    @field("CUSTOMERS_READ")
    def customer(self, info: Info) -> Customer | None:
        return customer_by_id(info, self.row["customer_id"])

    @field("SEGMENTS_READ")
    def segment(
        self, info: Info
    ) -> Annotated["Segment", strawberry.lazy("core.schema.segments")] | None:
        return info.context.child("segments", self.row["segment_id"], CHILDREN["segments"])


def membership_of(row: Any) -> SegmentMembership:
    return SegmentMembership(row=row, entered_at=row["entered_at"], left_at=row["left_at"])


@strawberry.input
class SegmentMembershipWhere:
    customer: strawberry.Maybe[IdFilter]
    entered_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["SegmentMembershipWhere"]] = strawberry.field(
        name="and", default=None
    )
    or_: strawberry.Maybe[list["SegmentMembershipWhere"]] = strawberry.field(
        name="or", default=None
    )
    not_: strawberry.Maybe["SegmentMembershipWhere"] = strawberry.field(name="not", default=None)


def members_listing(name: str, condition: str) -> Listing[SegmentMembership]:
    """The memberships that fulfil a condition, in the order of the customers."""
    return Listing(
        name,
        f"""(SELECT merchant_id, segment_id, customer_id, customer_id AS id, entered_at, left_at
             FROM segment_members WHERE {condition}) m""",
        "m",
        {"customer": IdColumn("Customer", "m.id"), "entered_at": "m.entered_at"},
        {},
        membership_of,
    )


async def listing_of(info: Info, on_day: date | None) -> Listing[SegmentMembership]:
    """The members now, or when a day ended in the merchant's time zone."""
    if on_day is None:
        return members_listing("members", "left_at IS NULL")
    async with info.context.read() as session:
        zone = ZoneInfo(await time_zone_of(session))
    end = f"TIMESTAMPTZ '{midnight(on_day + timedelta(days=1), zone).isoformat()}'"
    return members_listing(
        f"members {on_day}", f"entered_at < {end} AND (left_at IS NULL OR left_at >= {end})"
    )


@strawberry.enum
class SegmentUserKind(Enum):
    CAMPAIGN = "campaign"
    SEGMENT = "segment"


@strawberry.type(description="A campaign to a segment, or another segment whose rule asks for it.")
class SegmentUser:
    kind: SegmentUserKind
    id: strawberry.ID
    name: str


async def users_by_segment(session: Session, pks: list[int]) -> dict[int, list[SegmentUser]]:
    return {
        pk: [
            SegmentUser(
                kind=SegmentUserKind(one.kind),
                id=global_id(one.kind.capitalize(), one.id),
                name=one.name,
            )
            for one in users
        ]
        for pk, users in (await users_of(session, pks)).items()
    }


@strawberry.type
class SegmentMembers:
    """What a segment has beside its own row."""

    pk: strawberry.Private[int]

    @field(
        "CUSTOMERS_READ",
        description="Who is in it, as last written down: a few seconds after a change. With a day, "
        "who was in it when that day ended.",
    )
    async def members(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: SegmentMembershipWhere | None = None,
        on_day: date | None = None,
    ) -> Connection[SegmentMembership]:
        listing = await listing_of(info, on_day)
        return await page(info, listing, where, None, first, after, ("m.segment_id", self.pk))

    @field("SEGMENTS_READ", description="What uses it directly; it cannot be deleted meanwhile.")
    def used_by(self, info: Info) -> list[SegmentUser]:
        return info.context.children("segment.users", self.pk, users_by_segment)


async def segments_of_customers(
    session: Session, pks: list[int]
) -> dict[int, list[SegmentMembership]]:
    """Which segments the customers are in now."""
    rows = await session.sql.fetch(
        """SELECT customer_id, segment_id, entered_at, left_at FROM segment_members
           WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[]) AND left_at IS NULL
           ORDER BY customer_id, segment_id""",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[SegmentMembership]] = {}
    for row in rows:
        found.setdefault(row["customer_id"], []).append(membership_of(row))
    return found


CHILDREN["segments_of_customers"] = segments_of_customers
