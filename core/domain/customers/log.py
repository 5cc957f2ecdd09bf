"""What happened to customers and has no table of its own; the timeline shows it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from core.storage.database import Work


async def log_event(
    w: Work, customer_ids: Sequence[int], kind: str, data: Mapping[str, Any] | None = None
) -> None:
    """Record one event for each customer, in this transaction. `data` never holds contact data."""
    if not customer_ids:
        return
    await w.sql.execute(
        """INSERT INTO customer_log (merchant_id, customer_id, kind, data, actor, at)
           SELECT $1, customer_id, $3, $4::jsonb, $5, $6
           FROM unnest($2::bigint[]) AS customer_id""",
        w.merchant_id, list(customer_ids), kind, orjson.dumps(data or {}).decode(), w.actor, w.now,
    )  # fmt: skip


async def log_each(
    w: Work,
    kind: str,
    changes: Iterable[tuple[int, Sequence[str]]],
    key: str,
    more: Mapping[str, Any],
) -> None:
    """Record one event for each customer of `changes`: its names stand in the data under `key`.

    Those with the same names share a statement.
    """
    alike: dict[tuple[str, ...], list[int]] = {}
    for customer_id, names in changes:
        alike.setdefault(tuple(sorted(names)), []).append(customer_id)
    for names, customer_ids in alike.items():
        await log_event(w, customer_ids, kind, {key: list(names), **more})
