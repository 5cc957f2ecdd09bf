"""Writing down, for each webhook that wants to hear of an event, a message about it."""

import orjson

from core.domain.shops.webhooks.topics import fits, shown
from core.sdk.events import Occurrence
from core.storage.database import Database


async def hear(db: Database, occurrence: Occurrence) -> None:
    """Leave an event to the webhooks that want it, once; delivering.py calls their servers."""
    async with db.read(occurrence.merchant_id) as session:
        rows = await session.sql.fetch(
            "SELECT id, conditions FROM webhooks WHERE merchant_id = $1 AND topics ? $2",
            occurrence.merchant_id, occurrence.type,
        )  # fmt: skip
    if not rows:
        return
    event = shown(occurrence.type, occurrence.payload)
    wanting = [row["id"] for row in rows if fits(orjson.loads(row["conditions"]), event)]
    if not wanting:
        return
    async with db.work(occurrence.merchant_id) as w:
        await w.sql.execute(
            """INSERT INTO webhook_messages (merchant_id, webhook_id, event_id, topic, payload,
                   happened_at, test, state, attempts, next_at, created_at)
               SELECT $1, h.id, $3, $4, $5, $6, FALSE, 'pending', 0, $7, $7 FROM webhooks h
               WHERE h.merchant_id = $1 AND h.id = ANY($2::bigint[])
               ON CONFLICT (merchant_id, webhook_id, event_id) DO NOTHING""",
            w.merchant_id, wanting, occurrence.id, occurrence.type,
            orjson.dumps(occurrence.payload).decode(), occurrence.at, w.now,
        )  # fmt: skip
        for pk in wanting:
            w.ring("webhooks.deliver", w.merchant_id, pk)
