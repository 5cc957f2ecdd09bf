"""Deeds on platforms of which nobody knows whether they were done."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from core.domain.connections import deeds
from core.schema.context import Info, field, mutation
from core.schema.errors import UserError
from core.schema.scalars import Node, global_id, need_id
from core.sdk.events import PlatformDeedSettled
from core.storage.database import Session


@strawberry.enum(description="What was to be done on a platform.")
class PlatformDeedAction(Enum):
    GIVE_COUPON = "GiveCoupon"


@strawberry.enum
class PlatformDeedState(Enum):
    TRYING = strawberry.enum_value("trying", description="Under way, or whoever did it has died.")
    DONE = "done"
    FAILED = strawberry.enum_value("failed", description="Not done; it may be tried again.")
    UNKNOWN = strawberry.enum_value("unknown", description="Perhaps done: nobody tries again.")


@strawberry.type(description="Something that must not be done twice on a platform.")
class PlatformDeed(Node):
    shop_id: strawberry.ID
    action: PlatformDeedAction
    key: str = strawberry.field(description="Who began it, and what for, such as coupons:17.")
    subject: str = strawberry.field(description="The platform's id of what was to be given.")
    count: int = strawberry.field(description="To how many buyers.")
    state: PlatformDeedState
    reason: str | None = strawberry.field(description="What went wrong.")
    at: datetime


@strawberry.input
class PlatformDeedSettleInput:
    done: bool = strawberry.field(
        description="Whether it was done, as the platform shows; if not, it may be done again."
    )


@strawberry.type
class PlatformDeedSettlePayload:
    deed: PlatformDeed | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def _deed(row: Mapping[str, Any]) -> PlatformDeed:
    return PlatformDeed(
        id=global_id("PlatformDeed", row["id"]),
        shop_id=global_id("Shop", row["shop_id"]),
        action=PlatformDeedAction(row["action"]),
        key=row["key"],
        subject=row["subject"],
        count=row["count"],
        state=PlatformDeedState(row["state"]),
        reason=row["reason"],
        at=row["at"],
    )


async def platform_deeds_by_id(session: Session, pks: list[int]) -> dict[int, PlatformDeed]:
    return {pk: _deed(row) for pk, row in (await deeds.deeds_by_id(session, pks)).items()}


@strawberry.type
class PlatformDeedQueries:
    @field(
        "SHOPS_READ",
        description="What was begun on platforms and nobody knows the end of, the oldest first, at "
        "most 100: look at the platform, and settle it.",
    )
    async def platform_deeds(
        self, info: Info, shop_id: strawberry.ID | None = None
    ) -> list[PlatformDeed]:
        pk = None if shop_id is None else need_id("Shop", shop_id, ("shopId",))
        async with info.context.read() as session:
            return [_deed(row) for row in await deeds.open_deeds(session, pk)]


@strawberry.type
class PlatformDeedMutations:
    @mutation(
        "SHOPS_CONNECT",
        PlatformDeedSettlePayload,
        emits=(PlatformDeedSettled,),
        description="Say what became of it, after a look at the platform.",
    )
    async def platform_deed_settle(
        self, info: Info, id: strawberry.ID, input: PlatformDeedSettleInput
    ) -> PlatformDeedSettlePayload | None:
        pk = need_id("PlatformDeed", id)
        async with info.context.work() as w:
            await deeds.settle(w, pk, input.done)
            return PlatformDeedSettlePayload(deed=(await platform_deeds_by_id(w, [pk]))[pk])
