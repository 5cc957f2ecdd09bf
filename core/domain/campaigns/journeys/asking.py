"""Segment rules asked about the rows of a statement that is already there."""

from collections.abc import Mapping
from typing import Any

from core.domain.segments.compile import Compiler
from core.domain.segments.ground import ground_of
from core.domain.segments.rules import read_rule
from core.registry import Registry
from core.sdk.facets import Query
from core.storage.database import Session


async def new_query(session: Session) -> Query:
    """The parameters of a new statement about the merchant's customers, with $1 the merchant."""
    ground = await ground_of(session)
    return Query(session.merchant_id, session.now, ground.time_zone, shop_zones=ground.shop_zones)


async def rule_sql(
    session: Session, registry: Registry, q: Query, rule: Mapping[str, Any] | None
) -> str:
    """A stored rule as a condition about customer `c` of any row; None is fulfilled by all.

    Its parameters are added to `q`. Raises Several when it asks for what is no longer there.
    """
    if rule is None:
        return "TRUE"
    read = await read_rule(session, registry, rule, facets=registry.facets)
    return Compiler(q.lookup()).sql(read.root)
