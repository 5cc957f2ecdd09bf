"""What platforms tell of customers as members there, and how many join and leave."""

from datetime import date, datetime
from typing import Any

import strawberry

from core.domain.members.platform_counts import platform_counts
from core.schema.context import CHILDREN, Info, field
from core.schema.costs import costs
from core.schema.long_reads import long_read
from core.schema.scalars import Money, money, read_id
from core.schema.shops import Shop, shops_by_id
from core.storage.database import Session


@strawberry.type(description="A time as a member of a platform's own programme.")
class PlatformMembershipTime:
    joined_at: datetime
    left_at: datetime | None


@strawberry.type(
    description="What a platform tells of a customer as a member of one shop. Null is what it did "
    "not tell."
)
class PlatformMembership:
    row: strawberry.Private[Any]
    buyer_id: str | None = strawberry.field(description="The platform's id of the buyer.")
    member: bool | None
    grade: int | None = strawberry.field(description="The platform's own; 0 is no member.")
    grade_name: str | None
    points: int | None = strawberry.field(description="The platform's, not those of the programme.")
    joined_at: datetime | None
    left_at: datetime | None
    join_source: str | None
    blacklisted: bool | None = strawberry.field(
        description="By the seller, on the platform: no marketing goes to this customer."
    )
    trade_count: int | None = strawberry.field(
        description="Purchases of all time by the platform's count; ours is in `facts`."
    )
    trade_amount: Money | None
    last_trade_at: datetime | None

    @field("SHOPS_READ")
    async def shop(self, info: Info) -> Shop | None:
        return await info.context.load("shops", self.row["shop_id"], shops_by_id)

    @field("MEMBERS_READ", description="Times as a member that are known, the latest first.")
    async def times(self, info: Info) -> list[PlatformMembershipTime]:
        return await info.context.load("platform_member.times", self.row["id"], times_of) or []


@strawberry.type(description="Joins and exits of a platform's programme on a day, by shop.")
class PlatformMembershipCount:
    shop_id: strawberry.Private[int]
    day: date
    joined: int
    left: int

    @field("SHOPS_READ")
    async def shop(self, info: Info) -> Shop | None:
        return await info.context.load("shops", self.shop_id, shops_by_id)


async def times_of(session: Session, pks: list[int]) -> dict[int, list[PlatformMembershipTime]]:
    rows = await session.sql.fetch(
        """SELECT platform_member_id, joined_at, left_at FROM platform_memberships
           WHERE merchant_id = $1 AND platform_member_id = ANY($2::bigint[])
           ORDER BY joined_at DESC, id DESC""",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[PlatformMembershipTime]] = {}
    for row in rows:
        found.setdefault(row["platform_member_id"], []).append(
            PlatformMembershipTime(joined_at=row["joined_at"], left_at=row["left_at"])
        )
    return found


async def platform_memberships_of(
    session: Session, pks: list[int]
) -> dict[int, list[PlatformMembership]]:
    rows = await session.sql.fetch(
        """SELECT m.*, s.currency FROM platform_members m
           JOIN shops s ON s.merchant_id = $1 AND s.id = m.shop_id
           WHERE m.merchant_id = $1 AND m.customer_id = ANY($2::bigint[]) ORDER BY m.id""",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[PlatformMembership]] = {}
    for row in rows:
        amount = row["trade_amount"]
        found.setdefault(row["customer_id"], []).append(
            PlatformMembership(
                row=row,
                buyer_id=row["buyer_id"],
                member=row["member"],
                grade=row["grade"],
                grade_name=row["grade_name"],
                points=row["points"],
                joined_at=row["joined_at"],
                left_at=row["left_at"],
                join_source=row["join_source"],
                blacklisted=row["blacklisted"],
                trade_count=row["trade_count"],
                trade_amount=None if amount is None else money(amount, row["currency"]),
                last_trade_at=row["last_trade_at"],
            )
        )
    return found


CHILDREN["platform_memberships_of"] = platform_memberships_of


@strawberry.type
class PlatformMemberQueries:
    @costs(50)
    @field(
        "MEMBERS_READ",
        description="Who joined platforms' own programmes and left them, by day of the merchant's "
        "calendar and shop; `membershipCounts` is about the merchant's programme.",
    )
    async def platform_membership_counts(
        self, info: Info, first: date, last: date, shop_id: strawberry.ID | None = None
    ) -> list[PlatformMembershipCount]:
        shop = None if shop_id is None else read_id("Shop", shop_id)
        if shop_id is not None and shop is None:
            return []
        async with long_read(info.context) as session:
            found = await platform_counts(session, first, last, shop)
        return [
            PlatformMembershipCount(
                shop_id=one.shop_id, day=one.day, joined=one.joined, left=one.left
            )
            for one in found
        ]
