"""Trying a rule: how many customers it matches, a few of them, and more if it is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.domain.segments.funnel import Clause, count_clauses, funnel_of
from core.domain.segments.measures import (
    CUSTOMERS,
    MATCHING,
    Counts,
    Measure,
    count_customers,
    count_matching,
    measure,
)
from core.domain.segments.rules import Asked, Rule, read_rule
from core.registry import Registry
from core.sdk.errors import InvalidInput
from core.storage.database import Session

MAX_SAMPLE = 100
MEASURES: dict[str, Measure] = {
    "customers": count_customers, "count": count_matching, "funnel": count_clauses,
}  # fmt: skip
"""What of a preview takes a statement; the funnel's has the other two in it."""


@dataclass(frozen=True)
class SegmentPreview:
    """What a rule finds at its time; figures of measures that were not asked are 0.

    `sample` are ids of the newest customers that match.
    """

    rule: Rule
    counts: Counts
    sample: list[int]

    @property
    def count(self) -> int:
        """How many customers match."""
        return self.counts[MATCHING]

    @property
    def customers(self) -> int:
        """How many customers there are."""
        return self.counts[CUSTOMERS]

    @property
    def explanation(self) -> str:
        """The rule in words."""
        return self.rule.sentence()

    @property
    def funnel(self) -> list[Clause]:
        """What each clause does."""
        return funnel_of(self.rule, self.counts)


async def preview_segment(
    session: Session,
    registry: Registry,
    stored: Mapping[str, Any],
    sample: int = 10,
    measures: Sequence[Measure] = (count_customers, count_matching),
) -> SegmentPreview:
    """Count a stored rule's customers and pick up to `sample` (0 to 100) of them.

    Raises Several of InvalidInput.
    """
    check_sample(sample)
    rule = await read_rule(session, registry, stored)
    return await preview_rule(session, registry, rule, sample, measures)


async def preview_rule(
    session: Session, registry: Registry, rule: Rule, sample: int, measures: Sequence[Measure]
) -> SegmentPreview:
    """What the measures find, and up to `sample` customers."""
    counts = await measure(session, registry, rule, measures)
    await session.hurry()
    # looked up one by one, since most rules soon have found enough
    newest = await newest_matching(session, rule.ask("probe"), sample) if sample else []
    return SegmentPreview(rule, counts, newest)


async def newest_matching(session: Session, asked: Asked, limit: int) -> list[int]:
    """Ids of the newest customers that match."""
    rows = await session.sql.fetch(
        f"SELECT c.id {asked.matching} ORDER BY c.id DESC LIMIT {asked.q.arg(limit)}",
        *asked.q.args,
    )
    return [row["id"] for row in rows]


def check_sample(sample: int) -> None:
    """Raises InvalidInput."""
    if not 0 <= sample <= MAX_SAMPLE:
        raise InvalidInput(f"a sample has 0 to {MAX_SAMPLE} customers", ("sample",))
