"""Tags: all those of a merchant, and changing them on many customers at once."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from core.domain.customers.tags import (
    MAX_CUSTOMERS,
    Retagged,
    check_tags,
    delete_tag,
    missing_customers,
    rename_tag,
    tag_customers,
    untag_customers,
)
from core.domain.segments.tagging import start_tagging
from core.schema.batches import OnError, error_policy
from core.schema.context import Info, field, mutation
from core.schema.errors import UserError, user_errors
from core.schema.jobs import Job, jobs_by_id
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import read_id, sought_id
from core.schema.where import DateTimeFilter, IntFilter, StringFilter
from core.sdk.errors import Faults, Several
from core.storage.database import Session, Work


@strawberry.type(description="A tag that customers of the merchant have.")
class Tag:
    name: str
    customers: int = strawberry.field(description="How many have it.")
    last_added_at: datetime


def tag_of(row: Any) -> Tag:
    return Tag(name=row["id"], customers=row["customers"], last_added_at=row["last_added_at"])


@strawberry.input
class TagWhere:
    name: strawberry.Maybe[StringFilter]
    customers: strawberry.Maybe[IntFilter]
    last_added_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["TagWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["TagWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["TagWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class TagSortField(Enum):
    NAME = "name"
    CUSTOMERS = "customers"


@strawberry.input
class TagSort:
    field: TagSortField
    direction: SortDirection = SortDirection.ASC


TAGS = Listing(
    "tags",
    """(SELECT merchant_id, tag AS id, count(*) AS customers, max(created_at) AS last_added_at
        FROM customer_tags WHERE merchant_id = $1 GROUP BY merchant_id, tag) t""",
    "t",
    {"name": "t.id", "customers": "t.customers", "last_added_at": "t.last_added_at"},
    {"name": "t.id", "customers": "t.customers"},
    tag_of,
)


@strawberry.input(description="Either `ids`, up to 500 customers, or `segmentId`.")
class CustomersTagsAddInput:
    tags: list[str]
    ids: list[strawberry.ID] | None = None
    segment_id: strawberry.ID | None = strawberry.field(
        default=None, description="All of this segment, by a job; needs SEGMENTS_READ."
    )
    on_error: OnError = error_policy()


@strawberry.input(description="Either `ids`, up to 500 customers, or `segmentId`.")
class CustomersTagsRemoveInput:
    tags: list[str]
    ids: list[strawberry.ID] | None = None
    segment_id: strawberry.ID | None = strawberry.field(
        default=None, description="All of this segment, by a job; needs SEGMENTS_READ."
    )
    on_error: OnError = error_policy()


@strawberry.input
class TagRenameInput:
    to: str


@strawberry.type
class CustomersTagsAddPayload:
    changed: int | None = strawberry.field(
        default=None, description="How many customers got a tag that they had not."
    )
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class CustomersTagsRemovePayload:
    changed: int | None = strawberry.field(
        default=None, description="How many customers lost a tag."
    )
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class TagRenamePayload:
    customers: int | None = strawberry.field(default=None, description="How many have the tag.")
    job: Job | None = strawberry.field(
        default=None, description="Does the work, if they are very many."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class TagDeletePayload:
    customers: int | None = strawberry.field(default=None, description="How many had the tag.")
    job: Job | None = strawberry.field(
        default=None, description="Does the work, if they are very many."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


async def change_tags(
    info: Info,
    input: CustomersTagsAddInput | CustomersTagsRemoveInput,
    change: Callable[[Work, Sequence[int]], Awaitable[int]],
    add: bool,
) -> tuple[int | None, Job | None, list[UserError]]:
    """Change customers now, or begin the job for a segment; returns what to show."""
    if input.segment_id is not None:
        info.context.need("SEGMENTS_READ")
    faults = Faults()
    with faults:
        check_tags(input.tags)
    if (input.ids is None) == (input.segment_id is None):
        faults.wrong("give either ids or segmentId", "ids")
        faults.tell()
    async with info.context.work() as w:
        if input.segment_id is not None:
            with faults:
                segment_id = sought_id("Segment", input.segment_id)
                job_id = await start_tagging(w, segment_id, input.tags, add)
            faults.tell()
            return None, await job_of_id(w, job_id), []
        with faults:
            known, errors = await known_customers(w, input.ids or [], input.on_error)
        faults.tell()
        return await change(w, known), None, errors


async def known_customers(
    w: Work, ids: Sequence[strawberry.ID], on_error: OnError, most: int = MAX_CUSTOMERS
) -> tuple[list[int], list[UserError]]:
    """The numbers of those ids that are customers', and the errors of the others.

    Raises InvalidInput for none or too many, and Several where one wrong id ends it all.
    """
    pks = [read_id("Customer", one) for one in ids]
    missing = await missing_customers(w, pks, most)
    faults = Several(list(missing.values()))
    if missing and on_error is OnError.ABORT:
        raise faults
    known = [pk for place, pk in enumerate(pks) if pk is not None and place not in missing]
    return known, user_errors(faults)


async def job_of_id(session: Session, job_id: int | None) -> Job | None:
    return (await jobs_by_id(session, [job_id]))[job_id] if job_id else None


@strawberry.type
class TagQueries:
    @field("CUSTOMERS_READ", description="The tags that there are, by name if not sorted.")
    async def tags(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: TagWhere | None = None,
        sort: list[TagSort] | None = None,
    ) -> Connection[Tag]:
        by_name = [TagSort(field=TagSortField.NAME)]
        return await page(info, TAGS, where, sort or by_name, first, after)


@strawberry.type
class TagMutations:
    @mutation("CUSTOMERS_WRITE", CustomersTagsAddPayload)
    async def customers_tags_add(
        self, info: Info, input: CustomersTagsAddInput
    ) -> CustomersTagsAddPayload | None:
        changed, job, errors = await change_tags(
            info, input, lambda w, pks: tag_customers(w, pks, input.tags, "staff"), add=True
        )
        return CustomersTagsAddPayload(changed=changed, job=job, errors=errors)

    @mutation("CUSTOMERS_WRITE", CustomersTagsRemovePayload)
    async def customers_tags_remove(
        self, info: Info, input: CustomersTagsRemoveInput
    ) -> CustomersTagsRemovePayload | None:
        changed, job, errors = await change_tags(
            info, input, lambda w, pks: untag_customers(w, pks, input.tags), add=False
        )
        return CustomersTagsRemovePayload(changed=changed, job=job, errors=errors)

    @mutation(
        "FIELDS_WRITE",
        TagRenamePayload,
        description="Rename a tag; who has the new one already keeps one. Rules that ask for the "
        "old name are not changed.",
    )
    async def tag_rename(
        self, info: Info, name: str, input: TagRenameInput
    ) -> TagRenamePayload | None:
        async with info.context.work() as w:
            done: Retagged = await rename_tag(w, name, input.to)
            return TagRenamePayload(customers=done.count, job=await job_of_id(w, done.job_id))

    @mutation("FIELDS_WRITE", TagDeletePayload, description="Take a tag off all who have it.")
    async def tag_delete(self, info: Info, name: str) -> TagDeletePayload | None:
        async with info.context.work() as w:
            done = await delete_tag(w, name)
            return TagDeletePayload(customers=done.count, job=await job_of_id(w, done.job_id))
