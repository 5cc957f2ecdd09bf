"""Orders, with their lines and parcels, and taking them in."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson
import strawberry
from strawberry.file_uploads import Upload

from core.domain.customers.contacts import normalise_email, normalise_phone
from core.domain.customers.masking import mask, mask_address, mask_name
from core.domain.orders.importing import Consent, start_import
from core.domain.orders.ingest import ingest_orders
from core.domain.shops.merchants import check_currency
from core.domain.shops.shops import find_shop
from core.schema.context import CHILDREN, Info, field, mutation
from core.schema.customers import Customer, customers_by_id
from core.schema.errors import UserError
from core.schema.jobs import Job, jobs_by_id
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import Money, Node, global_id, money, need_id, read_id
from core.schema.shops import Shop, shops_by_id
from core.schema.where import DateTimeFilter, IdColumn, IdFilter, IntFilter, StringFilter
from core.sdk.errors import HuikeError, InvalidInput, Several
from core.sdk.money import to_minor
from core.sdk.orders import LineRecord, OrderRecord, OrderState, ParcelRecord
from core.storage.database import Session

MAX_BATCH = 500
UPLOAD_PIECE = 1024**2
OrderStateType = strawberry.enum(OrderState, name="OrderState")


@strawberry.type
class OrderLine:
    id: strawberry.ID
    external_id: str
    title: str
    sku: str | None
    quantity: int
    amount: Money | None


@strawberry.type
class Parcel:
    id: strawberry.ID
    tracking_number: str
    carrier: str | None


@strawberry.type(description="Who gets the parcels; masked without CUSTOMERS_CONTACT.")
class Receiver:
    name: str | None
    phone: str | None
    address: str | None
    redacted: bool


@strawberry.type(description="An order of one shop, as its platform last told it.")
class Order(Node):
    row: strawberry.Private[Any]
    external_id: str
    state: OrderState
    platform_state: str | None
    total: Money
    paid: Money
    refunded: Money
    ordered_at: datetime
    paid_at: datetime | None
    shipped_at: datetime | None
    closed_at: datetime | None
    province: str | None
    city: str | None

    @strawberry.field
    def receiver(self, info: Info) -> Receiver | None:
        return receiver_of(info, self.row)

    @strawberry.field
    async def lines(self, info: Info) -> list[OrderLine]:
        return await info.context.load("order.lines", self.row["id"], lines_of) or []

    @strawberry.field
    async def parcels(self, info: Info) -> list[Parcel]:
        return await info.context.load("order.parcels", self.row["id"], parcels_of) or []

    @field("SHOPS_READ")
    async def shop(self, info: Info) -> Shop | None:
        return await info.context.load("shops", self.row["shop_id"], shops_by_id)

    @field("CUSTOMERS_READ")
    async def customer(self, info: Info) -> Customer | None:
        if self.row["customer_id"] is None:
            return None
        return await info.context.load("customers", self.row["customer_id"], customers_by_id)


def receiver_of(info: Info, row: Any) -> Receiver | None:
    """The receiver of an order's row."""
    if row["receiver_sealed"] is None:
        return None
    place = f"orders.receiver|{row['merchant_id']}|{row['id']}"
    keyring = info.context.installation.db.keyring
    found = orjson.loads(keyring.open_bytes(row["receiver_sealed"], place))
    if info.context.may("CUSTOMERS_CONTACT"):
        return Receiver(**found, redacted=False)
    name, phone, address = (found.get(key) for key in ("name", "phone", "address"))
    return Receiver(
        name=mask_name(name) if name else None,
        phone=mask(phone) if phone else None,
        address=mask_address(address) if address else None,
        redacted=True,
    )


def order_of(row: Any) -> Order:
    currency = row["currency"]
    return Order(
        id=global_id("Order", row["id"]),
        row=row,
        external_id=row["external_id"],
        state=OrderState(row["state"]),
        platform_state=row["platform_state"],
        total=money(row["total"], currency),
        paid=money(row["paid"], currency),
        refunded=money(row["refunded"], currency),
        ordered_at=row["ordered_at"],
        paid_at=row["paid_at"],
        shipped_at=row["shipped_at"],
        closed_at=row["closed_at"],
        province=row["province"],
        city=row["city"],
    )


@strawberry.input
class OrderStateFilter:
    eq: strawberry.Maybe[OrderState]
    in_: strawberry.Maybe[list[OrderState]] = strawberry.field(name="in", default=None)


@strawberry.input
class OrderWhere:
    id: strawberry.Maybe[IdFilter]
    external_id: strawberry.Maybe[StringFilter]
    shop: strawberry.Maybe[IdFilter]
    customer: strawberry.Maybe[IdFilter]
    state: strawberry.Maybe[OrderStateFilter]
    currency: strawberry.Maybe[StringFilter]
    total: strawberry.Maybe[IntFilter] = strawberry.field(
        default=None, description="In minor units: 9900 is 99.00 CNY."
    )
    province: strawberry.Maybe[StringFilter]
    ordered_at: strawberry.Maybe[DateTimeFilter]
    paid_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["OrderWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["OrderWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["OrderWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class OrderSortField(Enum):
    ORDERED_AT = "ordered_at"
    TOTAL = "total"


@strawberry.input
class OrderSort:
    field: OrderSortField
    direction: SortDirection = SortDirection.ASC


ORDERS = Listing(
    "orders", "orders o", "o",
    {
        "id": IdColumn("Order", "o.id"), "external_id": "o.external_id",
        "shop": IdColumn("Shop", "o.shop_id"), "customer": IdColumn("Customer", "o.customer_id"),
        "state": "o.state", "currency": "o.currency", "total": "o.total",
        "province": "o.province", "ordered_at": "o.ordered_at", "paid_at": "o.paid_at",
    },
    {"ordered_at": "o.ordered_at", "total": "o.total"},
    order_of,
)  # fmt: skip


@strawberry.input
class OrderLineInput:
    external_id: str
    title: str
    quantity: int = 1
    sku: str | None = None
    amount: Decimal | None = strawberry.field(default=None, description="What was paid for it.")


@strawberry.input
class ParcelInput:
    tracking_number: str
    carrier: str | None = None


@strawberry.input(description="A snapshot of one order; an older one never replaces a newer one.")
class OrderInput:
    external_id: str
    state: OrderState
    currency: str
    total: Decimal
    paid: Decimal
    ordered_at: datetime
    refunded: Decimal = Decimal(0)
    platform_state: str | None = None
    paid_at: datetime | None = None
    shipped_at: datetime | None = None
    closed_at: datetime | None = None
    modified_at: datetime | None = strawberry.field(
        default=None, description="When the platform last changed the order."
    )
    buyer_id: str | None = strawberry.field(
        default=None, description="The platform's stable id of the buyer, never a masked name."
    )
    name: str | None = None
    phone: str | None = None
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


@strawberry.enum
class OrderOutcome(Enum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@strawberry.type
class OrderUpsertResult:
    external_id: str
    outcome: OrderOutcome


@strawberry.type
class OrdersUpsertPayload:
    results: list[OrderUpsertResult] | None = strawberry.field(
        default=None, description="One for each order, in order; null if any of them has an error."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


async def orders_by_id(session: Session, pks: list[int]) -> dict[int, Order]:
    rows = await session.sql.fetch(
        "SELECT * FROM orders WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: order_of(row) for row in rows}


def orders_of_customers(
    first: int,
) -> Callable[[Session, list[int]], Awaitable[dict[int, list[Order]]]]:
    """Loads the newest orders of many customers with one statement."""

    async def load(session: Session, pks: list[int]) -> dict[int, list[Order]]:
        rows = await session.sql.fetch(
            """SELECT o.* FROM unnest($2::bigint[]) AS wanted (id)
               CROSS JOIN LATERAL (
                   SELECT * FROM orders WHERE merchant_id = $1 AND customer_id = wanted.id
                   ORDER BY ordered_at DESC, id DESC LIMIT $3) o""",
            session.merchant_id, pks, first,
        )  # fmt: skip
        found: dict[int, list[Order]] = {}
        for row in rows:
            found.setdefault(row["customer_id"], []).append(order_of(row))
        return found

    return load


CHILDREN["orders_of_customers"] = orders_of_customers


async def lines_of(session: Session, pks: list[int]) -> dict[int, list[OrderLine]]:
    rows = await session.sql.fetch(
        """SELECT l.*, o.currency FROM order_lines l
           JOIN orders o ON o.merchant_id = l.merchant_id AND o.id = l.order_id
           WHERE l.merchant_id = $1 AND l.order_id = ANY($2) ORDER BY l.id""",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[OrderLine]] = {}
    for row in rows:
        amount = None if row["amount"] is None else money(row["amount"], row["currency"])
        line = OrderLine(
            id=global_id("OrderLine", row["id"]),
            external_id=row["external_id"],
            title=row["title"],
            sku=row["sku"],
            quantity=row["quantity"],
            amount=amount,
        )
        found.setdefault(row["order_id"], []).append(line)
    return found


async def parcels_of(session: Session, pks: list[int]) -> dict[int, list[Parcel]]:
    rows = await session.sql.fetch(
        "SELECT * FROM parcels WHERE merchant_id = $1 AND order_id = ANY($2) ORDER BY id",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[Parcel]] = {}
    for row in rows:
        parcel = Parcel(
            id=global_id("Parcel", row["id"]),
            tracking_number=row["tracking_number"],
            carrier=row["carrier"],
        )
        found.setdefault(row["order_id"], []).append(parcel)
    return found


def records_of(orders: Sequence[OrderInput]) -> list[OrderRecord]:
    """The orders, normalised. Raises Several with every fault of every order."""
    if len(orders) > MAX_BATCH:
        raise InvalidInput(f"at most {MAX_BATCH} orders at once", ("input", "orders"))
    records: list[OrderRecord] = []
    errors: list[HuikeError] = []
    for number, order in enumerate(orders):
        reader = _Reader(("input", "orders", str(number)), errors)
        records.append(reader.record(order))
    if errors:
        raise Several(errors)
    return records


class _Reader:
    """Reads one order and collects what is wrong with it."""

    def __init__(self, path: tuple[str, ...], errors: list[HuikeError]) -> None:
        self.path = path
        self.errors = errors

    def record(self, order: OrderInput) -> OrderRecord:
        currency = self.currency(order.currency)
        return OrderRecord(
            external_id=self.text(order.external_id, "external_id"),
            state=order.state,
            currency=currency,
            total=self.amount(order.total, currency, "total"),
            paid=self.amount(order.paid, currency, "paid"),
            refunded=self.amount(order.refunded, currency, "refunded"),
            ordered_at=self.time(order.ordered_at, "ordered_at"),
            paid_at=self.maybe_time(order.paid_at, "paid_at"),
            shipped_at=self.maybe_time(order.shipped_at, "shipped_at"),
            closed_at=self.maybe_time(order.closed_at, "closed_at"),
            modified_at=self.maybe_time(order.modified_at, "modified_at"),
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
                ParcelRecord(self.text(p.tracking_number, "parcels", str(n)), p.carrier)
                for n, p in enumerate(order.parcels)
            ],
        )

    def line(self, line: OrderLineInput, number: int, currency: str) -> LineRecord:
        at = ("lines", str(number))
        if not 0 < line.quantity < 2**31:
            self.fault("a quantity is at least 1", *at, "quantity")
        amount = None
        if line.amount is not None:
            amount = self.amount(line.amount, currency, *at, "amount")
        external_id = self.text(line.external_id, *at, "external_id")
        return LineRecord(external_id, line.title, line.quantity, line.sku, amount)

    def fault(self, message: str, *at: str) -> None:
        self.errors.append(InvalidInput(message, (*self.path, *at)))

    def text(self, value: str, *at: str) -> str:
        if not value.strip():
            self.fault("must not be empty", *at)
        return value.strip()

    def currency(self, code: str) -> str:
        try:
            return check_currency(code, (*self.path, "currency"))
        except InvalidInput as error:
            self.errors.append(error)
            return "CNY"

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


async def pieces_of(file: Any) -> AsyncIterator[bytes]:
    while piece := await file.read(UPLOAD_PIECE):
        yield piece


@strawberry.type
class OrderQueries:
    @field("ORDERS_READ")
    async def orders(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: OrderWhere | None = None,
        sort: list[OrderSort] | None = None,
    ) -> Connection[Order]:
        return await page(info, ORDERS, where, sort, first, after)

    @field("ORDERS_READ")
    async def order(self, info: Info, id: strawberry.ID) -> Order | None:
        pk = read_id("Order", id)
        return await info.context.load("orders", pk, orders_by_id) if pk else None


@strawberry.type
class OrderMutations:
    @mutation(
        "ORDERS_WRITE",
        OrdersUpsertPayload,
        description="Take in up to 500 orders of a shop; repeating the call changes nothing.",
    )
    async def orders_upsert(
        self, info: Info, input: OrdersUpsertInput
    ) -> OrdersUpsertPayload | None:
        shop_id = need_id("Shop", input.shop_id, ("input", "shopId"))
        records = records_of(input.orders)
        async with info.context.work() as w:
            shop = await find_shop(w, str(shop_id))
            outcomes = await ingest_orders(w, shop, records, input.identity_kind, events=True)
        return OrdersUpsertPayload(
            results=[
                OrderUpsertResult(external_id=record.external_id, outcome=OrderOutcome(outcome))
                for record, outcome in zip(records, outcomes, strict=True)
            ]
        )

    @mutation(
        "ORDERS_WRITE",
        OrderImportStartPayload,
        description="Take in a file of orders; `jobProgress` follows the job.",
    )
    async def order_import_start(
        self, info: Info, input: OrderImportStartInput
    ) -> OrderImportStartPayload | None:
        shop_id = need_id("Shop", input.shop_id, ("input", "shopId"))
        context, file = info.context, input.file
        if not hasattr(file, "read"):
            raise InvalidInput("send the file as a multipart upload", ("input", "file"))
        consent = Consent(input.consent.channel, input.consent.evidence) if input.consent else None
        installation = context.installation
        job_id = await start_import(
            installation.db,
            installation.registry,
            context.merchant_id,
            shop_id,
            pieces_of(file),
            getattr(file, "filename", None) or "orders.csv",
            input.format,
            {column.field: column.header for column in input.columns},
            consent,
        )
        async with context.read() as session:
            return OrderImportStartPayload(job=(await jobs_by_id(session, [job_id]))[job_id])
