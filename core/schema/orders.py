"""Orders with their lines, parcels and refunds."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import strawberry

from core.domain.customers.masking import ADDRESS, NAME, PHONE
from core.schema.context import CHILDREN, Info, field
from core.schema.customers import Customer, customer_by_id
from core.schema.executor.later import ByKey, RowBatch
from core.schema.external_refs import (
    ExternalRefFilter,
    ExternalRefInput,
    by_external_id,
    by_tracking_number,
)
from core.schema.masking import shown
from core.schema.pages import (
    After,
    Connection,
    First,
    Listing,
    SortDirection,
    by_external_ref,
    page,
)
from core.schema.rows import (
    Columns,
    by_parent,
    column,
    columns_sql,
    enum_column,
    money_column,
    own_id,
    reads,
    selected,
)
from core.schema.scalars import Money, Node, global_id, money, read_id
from core.schema.shops import Shop, shops_by_id
from core.schema.where import (
    BooleanFilter,
    DateTimeFilter,
    IdColumn,
    IdFilter,
    IntFilter,
    StringFilter,
    TextColumn,
)
from core.sdk.orders import (
    OrderState,
    ParcelState,
    RefundKind,
    RefundState,
)
from core.storage.connections import array_text
from core.storage.database import Session

if TYPE_CHECKING:
    from core.schema.reviews import Review

OrderStateType = strawberry.enum(OrderState, name="OrderState")
ParcelStateType = strawberry.enum(ParcelState, name="ParcelState")
RefundKindType = strawberry.enum(RefundKind, name="RefundKind")
RefundStateType = strawberry.enum(RefundState, name="RefundState")


@strawberry.type
class OrderLine(Node):
    row: strawberry.Private[Any]
    id: strawberry.ID = own_id("OrderLine")
    external_id: str = column("external_id")
    title: str = column("title")
    product_id: str | None = column("product_id")
    category: str | None = column("category")
    sku: str | None = column("sku")
    quantity: int = column("quantity")
    amount: Money | None = money_column("amount")

    @reads("order_id", pk="order_id")
    def order(self, info: Info) -> Annotated["Order", strawberry.lazy("core.schema.orders")] | None:
        return order_by_id(info, self.row["order_id"])


@strawberry.type(description="One scan of a parcel; a trace lists them oldest first.")
class ParcelEvent:
    kind: ParcelState
    at: datetime
    place: str | None
    text: str | None


@strawberry.type
class Parcel(Node):
    row: strawberry.Private[Any]
    tracking_number: str
    carrier: str | None
    state: ParcelState | None = strawberry.field(description="Null before the first scan.")
    shipped_at: datetime | None
    signed_at: datetime | None

    @strawberry.field
    def events(self, info: Info) -> list[ParcelEvent]:
        return info.context.children("parcel.events", self.row["id"], scans_of)

    @strawberry.field
    def order(self, info: Info) -> Annotated["Order", strawberry.lazy("core.schema.orders")] | None:
        return order_by_id(info, self.row["order_id"])


@strawberry.type(
    description="A refund or return that a buyer asked for; no line means the whole order."
)
class Refund(Node):
    row: strawberry.Private[Any]
    external_id: str
    kind: RefundKind
    state: RefundState
    platform_state: str | None
    reason: str | None
    amount: Money
    quantity: int | None
    tracking_number: str | None
    carrier: str | None
    requested_at: datetime
    refunded_at: datetime | None
    closed_at: datetime | None

    @strawberry.field
    async def line(self, info: Info) -> OrderLine | None:
        columns = selected(info, "OrderLine")
        key = ("order.lines", columns)
        lines = await info.context.load(key, self.row["order_id"], lines_of(columns)) or []
        return next((line for line in lines if line.row["id"] == self.row["line_id"]), None)

    @strawberry.field
    def order(self, info: Info) -> Annotated["Order", strawberry.lazy("core.schema.orders")] | None:
        return order_by_id(info, self.row["order_id"])


@strawberry.type(
    description="Who gets the parcels; name, phone and address are masked for tokens without "
    "PII_NAME, PII_PHONE and PII_ADDRESS."
)
class Receiver:
    name: str | None
    phone: str | None
    address: str | None
    redacted: bool = strawberry.field(description="Whether any of them is masked.")


@strawberry.type(description="An order of one shop, as its platform last told it.")
class Order(Node):
    row: strawberry.Private[Any]
    id: strawberry.ID = own_id("Order")
    external_id: str = column("external_id")
    state: OrderState = enum_column("state", OrderState)
    platform_state: str | None = column("platform_state")
    total: Money = money_column("total")
    paid: Money = money_column("paid")
    refunded: Money = money_column("refunded")
    ordered_at: datetime = column("ordered_at")
    paid_at: datetime | None = column("paid_at")
    shipped_at: datetime | None = column("shipped_at")
    delivered_at: datetime | None = column("delivered_at")
    closed_at: datetime | None = column("closed_at")
    in_dispute: bool = column("in_dispute")
    province: str | None = column("province")
    city: str | None = column("city")

    @reads("receiver_sealed", "customer_id")
    def receiver(self, info: Info) -> Receiver | None:
        return receiver_of(info, self.row)

    @reads(pk="id")
    def lines(self, info: Info) -> list[OrderLine]:
        columns = selected(info, "OrderLine")
        return info.context.children(("order.lines", columns), self.row["id"], lines_of(columns))

    @reads(pk="id")
    def parcels(self, info: Info) -> list[Parcel]:
        return info.context.children("order.parcels", self.row["id"], parcels_of)

    @reads(pk="id")
    def refunds(self, info: Info) -> list[Refund]:
        return info.context.children("order.refunds", self.row["id"], refunds_of)

    @reads(pk="id")
    def reviews(
        self, info: Info
    ) -> list[Annotated["Review", strawberry.lazy("core.schema.reviews")]]:
        batch = CHILDREN["reviews_of_orders"]
        return info.context.children("order.reviews", self.row["id"], batch)

    @field("SHOPS_READ", columns=("shop_id",))
    def shop(self, info: Info) -> Shop | None:
        return info.context.child("shops", self.row["shop_id"], shops_by_id)

    @field("CUSTOMERS_READ", columns=("customer_id",))
    def customer(self, info: Info) -> Customer | None:
        if self.row["customer_id"] is None:
            return None
        return customer_by_id(info, self.row["customer_id"])


def receiver_of(info: Info, row: Any) -> Receiver | None:
    """The receiver of an order's row."""
    if row["receiver_sealed"] is None:
        return None
    place = f"orders.receiver|{row['merchant_id']}|{row['id']}"
    keyring = info.context.installation.db.keyring
    found = orjson.loads(keyring.open_bytes(row["receiver_sealed"], place))
    # an order without a customer is a person of its own
    person = row["customer_id"] or -row["id"]
    name, phone, address = (
        shown(info.context, kind, value, person) if (value := found.get(kind.name)) else None
        for kind in (NAME, PHONE, ADDRESS)
    )
    return Receiver(
        name=name.value if name else None,
        phone=phone.value if phone else None,
        address=address.value if address else None,
        redacted=any(one.redacted for one in (name, phone, address) if one),
    )


def order_of(row: Any) -> Order:
    return Order(row=row)


@strawberry.input
class OrderStateFilter:
    eq: strawberry.Maybe[OrderState]
    in_: strawberry.Maybe[list[OrderState]] = strawberry.field(name="in", default=None)


@strawberry.input
class OrderWhere:
    id: strawberry.Maybe[IdFilter]
    external_id: strawberry.Maybe[StringFilter]
    external_ref: strawberry.Maybe[ExternalRefFilter]
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
    in_dispute: strawberry.Maybe[BooleanFilter]
    product_id: strawberry.Maybe[StringFilter]
    tracking_number: strawberry.Maybe[StringFilter]
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
        "in_dispute": "o.in_dispute",
        "external_ref": by_external_id("orders", "o"),
        "product_id": TextColumn("l.product_id", "EXISTS (SELECT 1 FROM order_lines l WHERE "
            "l.merchant_id = o.merchant_id AND l.order_id = o.id AND {})"),
        "tracking_number": TextColumn("p.tracking_number", "EXISTS (SELECT 1 FROM parcels p WHERE "
            "p.merchant_id = o.merchant_id AND p.order_id = o.id AND {})"),
    },
    {"ordered_at": "o.ordered_at", "total": "o.total"},
    order_of,
    of=Order,
)  # fmt: skip


async def orders_by_id(
    session: Session, pks: list[int], columns: Columns = None
) -> dict[int, Order]:
    rows = await session.sql.fetch(
        f"SELECT {columns_sql('o', columns)} FROM orders o "
        "WHERE o.merchant_id = $1 AND o.id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: order_of(row) for row in rows}


def order_by_id(info: Info, pk: int) -> Order | None:
    """The promise of an order, for a resolver to return."""
    columns = selected(info, "Order")
    return info.context.child(("orders", columns), pk, ByKey(orders_by_id, columns))


def orders_of_customers(first: int, columns: Columns) -> RowBatch:
    """Loads the newest orders of many customers with one statement."""

    async def load(session: Session, pks: list[int]) -> Mapping[int, list[Any]]:
        rows = await session.sql.fetch(
            f"""SELECT wanted.id AS buyer, o.* FROM unnest($2::text::bigint[]) AS wanted (id)
                CROSS JOIN LATERAL (
                    SELECT {columns_sql("r", columns)} FROM orders r
                    WHERE r.merchant_id = $1 AND r.customer_id = wanted.id
                    ORDER BY r.ordered_at DESC, r.id DESC LIMIT $3) o""",
            session.merchant_id, array_text(pks), first,
        )  # fmt: skip
        return by_parent(rows, "buyer")

    return RowBatch(load, Order)


CHILDREN["orders_of_customers"] = orders_of_customers


@lru_cache(maxsize=100)
def lines_of(columns: Columns) -> RowBatch:
    """Loads the lines of many orders with one statement."""
    shown = None if columns is None else (columns | {"order_id"}) - {"currency"}
    if columns is None or "currency" in columns:
        # told the ids twice, PostgreSQL reads the orders at once, not one for each line
        source = """order_lines l JOIN orders o ON o.merchant_id = l.merchant_id
                    AND o.id = l.order_id AND o.merchant_id = $1
                    AND o.id = ANY($2::text::bigint[])"""
        found_by = f"{columns_sql('l', shown)}, o.currency"
    else:
        source, found_by = "order_lines l", columns_sql("l", shown)

    async def load(session: Session, pks: list[int]) -> Mapping[int, list[Any]]:
        rows = await session.sql.fetch(
            f"""SELECT {found_by} FROM {source}
                WHERE l.merchant_id = $1 AND l.order_id = ANY($2::text::bigint[])
                ORDER BY l.id""",
            session.merchant_id, array_text(pks),
        )  # fmt: skip
        return by_parent(rows, "order_id")

    return RowBatch(load, OrderLine)


async def lines_by_id(session: Session, pks: list[int]) -> dict[int, OrderLine]:
    rows = await session.sql.fetch(
        """SELECT l.*, o.currency FROM order_lines l
           JOIN orders o ON o.merchant_id = l.merchant_id AND o.id = l.order_id
           WHERE l.merchant_id = $1 AND l.id = ANY($2)""",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: OrderLine(row=row) for row in rows}


async def parcels_of(session: Session, pks: list[int]) -> dict[int, list[Parcel]]:
    rows = await session.sql.fetch(
        "SELECT * FROM parcels WHERE merchant_id = $1 AND order_id = ANY($2) ORDER BY id",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[Parcel]] = {}
    for row in rows:
        found.setdefault(row["order_id"], []).append(parcel_of(row))
    return found


async def parcels_by_id(session: Session, pks: list[int]) -> dict[int, Parcel]:
    rows = await session.sql.fetch(
        "SELECT * FROM parcels WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: parcel_of(row) for row in rows}


def parcel_of(row: Any) -> Parcel:
    return Parcel(
        id=global_id("Parcel", row["id"]),
        row=row,
        tracking_number=row["tracking_number"],
        carrier=row["carrier"],
        state=ParcelState(row["state"]) if row["state"] else None,
        shipped_at=row["shipped_at"],
        signed_at=row["signed_at"],
    )


async def scans_of(session: Session, pks: list[int]) -> dict[int, list[ParcelEvent]]:
    rows = await session.sql.fetch(
        """SELECT * FROM parcel_events
           WHERE merchant_id = $1 AND parcel_id = ANY($2) ORDER BY at, id""",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[ParcelEvent]] = {}
    for row in rows:
        event = ParcelEvent(
            kind=ParcelState(row["kind"]), at=row["at"], place=row["place"], text=row["text"]
        )
        found.setdefault(row["parcel_id"], []).append(event)
    return found


def refund_of(row: Any) -> Refund:
    return Refund(
        id=global_id("Refund", row["id"]),
        row=row,
        external_id=row["external_id"],
        kind=RefundKind(row["kind"]),
        state=RefundState(row["state"]),
        platform_state=row["platform_state"],
        reason=row["reason"],
        amount=money(row["amount"], row["currency"]),
        quantity=row["quantity"],
        tracking_number=row["tracking_number"],
        carrier=row["carrier"],
        requested_at=row["requested_at"],
        refunded_at=row["refunded_at"],
        closed_at=row["closed_at"],
    )


@strawberry.input
class ParcelStateFilter:
    eq: strawberry.Maybe[ParcelState]
    in_: strawberry.Maybe[list[ParcelState]] = strawberry.field(name="in", default=None)


@strawberry.input
class ParcelWhere:
    id: strawberry.Maybe[IdFilter]
    tracking_number: strawberry.Maybe[StringFilter]
    external_ref: strawberry.Maybe[ExternalRefFilter]
    order: strawberry.Maybe[IdFilter]
    state: strawberry.Maybe[ParcelStateFilter]
    shipped_at: strawberry.Maybe[DateTimeFilter]
    signed_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["ParcelWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["ParcelWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["ParcelWhere"] = strawberry.field(name="not", default=None)


PARCELS = Listing(
    "parcels", "parcels p", "p",
    {
        "id": IdColumn("Parcel", "p.id"), "tracking_number": "p.tracking_number",
        "external_ref": by_tracking_number("p"), "order": IdColumn("Order", "p.order_id"),
        "state": "p.state", "shipped_at": "p.shipped_at", "signed_at": "p.signed_at",
    },
    {},
    parcel_of,
)  # fmt: skip

REFUND_ROWS = """(SELECT r.*, o.currency, o.customer_id FROM refunds r
    JOIN orders o ON o.merchant_id = r.merchant_id AND o.id = r.order_id)"""


async def refunds_of(session: Session, pks: list[int]) -> dict[int, list[Refund]]:
    rows = await session.sql.fetch(
        f"""SELECT r.* FROM {REFUND_ROWS} r
            WHERE r.merchant_id = $1 AND r.order_id = ANY($2) ORDER BY r.id""",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[Refund]] = {}
    for row in rows:
        found.setdefault(row["order_id"], []).append(refund_of(row))
    return found


async def refunds_by_id(session: Session, pks: list[int]) -> dict[int, Refund]:
    rows = await session.sql.fetch(
        f"SELECT r.* FROM {REFUND_ROWS} r WHERE r.merchant_id = $1 AND r.id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: refund_of(row) for row in rows}


@strawberry.input
class RefundStateFilter:
    eq: strawberry.Maybe[RefundState]
    in_: strawberry.Maybe[list[RefundState]] = strawberry.field(name="in", default=None)


@strawberry.input
class RefundWhere:
    id: strawberry.Maybe[IdFilter]
    external_id: strawberry.Maybe[StringFilter]
    external_ref: strawberry.Maybe[ExternalRefFilter]
    shop: strawberry.Maybe[IdFilter]
    order: strawberry.Maybe[IdFilter]
    customer: strawberry.Maybe[IdFilter]
    state: strawberry.Maybe[RefundStateFilter]
    reason: strawberry.Maybe[StringFilter]
    requested_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["RefundWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["RefundWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["RefundWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class RefundSortField(Enum):
    REQUESTED_AT = "requested_at"


@strawberry.input
class RefundSort:
    field: RefundSortField
    direction: SortDirection = SortDirection.ASC


REFUNDS = Listing(
    "refunds", f"{REFUND_ROWS} r", "r",
    {
        "id": IdColumn("Refund", "r.id"), "external_id": "r.external_id",
        "shop": IdColumn("Shop", "r.shop_id"), "order": IdColumn("Order", "r.order_id"),
        "customer": IdColumn("Customer", "r.customer_id"), "state": "r.state",
        "reason": "r.reason", "requested_at": "r.requested_at",
        "external_ref": by_external_id("refunds", "r"),
    },
    {"requested_at": "r.requested_at"},
    refund_of,
)  # fmt: skip


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
    async def refunds(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: RefundWhere | None = None,
        sort: list[RefundSort] | None = None,
    ) -> Connection[Refund]:
        return await page(info, REFUNDS, where, sort, first, after)

    @field("ORDERS_READ")
    def order(self, info: Info, id: strawberry.ID) -> Order | None:
        pk = read_id("Order", id)
        return order_by_id(info, pk) if pk else None

    @field("ORDERS_READ", description="The order that a platform knows by this number.")
    async def order_by_external_ref(self, info: Info, ref: ExternalRefInput) -> Order | None:
        return await by_external_ref(info, ORDERS, ref)

    @field("ORDERS_READ", description="The refund that a platform knows by this number.")
    async def refund_by_external_ref(self, info: Info, ref: ExternalRefInput) -> Refund | None:
        return await by_external_ref(info, REFUNDS, ref)

    @field(
        "ORDERS_READ",
        description="What was sent, in all shops. A parcel's id on its platform is the carrier's "
        "number, which several orders can share.",
    )
    async def parcels(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: ParcelWhere | None = None,
    ) -> Connection[Parcel]:
        return await page(info, PARCELS, where, None, first, after)
