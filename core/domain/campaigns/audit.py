"""The account of a run: every recipient is in exactly one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from core.sdk.errors import NotFound
from core.storage.database import Session


@dataclass(frozen=True)
class Audit:
    """Recipients of a run by what became of them; `pending` includes those being sent now.

    `target` is always the sum of the others.
    """

    target: int
    sent: int
    skipped: Mapping[str, int]
    failed: int
    unknown: int
    pending: int


async def audit_run(session: Session, run_id: int) -> Audit:
    """Count a run's ledger in one statement. Raises NotFound."""
    row = await session.sql.fetchrow(
        """WITH counted AS (
               SELECT state, reason, count(*) AS n FROM deliveries
               WHERE merchant_id = $1 AND run_id = $2 GROUP BY state, reason)
           SELECT (SELECT COALESCE(sum(n), 0)::bigint FROM counted) AS target,
                  COALESCE(sum(n) FILTER (WHERE state = 'sent'), 0)::bigint AS sent,
                  COALESCE(sum(n) FILTER (WHERE state = 'failed'), 0)::bigint AS failed,
                  COALESCE(sum(n) FILTER (WHERE state = 'unknown'), 0)::bigint AS unknown,
                  COALESCE(sum(n) FILTER (WHERE state IN ('pending', 'sending')), 0)::bigint
                      AS pending,
                  COALESCE(jsonb_object_agg(reason, n) FILTER (WHERE state = 'skipped'), '{}')
                      AS skipped,
                  EXISTS (SELECT 1 FROM campaign_runs WHERE merchant_id = $1 AND id = $2) AS found
           FROM counted""",
        session.merchant_id, run_id,
    )  # fmt: skip
    if not row["found"]:
        raise NotFound(f"there is no run {run_id}", ("id",))
    return Audit(_target(row), row["sent"], orjson.loads(row["skipped"]), row["failed"],
                 row["unknown"], row["pending"])  # fmt: skip


def _target(row: Mapping[str, Any]) -> int:
    target: int = row["target"]
    return target
