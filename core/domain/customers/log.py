"""What happened to customers and has no table of its own; the timeline shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from core.storage.database import Work


async def log_event(
    w: Work, customer_ids: Sequence[int], kind: str, data: Mapping[str, Any] | None = None
) -> None:
    """Record one event for each customer, in this transaction. `data` never holds contact data."""
    if customer_ids:
        await w.sql.execute(
            """INSERT INTO customer_log (merchant_id, customer_id, kind, data, actor, at)
               SELECT $1, id, $3, $4, $5, $6 FROM unnest($2::bigint[]) AS id""",
            w.merchant_id, list(customer_ids), kind, orjson.dumps(data or {}).decode(), w.actor,
            w.now,
        )  # fmt: skip
