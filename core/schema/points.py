"""The points ledger: its entries, and every way in which points change."""

from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import strawberry

from core.domain.members.events import earn_by_event
from core.domain.members.points import (
    give_back,
    hold,
    settle_hold,
    take,
    transfer,
)
from core.schema.context import Info, field, mutation
from core.schema.customers import Customer, customer_by_id
from core.schema.errors import UserError
from core.schema.idempotency import once_for
from core.schema.members import PointsBalance, balances_of
from core.schema.orders import Order, order_by_id, orders_by_id
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import Node, global_id, sought, sought_id
from core.schema.where import DateTimeFilter, IdColumn, IdFilter
from core.sdk.errors import Faults, InvalidInput, NotFound
from core.storage.database import Session, Work

REASON_LIMIT = 500
MAX_HOLD_MINUTES = 7 * 24 * 60
KEY = "Any text of yours; a repeated call with it changes nothing again."


@strawberry.enum(
    description="EARN and ADJUST give, SPEND and HOLD take, REVERSE takes back what was given, "
    "RETURN gives back what was taken; ADJUST and TRANSFER may do either, IMPORT "
    "brought the balance of another system."
)
class PointsEntryKind(Enum):
    EARN = "earn"
    SPEND = "spend"
    HOLD = "hold"
    RETURN = "return"
    REVERSE = "reverse"
    ADJUST = "adjust"
    TRANSFER = "transfer"
    IMPORT = "import"


@strawberry.type(description="An entry of the points ledger; entries are only ever added.")
class PointsEntry(Node):
    row: strawberry.Private[Any]
    kind: PointsEntryKind
    points: int
    at: datetime
    available_at: datetime | None
    expires_at: datetime | None
    rule: str | None
    reason: str | None
    actor: str

    @field("CUSTOMERS_READ")
    def customer(self, info: Info) -> Customer | None:
        return customer_by_id(info, self.row["customer_id"])

    @field("ORDERS_READ")
    def order(self, info: Info) -> Order | None:
        if self.row["order_id"] is None:
            return None
        return order_by_id(info, self.row["order_id"])


def entry_of(row: Any) -> PointsEntry:
    return PointsEntry(
        id=global_id("PointsEntry", row["id"]),
        row=row,
        kind=PointsEntryKind(row["kind"]),
        points=row["points"],
        at=row["at"],
        available_at=row["available_at"],
        expires_at=row["expires_at"],
        rule=row["rule"],
        reason=row["reason"],
        actor=row["actor"],
    )


async def entries_by_id(session: Session, pks: list[int]) -> dict[int, PointsEntry]:
    rows = await session.sql.fetch(
        "SELECT * FROM points_entries WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: entry_of(row) for row in rows}


@strawberry.input
class PointsEntryKindFilter:
    eq: strawberry.Maybe[PointsEntryKind]
    in_: strawberry.Maybe[list[PointsEntryKind]] = strawberry.field(name="in", default=None)


@strawberry.input
class PointsEntryWhere:
    id: strawberry.Maybe[IdFilter]
    customer: strawberry.Maybe[IdFilter]
    order: strawberry.Maybe[IdFilter]
    kind: strawberry.Maybe[PointsEntryKindFilter]
    at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["PointsEntryWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["PointsEntryWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["PointsEntryWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class PointsEntrySortField(Enum):
    AT = "at"


@strawberry.input
class PointsEntrySort:
    field: PointsEntrySortField
    direction: SortDirection = SortDirection.ASC


ENTRIES = Listing(
    "points_entries", "points_entries p", "p",
    {"id": IdColumn("PointsEntry", "p.id"), "customer": IdColumn("Customer", "p.customer_id"),
     "order": IdColumn("Order", "p.order_id"), "kind": "p.kind", "at": "p.at"},
    {"at": "p.at"},
    entry_of,
)  # fmt: skip


@strawberry.input
class PointsEarnInput:
    customer_id: strawberry.ID
    rule: str = strawberry.field(description="The key of one of the programme's event rules.")
    reason: str | None = None
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input
class PointsSpendInput:
    customer_id: strawberry.ID
    points: int
    order_id: strawberry.ID | None = None
    reason: str | None = None
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="Sets points aside while somebody pays.")
class PointsHoldInput:
    customer_id: strawberry.ID
    points: int
    minutes: int = strawberry.field(default=15, description="After which they are free again.")
    reason: str = "checkout"
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input
class PointsHoldSettleInput:
    hold_id: strawberry.ID
    spend: bool = strawberry.field(description="False gives them back.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="Gives back what an entry took, all that is left of it or a part.")
class PointsReturnInput:
    entry_id: strawberry.ID
    points: int | None = None
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input
class PointsTransferInput:
    from_customer_id: strawberry.ID
    to_customer_id: strawberry.ID
    points: int
    reason: str
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.type
class PointsEarnPayload:
    balance: PointsBalance | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PointsSpendPayload:
    entry: PointsEntry | None = None
    balance: PointsBalance | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PointsHoldPayload:
    hold_id: strawberry.ID | None = None
    balance: PointsBalance | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PointsHoldSettlePayload:
    hold_id: strawberry.ID | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PointsReturnPayload:
    entry: PointsEntry | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PointsTransferPayload:
    from_balance: PointsBalance | None = None
    to_balance: PointsBalance | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class PointsQueries:
    @field("MEMBERS_READ", description="The ledger; filter by customer for one's account.")
    async def points_entries(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: PointsEntryWhere | None = None,
        sort: list[PointsEntrySort] | None = None,
    ) -> Connection[PointsEntry]:
        return await page(info, ENTRIES, where, sort, first, after)


@strawberry.type
class PointsMutations:
    @mutation("POINTS_WRITE", PointsEarnPayload)
    async def points_earn(self, info: Info, input: PointsEarnInput) -> PointsEarnPayload | None:
        pk = sought_id("Customer", input.customer_id)
        async with info.context.work() as w:

            async def earn() -> int:
                faults, reason = Faults(), None
                with faults:
                    reason = reason_of(input.reason)
                with faults:
                    entry = await earn_by_event(w, pk, input.rule, reason)
                faults.tell()
                return entry

            await once_for(w, "pointsEarn", input, earn)
            return PointsEarnPayload(balance=(await balances_of(w, [pk]))[pk])

    @mutation("POINTS_WRITE", PointsSpendPayload)
    async def points_spend(self, info: Info, input: PointsSpendInput) -> PointsSpendPayload | None:
        pk = sought_id("Customer", input.customer_id)
        async with info.context.work() as w:

            async def spend() -> int:
                faults, reason, order = Faults(), None, None
                with faults:
                    reason = reason_of(input.reason)
                with faults:
                    order = await _order(w, input.order_id)
                with faults:
                    entry = await take(w, pk, input.points, "spend", order_id=order, reason=reason)
                faults.tell()
                return entry

            entry = await once_for(w, "pointsSpend", input, spend)
            return PointsSpendPayload(
                entry=(await entries_by_id(w, [entry])).get(entry),
                balance=(await balances_of(w, [pk]))[pk],
            )

    @mutation("POINTS_WRITE", PointsHoldPayload)
    async def points_hold(self, info: Info, input: PointsHoldInput) -> PointsHoldPayload | None:
        pk = sought_id("Customer", input.customer_id)
        async with info.context.work() as w:

            async def set_aside() -> int:
                faults, reason, minutes = Faults(), None, 1
                with faults:
                    minutes = _minutes(input.minutes)
                with faults:
                    reason = reason_of(input.reason)
                with faults:
                    until = w.now + timedelta(minutes=minutes)
                    made = await hold(w, pk, input.points, until, reason or "hold")
                faults.tell()
                return made

            hold_id = await once_for(w, "pointsHold", input, set_aside)
            return PointsHoldPayload(
                hold_id=global_id("PointsHold", hold_id),
                balance=(await balances_of(w, [pk]))[pk],
            )

    @mutation("POINTS_WRITE", PointsHoldSettlePayload)
    async def points_hold_settle(
        self, info: Info, input: PointsHoldSettleInput
    ) -> PointsHoldSettlePayload | None:
        pk = sought_id("PointsHold", input.hold_id)
        async with info.context.work() as w:

            async def settle() -> None:
                await settle_hold(w, pk, input.spend)

            await once_for(w, "pointsHoldSettle", input, settle)
        return PointsHoldSettlePayload(hold_id=input.hold_id)

    @mutation("POINTS_WRITE", PointsReturnPayload)
    async def points_return(
        self, info: Info, input: PointsReturnInput
    ) -> PointsReturnPayload | None:
        pk = sought_id("PointsEntry", input.entry_id)
        async with info.context.work() as w:

            async def back() -> int:
                return await give_back(w, pk, input.points)

            entry = await once_for(w, "pointsReturn", input, back)
            return PointsReturnPayload(entry=(await entries_by_id(w, [entry])).get(entry))

    @mutation("POINTS_WRITE", PointsTransferPayload)
    async def points_transfer(
        self, info: Info, input: PointsTransferInput
    ) -> PointsTransferPayload | None:
        from_pk = sought_id("Customer", input.from_customer_id)
        to_pk = sought_id("Customer", input.to_customer_id)
        async with info.context.work() as w:

            async def move() -> None:
                faults, reason = Faults(), None
                with faults:
                    reason = reason_of(input.reason)
                with faults:
                    await transfer(w, from_pk, to_pk, input.points, reason or "")
                faults.tell()

            await once_for(w, "pointsTransfer", input, move)
            found = await balances_of(w, [from_pk, to_pk])
            return PointsTransferPayload(from_balance=found[from_pk], to_balance=found[to_pk])


async def _order(w: Work, order_id: strawberry.ID | None) -> int | None:
    pk = sought("Order", order_id)
    if pk is not None and pk not in await orders_by_id(w, [pk]):
        raise NotFound("there is no such order", ("input", "orderId"))
    return pk


def _minutes(minutes: int) -> int:
    if not 1 <= minutes <= MAX_HOLD_MINUTES:
        raise InvalidInput(f"from 1 to {MAX_HOLD_MINUTES} minutes", ("input", "minutes"))
    return minutes


def reason_of(text: str | None) -> str | None:
    """A reason without spaces around it. Raises InvalidInput for a long one."""
    if text is not None and len(text) > REASON_LIMIT:
        raise InvalidInput(f"a reason has at most {REASON_LIMIT} characters", ("input", "reason"))
    return text.strip() if text else None
