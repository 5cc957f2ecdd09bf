"""Whom several segments have in common, asked of all customers by one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any

from core.domain.segments.compile import Compiler
from core.domain.segments.rules import read_rule
from core.domain.segments.tree import VERSION, asks_for_segment
from core.registry import Registry
from core.sdk.errors import InvalidInput, NotFound
from core.storage.database import Session

FEWEST, MOST = 2, 5


@dataclass(frozen=True)
class SegmentSize:
    """A segment's customers now, and how many of them are in none of the others."""

    segment_id: int
    size: int
    alone: int


@dataclass(frozen=True)
class Pair:
    """Two segments: customers in both, and in either."""

    first: int
    second: int
    both: int
    either: int

    @property
    def jaccard(self) -> Decimal | None:
        """The share of both in either, from 0 to 1 with 4 decimals; None where nobody is."""
        return round(Decimal(self.both) / self.either, 4) if self.either else None


@dataclass(frozen=True)
class Overlap:
    """How 2 to 5 segments lie over each other; `union` are customers in any, `all` in each."""

    segments: Sequence[SegmentSize]
    pairs: Sequence[Pair]
    union: int
    all: int


async def segment_overlap(session: Session, registry: Registry, ids: Sequence[int]) -> Overlap:
    """Ask the rules of 2 to 5 different segments together; snapshots and lists by their members.

    Raises NotFound, InvalidInput, Several of InvalidInput.
    """
    if not FEWEST <= len(ids) <= MOST or len(set(ids)) < len(ids):
        raise InvalidInput(f"give {FEWEST} to {MOST} different segments", ("ids",))
    known = await session.sql.fetch(
        "SELECT id FROM segments WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        session.merchant_id, list(ids),
    )  # fmt: skip
    if len(known) < len(ids):
        missing = next(place for place, one in enumerate(ids) if one not in {k[0] for k in known})
        raise NotFound("there is no such segment", ("ids", str(missing)))
    return _overlap(ids, await _counted(session, registry, ids))


async def _counted(
    session: Session, registry: Registry, ids: Sequence[int]
) -> Mapping[tuple[bool, ...], int]:
    """Customers by whether they are in each of the segments; those in none are left out."""
    nodes = [asks_for_segment(one)["rule"] for one in ids]
    rule = await read_rule(session, registry, {"version": VERSION, "rule": {"any": nodes}})
    # one query for all: what several segments ask is gathered once
    q = rule.query("joined")
    compiler = Compiler(q)
    asked = [f"{compiler.sql(node)} AS m{place}" for place, node in enumerate(rule.root.children)]
    names = ", ".join(f"m{place}" for place in range(len(ids)))
    rows = await session.sql.fetch(
        f"""SELECT {names}, count(*)
            FROM (SELECT {", ".join(asked)} FROM {q.source} WHERE {q.base}) AS asked
            GROUP BY {names}""",
        *q.args,
    )
    return {tuple(row)[:-1]: row["count"] for row in rows if any(tuple(row)[:-1])}


def _overlap(ids: Sequence[int], counted: Mapping[tuple[bool, ...], int]) -> Overlap:
    def total(*places: int, how: Any = all) -> int:
        return sum(n for inside, n in counted.items() if how(inside[place] for place in places))

    segments = [
        SegmentSize(
            one, total(place), sum(n for i, n in counted.items() if i[place] and sum(i) == 1)
        )
        for place, one in enumerate(ids)
    ]
    pairs = [
        Pair(ids[a], ids[b], total(a, b), total(a, b, how=any))
        for a, b in combinations(range(len(ids)), 2)
    ]
    return Overlap(segments, pairs, sum(counted.values()), total(*range(len(ids))))
