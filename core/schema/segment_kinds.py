"""Segments beside a rule of one's own: copies, snapshots and lists, and asking anew."""

from collections.abc import AsyncIterator

import strawberry
from strawberry.file_uploads import Upload

from core.domain.customers.masking import EMAIL, PHONE
from core.domain.segments.list_import import Options, start_list_import
from core.domain.segments.lists import MAX_CUSTOMERS, add_to_list, remove_from_list
from core.domain.segments.refresh import refresh_soon
from core.domain.segments.rules import stored_rule
from core.domain.segments.segments import copy_segment, create_kept_segment, get_segment
from core.domain.segments.snapshot import start_snapshot
from core.domain.segments.tree import EVERYBODY
from core.schema.batches import OnError, error_policy
from core.schema.context import Info, mutation
from core.schema.customer_imports import COLUMNS, FILE, SHOP
from core.schema.errors import UserError
from core.schema.jobs import Job, jobs_by_id
from core.schema.order_intake import ColumnInput
from core.schema.scalars import SegmentRule, need_id, sought, sought_id
from core.schema.segments import Segment, segments_by_id
from core.schema.tags import known_customers
from core.schema.uploads import file_name, start_once
from core.sdk.errors import Faults, WrongState
from core.sdk.events import SegmentEntered, SegmentLeft
from core.storage.database import Session, Work


@strawberry.input
class SegmentCopyInput:
    name: str


@strawberry.type
class SegmentCopyPayload:
    segment: Segment | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SegmentRefreshPayload:
    segment: Segment | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input(description="Either `segmentId` or `rule`.")
class SegmentSnapshotInput:
    name: str
    description: str = ""
    segment_id: strawberry.ID | None = strawberry.field(
        default=None, description="Whoever is in this segment now."
    )
    rule: SegmentRule | None = strawberry.field(
        default=None, description="Whoever matches this rule now."
    )


@strawberry.type
class SegmentSnapshotPayload:
    segment: Segment | None = None
    job: Job | None = strawberry.field(
        default=None, description="Writes the members down; `jobProgress` follows it."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input
class SegmentListCreateInput:
    name: str
    description: str = ""


@strawberry.type
class SegmentListCreatePayload:
    segment: Segment | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input
class SegmentListAddInput:
    ids: list[strawberry.ID] = strawberry.field(description="1 to 1,000 customers.")
    on_error: OnError = error_policy()


@strawberry.input
class SegmentListRemoveInput:
    ids: list[strawberry.ID] = strawberry.field(description="1 to 1,000 customers.")
    on_error: OnError = error_policy()


@strawberry.type
class SegmentListAddPayload:
    changed: int | None = strawberry.field(
        default=None, description="How many were not on the list."
    )
    segment: Segment | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SegmentListRemovePayload:
    changed: int | None = strawberry.field(default=None, description="How many were on the list.")
    segment: Segment | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.input
class SegmentListImportStartInput:
    file: Upload = strawberry.field(description=FILE)
    idempotency_key: str
    columns: list[ColumnInput] = strawberry.field(default_factory=list, description=COLUMNS)
    shop_id: strawberry.ID | None = strawberry.field(default=None, description=SHOP)
    dry_run: bool = strawberry.field(
        default=False, description="Nobody is put on the list; the job tells what would be."
    )


@strawberry.type
class SegmentListImportStartPayload:
    job: Job | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


async def shown_segment(session: Session, pk: int) -> Segment:
    return (await segments_by_id(session, [pk]))[pk]


@strawberry.type
class SegmentKindMutations:
    @mutation(
        "SEGMENTS_WRITE",
        SegmentCopyPayload,
        description="A dynamic segment with the same rule, or a list with the same customers.",
    )
    async def segment_copy(
        self, info: Info, id: strawberry.ID, input: SegmentCopyInput
    ) -> SegmentCopyPayload | None:
        pk = need_id("Segment", id)
        async with info.context.work() as w:
            made = await copy_segment(w, info.context.installation.registry, pk, input.name)
            return SegmentCopyPayload(segment=await shown_segment(w, made))

    @mutation(
        "SEGMENTS_WRITE",
        SegmentRefreshPayload,
        description="Ask about every customer anew. Changes and new days are followed unasked: "
        "this is for data that changed behind the server's back.",
    )
    async def segment_refresh(self, info: Info, id: strawberry.ID) -> SegmentRefreshPayload | None:
        pk = need_id("Segment", id)
        async with info.context.work() as w:
            segment = await get_segment(w, pk)
            if segment["kind"] != "dynamic":
                raise WrongState(f"a {segment['kind']} has no rule to ask", ("id",))
            await refresh_soon(w, pk)
            return SegmentRefreshPayload(segment=await shown_segment(w, pk))

    @mutation(
        "SEGMENTS_WRITE",
        SegmentSnapshotPayload,
        description="Keep who is in a segment, or matches a rule, under a name of its own.",
    )
    async def segment_snapshot(
        self, info: Info, input: SegmentSnapshotInput
    ) -> SegmentSnapshotPayload | None:
        registry = info.context.installation.registry
        async with info.context.work() as w:
            faults, rule = Faults(), EVERYBODY
            if (input.segment_id is None) == (input.rule is None):
                faults.wrong("give either segmentId or rule", "segmentId")
            with faults:
                if input.segment_id is not None:
                    pk = sought_id("Segment", input.segment_id)
                    rule = (await get_segment(w, pk, ("input", "segmentId")))["rule"]
                elif input.rule is not None:
                    rule = await stored_rule(w, registry, input.rule)
            with faults:
                made, job = await start_snapshot(w, registry, input.name, rule, input.description)
            faults.tell()
            return SegmentSnapshotPayload(
                segment=await shown_segment(w, made), job=(await jobs_by_id(w, [job]))[job]
            )

    @mutation(
        "SEGMENTS_WRITE",
        SegmentListCreatePayload,
        description="An empty list, for customers who are put on it by hand or by a file.",
    )
    async def segment_list_create(
        self, info: Info, input: SegmentListCreateInput
    ) -> SegmentListCreatePayload | None:
        async with info.context.work() as w:
            made = await create_kept_segment(w, input.name, "list", input.description)
            return SegmentListCreatePayload(segment=await shown_segment(w, made))

    @mutation(
        "SEGMENTS_WRITE",
        SegmentListAddPayload,
        emits=(SegmentEntered,),
        description="Put customers on a list.",
    )
    async def segment_list_add(
        self, info: Info, id: strawberry.ID, input: SegmentListAddInput
    ) -> SegmentListAddPayload | None:
        pk = need_id("Segment", id)
        async with info.context.work() as w:
            pks, errors = await known_customers(w, input.ids, input.on_error, MAX_CUSTOMERS)
            changed = await add_to_list(w, pk, pks)
            return SegmentListAddPayload(
                changed=changed, segment=await shown_segment(w, pk), errors=errors
            )

    @mutation(
        "SEGMENTS_WRITE",
        SegmentListRemovePayload,
        emits=(SegmentLeft,),
        description="Take customers off a list.",
    )
    async def segment_list_remove(
        self, info: Info, id: strawberry.ID, input: SegmentListRemoveInput
    ) -> SegmentListRemovePayload | None:
        pk = need_id("Segment", id)
        async with info.context.work() as w:
            pks, errors = await known_customers(w, input.ids, input.on_error, MAX_CUSTOMERS)
            changed = await remove_from_list(w, pk, pks)
            return SegmentListRemovePayload(
                changed=changed, segment=await shown_segment(w, pk), errors=errors
            )

    @mutation(
        "SEGMENTS_WRITE",
        SegmentListImportStartPayload,
        description="Put the customers on a list whom a file names by an id, the id of this API "
        "(id.huike) or, with PII_PHONE and PII_EMAIL, by phone and email; `jobProgress` follows "
        "the job.",
    )
    async def segment_list_import_start(
        self, info: Info, id: strawberry.ID, input: SegmentListImportStartInput
    ) -> SegmentListImportStartPayload | None:
        pk, name, shop_id = need_id("Segment", id), file_name(input.file), input.shop_id
        options = Options(
            {column.field: column.header for column in input.columns},
            sought("Shop", shop_id),
            input.dry_run,
            [one.name for one in (PHONE, EMAIL) if info.context.may(one.permission)],
        )

        async def start(w: Work, pieces: AsyncIterator[bytes]) -> int:
            return await start_list_import(w, pk, options, pieces, name)

        return SegmentListImportStartPayload(
            job=await start_once(info, "segmentListImportStart", input, start, id)
        )
