"""Rewards that members redeem points for: the catalogue, and what was redeemed."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import orjson
import strawberry

from core.domain.members.redeeming import cancel, fulfil, redeem
from core.domain.members.rewards import create_reward, update_reward
from core.schema.context import Info, field, mutation
from core.schema.customers import Customer, customer_by_id
from core.schema.errors import UserError
from core.schema.idempotency import once
from core.schema.members import Tier, tiers_by_pk
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.points import KEY
from core.schema.scalars import JSON, Node, changes, global_id, need_id, sought_id, version_seen
from core.schema.where import DateTimeFilter, IdColumn, IdFilter
from core.sdk.errors import InvalidInput
from core.sdk.events import RewardCancelled, RewardFulfilled, RewardRequested
from core.storage.database import Session

TEXT_LIMIT = 500


@strawberry.enum(description="CANCELLED ones gave the points back.")
class RedemptionState(Enum):
    REQUESTED = "requested"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"


@strawberry.type(description="What members can have for points.")
class Reward(Node):
    row: strawberry.Private[Any]
    name: str
    provider: str = strawberry.field(description="`gift` is handed out by hand.")
    settings: JSON
    cost: int = strawberry.field(description="Points.")
    stock: int | None = strawberry.field(description="How many are left; null: no limit.")
    per_customer: int | None = strawberry.field(description="How many one can have.")
    valid_from: datetime | None
    valid_until: datetime | None
    version: int

    @field("MEMBERS_READ", description="Whom it is for; null: every member.")
    async def tiers(self, info: Info) -> list[Tier] | None:
        if self.row["tier_ids"] is None:
            return None
        found = [
            await info.context.load("tiers", pk, tiers_by_pk)
            for pk in orjson.loads(self.row["tier_ids"])
        ]
        return [tier for tier in found if tier is not None]


@strawberry.type(description="A reward that a customer has paid for with points.")
class Redemption(Node):
    row: strawberry.Private[Any]
    state: RedemptionState
    points: int
    given: str | None = strawberry.field(description="What the customer got, such as a code.")
    reason: str | None = strawberry.field(description="Why it was cancelled, or is still open.")
    requested_at: datetime
    settled_at: datetime | None

    @field("MEMBERS_READ")
    def reward(self, info: Info) -> Reward | None:
        return info.context.child("rewards", self.row["reward_id"], rewards_by_id)

    @field("CUSTOMERS_READ")
    def customer(self, info: Info) -> Customer | None:
        return customer_by_id(info, self.row["customer_id"])


def reward_of(row: Mapping[str, Any]) -> Reward:
    return Reward(
        id=global_id("Reward", row["id"]),
        row=row,
        name=row["name"],
        provider=row["provider"],
        settings=JSON(orjson.loads(row["settings"])),
        cost=row["cost"],
        stock=row["stock"],
        per_customer=row["per_customer"],
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        version=row["version"],
    )


def redemption_of(row: Mapping[str, Any]) -> Redemption:
    return Redemption(
        id=global_id("Redemption", row["id"]),
        row=row,
        state=RedemptionState(row["state"]),
        points=row["points"],
        given=row["given"],
        reason=row["reason"],
        requested_at=row["requested_at"],
        settled_at=row["settled_at"],
    )


async def rewards_by_id(session: Session, pks: list[int]) -> dict[int, Reward]:
    rows = await session.sql.fetch(
        "SELECT * FROM rewards WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: reward_of(row) for row in rows}


async def redemptions_by_id(session: Session, pks: list[int]) -> dict[int, Redemption]:
    rows = await session.sql.fetch(
        "SELECT * FROM redemptions WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: redemption_of(row) for row in rows}


@strawberry.input
class RewardWhere:
    id: strawberry.Maybe[IdFilter]
    valid_from: strawberry.Maybe[DateTimeFilter]
    valid_until: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["RewardWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["RewardWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["RewardWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class RewardSortField(Enum):
    NAME = "name"


@strawberry.input
class RewardSort:
    field: RewardSortField
    direction: SortDirection = SortDirection.ASC


@strawberry.input
class RedemptionStateFilter:
    eq: strawberry.Maybe[RedemptionState]
    in_: strawberry.Maybe[list[RedemptionState]] = strawberry.field(name="in", default=None)


@strawberry.input
class RedemptionWhere:
    id: strawberry.Maybe[IdFilter]
    customer: strawberry.Maybe[IdFilter]
    reward: strawberry.Maybe[IdFilter]
    state: strawberry.Maybe[RedemptionStateFilter]
    requested_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["RedemptionWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["RedemptionWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["RedemptionWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class RedemptionSortField(Enum):
    REQUESTED_AT = "requested_at"


@strawberry.input
class RedemptionSort:
    field: RedemptionSortField
    direction: SortDirection = SortDirection.ASC


REWARDS = Listing(
    "rewards", "rewards r", "r",
    {"id": IdColumn("Reward", "r.id"), "valid_from": "r.valid_from",
     "valid_until": "r.valid_until"},
    {"name": "r.name"},
    reward_of,
)  # fmt: skip
REDEMPTIONS = Listing(
    "redemptions", "redemptions d", "d",
    {"id": IdColumn("Redemption", "d.id"), "customer": IdColumn("Customer", "d.customer_id"),
     "reward": IdColumn("Reward", "d.reward_id"), "state": "d.state",
     "requested_at": "d.requested_at"},
    {"requested_at": "d.requested_at"},
    redemption_of,
)  # fmt: skip


@strawberry.input
class RewardCreateInput:
    name: str
    cost: int
    provider: str = "gift"
    settings: JSON | None = None
    stock: int | None = None
    per_customer: int | None = None
    tier_ids: list[strawberry.ID] | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@strawberry.input(description="Absent fields stay as they are.")
class RewardUpdateInput:
    name: strawberry.Maybe[str]
    cost: strawberry.Maybe[int]
    stock: strawberry.Maybe[int | None]
    per_customer: strawberry.Maybe[int | None]
    tier_ids: strawberry.Maybe[list[strawberry.ID] | None]
    valid_from: strawberry.Maybe[datetime | None]
    valid_until: strawberry.Maybe[datetime | None]
    if_version: int | None = version_seen()


@strawberry.input
class RewardRedeemInput:
    reward_id: strawberry.ID
    customer_id: strawberry.ID
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input
class RedemptionFulfilInput:
    given: str | None = strawberry.field(default=None, description="Such as a parcel's number.")


@strawberry.input
class RedemptionCancelInput:
    reason: str


@strawberry.type
class RewardCreatePayload:
    reward: Reward | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class RewardUpdatePayload:
    reward: Reward | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class RewardRedeemPayload:
    redemption: Redemption | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class RedemptionFulfilPayload:
    redemption: Redemption | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class RedemptionCancelPayload:
    redemption: Redemption | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class RewardQueries:
    @field("MEMBERS_READ")
    async def rewards(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: RewardWhere | None = None,
        sort: list[RewardSort] | None = None,
    ) -> Connection[Reward]:
        return await page(info, REWARDS, where, sort, first, after)

    @field("MEMBERS_READ", description="REQUESTED ones of gifts are tasks to do by hand.")
    async def redemptions(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: RedemptionWhere | None = None,
        sort: list[RedemptionSort] | None = None,
    ) -> Connection[Redemption]:
        return await page(info, REDEMPTIONS, where, sort, first, after)


@strawberry.type
class RewardMutations:
    @mutation("MEMBERS_WRITE", RewardCreatePayload)
    async def reward_create(
        self, info: Info, input: RewardCreateInput
    ) -> RewardCreatePayload | None:
        settings: Any = {} if input.settings is None else input.settings
        given = {
            "name": input.name, "cost": input.cost, "stock": input.stock,
            "per_customer": input.per_customer, "tier_ids": _tier_pks(input.tier_ids),
            "valid_from": input.valid_from, "valid_until": input.valid_until,
        }  # fmt: skip
        async with info.context.work() as w:
            pk = await create_reward(
                w, info.context.installation.registry, input.provider, settings, given
            )
            return RewardCreatePayload(reward=(await rewards_by_id(w, [pk]))[pk])

    @mutation("MEMBERS_WRITE", RewardUpdatePayload)
    async def reward_update(
        self, info: Info, id: strawberry.ID, input: RewardUpdateInput
    ) -> RewardUpdatePayload | None:
        pk, changed = need_id("Reward", id), changes(input)
        if "tier_ids" in changed:
            changed["tier_ids"] = _tier_pks(changed["tier_ids"])
        async with info.context.work() as w:
            await update_reward(w, pk, changed, input.if_version)
            return RewardUpdatePayload(reward=(await rewards_by_id(w, [pk]))[pk])

    @mutation(
        "POINTS_WRITE",
        RewardRedeemPayload,
        emits=(RewardRequested,),
        description="Takes the points and one from the stock; its provider then hands it out.",
    )
    async def reward_redeem(
        self, info: Info, input: RewardRedeemInput
    ) -> RewardRedeemPayload | None:
        reward_pk = sought_id("Reward", input.reward_id)
        pk = sought_id("Customer", input.customer_id)
        async with info.context.work() as w:

            async def take() -> int:
                return await redeem(w, reward_pk, pk)

            given = {"reward": reward_pk, "customer": pk}
            made = await once(w, "rewardRedeem", input.idempotency_key, given, take)
            return RewardRedeemPayload(redemption=(await redemptions_by_id(w, [made])).get(made))

    @mutation(
        "POINTS_WRITE",
        RedemptionFulfilPayload,
        emits=(RewardFulfilled,),
        description="The customer has got it.",
    )
    async def redemption_fulfil(
        self, info: Info, id: strawberry.ID, input: RedemptionFulfilInput
    ) -> RedemptionFulfilPayload | None:
        pk = need_id("Redemption", id)
        given = None if input.given is None else _text(input.given, "given")
        async with info.context.work() as w:
            await fulfil(w, pk, given)
            return RedemptionFulfilPayload(redemption=(await redemptions_by_id(w, [pk]))[pk])

    @mutation(
        "POINTS_WRITE",
        RedemptionCancelPayload,
        emits=(RewardCancelled,),
        description="The points go back.",
    )
    async def redemption_cancel(
        self, info: Info, id: strawberry.ID, input: RedemptionCancelInput
    ) -> RedemptionCancelPayload | None:
        pk = need_id("Redemption", id)
        async with info.context.work() as w:
            await cancel(w, pk, _text(input.reason, "reason"))
            return RedemptionCancelPayload(redemption=(await redemptions_by_id(w, [pk]))[pk])


def _tier_pks(ids: list[strawberry.ID] | None) -> list[int] | None:
    if ids is None:
        return None
    return [sought_id("Tier", text) for text in ids]


def _text(text: str, path: str) -> str:
    if not 1 <= len(text.strip()) <= TEXT_LIMIT:
        raise InvalidInput(f"from 1 to {TEXT_LIMIT} characters", ("input", path))
    return text.strip()
