"""Customers: who they are, what they agreed to, and changes by staff."""

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from core.domain.customers.consent import set_consent
from core.domain.customers.customers import add_tags, remove_tags, update_customer
from core.domain.customers.masking import mask
from core.schema.context import CHILDREN, Info, field, mutation
from core.schema.errors import BAD_REQUEST, RequestError, UserError
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import JSON, Node, changes, global_id, need_id, read_id
from core.schema.where import DateTimeFilter, IdColumn, IdFilter, StringFilter, TextColumn
from core.sdk.errors import InvalidInput
from core.storage.database import Session

if TYPE_CHECKING:
    from core.schema.orders import Order

MAX_CHILDREN = 100


@strawberry.type(description="Contact data; masked for tokens without CUSTOMERS_CONTACT.")
class Contact:
    value: str
    redacted: bool


@strawberry.type(description="An id under which the customer is known.")
class CustomerIdentity:
    kind: str
    value: str
    scope: str = strawberry.field(description="Where the id is unique: shop or merchant.")
    shop_id: strawberry.ID | None


@strawberry.type
class CustomerTag:
    tag: str
    source: str
    created_at: datetime


@strawberry.enum
class ConsentStatus(Enum):
    GRANTED = "granted"
    DENIED = "denied"
    UNPROVEN = "unproven"


@strawberry.type(description="What the customer last said about messages on a channel.")
class Consent:
    channel: str
    purpose: str
    status: ConsentStatus
    at: datetime


@strawberry.type(description="A person who bought from the merchant, in whichever shops.")
class Customer(Node):
    row: strawberry.Private[Any]
    name: str | None
    province: str | None
    city: str | None
    created_at: datetime
    updated_at: datetime

    @strawberry.field
    def phone(self, info: Info) -> Contact | None:
        return contact(info, self.row, "phone")

    @strawberry.field
    def email(self, info: Info) -> Contact | None:
        return contact(info, self.row, "email")

    @strawberry.field
    async def tags(self, info: Info) -> list[CustomerTag]:
        return await info.context.load("customer.tags", self.row["id"], tags_of) or []

    @strawberry.field
    async def consents(self, info: Info) -> list[Consent]:
        return await info.context.load("customer.consents", self.row["id"], consents_of) or []

    @field("CUSTOMERS_READ", description="Platform ids; phone and email are fields of their own.")
    async def identities(self, info: Info) -> list[CustomerIdentity]:
        return await info.context.load("customer.identities", self.row["id"], identities_of) or []

    @field(
        "ORDERS_READ",
        description="The newest orders, 1 to 100; `orders(where: {customer: ...})` pages all.",
    )
    async def orders(
        self, info: Info, first: int = 10
    ) -> list[Annotated["Order", strawberry.lazy("core.schema.orders")]]:
        if not 1 <= first <= MAX_CHILDREN:
            raise RequestError(BAD_REQUEST, f"first must be from 1 to {MAX_CHILDREN}")
        batch = CHILDREN["orders_of_customers"](first)
        return await info.context.load(("customer.orders", first), self.row["id"], batch) or []


def contact(info: Info, row: Any, kind: str) -> Contact | None:
    """Phone or email of a customer's row, masked for who may not see it."""
    sealed = row[f"{kind}_sealed"]
    if sealed is None:
        return None
    context = info.context
    place = f"customers.{kind}|{row['merchant_id']}|{row['id']}"
    value = context.installation.db.keyring.open(sealed, place)
    if context.may("CUSTOMERS_CONTACT"):
        return Contact(value=value, redacted=False)
    return Contact(value=mask(value), redacted=True)


@strawberry.input
class CustomerWhere:
    id: strawberry.Maybe[IdFilter]
    name: strawberry.Maybe[StringFilter]
    province: strawberry.Maybe[StringFilter]
    city: strawberry.Maybe[StringFilter]
    tag: strawberry.Maybe[StringFilter]
    created_at: strawberry.Maybe[DateTimeFilter]
    updated_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["CustomerWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["CustomerWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["CustomerWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class CustomerSortField(Enum):
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"


@strawberry.input
class CustomerSort:
    field: CustomerSortField
    direction: SortDirection = SortDirection.ASC


@strawberry.input(description="Absent fields stay as they are, null clears.")
class CustomerUpdateInput:
    name: strawberry.Maybe[str | None]
    province: strawberry.Maybe[str | None]
    city: strawberry.Maybe[str | None]
    phone: strawberry.Maybe[str | None]
    email: strawberry.Maybe[str | None]


@strawberry.input
class CustomerTagsAddInput:
    tags: list[str]


@strawberry.input
class CustomerTagsRemoveInput:
    tags: list[str]


@strawberry.input
class CustomerConsentSetInput:
    channel: str
    status: ConsentStatus
    source: str = strawberry.field(description="Where the customer said so, for instance `phone`.")
    evidence: JSON | None = strawberry.field(default=None, description="An object.")
    purpose: str = "marketing"


@strawberry.type
class CustomerUpdatePayload:
    customer: Customer | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomerTagsAddPayload:
    customer: Customer | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomerTagsRemovePayload:
    customer: Customer | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomerConsentSetPayload:
    customer: Customer | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def customer_of(row: Any) -> Customer:
    return Customer(
        id=global_id("Customer", row["id"]),
        row=row,
        name=row["name"],
        province=row["province"],
        city=row["city"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


CUSTOMERS = Listing(
    "customers", "customers c", "c",
    {
        "id": IdColumn("Customer", "c.id"), "name": "c.name", "province": "c.province",
        "city": "c.city", "created_at": "c.created_at", "updated_at": "c.updated_at",
        "tag": TextColumn("t.tag", "EXISTS (SELECT 1 FROM customer_tags t WHERE t.merchant_id = "
                                   "c.merchant_id AND t.customer_id = c.id AND {})"),
    },
    {"created_at": "c.created_at", "updated_at": "c.updated_at"},
    customer_of,
)  # fmt: skip


async def customers_by_id(session: Session, pks: list[int]) -> dict[int, Customer]:
    rows = await session.sql.fetch(
        "SELECT * FROM customers WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: customer_of(row) for row in rows}


async def _children(session: Session, table: str, pks: list[int]) -> dict[int, list[Any]]:
    rows = await session.sql.fetch(
        f"SELECT * FROM {table} WHERE merchant_id = $1 AND customer_id = ANY($2) ORDER BY id",
        session.merchant_id, pks,
    )  # fmt: skip
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row["customer_id"], []).append(row)
    return found


async def tags_of(session: Session, pks: list[int]) -> dict[int, list[CustomerTag]]:
    return {
        pk: [
            CustomerTag(tag=r["tag"], source=r["source"], created_at=r["created_at"]) for r in rows
        ]
        for pk, rows in (await _children(session, "customer_tags", pks)).items()
    }


async def consents_of(session: Session, pks: list[int]) -> dict[int, list[Consent]]:
    return {
        pk: [
            Consent(
                channel=row["channel"],
                purpose=row["purpose"],
                status=ConsentStatus(row["status"]),
                at=row["at"],
            )
            for row in rows
        ]
        for pk, rows in (await _children(session, "consents", pks)).items()
    }


async def identities_of(session: Session, pks: list[int]) -> dict[int, list[CustomerIdentity]]:
    return {
        pk: [
            CustomerIdentity(
                kind=row["kind"],
                value=row["value"],
                scope=row["scope"],
                shop_id=global_id("Shop", row["scope_id"]) if row["scope"] == "shop" else None,
            )
            for row in rows
            # the identities of these kinds are blind indexes, which say nothing to anybody
            if row["kind"] not in ("phone", "email")
        ]
        for pk, rows in (await _children(session, "customer_identities", pks)).items()
    }


@strawberry.type
class CustomerQueries:
    @field("CUSTOMERS_READ")
    async def customers(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: CustomerWhere | None = None,
        sort: list[CustomerSort] | None = None,
    ) -> Connection[Customer]:
        return await page(info, CUSTOMERS, where, sort, first, after)

    @field("CUSTOMERS_READ")
    async def customer(self, info: Info, id: strawberry.ID) -> Customer | None:
        pk = read_id("Customer", id)
        return await info.context.load("customers", pk, customers_by_id) if pk else None

    @field("CUSTOMERS_READ", description="The customer with this platform id in a shop.")
    async def customer_by_external_ref(
        self, info: Info, shop_id: strawberry.ID, kind: str, value: str
    ) -> Customer | None:
        async with info.context.read() as session:
            row = await session.sql.fetchrow(
                """SELECT c.* FROM customer_identities i
                   JOIN customers c ON c.merchant_id = i.merchant_id AND c.id = i.customer_id
                   WHERE i.merchant_id = $1 AND i.scope = 'shop' AND i.scope_id = $2
                     AND i.kind = $3 AND i.value = $4""",
                session.merchant_id, read_id("Shop", shop_id), kind, value,
            )  # fmt: skip
        return customer_of(row) if row else None


@strawberry.type
class CustomerMutations:
    @mutation("CUSTOMERS_WRITE", CustomerUpdatePayload)
    async def customer_update(
        self, info: Info, id: strawberry.ID, input: CustomerUpdateInput
    ) -> CustomerUpdatePayload | None:
        pk = need_id("Customer", id)
        async with info.context.work() as w:
            await update_customer(w, pk, changes(input))
            return CustomerUpdatePayload(customer=(await customers_by_id(w, [pk]))[pk])

    @mutation("CUSTOMERS_WRITE", CustomerTagsAddPayload)
    async def customer_tags_add(
        self, info: Info, id: strawberry.ID, input: CustomerTagsAddInput
    ) -> CustomerTagsAddPayload | None:
        pk = need_id("Customer", id)
        async with info.context.work() as w:
            await add_tags(w, pk, input.tags, "staff")
            return CustomerTagsAddPayload(customer=(await customers_by_id(w, [pk]))[pk])

    @mutation("CUSTOMERS_WRITE", CustomerTagsRemovePayload)
    async def customer_tags_remove(
        self, info: Info, id: strawberry.ID, input: CustomerTagsRemoveInput
    ) -> CustomerTagsRemovePayload | None:
        pk = need_id("Customer", id)
        async with info.context.work() as w:
            await remove_tags(w, pk, input.tags)
            return CustomerTagsRemovePayload(customer=(await customers_by_id(w, [pk]))[pk])

    @mutation("CUSTOMERS_WRITE", CustomerConsentSetPayload)
    async def customer_consent_set(
        self, info: Info, id: strawberry.ID, input: CustomerConsentSetInput
    ) -> CustomerConsentSetPayload | None:
        pk = need_id("Customer", id)
        evidence: Any = input.evidence
        if not isinstance(evidence, dict | None):
            raise InvalidInput("evidence is an object", ("input", "evidence"))
        async with info.context.work() as w:
            await set_consent(
                w, pk, input.channel, input.purpose, input.status.value, input.source, evidence
            )
            return CustomerConsentSetPayload(customer=(await customers_by_id(w, [pk]))[pk])
