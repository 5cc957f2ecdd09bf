"""How segments lie over each other."""

from decimal import Decimal

import strawberry

from core.domain.segments.overlap import Overlap, segment_overlap
from core.schema.context import Info, field
from core.schema.costs import costs
from core.schema.errors import UserError, user_errors
from core.schema.long_reads import long_read
from core.schema.scalars import need_id
from core.schema.segments import Segment, segments_by_id
from core.sdk.errors import HuikeError, Several


@strawberry.type
class SegmentInOverlap:
    segment: Segment
    size: int
    alone: int = strawberry.field(description="Customers in none of the others.")


@strawberry.type
class SegmentPair:
    first: Segment
    second: Segment
    both: int
    either: int
    jaccard: Decimal | None = strawberry.field(
        description="Both over either, 0 to 1 with 4 decimals; null where nobody is in either."
    )


@strawberry.type(description="Whom segments have in common, by their rules as of now.")
class SegmentOverlap:
    segments: list[SegmentInOverlap]
    pairs: list[SegmentPair]
    union: int = strawberry.field(description="Customers in any of them.")
    all: int = strawberry.field(description="Customers in each of them.")


@strawberry.type
class SegmentOverlapResult:
    overlap: SegmentOverlap | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def overlap_of(found: Overlap, segments: dict[int, Segment]) -> SegmentOverlap:
    return SegmentOverlap(
        segments=[
            SegmentInOverlap(segment=segments[one.segment_id], size=one.size, alone=one.alone)
            for one in found.segments
        ],
        pairs=[
            SegmentPair(
                first=segments[one.first], second=segments[one.second],
                both=one.both, either=one.either, jaccard=one.jaccard,
            )
            for one in found.pairs
        ],
        union=found.union,
        all=found.all,
    )  # fmt: skip


@strawberry.type
class SegmentOverlapQueries:
    @costs(100)
    @field("SEGMENTS_READ", description="Compare 2 to 5 segments with each other.")
    async def segment_overlap(self, info: Info, ids: list[strawberry.ID]) -> SegmentOverlapResult:
        registry = info.context.installation.registry
        try:
            pks = [need_id("Segment", one, ("ids", str(n))) for n, one in enumerate(ids)]
            async with long_read(info.context) as session:
                found = await segment_overlap(session, registry, pks)
                segments = await segments_by_id(session, pks)
        except (HuikeError, Several) as error:
            return SegmentOverlapResult(errors=user_errors(error))
        return SegmentOverlapResult(overlap=overlap_of(found, segments))
