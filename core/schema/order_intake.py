"""Taking in orders, parcels and refunds: batches over the API, and files."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

import strawberry
from strawberry.file_uploads import Upload

from core.domain.customers.contacts import normalise_email, normalise_phone
from core.domain.orders.importing import Consent, start_import
from core.domain.orders.ingest import INCOMPLETE, ingest_orders
from core.domain.orders.parcels import ingest_traces
from core.domain.orders.refunds import ingest_refunds
from core.domain.shops.merchants import check_currency
from core.domain.shops.shops import get_shop
from core.schema.batches import Batch, OnError, error_policy, read_batch
from core.schema.context import Info, mutation
from core.schema.errors import UserError
from core.schema.jobs import Job
from core.schema.scalars import PhoneNumber, sought_id
from core.schema.uploads import file_name, start_once
from core.sdk.errors import Faults, HuikeError, InvalidInput
from core.sdk.events import (
    OrderCreated,
    OrderStateChanged,
    ParcelStateChanged,
    RefundStateChanged,
    ReviewChanged,
    ReviewGiven,
    ReviewNegative,
)
from core.sdk.money import to_minor
from core.sdk.orders import (
    LineRecord,
    OrderRecord,
    OrderState,
    ParcelRecord,
    ParcelState,
    ParcelTrace,
    RefundKind,
    RefundRecord,
    RefundState,
    TraceEvent,
)
from core.storage.database import Session, Work

T = TypeVar("T")
R = TypeVar("R")


@strawberry.input
class OrderLineInput:
    external_id: str
    title: str
    quantity: int = 1
    sku: str | None = None
    amount: Decimal | None = strawberry.field(default=None, description="What was paid for it.")
    product_id: str | None = None
    category: str | None = None


@strawberry.input(description="One scan; the same scan twice is stored once.")
class ParcelEventInput:
    kind: ParcelState
    at: datetime
    place: str | None = None
    text: str | None = None


@strawberry.input
class ParcelInput:
    tracking_number: str
    carrier: str | None = None
    events: list[ParcelEventInput] = strawberry.field(default_factory=list)


@strawberry.input(
    description="A snapshot of one order; an older one never replaces a newer one, and what is "
    "absent keeps what is stored. A new order needs state, currency, total, paid and orderedAt."
)
class OrderInput:
    external_id: str
    state: OrderState | None = None
    currency: str | None = strawberry.field(
        default=None, description="ISO 4217; the shop's currency if absent."
    )
    total: Decimal | None = None
    paid: Decimal | None = None
    ordered_at: datetime | None = None
    refunded: Decimal | None = None
    platform_state: str | None = None
    paid_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    closed_at: datetime | None = None
    in_dispute: bool | None = None
    modified_at: datetime | None = strawberry.field(
        default=None, description="When the platform last changed the order."
    )
    buyer_id: str | None = strawberry.field(
        default=None, description="The platform's stable id of the buyer, never a masked name."
    )
    name: str | None = None
    phone: PhoneNumber | None = None
    email: str | None = None
    province: str | None = None
    city: str | None = None
    address: str | None = None
    lines: list[OrderLineInput] = strawberry.field(default_factory=list)
    parcels: list[ParcelInput] = strawberry.field(default_factory=list)


@strawberry.input
class OrdersUpsertInput:
    shop_id: strawberry.ID
    orders: list[OrderInput] = strawberry.field(description="At most 500.")
    identity_kind: str = strawberry.field(
        default="buyer_id", description="The kind of the orders' buyer ids, such as taobao_nick."
    )
    on_error: OnError = error_policy()


@strawberry.enum
class OrderOutcome(Enum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    INCOMPLETE = strawberry.enum_value(
        INCOMPLETE,
        description="Unknown so far, and the snapshot lacks what a new order needs: send it whole.",
    )


@strawberry.type
class OrderUpsertResult:
    external_id: str
    outcome: OrderOutcome


@strawberry.type
class OrdersUpsertPayload:
    results: list[OrderUpsertResult | None] | None = strawberry.field(
        default=None, description="One for each order, in order; null for one with an error."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input(description="News of a parcel; kept where its order is not known yet.")
class ParcelTraceInput:
    order_external_id: str
    tracking_number: str
    carrier: str | None = None
    events: list[ParcelEventInput] = strawberry.field(default_factory=list)


@strawberry.input
class ParcelsUpsertInput:
    shop_id: strawberry.ID
    parcels: list[ParcelTraceInput] = strawberry.field(description="At most 500.")
    on_error: OnError = error_policy()


@strawberry.enum
class ParcelOutcome(Enum):
    TAKEN = "taken"
    WAITING = strawberry.enum_value(
        "waiting", description="The order is not known yet: kept, and taken in with the order."
    )


@strawberry.type
class ParcelUpsertResult:
    tracking_number: str
    outcome: ParcelOutcome


@strawberry.type
class ParcelsUpsertPayload:
    results: list[ParcelUpsertResult | None] | None = strawberry.field(
        default=None, description="One for each parcel, in order; null for one with an error."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input(description="A snapshot of one refund; an older one never replaces a newer one.")
class RefundInput:
    external_id: str
    order_external_id: str
    state: RefundState
    amount: Decimal
    requested_at: datetime
    currency: str | None = strawberry.field(
        default=None, description="The order's; the shop's currency if absent."
    )
    kind: RefundKind = RefundKind.REFUND_ONLY
    platform_state: str | None = None
    line_external_id: str | None = None
    reason: str | None = None
    quantity: int | None = None
    tracking_number: str | None = None
    carrier: str | None = None
    refunded_at: datetime | None = None
    closed_at: datetime | None = None
    modified_at: datetime | None = None


@strawberry.input
class RefundsUpsertInput:
    shop_id: strawberry.ID
    refunds: list[RefundInput] = strawberry.field(description="At most 500.")
    on_error: OnError = error_policy()


@strawberry.enum
class RefundOutcome(Enum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    WAITING = strawberry.enum_value(
        "waiting", description="The order is not known yet: kept, and taken in with the order."
    )


@strawberry.type
class RefundUpsertResult:
    external_id: str
    outcome: RefundOutcome


@strawberry.type
class RefundsUpsertPayload:
    results: list[RefundUpsertResult | None] | None = strawberry.field(
        default=None, description="One for each refund, in order; null for one with an error."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


async def read_for_shop(
    session: Session,
    shop_id: strawberry.ID,
    name: str,
    given: Sequence[T],
    on_error: OnError,
    read: Callable[["Reader", T], R],
) -> tuple[Mapping[str, Any], Batch[R]]:
    """The row of a shop, and its batch of records, normalised; see `read_batch`.

    Raises NotFound, and Several with what is wrong with the records besides.
    """
    faults, currency = Faults(), ANY_CURRENCY
    with faults:
        shop = await get_shop(session, sought_id("Shop", shop_id))
        currency = shop["currency"]
    with faults:
        batch = read_batch(
            name, given, on_error,
            lambda one, path, errors: read(Reader(path, currency, errors), one),
        )  # fmt: skip
    faults.tell()
    return shop, batch


ANY_CURRENCY = "CNY"
"""Whose amounts are read by, to find what is wrong with them, where there is no such shop."""


class Reader:
    """Reads one record and collects what is wrong with it; `currency` is the shop's."""

    def __init__(self, path: tuple[str, ...], currency: str, errors: list[HuikeError]) -> None:
        self.path = path
        self.shop_currency = currency
        self.errors = errors

    def order(self, order: OrderInput) -> OrderRecord:
        currency = self.currency(order.currency)
        amounts = (order.total, order.paid, order.refunded)
        told = order.currency is not None or any(one is not None for one in amounts)
        return OrderRecord(
            external_id=self.text(order.external_id, "external_id"),
            state=order.state,
            currency=currency if told else None,
            total=self.maybe_amount(order.total, currency, "total"),
            paid=self.maybe_amount(order.paid, currency, "paid"),
            refunded=self.maybe_amount(order.refunded, currency, "refunded"),
            ordered_at=self.maybe_time(order.ordered_at, "ordered_at"),
            paid_at=self.maybe_time(order.paid_at, "paid_at"),
            shipped_at=self.maybe_time(order.shipped_at, "shipped_at"),
            delivered_at=self.maybe_time(order.delivered_at, "delivered_at"),
            closed_at=self.maybe_time(order.closed_at, "closed_at"),
            modified_at=self.maybe_time(order.modified_at, "modified_at"),
            in_dispute=order.in_dispute,
            platform_state=order.platform_state,
            buyer_id=order.buyer_id,
            name=order.name,
            phone=normalise_phone(order.phone) if order.phone else None,
            email=normalise_email(order.email) if order.email else None,
            province=order.province,
            city=order.city,
            address=order.address,
            lines=[self.line(line, n, currency) for n, line in enumerate(order.lines)],
            parcels=[
                self.parcel(parcel, "parcels", str(n)) for n, parcel in enumerate(order.parcels)
            ],
        )

    def trace(self, trace: ParcelTraceInput) -> ParcelTrace:
        order = self.text(trace.order_external_id, "order_external_id")
        return ParcelTrace(order, self.parcel(trace))

    def parcel(self, parcel: ParcelInput | ParcelTraceInput, *at: str) -> ParcelRecord:
        return ParcelRecord(
            self.text(parcel.tracking_number, *at, "tracking_number"),
            parcel.carrier,
            [
                TraceEvent(
                    event.kind,
                    self.time(event.at, *at, "events", str(n), "at"),
                    event.place,
                    event.text,
                )
                for n, event in enumerate(parcel.events)
            ],
        )

    def refund(self, refund: RefundInput) -> RefundRecord:
        if refund.quantity is not None and not 0 < refund.quantity < 2**31:
            self.fault("a quantity is at least 1", "quantity")
        return RefundRecord(
            external_id=self.text(refund.external_id, "external_id"),
            order_external_id=self.text(refund.order_external_id, "order_external_id"),
            state=refund.state,
            amount=self.amount(refund.amount, self.currency(refund.currency), "amount"),
            requested_at=self.time(refund.requested_at, "requested_at"),
            kind=refund.kind,
            platform_state=refund.platform_state,
            line_external_id=refund.line_external_id,
            reason=refund.reason,
            quantity=refund.quantity,
            tracking_number=refund.tracking_number,
            carrier=refund.carrier,
            refunded_at=self.maybe_time(refund.refunded_at, "refunded_at"),
            closed_at=self.maybe_time(refund.closed_at, "closed_at"),
            modified_at=self.maybe_time(refund.modified_at, "modified_at"),
        )

    def line(self, line: OrderLineInput, number: int, currency: str) -> LineRecord:
        at = ("lines", str(number))
        if not 0 < line.quantity < 2**31:
            self.fault("a quantity is at least 1", *at, "quantity")
        amount = None
        if line.amount is not None:
            amount = self.amount(line.amount, currency, *at, "amount")
        external_id = self.text(line.external_id, *at, "external_id")
        return LineRecord(
            external_id, line.title, line.quantity, line.sku, amount, line.product_id,
            line.category,
        )  # fmt: skip

    def fault(self, message: str, *at: str) -> None:
        self.errors.append(InvalidInput(message, (*self.path, *at)))

    def text(self, value: str, *at: str) -> str:
        if not value.strip():
            self.fault("must not be empty", *at)
        return value.strip()

    def currency(self, code: str | None) -> str:
        if code is None:
            return self.shop_currency
        try:
            return check_currency(code, (*self.path, "currency"))
        except InvalidInput as error:
            self.errors.append(error)
            return self.shop_currency

    def maybe_amount(self, value: Decimal | None, currency: str, *at: str) -> int | None:
        return None if value is None else self.amount(value, currency, *at)

    def amount(self, value: Decimal, currency: str, *at: str) -> int:
        try:
            minor = to_minor(value, currency)
        except ValueError as error:
            self.fault(str(error), *at)
            return 0
        if minor < 0:
            self.fault("must not be negative", *at)
        return minor

    def time(self, value: datetime, *at: str) -> datetime:
        if value.tzinfo is None:
            self.fault("a time needs its offset, as in 2026-06-15T12:00:00+08:00", *at)
        return value

    def maybe_time(self, value: datetime | None, *at: str) -> datetime | None:
        return None if value is None else self.time(value, *at)


@strawberry.input(description="Under which header the file has a field of the importer.")
class ColumnInput:
    field: str
    header: str


@strawberry.input(description="Consent of the file's customers, for those never asked before.")
class ImportConsentInput:
    channel: str
    evidence: str = strawberry.field(description="How the merchant came by the consent.")


@strawberry.input
class OrderImportStartInput:
    shop_id: strawberry.ID
    idempotency_key: str
    file: Upload = strawberry.field(
        description="A multipart upload (graphql-multipart-request-spec) of a CSV or Excel file."
    )
    format: str | None = strawberry.field(default=None, description="Recognised if absent.")
    columns: list[ColumnInput] = strawberry.field(default_factory=list)
    consent: ImportConsentInput | None = None


@strawberry.type
class OrderImportStartPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class OrderMutations:
    @mutation(
        "ORDERS_WRITE",
        OrdersUpsertPayload,
        emits=(
            OrderCreated,
            OrderStateChanged,
            ParcelStateChanged,
            RefundStateChanged,
            ReviewGiven,
            ReviewChanged,
            ReviewNegative,
        ),
        description="Take in up to 500 orders of a shop; repeating the call changes nothing.",
    )
    async def orders_upsert(
        self, info: Info, input: OrdersUpsertInput
    ) -> OrdersUpsertPayload | None:
        async with info.context.work() as w:
            shop, batch = await read_for_shop(
                w, input.shop_id, "orders", input.orders, input.on_error, Reader.order
            )
            outcomes = await ingest_orders(w, shop, batch.records, input.identity_kind, events=True)
        return OrdersUpsertPayload(
            results=batch.results(
                OrderUpsertResult(external_id=record.external_id, outcome=OrderOutcome(outcome))
                for record, outcome in zip(batch.records, outcomes, strict=True)
            ),
            errors=batch.errors,
        )

    @mutation(
        "ORDERS_WRITE",
        ParcelsUpsertPayload,
        emits=(ParcelStateChanged, OrderStateChanged),
        description="Take in news of up to 500 parcels; repeating the call changes nothing.",
    )
    async def parcels_upsert(
        self, info: Info, input: ParcelsUpsertInput
    ) -> ParcelsUpsertPayload | None:
        async with info.context.work() as w:
            shop, batch = await read_for_shop(
                w, input.shop_id, "parcels", input.parcels, input.on_error, Reader.trace
            )
            outcomes = await ingest_traces(w, shop, batch.records, events=True)
        return ParcelsUpsertPayload(
            results=batch.results(
                ParcelUpsertResult(
                    tracking_number=trace.parcel.tracking_number, outcome=ParcelOutcome(outcome)
                )
                for trace, outcome in zip(batch.records, outcomes, strict=True)
            ),
            errors=batch.errors,
        )

    @mutation(
        "ORDERS_WRITE",
        RefundsUpsertPayload,
        emits=(RefundStateChanged,),
        description="Take in up to 500 refunds of a shop; repeating the call changes nothing.",
    )
    async def refunds_upsert(
        self, info: Info, input: RefundsUpsertInput
    ) -> RefundsUpsertPayload | None:
        async with info.context.work() as w:
            shop, batch = await read_for_shop(
                w, input.shop_id, "refunds", input.refunds, input.on_error, Reader.refund
            )
            outcomes = await ingest_refunds(w, shop, batch.records, events=True)
        return RefundsUpsertPayload(
            results=batch.results(
                RefundUpsertResult(external_id=record.external_id, outcome=RefundOutcome(outcome))
                for record, outcome in zip(batch.records, outcomes, strict=True)
            ),
            errors=batch.errors,
        )

    @mutation(
        "ORDERS_WRITE",
        OrderImportStartPayload,
        description="Take in a file of orders; `jobProgress` follows the job.",
    )
    async def order_import_start(
        self, info: Info, input: OrderImportStartInput
    ) -> OrderImportStartPayload | None:
        shop_id = sought_id("Shop", input.shop_id)
        name = file_name(input.file)
        consent = Consent(input.consent.channel, input.consent.evidence) if input.consent else None
        columns = {column.field: column.header for column in input.columns}
        registry = info.context.installation.registry

        async def start(w: Work, pieces: AsyncIterator[bytes]) -> int:
            return await start_import(
                w, registry, shop_id, pieces, name, input.format, columns, consent
            )

        return OrderImportStartPayload(job=await start_once(info, "orderImportStart", input, start))
