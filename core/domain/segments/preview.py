"""Trying a rule: how many customers it matches, and a few of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.domain.segments.compile import Facets, check_rule, compile_rule, explain_rule
from core.domain.segments.fields import check_fields
from core.domain.shops.merchants import time_zone_of
from core.domain.shops.plugins import enabled_plugins
from core.registry import CORE, Registry
from core.sdk.errors import InvalidInput
from core.sdk.facets import Query
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
    facets = await usable_facets(session, registry)
    q = Query(session.merchant_id, session.now, await time_zone_of(session))
    check_rule(stored, facets)
    await check_fields(session, stored)
    matches = f"FROM customers c WHERE c.merchant_id = $1 AND {compile_rule(stored, facets, q)}"
    count = await session.sql.fetchval(f"SELECT count(*) {matches}", *q.args)
    rows = await session.sql.fetch(
        f"SELECT c.id {matches} ORDER BY c.id DESC LIMIT {q.arg(sample)}", *q.args
    )
    return SegmentPreview(count, [row["id"] for row in rows], explain_rule(stored, facets))


async def usable_facets(session: Session, registry: Registry) -> Facets:
    """Core's facets and those of the plugins that the merchant has switched on."""
    enabled = await enabled_plugins(session)
    return {
        name: owned
        for name, owned in registry.facets.items()
        if owned.plugin == CORE or owned.plugin in enabled
    }
