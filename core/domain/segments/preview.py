"""Trying a rule: how many customers it matches, and a few of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.domain.segments.rules import cheapest, read_rule
from core.registry import Registry
from core.sdk.errors import InvalidInput
from core.storage.database import Session

MAX_SAMPLE = 100


@dataclass(frozen=True)
class SegmentPreview:
    """How many customers match, ids of some of them (the newest first), and the rule in words."""

    count: int
    sample: list[int]
    explanation: str


async def preview_segment(
    session: Session, registry: Registry, stored: Mapping[str, Any], sample: int = 10
) -> SegmentPreview:
    """Count a rule's customers and pick up to `sample` (0 to 100) of them.

    Raises Several of InvalidInput.
    """
    if not 0 <= sample <= MAX_SAMPLE:
        raise InvalidInput(f"a sample has 0 to {MAX_SAMPLE} customers", ("sample",))
    rule = await read_rule(session, registry, stored)
    asked = await cheapest(session, rule)
    count = await session.sql.fetchval(f"SELECT count(*) {asked.matching}", *asked.q.args)
    # the newest few: looked up one by one, since most rules soon have found enough
    few = rule.ask("probe")
    rows = await session.sql.fetch(
        f"SELECT c.id {few.matching} ORDER BY c.id DESC LIMIT {few.q.arg(sample)}", *few.q.args
    )
    return SegmentPreview(count, [row["id"] for row in rows], rule.sentence())
