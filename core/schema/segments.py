"""Segments: sets of customers, by rules over the registered facets or kept as they are."""

from datetime import datetime
from enum import Enum
from typing import Any

import orjson
import strawberry

from core.domain.segments.rules import stored_rule
from core.domain.segments.segments import create_segment, delete_segment, update_segment
from core.domain.segments.tree import EVERYBODY, upgraded
from core.schema.context import CHILDREN, Info, field, mutation
from core.schema.errors import UserError
from core.schema.pages import After, Connection, First, Listing, SortDirection, page
from core.schema.scalars import (
    JSON,
    Node,
    SegmentRule,
    changes,
    global_id,
    need_id,
    read_id,
    version_seen,
)
from core.schema.segment_facets import FacetInfo, facet_infos
from core.schema.segment_growth import SegmentGrowth
from core.schema.segment_members import SegmentMembers
from core.schema.segment_preview import SegmentPreviewed
from core.schema.segment_rules import shown_rule
from core.schema.segment_words import SegmentWords
from core.schema.where import DateTimeFilter, IdColumn, IdFilter, StringFilter
from core.sdk.errors import Faults
from core.storage.database import Session


def rule_of_segment(self: Any, info: Info) -> JSON:
    facets = info.context.installation.registry.facets
    return JSON(shown_rule(upgraded(self.stored, facets), facets))


@strawberry.enum
class SegmentKind(Enum):
    DYNAMIC = strawberry.enum_value("dynamic", description="Whoever its rule matches.")
    SNAPSHOT = strawberry.enum_value("snapshot", description="Whom a rule matched once.")
    LIST = strawberry.enum_value("list", description="Who was put on it.")


@strawberry.type(description="A named set of customers.")
class Segment(Node, SegmentWords, SegmentPreviewed, SegmentGrowth, SegmentMembers):
    name: str
    description: str
    kind: SegmentKind
    rule: JSON = strawberry.field(
        resolver=rule_of_segment,
        description="The rule in the form of SegmentRuleInput, as today's facets write it; that of "
        "a snapshot or a list asks for its own members.",
    )
    size: int = strawberry.field(
        description="How many are in it, as last written down; `preview` asks now."
    )
    refreshed_at: datetime | None = strawberry.field(
        description="When all customers were last asked. Null for a new segment, whose members "
        "are not written down yet, and for one that has no rule to ask."
    )
    problem: str | None = strawberry.field(
        description="Why its rule cannot be asked at present, such as a plugin that is switched "
        "off; its members stay as they were meanwhile."
    )
    version: int
    created_at: datetime
    updated_at: datetime


def segment_of(row: Any) -> Segment:
    return Segment(
        id=global_id("Segment", row["id"]),
        pk=row["id"],
        stored=orjson.loads(row["rule"]),
        name=row["name"],
        description=row["description"],
        kind=SegmentKind(row["kind"]),
        size=row["size"],
        refreshed_at=row["refreshed_at"],
        problem=row["problem"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


@strawberry.input
class SegmentKindFilter:
    eq: strawberry.Maybe[SegmentKind]
    in_: strawberry.Maybe[list[SegmentKind]] = strawberry.field(name="in", default=None)


@strawberry.input
class SegmentWhere:
    id: strawberry.Maybe[IdFilter]
    name: strawberry.Maybe[StringFilter]
    kind: strawberry.Maybe[SegmentKindFilter]
    created_at: strawberry.Maybe[DateTimeFilter]
    and_: strawberry.Maybe[list["SegmentWhere"]] = strawberry.field(name="and", default=None)
    or_: strawberry.Maybe[list["SegmentWhere"]] = strawberry.field(name="or", default=None)
    not_: strawberry.Maybe["SegmentWhere"] = strawberry.field(name="not", default=None)


@strawberry.enum
class SegmentSortField(Enum):
    CREATED_AT = "created_at"
    NAME = "name"
    SIZE = strawberry.enum_value(
        "size", description="How many are in it, as last written down: the smallest first."
    )


@strawberry.input
class SegmentSort:
    field: SegmentSortField
    direction: SortDirection = SortDirection.ASC


SEGMENTS = Listing(
    "segments", "segments g", "g",
    {"id": IdColumn("Segment", "g.id"), "name": "g.name", "kind": "g.kind",
     "created_at": "g.created_at"},
    {"created_at": "g.created_at", "name": "g.name", "size": "g.size"},
    segment_of,
)  # fmt: skip


async def segments_by_id(session: Session, pks: list[int]) -> dict[int, Segment]:
    rows = await session.sql.fetch(
        "SELECT * FROM segments WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: segment_of(row) for row in rows}


CHILDREN["segments"] = segments_by_id


@strawberry.input
class SegmentCreateInput:
    name: str
    description: str = ""
    rule: SegmentRule


@strawberry.input(description="Absent fields stay as they are.")
class SegmentUpdateInput:
    name: strawberry.Maybe[str]
    description: strawberry.Maybe[str]
    rule: strawberry.Maybe[SegmentRule]
    if_version: int | None = version_seen()


@strawberry.type
class SegmentCreatePayload:
    segment: Segment | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SegmentUpdatePayload:
    segment: Segment | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SegmentDeletePayload:
    deleted_id: strawberry.ID | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class SegmentQueries:
    @field("SEGMENTS_READ")
    async def segments(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        where: SegmentWhere | None = None,
        sort: list[SegmentSort] | None = None,
    ) -> Connection[Segment]:
        return await page(info, SEGMENTS, where, sort, first, after)

    @field("SEGMENTS_READ")
    async def segment(self, info: Info, id: strawberry.ID) -> Segment | None:
        pk = read_id("Segment", id)
        return await info.context.load("segments", pk, segments_by_id) if pk else None

    @field("SEGMENTS_READ", description="What a rule can ask.")
    async def facets(self, info: Info) -> list[FacetInfo]:
        async with info.context.read() as session:
            return await facet_infos(
                session, info.context.installation.registry, info.schema._schema
            )


@strawberry.type
class SegmentMutations:
    @mutation("SEGMENTS_WRITE", SegmentCreatePayload)
    async def segment_create(
        self, info: Info, input: SegmentCreateInput
    ) -> SegmentCreatePayload | None:
        registry = info.context.installation.registry
        async with info.context.work() as w:
            faults, rule = Faults(), EVERYBODY
            with faults:
                rule = await stored_rule(w, registry, input.rule)
            with faults:
                pk = await create_segment(w, registry, input.name, rule, input.description)
            faults.tell()
            return SegmentCreatePayload(segment=(await segments_by_id(w, [pk]))[pk])

    @mutation("SEGMENTS_WRITE", SegmentUpdatePayload)
    async def segment_update(
        self, info: Info, id: strawberry.ID, input: SegmentUpdateInput
    ) -> SegmentUpdatePayload | None:
        pk = need_id("Segment", id)
        changed = changes(input)
        registry = info.context.installation.registry
        async with info.context.work() as w:
            faults = Faults()
            if changed.get("rule") is not None:
                with faults:
                    changed["rule"] = await stored_rule(w, registry, changed.pop("rule"))
            with faults:
                await update_segment(w, registry, pk, changed, input.if_version)
            faults.tell()
            return SegmentUpdatePayload(segment=(await segments_by_id(w, [pk]))[pk])

    @mutation("SEGMENTS_WRITE", SegmentDeletePayload)
    async def segment_delete(self, info: Info, id: strawberry.ID) -> SegmentDeletePayload | None:
        pk = need_id("Segment", id)
        async with info.context.work() as w:
            await delete_segment(w, pk)
        return SegmentDeletePayload(deleted_id=global_id("Segment", pk))
