"""Which work of which shops is due."""

from core.registry import Registry
from core.storage.database import SYSTEM, Database


async def shops_due(db: Database, registry: Registry) -> list[tuple[str, int, int]]:
    """(duty, merchant, shop) of what is due for shops that are connected and not paused.

    Shops of merchants who switched the plugin off rest.
    """
    names = list(registry.connectors)
    if not names:
        return []
    async with db.read(SYSTEM) as session:
        rows = await session.sql.fetch(
            """SELECT d.duty, c.merchant_id, c.shop_id
               FROM shop_connections c
               JOIN unnest($2::text[], $3::text[]) AS s (name, plugin) ON s.name = c.connector
               JOIN plugin_states p ON p.merchant_id = c.merchant_id AND p.plugin = s.plugin
                                   AND p.enabled
               CROSS JOIN LATERAL (
                   SELECT 'shops.upkeep' AS duty, 0 AS rank
                   WHERE LEAST(c.refresh_at, c.check_at, c.listen_at, c.count_at) <= $1
                   UNION ALL
                   SELECT 'shops.fetch', 1 WHERE EXISTS (
                       SELECT 1 FROM push_inbox i
                       WHERE i.merchant_id = c.merchant_id AND i.shop_id = c.shop_id
                         AND i.done_at IS NULL AND i.next_at <= $1)
                   UNION ALL
                   SELECT 'shops.sync', 2 WHERE EXISTS (
                       SELECT 1 FROM sync_cursors k
                       WHERE k.merchant_id = c.merchant_id AND k.shop_id = c.shop_id
                         AND k.next_at <= $1 AND COALESCE(k.lease_until, $1) <= $1)
                   UNION ALL
                   SELECT 'shops.backfill', 3 WHERE EXISTS (
                       SELECT 1 FROM sync_slices k
                       WHERE k.merchant_id = c.merchant_id AND k.shop_id = c.shop_id
                         AND k.state = 'waiting' AND k.next_at <= $1
                         AND COALESCE(k.lease_until, $1) <= $1)
               ) d
               WHERE c.state = 'connected' AND NOT c.paused
               ORDER BY d.rank, c.merchant_id, c.shop_id""",
            session.now, names, [registry.connectors[name].plugin for name in names],
        )  # fmt: skip
    return [(row["duty"], row["merchant_id"], row["shop_id"]) for row in rows]
