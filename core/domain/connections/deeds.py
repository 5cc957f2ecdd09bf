"""Deeds on platforms of which nobody knows whether they were done, until somebody has looked."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson

from core.domain.connections.acting import DONE, FAILED
from core.sdk.errors import NotFound, WrongState
from core.sdk.events import PlatformDeedSettled
from core.storage.database import Session, Work

MOST = 100
FORSAKEN = timedelta(minutes=10)
"""Whoever has tried for so long has died in it: a call into a plugin takes far less."""

OPEN = "(state = 'unknown' OR (state = 'trying' AND at <= $2::timestamptz))"


async def open_deeds(session: Session, shop_id: int | None = None) -> list[Mapping[str, Any]]:
    """The oldest of those that wait for somebody to look, of one shop or of all."""
    rows = await session.sql.fetch(
        f"""SELECT * FROM platform_deeds
            WHERE merchant_id = $1 AND {OPEN} AND shop_id = COALESCE($3::bigint, shop_id)
            ORDER BY at, id LIMIT {MOST}""",
        session.merchant_id, session.now - FORSAKEN, shop_id,
    )  # fmt: skip
    return [dict(row) for row in rows]


async def deeds_by_id(session: Session, deed_ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
    """The rows of deeds, whatever their state."""
    rows = await session.sql.fetch(
        "SELECT * FROM platform_deeds WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        session.merchant_id, list(deed_ids),
    )  # fmt: skip
    return {row["id"]: dict(row) for row in rows}


async def settle(w: Work, deed_id: int, done: bool) -> None:
    """Somebody has looked at the platform: it was done, or it was not and may be done.

    Whoever began it hears of that by an event. Raises NotFound, and WrongState when its end is
    known, or it is under way.
    """
    row = await w.sql.fetchrow(
        f"""UPDATE platform_deeds
            SET state = $4, results = CASE WHEN $5 THEN '[]'::jsonb END
            WHERE merchant_id = $1 AND {OPEN} AND id = $3 RETURNING shop_id, key, about""",
        w.merchant_id, w.now - FORSAKEN, deed_id, DONE if done else FAILED, done,
    )  # fmt: skip
    if row is None:
        if not await deeds_by_id(w, [deed_id]):
            raise NotFound(f"there is no deed {deed_id}", ("id",))
        raise WrongState("its end is known, or it is under way: look again in ten minutes", ("id",))
    about = orjson.loads(row["about"])
    w.emit(PlatformDeedSettled(deed_id, row["shop_id"], row["key"], about, done))
    w.audit("shop.deed_settled", {"shop": row["shop_id"], "deed": deed_id, "done": done})
