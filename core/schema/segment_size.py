"""How many are in a segment, told as it changes."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import strawberry

from core.schema.context import Info, subscription
from core.schema.scalars import need_id
from core.schema.segments import Segment, segments_by_id


@strawberry.type
class SegmentSubscriptions:
    @subscription(
        "SEGMENTS_READ",
        description="The segment at once, and whenever its size is written down or its rule "
        "cannot be asked any more; ends when it is deleted.",
    )
    async def segment_size(self, info: Info, id: strawberry.ID) -> AsyncIterator[Segment]:
        pk = need_id("Segment", id)
        context = info.context
        signals = context.installation.signals
        async with aclosing(signals.changes("segment", context.merchant_id, pk)) as changed:
            async for _ in changed:
                async with context.read() as session:
                    segment = (await segments_by_id(session, [pk])).get(pk)
                if segment is None:
                    return
                yield segment
