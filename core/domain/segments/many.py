"""All dynamic segments' rules of a merchant, made ready with few statements and little work.

Reading a rule checks every part of it, which is far dearer than asking the database about one
customer. So what was read stays in this process until one of the rules changes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from core.domain.segments.fields import check_fields
from core.domain.segments.recent import Recent
from core.domain.segments.rules import (
    Reference,
    Rule,
    as_stored,
    names_of,
    references_in,
    shop_zones,
    usable_facets,
)
from core.domain.segments.tree import Facets, Leaf, Node, leaves, read_tree
from core.domain.shops.merchants import time_zone_of
from core.registry import Registry
from core.sdk.errors import Several
from core.storage.database import Session


@dataclass(frozen=True)
class _Read:
    """The rules as read from these rows with these facets."""

    rows: tuple[tuple[Any, ...], ...]
    facets: Facets
    roots: Mapping[int, Node]
    faults: Mapping[int, Several]
    references: Mapping[int, list[Reference]]
    leaves: Mapping[int, list[Leaf]]


_kept = Recent[_Read]()


async def read_rules(
    session: Session, registry: Registry, segment_ids: Collection[int]
) -> dict[int, Rule | Several]:
    """Read the rules of dynamic segments; one that cannot be read gives its faults."""
    read = await _read(session, registry)
    made: dict[int, Rule | Several] = {
        number: fault for number, fault in read.faults.items() if number in segment_ids
    }
    sound = [number for number in read.roots if number in segment_ids]
    names: dict[tuple[str, int], str] = {}
    try:
        names = await _checked(session, read, sound)
    except Several:
        # some refer to what is not there: see which
        for number in sound:
            try:
                names |= await _checked(session, read, [number])
            except Several as fault:
                made[number] = fault
    zones, zone = await shop_zones(session), await time_zone_of(session)
    for number in sound:
        made.setdefault(
            number,
            Rule(read.roots[number], session.now, session.merchant_id, zone, zones, names),
        )
    return made


async def _read(session: Session, registry: Registry) -> _Read:
    facets = await usable_facets(session, registry)
    found = await session.sql.fetch(
        "SELECT id, name, kind, rule FROM segments WHERE merchant_id = $1 ORDER BY id",
        session.merchant_id,
    )
    rows = tuple(map(tuple, found))
    kept = _kept.find(session.merchant_id)
    if kept is None or kept.rows != rows or kept.facets != facets:
        segments = {row["id"]: as_stored(row) for row in found}
        roots: dict[int, Node] = {}
        faults: dict[int, Several] = {}
        for number, segment in segments.items():
            if segment.rule is not None:
                try:
                    roots[number] = read_tree(segment.rule, facets, segments)
                except Several as fault:
                    faults[number] = fault
        references = {number: references_in(root) for number, root in roots.items()}
        questions = {number: list(leaves(root)) for number, root in roots.items()}
        read = _Read(rows, facets, roots, faults, references, questions)
        kept = _kept.keep(session.merchant_id, read)
    return kept


async def _checked(
    session: Session, read: _Read, numbers: Collection[int]
) -> dict[tuple[str, int], str]:
    """The names of what these rules refer to. Raises Several for what is not there."""
    names = await names_of(session, [one for n in numbers for one in read.references[n]])
    await check_fields(session, [leaf for n in numbers for leaf in read.leaves[n]])
    return names
