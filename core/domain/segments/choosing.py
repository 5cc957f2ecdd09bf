"""Whom a request means that names a segment, as it is or as it was, or gives a rule."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.domain.segments.rules import Asked, cheapest, read_rule
from core.domain.segments.tree import asks_for_segment
from core.domain.shops.merchants import time_zone_of
from core.registry import Registry
from core.sdk.errors import InvalidInput, NotFound
from core.storage.database import Session


async def choose_customers(
    session: Session,
    registry: Registry,
    *,
    segment_id: int | None = None,
    on_day: date | None = None,
    stored: Mapping[str, Any] | None = None,
) -> Asked | None:
    """The segment's customers, now or when a day ended, or those of a stored rule; None is no wish.

    Raises NotFound, InvalidInput, Several of InvalidInput, with paths into an input that has
    segmentId, onDay and rule.
    """
    if segment_id is not None and stored is not None:
        raise InvalidInput("give either segmentId or rule", ("input", "segmentId"))
    if on_day is not None and segment_id is None:
        raise InvalidInput("onDay is about a segment: give segmentId", ("input", "onDay"))
    if segment_id is not None:
        segment = await session.sql.fetchrow(
            "SELECT filled_at FROM segments WHERE merchant_id = $1 AND id = $2",
            session.merchant_id, segment_id,
        )  # fmt: skip
        if segment is None:
            raise NotFound("there is no such segment", ("input", "segmentId"))
        if on_day is not None:
            await _check_day(session, on_day, segment["filled_at"])
        stored = asks_for_segment(segment_id, on_day)
    if stored is None:
        return None
    return await cheapest(session, await read_rule(session, registry, stored))


async def segment_named(session: Session, name: str) -> int:
    """The id of the segment with this name. Raises NotFound."""
    found: int | None = await session.sql.fetchval(
        "SELECT id FROM segments WHERE merchant_id = $1 AND name = $2", session.merchant_id, name
    )
    if found is None:
        raise NotFound(f"there is no segment named {name!r}", ("name",))
    return found


async def _check_day(session: Session, on_day: date, filled_at: datetime | None) -> None:
    """Raises InvalidInput for a day of which the members are not known."""
    zone = ZoneInfo(await time_zone_of(session))
    path = ("input", "onDay")
    if on_day > session.now.astimezone(zone).date():
        raise InvalidInput("this day has not come", path)
    if filled_at is None:
        raise InvalidInput("the members of this segment were never written down", path)
    if on_day < (known := filled_at.astimezone(zone).date()):
        raise InvalidInput(f"the members of this segment are known from {known} on", path)
