"""What every rule of a merchant stands on, read by one statement."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.domain.segments.tree import Facets
from core.registry import CORE, Registry
from core.storage.database import Session

GROUND = """
    SELECT m.time_zone,
           ARRAY(SELECT plugin FROM plugin_states
                 WHERE merchant_id = $1 AND enabled ORDER BY plugin) AS plugins,
           ARRAY(SELECT (id, time_zone) FROM shops WHERE merchant_id = $1) AS shops {more}
    FROM merchants m WHERE m.id = $1
"""
"""`more` are further columns, each with a comma before it."""


@dataclass(frozen=True)
class Ground:
    """The merchant's time zone, those of its shops by their ids, and the plugins switched on."""

    time_zone: str
    shop_zones: Mapping[int, str]
    plugins: tuple[str, ...]

    def facets(self, registry: Registry) -> Facets:
        """Core's facets and those of the plugins that the merchant has switched on."""
        return {
            name: owned
            for name, owned in registry.facets.items()
            if owned.plugin == CORE or owned.plugin in self.plugins
        }


def as_ground(row: Mapping[str, Any]) -> Ground:
    """A row of GROUND."""
    return Ground(row["time_zone"], dict(row["shops"]), tuple(row["plugins"]))


async def ground_of(session: Session) -> Ground:
    """What the merchant's rules stand on now."""
    row = await session.sql.fetchrow(GROUND.format(more=""), session.merchant_id)
    return as_ground(row)
