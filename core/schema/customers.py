"""Customers: who they are, what they agreed to, and changes by staff."""

from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from core.domain.customers.consent import set_consent
from core.domain.customers.customers import (
    FreeUpdates,
    Update,
    add_tags,
    merged_into,
    remove_tags,
    update_customer,
)
from core.domain.customers.fields import INDEXED
from core.domain.customers.masking import EMAIL, NAME, PHONE, Kind
from core.schema.consents import (
    CONSENT_EVENTS,
    Consent,
    ConsentEvent,
    ConsentStatus,
    consents_of,
)
from core.schema.context import CHILDREN, Info, field, mutation
from core.schema.customer_standing import CustomerStanding
from core.schema.errors import BAD_REQUEST, RequestError, UserError
from core.schema.executor.later import ByKey
from core.schema.external_refs import (
    CustomerIdentityFilter,
    ExternalRefFilter,
    ExternalRefInput,
    by_identity,
    of_identity,
)
from core.schema.masking import Contact, contact_column, shown
from core.schema.members import CustomerMembership
from core.schema.merge_history import CustomerMerge, merges_of_customer
from core.schema.pages import (
    After,
    Connection,
    First,
    Listing,
    SortDirection,
    by_external_ref,
    page,
)
from core.schema.profile import CustomerProfile
from core.schema.rows import Columns, column, columns_sql, own_id, reads, selected
from core.schema.scalars import (
    JSON,
    Node,
    PhoneNumber,
    changes,
    global_id,
    need_id,
    read_id,
    sought,
    version_seen,
)
from core.schema.where import (
    Args,
    DateFilter,
    DateTimeFilter,
    DecimalFilter,
    IdColumn,
    IdFilter,
    IntFilter,
    OwnColumn,
    StringFilter,
    TextColumn,
    conditions_sql,
)
from core.sdk.events import ConsentGranted, ConsentWithdrawn
from core.sdk.identities import CONTACT_KINDS
from core.storage.database import Session

if TYPE_CHECKING:
    from core.schema.campaign_journeys import Enrolment
    from core.schema.facts import CustomerFacts
    from core.schema.orders import Order
    from core.schema.reviews import Review
    from core.schema.segment_members import SegmentMembership
    from core.schema.segment_why import CustomerInSegment

MAX_CHILDREN = 100


@strawberry.type(description="An id under which the customer is known.")
class CustomerIdentity(Node):
    kind: str
    value: str
    scope: str = strawberry.field(
        description="Where the id is unique: shop, app, merchant or global."
    )
    shop_id: strawberry.ID | None
    source: str
    created_at: datetime


@strawberry.type
class CustomerTag:
    tag: str
    source: str
    created_at: datetime


def hides_names(info: Info) -> bool:
    return not info.context.may(NAME.permission)


@strawberry.type(description="A person who bought from the merchant, in whichever shops.")
class Customer(Node, CustomerProfile, CustomerStanding, CustomerMembership):
    row: strawberry.Private[Any]
    id: strawberry.ID = own_id("Customer")
    birthday: date | None = column("birthday")
    country: str | None = column("country", description="ISO 3166-1, two letters.")
    province: str | None = column("province")
    city: str | None = column("city")
    version: int = column("version")
    created_at: datetime = column("created_at")
    updated_at: datetime = column("updated_at")

    name: str | None = contact_column(
        "name", NAME, description="Masked for tokens without PII_NAME, as 张**."
    )
    name_redacted: bool = strawberry.field(
        resolver=hides_names,
        metadata={"columns": ()},
        description="Whether this token gets names masked.",
    )

    @reads("phone_sealed")
    def phone(self, info: Info) -> Contact | None:
        return contact(info, self.row, PHONE)

    @reads("email_sealed")
    def email(self, info: Info) -> Contact | None:
        return contact(info, self.row, EMAIL)

    @reads(pk="id")
    def tags(self, info: Info) -> list[CustomerTag]:
        return info.context.children("customer.tags", self.row["id"], tags_of)

    @field(
        "CUSTOMERS_READ",
        columns=(),
        pk="id",
        description="The state for all shops and for single ones; with a shop, what is in effect "
        "there: the later of the words for the shop and for all shops.",
    )
    def consents(
        self, info: Info, shop_id: strawberry.ID | None = None, channel: str | None = None
    ) -> list[Consent]:
        batch = consents_of(shop_id, channel)
        key = ("customer.consents", shop_id, channel)
        return info.context.children(key, self.row["id"], batch)

    @field("CUSTOMERS_READ", columns=(), description="Every word of the customer, the last first.")
    async def consent_history(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[ConsentEvent]:
        scope = ("e.customer_id", self.row["id"])
        return await page(info, CONSENT_EVENTS, None, None, first, after, scope)

    @field(
        "CUSTOMERS_READ",
        columns=(),
        pk="id",
        description="Platform ids; phone and email are fields of their own.",
    )
    def identities(self, info: Info) -> list[CustomerIdentity]:
        return info.context.children("customer.identities", self.row["id"], identities_of)

    @field(
        "CUSTOMERS_READ",
        columns=(),
        description="Merges this customer had a part in, the last first.",
    )
    async def merges(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[CustomerMerge]:
        return await merges_of_customer(info, self.row["id"], first, after)

    @field(
        "ORDERS_READ",
        columns=(),
        pk="id",
        description="The newest orders, 1 to 100; `orders(where: {customer: ...})` pages all.",
    )
    def orders(
        self, info: Info, first: int = 10
    ) -> list[Annotated["Order", strawberry.lazy("core.schema.orders")]]:
        if not 1 <= first <= MAX_CHILDREN:
            raise RequestError(BAD_REQUEST, f"first must be from 1 to {MAX_CHILDREN}")
        columns = selected(info, "Order")
        batch = CHILDREN["orders_of_customers"](first, columns)
        found: list[Order] = info.context.children(
            ("customer.orders", first, columns), self.row["id"], batch
        )
        return found

    @field("ORDERS_READ", columns=(), pk="id", description="The newest reviews, 1 to 100.")
    def reviews(
        self, info: Info, first: int = 10
    ) -> list[Annotated["Review", strawberry.lazy("core.schema.reviews")]]:
        if not 1 <= first <= MAX_CHILDREN:
            raise RequestError(BAD_REQUEST, f"first must be from 1 to {MAX_CHILDREN}")
        batch = CHILDREN["reviews_of_customers"](first)
        return info.context.children(("customer.reviews", first), self.row["id"], batch)

    @field(
        "CAMPAIGNS_READ",
        columns=(),
        pk="id",
        description="The newest ways through journeys, 1 to 100.",
    )
    def journeys(
        self, info: Info, first: int = 10
    ) -> list[Annotated["Enrolment", strawberry.lazy("core.schema.campaign_journeys")]]:
        if not 1 <= first <= MAX_CHILDREN:
            raise RequestError(BAD_REQUEST, f"first must be from 1 to {MAX_CHILDREN}")
        batch = CHILDREN["journeys_of_customers"](first)
        found: list[Enrolment] = info.context.children(
            ("customer.journeys", first), self.row["id"], batch
        )
        return found

    @field(
        "SEGMENTS_READ",
        columns=(),
        pk="id",
        description="The segments that the customer is in now.",
    )
    def segments(
        self, info: Info
    ) -> list[Annotated["SegmentMembership", strawberry.lazy("core.schema.segment_members")]]:
        batch = CHILDREN["segments_of_customers"]
        found: list[SegmentMembership] = info.context.children(
            "customer.segments", self.row["id"], batch
        )
        return found

    @field(
        "ORDERS_READ",
        columns=(),
        pk="id",
        description="What the orders add up to, for each currency over all shops, or per shop.",
    )
    def facts(
        self, info: Info, per_shop: bool = False
    ) -> list[Annotated["CustomerFacts", strawberry.lazy("core.schema.facts")]]:
        batch = CHILDREN["facts_of_customers"](per_shop)
        found: list[CustomerFacts] = info.context.children(
            ("customer.facts", per_shop), self.row["id"], batch
        )
        return found

    @field(
        "SEGMENTS_READ", columns=(), description="Whether the customer is in a segment, and why."
    )
    async def in_segment(
        self, info: Info, id: strawberry.ID
    ) -> Annotated["CustomerInSegment", strawberry.lazy("core.schema.segment_why")] | None:
        found: CustomerInSegment | None = await CHILDREN["customer_in_segment"](
            info, self.row["id"], id
        )
        return found


def contact(info: Info, row: Any, kind: Kind) -> Contact | None:
    """Phone or email of a customer's row, masked for who may not see it."""
    sealed = row[f"{kind.name}_sealed"]
    if sealed is None:
        return None
    place = f"customers.{kind.name}|{row['merchant_id']}|{row['id']}"
    value = info.context.installation.db.keyring.open(sealed, place)
    return shown(info.context, kind, value, row["id"])


@strawberry.input(description="Conditions on one custom field, of which all must hold.")
class CustomFieldFilter:
    name: str = strawberry.field(description="As in `custom.size`.")
    text: strawberry.Maybe[StringFilter] = strawberry.field(
        default=None, description="Of a text or choice."
    )
    number: strawberry.Maybe[DecimalFilter]
    is_true: strawberry.Maybe[bool]
    date: strawberry.Maybe[DateFilter]
    date_time: strawberry.Maybe[DateTimeFilter]
    is_null: strawberry.Maybe[bool] = strawberry.field(
        default=None, description="True: no value, and nothing else may be asked."
    )


def custom_field_sql(given: CustomFieldFilter, args: Args) -> str:
    """A condition on customers `c` about one of their custom fields."""
    namespace, _, key = given.name.partition(".")
    conditions = [
        "v.merchant_id = c.merchant_id", "v.customer_id = c.id",
        f"""v.field_id = (SELECT f.id FROM custom_fields f WHERE f.merchant_id = $1
            AND f.namespace = {args.add(namespace)} AND f.key = {args.add(key)})""",
    ]  # fmt: skip
    columns = {
        "text": "v.text", "number": "v.number", "date": "(v.moment AT TIME ZONE 'UTC')::date",
        "date_time": "v.moment",
    }  # fmt: skip
    for name, sql in columns.items():
        maybe = getattr(given, name)
        if maybe is not None:
            conditions.append(f"({conditions_sql(sql, sql, maybe.value, args)})")
    if given.text is not None and given.text.value.eq is not None:
        # the index of values holds the heads of texts
        head = args.add(given.text.value.eq.value[:INDEXED])
        conditions.append(f"left(v.text, {INDEXED}) = {head}")
    if given.is_true is not None:
        conditions.append(f"v.text = {args.add('true' if given.is_true.value else 'false')}")
    found = f"EXISTS (SELECT 1 FROM custom_field_values v WHERE {' AND '.join(conditions)})"
    return f"NOT {found}" if given.is_null is not None and given.is_null.value else found


@strawberry.input
class CustomerWhere:
    id: strawberry.Maybe[IdFilter]
    name: strawberry.Maybe[StringFilter]
    birthday: strawberry.Maybe[DateFilter]
    country: strawberry.Maybe[StringFilter]
    province: strawberry.Maybe[StringFilter]
    city: strawberry.Maybe[StringFilter]
    tag: strawberry.Maybe[StringFilter]
    external_ref: strawberry.Maybe[ExternalRefFilter]
    identity: strawberry.Maybe[CustomerIdentityFilter]
    field: strawberry.Maybe[CustomFieldFilter] = strawberry.field(
        default=None, description="The value of a custom field."
    )
    created_at: strawberry.Maybe[DateTimeFilter]
    updated_at: strawberry.Maybe[DateTimeFilter]
    last_purchase_at: strawberry.Maybe[DateTimeFilter]
    purchases: strawberry.Maybe[IntFilter] = strawberry.field(
        default=None, description="How many purchases in any one currency, over all shops."
    )
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
    birthday: strawberry.Maybe[date | None]
    country: strawberry.Maybe[str | None]
    province: strawberry.Maybe[str | None]
    city: strawberry.Maybe[str | None]
    phone: strawberry.Maybe[PhoneNumber | None]
    email: strawberry.Maybe[str | None]
    if_version: int | None = version_seen()


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
    shop_id: strawberry.ID | None = strawberry.field(
        default=None, description="The shop that it is about; absent for all shops."
    )
    text: str | None = strawberry.field(default=None, description="What was agreed to.")
    text_version: str | None = None


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
    return Customer(row=row)


WITH_FACTS = (
    "EXISTS (SELECT 1 FROM customer_facts f WHERE f.merchant_id = c.merchant_id "
    "AND f.customer_id = c.id AND f.shop_id = 0 AND {})"
)
CUSTOMERS = Listing(
    "customers", "customers c", "c",
    {
        "id": IdColumn("Customer", "c.id"), "name": TextColumn("c.name", needs=NAME.permission),
        "province": "c.province", "city": "c.city", "created_at": "c.created_at",
        "updated_at": "c.updated_at",
        "tag": TextColumn("t.tag", "EXISTS (SELECT 1 FROM customer_tags t WHERE t.merchant_id = "
                                   "c.merchant_id AND t.customer_id = c.id AND {})"),
        "last_purchase_at": TextColumn("f.last_purchase_at", WITH_FACTS),
        "purchases": TextColumn("f.purchases", WITH_FACTS),
        "birthday": "c.birthday", "country": "c.country", "field": OwnColumn(custom_field_sql),
        "external_ref": by_identity("c"), "identity": of_identity("c"),
    },
    {"created_at": "c.created_at", "updated_at": "c.updated_at"},
    customer_of,
    of=Customer,
)  # fmt: skip


async def customers_by_id(
    session: Session, pks: list[int], columns: Columns = None
) -> dict[int, Customer]:
    """Customers by their ids; one that was merged is the customer that it became."""
    found = await _customers(session, pks, columns)
    missing = [pk for pk in pks if pk not in found]
    if missing:
        became = await merged_into(session, missing)
        holders = await _customers(session, list(set(became.values())), columns)
        found |= {pk: holders[into] for pk, into in became.items() if into in holders}
    return found


async def _customers(session: Session, pks: list[int], columns: Columns) -> dict[int, Customer]:
    rows = await session.sql.fetch(
        f"SELECT {columns_sql('c', columns)} FROM customers c "
        "WHERE c.merchant_id = $1 AND c.id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: customer_of(row) for row in rows}


def customer_by_id(info: Info, pk: int) -> Customer | None:
    """The promise of a customer, for a resolver to return."""
    columns = selected(info, "Customer")
    return info.context.child(("customers", columns), pk, ByKey(customers_by_id, columns))


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


async def identities_of(session: Session, pks: list[int]) -> dict[int, list[CustomerIdentity]]:
    return {
        # the identities of the other kinds are blind indexes, which say nothing to anybody
        pk: [identity_of(row) for row in rows if row["kind"] not in CONTACT_KINDS]
        for pk, rows in (await _children(session, "customer_identities", pks)).items()
    }


async def identities_by_id(session: Session, pks: list[int]) -> dict[int, CustomerIdentity]:
    rows = await session.sql.fetch(
        """SELECT * FROM customer_identities
           WHERE merchant_id = $1 AND id = ANY($2) AND kind <> ALL($3::text[])""",
        session.merchant_id, pks, CONTACT_KINDS,
    )  # fmt: skip
    return {row["id"]: identity_of(row) for row in rows}


def identity_of(row: Any) -> CustomerIdentity:
    return CustomerIdentity(
        id=global_id("CustomerIdentity", row["id"]),
        kind=row["kind"],
        value=row["value"],
        scope=row["scope"],
        shop_id=global_id("Shop", row["scope_id"]) if row["scope"] == "shop" else None,
        source=row["source"],
        created_at=row["created_at"],
    )


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
    def customer(self, info: Info, id: strawberry.ID) -> Customer | None:
        pk = read_id("Customer", id)
        return customer_by_id(info, pk) if pk else None

    @field("CUSTOMERS_READ", description="The customer whom a platform knows by this id.")
    async def customer_by_external_ref(self, info: Info, ref: ExternalRefInput) -> Customer | None:
        return await by_external_ref(info, CUSTOMERS, ref)


@strawberry.type
class CustomerMutations:
    @mutation("CUSTOMERS_WRITE", CustomerUpdatePayload)
    async def customer_update(
        self, info: Info, id: strawberry.ID, input: CustomerUpdateInput
    ) -> CustomerUpdatePayload | None:
        given = Update(need_id("Customer", id), changes(input), input.if_version)
        row = None
        if not given.contacts:
            do = FreeUpdates(tuple(sorted(given.changes)))
            row = await info.context.at_once(do, given)
        if row is None:
            async with info.context.work() as w:
                row = await update_customer(w, given.customer_id, given.changes, given.if_version)
        return CustomerUpdatePayload(customer=customer_of(row))

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

    @mutation(
        "CUSTOMERS_WRITE", CustomerConsentSetPayload, emits=(ConsentGranted, ConsentWithdrawn)
    )
    async def customer_consent_set(
        self, info: Info, id: strawberry.ID, input: CustomerConsentSetInput
    ) -> CustomerConsentSetPayload | None:
        pk = need_id("Customer", id)
        evidence: Any = input.evidence
        shop = sought("Shop", input.shop_id) or 0
        async with info.context.work() as w:
            await set_consent(
                w, pk, input.channel, input.purpose, input.status.value, input.source, evidence,
                shop_id=shop, text=input.text, text_version=input.text_version,
            )  # fmt: skip
            return CustomerConsentSetPayload(customer=(await customers_by_id(w, [pk]))[pk])
