"""Fetching receipts and replies from providers that do not push them."""

import logging
from datetime import timedelta

from core.domain.campaigns.opening import opened_channel
from core.domain.campaigns.receipts import take_receipts
from core.domain.campaigns.replies import take_replies
from core.domain.campaigns.told import cut
from core.guard import PluginFailed
from core.registry import Registry
from core.sdk.channels import Channel, News, ReceiptSource
from core.sdk.errors import HuikeError, OutsideError, Several
from core.storage.database import SYSTEM, Database

logger = logging.getLogger(__name__)

AFTER_FAILURE = timedelta(minutes=5)
MAX_PORTIONS = 100
"""At most so many portions at once; the next sweep goes on."""


def _sources(registry: Registry) -> dict[str, timedelta]:
    """The pause between two questions, of each channel that can be asked for news."""
    found = {}
    for name, owned in registry.channels.items():
        pause: timedelta | None = getattr(owned.value, "news_every", None)
        if pause is not None:
            found[name] = pause
    return found


async def merchants_due(db: Database, registry: Registry) -> list[int]:
    """Merchants who have a channel whose news is to be fetched now."""
    return sorted({merchant_id for merchant_id, _ in await _due(db, registry)})


async def _due(
    db: Database, registry: Registry, merchant_id: int | None = None
) -> list[tuple[int, str]]:
    names = list(_sources(registry))
    if not names:
        return []
    plugins = [registry.channels[name].plugin for name in names]
    async with db.read(SYSTEM if merchant_id is None else merchant_id) as session:
        rows = await session.sql.fetch(
            """SELECT p.merchant_id, s.channel
               FROM unnest($1::text[], $2::text[]) AS s (channel, plugin)
               JOIN plugin_states p ON p.plugin = s.plugin AND p.enabled
               LEFT JOIN news_cursors n
                 ON n.merchant_id = p.merchant_id AND n.channel = s.channel
               WHERE COALESCE(n.next_at, $3) <= $3
                 AND p.merchant_id = COALESCE($4::bigint, p.merchant_id)
               ORDER BY p.merchant_id, s.channel""",
            names, plugins, session.now, merchant_id,
        )  # fmt: skip
    return [(row["merchant_id"], row["channel"]) for row in rows]


async def fetch_news(db: Database, registry: Registry, merchant_id: int) -> None:
    """Fetch and take in all news that is due of a merchant's channels."""
    for _, name in await _due(db, registry, merchant_id):
        problem: str | None = None
        pause = _sources(registry)[name]
        try:
            await _fetch(db, registry, merchant_id, registry.channels[name].value)
        except (HuikeError, Several, OutsideError, PluginFailed) as error:
            logger.warning("no news of channel %s: %s", name, error)
            problem, pause = cut(str(error)), max(pause, AFTER_FAILURE)
        async with db.work(merchant_id) as w:
            await w.sql.execute(
                """INSERT INTO news_cursors AS n (merchant_id, channel, next_at, problem)
                   VALUES ($1, $2, $3, $4)
                   ON CONFLICT (merchant_id, channel)
                       DO UPDATE SET next_at = excluded.next_at, problem = excluded.problem""",
                merchant_id, name, w.now + pause, problem,
            )  # fmt: skip


async def _fetch(db: Database, registry: Registry, merchant_id: int, channel: Channel) -> None:
    async with opened_channel(db, registry, merchant_id, channel.name) as (session, call):
        if not isinstance(session, ReceiptSource):
            raise PluginFailed(f"channel {channel.name} has news_every, but its session no news")
        async with db.read(merchant_id) as read:
            cursor = await read.sql.fetchval(
                "SELECT cursor FROM news_cursors WHERE merchant_id = $1 AND channel = $2",
                merchant_id, channel.name,
            )  # fmt: skip
        for _ in range(MAX_PORTIONS):
            news = await call(session.news(cursor))
            await _take_in(db, merchant_id, channel, news)
            cursor = news.cursor
            if not news.more:
                break


async def _take_in(db: Database, merchant_id: int, channel: Channel, news: News) -> None:
    """Keep the news and the cursor behind it in one transaction: nothing is passed over."""
    async with db.work(merchant_id) as w:
        await take_receipts(w, channel, news.receipts)
        await take_replies(w, channel, news.replies)
        await w.sql.execute(
            """INSERT INTO news_cursors AS n (merchant_id, channel, cursor, next_at)
               VALUES ($1, $2, $3, $4)
               ON CONFLICT (merchant_id, channel) DO UPDATE SET cursor = excluded.cursor""",
            merchant_id, channel.name, news.cursor, w.now,
        )  # fmt: skip
