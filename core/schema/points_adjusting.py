"""Points by hand: adjustments, and the approval of large ones by somebody else."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from core.domain.members.adjusting import adjust, approve, reject
from core.schema.context import Info, field, mutation
from core.schema.customers import Customer, customers_by_id
from core.schema.errors import UserError
from core.schema.idempotency import once_for
from core.schema.members import PointsBalance, balances_of
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.points import KEY, PointsEntry, entries_by_id, reason_of
from core.schema.scalars import Node, global_id, need_id, sought_id
from core.schema.where import DateTimeFilter, IdColumn, IdFilter
from core.sdk.errors import Faults, InvalidInput
from core.storage.database import Session


@strawberry.enum
class PointsRequestState(Enum):
    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"


@strawberry.type(description="An adjustment beyond the programme's limit.")
class PointsRequest(Node):
    row: strawberry.Private[Any]
    state: PointsRequestState
    points: int
    reason: str | None
    actor: str = strawberry.field(description="Who has asked for it.")
    requested_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    note: str | None = strawberry.field(description="Why it was rejected.")

    @field("CUSTOMERS_READ")
    async def customer(self, info: Info) -> Customer | None:
        return await info.context.load("customers", self.row["customer_id"], customers_by_id)

    @field("MEMBERS_READ", description="What it became.")
    async def entry(self, info: Info) -> PointsEntry | None:
        if self.row["entry_id"] is None:
            return None
        return await info.context.load("entries", self.row["entry_id"], entries_by_id)


def request_of(row: Mapping[str, Any]) -> PointsRequest:
    return PointsRequest(
        id=global_id("PointsRequest", row["id"]),
        row=row,
        state=PointsRequestState(row["state"]),
        points=row["points"],
        reason=row["reason"],
        actor=row["actor"],
        requested_at=row["requested_at"],
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
        note=row["note"],
    )


async def points_requests_by_id(session: Session, pks: list[int]) -> dict[int, PointsRequest]:
    rows = await session.sql.fetch(
        "SELECT * FROM points_requests WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: request_of(row) for row in rows}


@strawberry.input
class PointsRequestStateFilter:
    eq: strawberry.Maybe[PointsRequestState]
    in_: strawberry.Maybe[list[PointsRequestState]] = strawberry.field(name="in", default=None)


@strawberry.input
class PointsRequestWhere:
    id: strawberry.Maybe[IdFilter]
    customer: strawberry.Maybe[IdFilter]
    state: strawberry.Maybe[PointsRequestStateFilter]
    requested_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["PointsRequestWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["PointsRequestWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["PointsRequestWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class PointsRequestSortField(Enum):
    REQUESTED_AT = "requested_at"


@strawberry.input
class PointsRequestSort:
    field: PointsRequestSortField
    direction: SortDirection = SortDirection.ASC


REQUESTS = Listing(
    "points_requests", "points_requests r", "r",
    {"id": IdColumn("PointsRequest", "r.id"), "customer": IdColumn("Customer", "r.customer_id"),
     "state": "r.state", "requested_at": "r.requested_at"},
    {"requested_at": "r.requested_at"},
    request_of,
)  # fmt: skip


@strawberry.input(description="By hand, with a reason.")
class PointsAdjustInput:
    customer_id: strawberry.ID
    points: int = strawberry.field(description="Negative to take them.")
    reason: str
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input
class PointsRequestRejectInput:
    reason: str = strawberry.field(description="For who has asked.")


@strawberry.type
class PointsAdjustPayload:
    balance: PointsBalance | None = None
    request: PointsRequest | None = strawberry.field(
        default=None, description="Beyond the limit: it waits for somebody else's approval."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PointsRequestApprovePayload:
    request: PointsRequest | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PointsRequestRejectPayload:
    request: PointsRequest | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PointsAdjustQueries:
    @field("MEMBERS_READ", description="Adjustments that somebody else has to agree to, or had to.")
    async def points_requests(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: PointsRequestWhere | None = None,
        sort: list[PointsRequestSort] | None = None,
    ) -> Connection[PointsRequest]:
        return await page(info, REQUESTS, where, sort, first, after)


@strawberry.type
class PointsAdjustMutations:
    @mutation(
        "POINTS_WRITE",
        PointsAdjustPayload,
        description="Beyond the programme's `approve_above`, of all adjustments of the customer on "
        "that day together, nothing is changed before somebody else approves.",
    )
    async def points_adjust(
        self, info: Info, input: PointsAdjustInput
    ) -> PointsAdjustPayload | None:
        pk = sought_id("Customer", input.customer_id)
        async with info.context.work() as w:

            async def done() -> dict[str, int | None]:
                faults, reason = Faults(), input.reason
                with faults:
                    reason = reason_of(input.reason) or ""
                with faults:
                    made = await adjust(w, pk, input.points, reason)
                faults.tell()
                return asdict(made)

            made = await once_for(w, "pointsAdjust", input, done)
            request = made["request_id"]
            return PointsAdjustPayload(
                balance=(await balances_of(w, [pk]))[pk],
                request=None
                if request is None
                else (await points_requests_by_id(w, [request])).get(request),
            )

    @mutation(
        "POINTS_APPROVE",
        PointsRequestApprovePayload,
        description="Not by who has asked for it.",
    )
    async def points_request_approve(
        self, info: Info, id: strawberry.ID
    ) -> PointsRequestApprovePayload | None:
        pk = need_id("PointsRequest", id)
        async with info.context.work() as w:
            await approve(w, pk)
            return PointsRequestApprovePayload(request=(await points_requests_by_id(w, [pk]))[pk])

    @mutation(
        "POINTS_APPROVE",
        PointsRequestRejectPayload,
        description="Not by who has asked for it.",
    )
    async def points_request_reject(
        self, info: Info, id: strawberry.ID, input: PointsRequestRejectInput
    ) -> PointsRequestRejectPayload | None:
        pk = need_id("PointsRequest", id)
        note = reason_of(input.reason)
        if not note:
            raise InvalidInput("say why", ("input", "reason"))
        async with info.context.work() as w:
            await reject(w, pk, note)
            return PointsRequestRejectPayload(request=(await points_requests_by_id(w, [pk]))[pk])
