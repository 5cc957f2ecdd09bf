"""Figures about a rule's customers that add up over ranges of customers' ids.

The same measures answer at once, for everybody, and range after range in a job; so both come to
the same figures.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from core.domain.segments.rules import Rule, cheapest
from core.registry import Registry
from core.storage.database import Session

Counts = Counter[str]
"""Figures by name. Each measure has names of its own; one that is absent is 0."""

CUSTOMERS = "customers"
MATCHING = "matching"

Within = tuple[int, int] | None
Measure = Callable[[Session, Registry, Rule, Within], Awaitable[Counts]]
"""Counts something about a rule's customers, in a range of ids or altogether."""


async def measure(
    session: Session,
    registry: Registry,
    rule: Rule,
    measures: Sequence[Measure],
    within: Within = None,
) -> Counts:
    """What the measures find together."""
    found: Counts = Counter()
    for one in measures:
        await session.hurry()
        found.update(await one(session, registry, rule, within))
    return found


async def count_customers(
    session: Session, _registry: Registry, rule: Rule, within: Within
) -> Counts:
    """How many customers there are at all."""
    q = rule.query(within=within)
    row = await session.figures(f"SELECT count(*) FROM {q.source} WHERE {q.base}", *q.args)
    return Counter({CUSTOMERS: row[0]})


async def count_matching(
    session: Session, _registry: Registry, rule: Rule, within: Within
) -> Counts:
    """How many customers the rule matches."""
    asked = await cheapest(session, rule, within)
    row = await session.figures(asked.count, *asked.q.args)
    return Counter({MATCHING: row[0]})
