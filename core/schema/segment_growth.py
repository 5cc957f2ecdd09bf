"""How segments grow, as a field of each: `Segment` takes it over from `SegmentGrowth`."""

from datetime import date
from typing import Annotated

import strawberry

from core.domain.segments.growth import segment_growth
from core.schema.context import Info, field
from core.schema.long_reads import long_read
from core.schema.scalars import need_id


@strawberry.type(description="One calendar day of a segment, in the merchant's time zone.")
class SegmentDay:
    day: date
    size: int = strawberry.field(description="Members at the end of the day; of today, by now.")
    entered: int
    left: int


@strawberry.type
class SegmentGrowth:
    id: strawberry.ID

    @field(
        "SEGMENTS_READ",
        description="Size, newcomers and leavers of each day, at most 366, from the day on which "
        "the members were first written down. Whom that day began with did not enter.",
    )
    async def growth(
        self,
        info: Info,
        first: Annotated[date, strawberry.argument(name="from")],
        last: Annotated[date, strawberry.argument(name="to", description="Included.")],
    ) -> list[SegmentDay]:
        pk = need_id("Segment", self.id)
        async with long_read(info.context) as session:
            days = await segment_growth(session, pk, first, last)
        return [
            SegmentDay(day=one.day, size=one.size, entered=one.entered, left=one.left)
            for one in days
        ]
