"""All dynamic segments' rules of a merchant, made ready with few statements and little work.

Reading a rule checks every part of it, which is far dearer than asking the database about one
customer. So what was read stays in this process until one of the rules changes, which their hashes
tell without fetching them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core.domain.segments.fields import check_fields, custom_fields_in
from core.domain.segments.ground import GROUND, Ground, as_ground
from core.domain.segments.recent import Recent
from core.domain.segments.rules import (
    Reference,
    Rule,
    as_stored,
    names_of,
    references_in,
)
from core.domain.segments.tree import Leaf, Node, leaves, read_tree
from core.registry import Registry
from core.sdk.errors import Several
from core.storage.database import Session

HASH = "hash_record_extended((s.id, s.name, s.kind, s.rule), 0)"
GROUND_AND_HASHES = GROUND.format(
    more=f", ARRAY(SELECT {HASH} FROM segments s WHERE s.merchant_id = $1 ORDER BY s.id) AS hashes"
)
SEGMENTS = f"""
    SELECT s.id, s.name, s.kind, s.rule, {HASH} AS hash
    FROM segments s WHERE s.merchant_id = $1 ORDER BY s.id
"""


@dataclass(frozen=True)
class _Read:
    """The rules as read from segments of these hashes, with the facets of these plugins."""

    registry: Registry
    plugins: tuple[str, ...]
    hashes: Sequence[int]
    roots: Mapping[int, Node]
    faults: Mapping[int, Several]
    references: Mapping[int, list[Reference]]
    fields: Mapping[int, list[Leaf]]

    def fits(self, registry: Registry, plugins: tuple[str, ...], hashes: Sequence[int]) -> bool:
        """Whether reading them again would come to the same."""
        return registry is self.registry and plugins == self.plugins and hashes == self.hashes


_kept = Recent[_Read]()


async def read_rules(
    session: Session, registry: Registry, segment_ids: Collection[int]
) -> dict[int, Rule | Several]:
    """Read the rules of dynamic segments; one that cannot be read gives its faults."""
    row = await session.sql.fetchrow(GROUND_AND_HASHES, session.merchant_id)
    ground = as_ground(row)
    read = _kept.find(session.merchant_id)
    if read is None or not read.fits(registry, ground.plugins, row["hashes"]):
        read = _kept.keep(session.merchant_id, await _read(session, registry, ground))
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
    for number in sound:
        made.setdefault(
            number,
            Rule(
                read.roots[number], session.now, session.merchant_id, ground.time_zone,
                ground.shop_zones, names,
            ),
        )  # fmt: skip
    return made


async def _read(session: Session, registry: Registry, ground: Ground) -> _Read:
    facets = ground.facets(registry)
    rows = await session.sql.fetch(SEGMENTS, session.merchant_id)
    segments = {row["id"]: as_stored(row) for row in rows}
    roots: dict[int, Node] = {}
    faults: dict[int, Several] = {}
    for number, segment in segments.items():
        if segment.rule is not None:
            try:
                roots[number] = read_tree(segment.rule, facets, segments)
            except Several as fault:
                faults[number] = fault
    references = {number: references_in(root) for number, root in roots.items()}
    fields = {number: custom_fields_in(leaves(root)) for number, root in roots.items()}
    hashes = [row["hash"] for row in rows]
    return _Read(registry, ground.plugins, hashes, roots, faults, references, fields)


async def _checked(
    session: Session, read: _Read, numbers: Collection[int]
) -> dict[tuple[str, int], str]:
    """The names of what these rules refer to. Raises Several for what is not there."""
    names = await names_of(session, [one for n in numbers for one in read.references[n]])
    await check_fields(session, [leaf for n in numbers for leaf in read.fields[n]])
    return names
