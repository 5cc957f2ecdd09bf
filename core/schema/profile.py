"""What a customer's page shows beside the master data: custom fields, notes and the timeline.

These are fields of the type Customer, which takes them over from `CustomerProfile`.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import Enum
from typing import Any

import orjson
import strawberry

from core.domain.customers.field_values import read_fields
from core.domain.customers.timeline import Entry, Wanted, count_timeline, read_timeline
from core.schema.context import CHILDREN, Info, field
from core.schema.costs import costs
from core.schema.errors import BAD_REQUEST, RequestError
from core.schema.pages import (
    MAX_COUNT,
    MAX_PAGE,
    After,
    Connection,
    Count,
    CountPrecision,
    Edge,
    First,
    Listing,
    PageInfo,
    make_cursor,
    page,
    read_cursor,
)
from core.schema.scalars import JSON, Node, global_id
from core.storage.database import Session

MAX_KINDS = 100


@strawberry.enum
class CustomFieldType(Enum):
    TEXT = "text"
    INT = "int"
    DECIMAL = "decimal"
    BOOL = "bool"
    DATE = "date"
    DATETIME = "datetime"
    CHOICE = "choice"


@strawberry.type(description="A field of customers that the merchant or a plugin defined.")
class CustomField(Node):
    name: str = strawberry.field(description="How it is called: `custom.size`.")
    namespace: str = strawberry.field(description="`custom`, or the plugin that owns the field.")
    key: str
    title: str
    type: CustomFieldType
    choices: list[str] = strawberry.field(description="The values of a choice.")
    version: int
    created_at: datetime


def custom_field_of(row: Any) -> CustomField:
    return CustomField(
        id=global_id("CustomField", row["id"]),
        name=f"{row['namespace']}.{row['key']}",
        namespace=row["namespace"],
        key=row["key"],
        title=row["title"],
        type=CustomFieldType(row["type"]),
        choices=orjson.loads(row["choices"]),
        version=row["version"],
        created_at=row["created_at"],
    )


async def custom_fields_by_id(session: Session, pks: list[int]) -> dict[int, CustomField]:
    rows = await session.sql.fetch(
        "SELECT * FROM custom_fields WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: custom_field_of(row) for row in rows}


@strawberry.type(description="A customer's value of a custom field.")
class CustomerFieldValue:
    field_pk: strawberry.Private[int]
    name: str = strawberry.field(description="The field, as in `custom.size`.")
    value: JSON = strawberry.field(
        description="Text, true or false, a whole number; a decimal, date or time as text."
    )
    version: int = strawberry.field(description="For `ifVersion` of `customerFieldsSet`.")
    source: str
    updated_at: datetime

    @field("CUSTOMERS_READ", description="What field it is: its title, type and choices.")
    def definition(self, info: Info) -> CustomField | None:
        return info.context.child("custom_fields", self.field_pk, custom_fields_by_id)


async def field_values_of(session: Session, pks: list[int]) -> dict[int, list[CustomerFieldValue]]:
    found = await read_fields(session, pks)
    return {
        pk: [
            CustomerFieldValue(
                field_pk=one.field_id,
                name=one.name,
                value=JSON(one.value),
                version=one.version,
                source=one.source,
                updated_at=one.updated_at,
            )
            for one in values.values()
        ]
        for pk, values in found.items()
    }


@strawberry.type(description="What staff wrote down about a customer.")
class CustomerNote(Node):
    text: str
    author: str = strawberry.field(description="Who wrote it: `token:12` is the token's number.")
    version: int
    created_at: datetime
    updated_at: datetime


def note_of(row: Any) -> CustomerNote:
    return CustomerNote(
        id=global_id("CustomerNote", row["id"]),
        text=row["text"],
        author=row["author"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


NOTES = Listing("notes", "customer_notes n", "n", {}, {}, note_of)


async def notes_by_id(session: Session, pks: list[int]) -> dict[int, CustomerNote]:
    rows = await session.sql.fetch(
        "SELECT * FROM customer_notes WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: note_of(row) for row in rows}


@strawberry.type(description="Something that happened to a customer.")
class TimelineEntry:
    entry: strawberry.Private[Entry]
    at: datetime
    kind: str = strawberry.field(description="For programs: `order.paid`, `tag_added`.")
    title: str = strawberry.field(description="For people, plain text.")
    data: JSON = strawberry.field(description="An object; what it has depends on the kind.")

    @field("CUSTOMERS_READ", description="What it is about, if that is still there.")
    async def node(self, info: Info) -> Node | None:
        entry = self.entry
        if entry.object_type is None or entry.object_id is None:
            return None
        find: Callable[..., Awaitable[Node | None]] = CHILDREN["node"]
        return await find(info, global_id(entry.object_type, entry.object_id))


def entry_of(entry: Entry) -> TimelineEntry:
    return TimelineEntry(
        entry=entry, at=entry.at, kind=entry.kind, title=entry.title, data=JSON(entry.data)
    )


@strawberry.type(description="A page of a customer's timeline.")
class TimelineConnection:
    nodes: list[TimelineEntry]
    page_info: PageInfo
    cursors: strawberry.Private[list[str]]
    wanted: strawberry.Private[Wanted]

    @strawberry.field
    def edges(self) -> list[Edge[TimelineEntry]]:
        return [Edge(cursor=c, node=n) for c, n in zip(self.cursors, self.nodes, strict=True)]

    @costs(10)
    @strawberry.field
    async def count(self, info: Info, limit: int = 10_000) -> Count:
        if not 1 <= limit <= MAX_COUNT:
            raise RequestError(BAD_REQUEST, f"limit must be from 1 to {MAX_COUNT}")
        context = info.context
        async with context.read() as session:
            found = await count_timeline(
                session, context.installation.registry, context.may, self.wanted, limit + 1
            )
        exact = found <= limit
        return Count(
            value=min(found, limit),
            precision=CountPrecision.EXACT if exact else CountPrecision.AT_LEAST,
        )


async def timeline_page(
    info: Info, wanted: Wanted, first: int, after: str | None
) -> TimelineConnection:
    """One page of a customer's timeline, of what the caller may see."""
    if not 1 <= first <= MAX_PAGE:
        raise RequestError(BAD_REQUEST, f"first must be from 1 to {MAX_PAGE}")
    if len(wanted.kinds or ()) > MAX_KINDS:
        raise RequestError(BAD_REQUEST, f"at most {MAX_KINDS} kinds at once")
    for at in (wanted.since, wanted.until):
        if at is not None and at.tzinfo is None:
            raise RequestError(BAD_REQUEST, "a time needs its offset: 2026-06-15T12:00:00+08:00")
    digest = hashlib.sha256(repr(("timeline", wanted)).encode()).hexdigest()[:16]
    place = None
    if after is not None:
        at, source, key = read_cursor(after, digest, 3)
        if not (isinstance(at, datetime) and isinstance(source, str) and isinstance(key, int)):
            raise RequestError(BAD_REQUEST, "after is not a cursor")
        place = (at, source, key)
    context = info.context
    async with context.read() as session:
        entries = await read_timeline(
            session, context.installation.registry, context.may, wanted, first + 1, place
        )
    more, entries = len(entries) > first, entries[:first]
    cursors = [make_cursor(digest, [one.at, one.source, one.key]) for one in entries]
    return TimelineConnection(
        nodes=[entry_of(one) for one in entries],
        cursors=cursors,
        wanted=wanted,
        page_info=PageInfo(
            has_next_page=more,
            has_previous_page=after is not None,
            cursors=cursors,
        ),
    )


@strawberry.type
class CustomerProfile:
    row: strawberry.Private[Any]

    @field("CUSTOMERS_READ", description="Values of custom fields, of all namespaces or of one.")
    async def fields(self, info: Info, namespace: str | None = None) -> list[CustomerFieldValue]:
        found = await info.context.load("customer.fields", self.row["id"], field_values_of)
        return [
            one for one in found or []
            if namespace is None or one.name.startswith(f"{namespace}.")
        ]  # fmt: skip

    @field("CUSTOMERS_READ", description="The newest first.")
    async def notes(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[CustomerNote]:
        scope = ("n.customer_id", self.row["id"])
        return await page(info, NOTES, None, None, first, after, scope)

    @field(
        "CUSTOMERS_READ",
        description="What happened, the newest first: orders and parcels with ORDERS_READ, "
        "messages with CAMPAIGNS_READ, and consent, tags, notes and changes.",
    )
    async def timeline(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        kinds: list[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> TimelineConnection:
        wanted = Wanted(self.row["id"], kinds, since, until)
        return await timeline_page(info, wanted, first, after)
