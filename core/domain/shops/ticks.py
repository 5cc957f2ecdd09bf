"""Work of plugins by the clock: what is due, claimed by one worker, and when it is due again."""

import logging
from datetime import timedelta

from core.domain.shops.plugins import plugin_context
from core.guard import guarded
from core.registry import Registry
from core.sdk.errors import HuikeError, OutsideError, Several
from core.storage.database import SYSTEM, Database

logger = logging.getLogger(__name__)

PROBLEM_LIMIT = 500


async def merchants_due(db: Database, registry: Registry) -> list[int]:
    """Merchants for whom a plugin's work is due."""
    return sorted({merchant_id for merchant_id, _ in await _due(db, registry, None)})


async def _due(db: Database, registry: Registry, merchant: int | None) -> list[tuple[int, str]]:
    names = list(registry.ticks)
    if not names:
        return []
    plugins = [registry.ticks[name].plugin for name in names]
    async with db.read(SYSTEM if merchant is None else merchant) as session:
        rows = await session.sql.fetch(
            """SELECT p.merchant_id, s.name
               FROM unnest($1::text[], $2::text[]) AS s (name, plugin)
               JOIN plugin_states p ON p.plugin = s.plugin AND p.enabled
               LEFT JOIN plugin_ticks t ON t.merchant_id = p.merchant_id AND t.name = s.name
               WHERE COALESCE(t.next_at, $3) <= $3
                 AND p.merchant_id = COALESCE($4::bigint, p.merchant_id)
               ORDER BY p.merchant_id, s.name""",
            names, plugins, session.now, merchant,
        )  # fmt: skip
    return [(row["merchant_id"], row["name"]) for row in rows]


async def run_due(db: Database, registry: Registry, merchant_id: int) -> None:
    """Do what is due of a merchant's plugins, one after the other."""
    for _, name in await _due(db, registry, merchant_id):
        owned = registry.ticks[name]
        tick, seconds = owned.value, registry.manifests[owned.plugin].timeout
        # until the time is up nobody else begins it; after that its worker is taken for dead
        if not await _claim(db, merchant_id, name, timedelta(seconds=2 * seconds)):
            continue
        problem, pause = None, tick.every
        try:
            context = await plugin_context(db, registry, owned.plugin, merchant_id)
            await guarded(owned.plugin, merchant_id, seconds, tick.run(context))
        except (HuikeError, Several, OutsideError) as error:
            logger.warning("%s of merchant %s: %s", name, merchant_id, error)
            problem, pause = str(error)[:PROBLEM_LIMIT], min(tick.every, tick.retry)
        async with db.work(merchant_id) as w:
            await w.sql.execute(
                """UPDATE plugin_ticks SET next_at = $3, problem = $4
                   WHERE merchant_id = $1 AND name = $2""",
                merchant_id, name, w.now + pause, problem,
            )  # fmt: skip


async def _claim(db: Database, merchant_id: int, name: str, lease: timedelta) -> bool:
    async with db.work(merchant_id) as w:
        claimed = await w.sql.fetchval(
            """INSERT INTO plugin_ticks AS t (merchant_id, name, next_at, ran_at)
               VALUES ($1, $2, $4, $3)
               ON CONFLICT (merchant_id, name) DO UPDATE SET next_at = $4, ran_at = $3
                   WHERE t.next_at <= $3
               RETURNING TRUE""",
            merchant_id, name, w.now, w.now + lease,
        )  # fmt: skip
    return bool(claimed)
