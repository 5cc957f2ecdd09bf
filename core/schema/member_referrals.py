"""Referrals: codes by which members refer others, and what became of who came by them."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from enum import Enum
from inspect import getdoc
from typing import Any, TypeVar

import strawberry

from core.domain.members.referral_checks import EXPLANATIONS, RefusalReason
from core.domain.members.referral_codes import code_of, make_code, shown
from core.domain.members.referrals import counts, enter_code, refuse
from core.schema.context import Info, field, mutation
from core.schema.costs import costs
from core.schema.customers import Customer, customers_by_id
from core.schema.errors import UserError
from core.schema.member_rewards import Redemption, redemptions_by_id
from core.schema.orders import Order, orders_by_id
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.points import PointsEntry, entries_by_id
from core.schema.scalars import Node, global_id, need_id, read_id, sought_id
from core.schema.where import DateTimeFilter, IdColumn, IdFilter
from core.sdk.errors import InvalidInput
from core.sdk.events import ReferralEntered, ReferralRefused
from core.storage.database import Session

T = TypeVar("T")
NOTE_LIMIT = 500

strawberry.enum(RefusalReason, name="ReferralRefusal", description=getdoc(RefusalReason))


@strawberry.enum(
    description="WAITING for the first purchase, or until it is kept; UNDONE: it was refunded "
    "after both sides had got theirs."
)
class ReferralState(Enum):
    WAITING = "waiting"
    GRANTED = "granted"
    REFUSED = "refused"
    UNDONE = "undone"


@strawberry.type(description="A customer who came by a member's code.")
class Referral(Node):
    row: strawberry.Private[Any]
    state: ReferralState
    reason: RefusalReason | None = strawberry.field(description="Why it was refused.")
    explanation: str = strawberry.field(description="Where it stands and why, for people.")
    entered_at: datetime
    due_at: datetime | None = strawberry.field(
        description="When the first purchase can no longer be returned; null before it."
    )
    settled_at: datetime | None

    @field("CUSTOMERS_READ", description="Who has come.")
    async def customer(self, info: Info) -> Customer | None:
        return await info.context.load("customers", self.row["customer_id"], customers_by_id)

    @field("CUSTOMERS_READ", description="Whose code it was.")
    async def referrer(self, info: Info) -> Customer | None:
        return await info.context.load("referral.referrer", self.row["code_id"], referrers_by_code)

    @field("ORDERS_READ", description="The first of the purchase.")
    async def order(self, info: Info) -> Order | None:
        return await _loaded(info, "orders", self.row["order_id"], orders_by_id)

    @field("MEMBERS_READ")
    async def referrer_entry(self, info: Info) -> PointsEntry | None:
        return await _loaded(info, "entries", self.row["referrer_entry_id"], entries_by_id)

    @field("MEMBERS_READ")
    async def customer_entry(self, info: Info) -> PointsEntry | None:
        return await _loaded(info, "entries", self.row["customer_entry_id"], entries_by_id)

    @field("MEMBERS_READ")
    async def referrer_redemption(self, info: Info) -> Redemption | None:
        pk = self.row["referrer_redemption_id"]
        return await _loaded(info, "redemptions", pk, redemptions_by_id)

    @field("MEMBERS_READ")
    async def customer_redemption(self, info: Info) -> Redemption | None:
        pk = self.row["customer_redemption_id"]
        return await _loaded(info, "redemptions", pk, redemptions_by_id)


@strawberry.type(description="Referrals by what became of them.")
class ReferralCount:
    state: ReferralState
    reason: RefusalReason | None
    referrals: int


async def _loaded(
    info: Info,
    name: str,
    pk: int | None,
    loader: Callable[[Session, list[int]], Awaitable[dict[int, T]]],
) -> T | None:
    if pk is None:
        return None
    found: T | None = await info.context.load(name, pk, loader)
    return found


def referral_of(row: Mapping[str, Any]) -> Referral:
    return Referral(
        id=global_id("Referral", row["id"]),
        row=row,
        state=ReferralState(row["state"]),
        reason=None if row["reason"] is None else RefusalReason(row["reason"]),
        explanation=_explain(row),
        entered_at=row["entered_at"],
        due_at=row["due_at"],
        settled_at=row["settled_at"],
    )


def _explain(row: Mapping[str, Any]) -> str:
    if row["state"] == "refused":
        text = EXPLANATIONS[RefusalReason(row["reason"])]
    elif row["state"] == "granted":
        text = "The first purchase was kept, and both sides have got theirs."
    elif row["state"] == "undone":
        text = "The purchase was refunded, and what both sides had got was taken back."
    elif row["due_at"] is None:
        text = "It waits for the first purchase."
    else:
        text = f"The first purchase may be returned until {row['due_at']:%Y-%m-%d %H:%M} UTC."
    return f"{text} {row['note']}" if row["note"] else text


async def referrals_by_id(session: Session, pks: list[int]) -> dict[int, Referral]:
    rows = await session.sql.fetch(
        "SELECT * FROM referrals WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: referral_of(row) for row in rows}


async def referrers_by_code(session: Session, pks: list[int]) -> dict[int, Customer]:
    rows = await session.sql.fetch(
        """SELECT id, customer_id FROM referral_codes
           WHERE merchant_id = $1 AND id = ANY($2::bigint[])""",
        session.merchant_id, pks,
    )  # fmt: skip
    customers = await customers_by_id(session, [row["customer_id"] for row in rows])
    return {
        row["id"]: customers[row["customer_id"]] for row in rows if row["customer_id"] in customers
    }


@strawberry.input
class ReferralStateFilter:
    eq: strawberry.Maybe[ReferralState]
    in_: strawberry.Maybe[list[ReferralState]] = strawberry.field(name="in", default=None)


@strawberry.input
class ReferralRefusalFilter:
    eq: strawberry.Maybe[RefusalReason]
    in_: strawberry.Maybe[list[RefusalReason]] = strawberry.field(name="in", default=None)


@strawberry.input
class ReferralWhere:
    id: strawberry.Maybe[IdFilter]
    customer: strawberry.Maybe[IdFilter]
    referrer: strawberry.Maybe[IdFilter]
    state: strawberry.Maybe[ReferralStateFilter]
    reason: strawberry.Maybe[ReferralRefusalFilter]
    entered_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["ReferralWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["ReferralWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["ReferralWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class ReferralSortField(Enum):
    ENTERED_AT = "entered_at"


@strawberry.input
class ReferralSort:
    field: ReferralSortField
    direction: SortDirection = SortDirection.ASC


REFERRALS = Listing(
    "referrals",
    "referrals r JOIN referral_codes c ON c.merchant_id = r.merchant_id AND c.id = r.code_id", "r",
    {"id": IdColumn("Referral", "r.id"), "customer": IdColumn("Customer", "r.customer_id"),
     "referrer": IdColumn("Customer", "c.customer_id"), "state": "r.state", "reason": "r.reason",
     "entered_at": "r.entered_at"},
    {"entered_at": "r.entered_at"},
    referral_of,
)  # fmt: skip


@strawberry.input
class ReferralCodeMakeInput:
    customer_id: strawberry.ID


@strawberry.input
class ReferralEnterInput:
    customer_id: strawberry.ID = strawberry.field(description="Who has come; a member by now.")
    code: str = strawberry.field(description="In any case, with or without separators.")


@strawberry.input
class ReferralRefuseInput:
    reason: str = strawberry.field(description="For colleagues to read.")


@strawberry.type
class ReferralCodeMakePayload:
    code: str | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class ReferralEnterPayload:
    referral: Referral | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class ReferralRefusePayload:
    referral: Referral | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class ReferralQueries:
    @field("MEMBERS_READ", description="Who came by whose code, and what became of it.")
    async def referrals(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: ReferralWhere | None = None,
        sort: list[ReferralSort] | None = None,
    ) -> Connection[Referral]:
        return await page(info, REFERRALS, where, sort, first, after)

    @costs(20)
    @field(
        "MEMBERS_READ",
        description="Referrals entered on days of the merchant's calendar, both included.",
    )
    async def referral_counts(self, info: Info, first: date, last: date) -> list[ReferralCount]:
        async with info.context.read() as session:
            found = await counts(session, first, last)
        return [
            ReferralCount(
                state=ReferralState(one.state),
                reason=None if one.reason is None else RefusalReason(one.reason),
                referrals=one.referrals,
            )
            for one in found
        ]

    @field("MEMBERS_READ", description="A member's code; null if none was made yet.")
    async def referral_code(self, info: Info, customer_id: strawberry.ID) -> str | None:
        pk = read_id("Customer", customer_id)
        if pk is None:
            return None
        async with info.context.read() as session:
            code = await code_of(session, pk)
        return None if code is None else shown(code)


@strawberry.type
class ReferralMutations:
    @mutation(
        "MEMBERS_WRITE",
        ReferralCodeMakePayload,
        description="A member's code, made by the first call.",
    )
    async def referral_code_make(
        self, info: Info, input: ReferralCodeMakeInput
    ) -> ReferralCodeMakePayload | None:
        pk = sought_id("Customer", input.customer_id)
        async with info.context.work() as w:
            return ReferralCodeMakePayload(code=shown(await make_code(w, pk)))

    @mutation(
        "MEMBERS_WRITE",
        ReferralEnterPayload,
        emits=(ReferralEntered, ReferralRefused),
        description="A member came by somebody's code. What cannot be is noted as refused.",
    )
    async def referral_enter(
        self, info: Info, input: ReferralEnterInput
    ) -> ReferralEnterPayload | None:
        pk = sought_id("Customer", input.customer_id)
        async with info.context.work() as w:
            made = await enter_code(w, pk, input.code)
            return ReferralEnterPayload(referral=(await referrals_by_id(w, [made]))[made])

    @mutation(
        "MEMBERS_WRITE",
        ReferralRefusePayload,
        emits=(ReferralRefused,),
        description="Refuse one that waits, such as one that staff know to be abuse.",
    )
    async def referral_refuse(
        self, info: Info, id: strawberry.ID, input: ReferralRefuseInput
    ) -> ReferralRefusePayload | None:
        pk = need_id("Referral", id)
        reason = input.reason.strip()
        if not 0 < len(reason) <= NOTE_LIMIT:
            raise InvalidInput(f"say why in at most {NOTE_LIMIT} characters", ("input", "reason"))
        async with info.context.work() as w:
            await refuse(w, pk, reason)
            return ReferralRefusePayload(referral=(await referrals_by_id(w, [pk]))[pk])
