"""The account of a run: every recipient is in exactly one place."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from core.sdk.errors import NotFound
from core.storage.database import Session


@dataclass(frozen=True)
class Audit:
    """Recipients of a run by what became of them; `pending` includes those being sent now.

    `target` is always the sum of the others, and `sent` that of `receipts` and `silent`: what the
    providers told of the sent messages, and those of which they told nothing. `asked` are the
    unknown ones whose fate is still being asked for; the others are for the merchant to settle.
    """

    target: int
    sent: int
    skipped: Mapping[str, int]
    failed: int
    unknown: int
    pending: int
    receipts: Mapping[str, int] = field(default_factory=dict)
    asked: int = 0

    @property
    def silent(self) -> int:
        """Sent messages without a receipt."""
        return self.sent - sum(self.receipts.values())


async def audit_run(session: Session, run_id: int) -> Audit:
    """Count a run's ledger in one statement. Raises NotFound."""
    row = await session.sql.fetchrow(
        """WITH counted AS (
               SELECT state, reason, receipt, state = 'unknown' AND checks IS NOT NULL AS asked,
                      count(*) AS n
               FROM deliveries WHERE merchant_id = $1 AND run_id = $2
               GROUP BY state, reason, receipt, asked)
           SELECT (SELECT COALESCE(sum(n), 0)::bigint FROM counted) AS target,
                  COALESCE(sum(n) FILTER (WHERE state = 'sent'), 0)::bigint AS sent,
                  COALESCE(sum(n) FILTER (WHERE state = 'failed'), 0)::bigint AS failed,
                  COALESCE(sum(n) FILTER (WHERE state = 'unknown'), 0)::bigint AS unknown,
                  COALESCE(sum(n) FILTER (WHERE state IN ('pending', 'sending')), 0)::bigint
                      AS pending,
                  COALESCE(sum(n) FILTER (WHERE asked), 0)::bigint AS asked,
                  (SELECT COALESCE(jsonb_object_agg(reason, n), '{}')
                   FROM (SELECT reason, sum(n) AS n FROM counted WHERE state = 'skipped'
                         GROUP BY reason) s) AS skipped,
                  (SELECT COALESCE(jsonb_object_agg(receipt, n), '{}')
                   FROM (SELECT receipt, sum(n) AS n FROM counted
                         WHERE state = 'sent' AND receipt IS NOT NULL GROUP BY receipt) r)
                      AS receipts,
                  EXISTS (SELECT 1 FROM campaign_runs WHERE merchant_id = $1 AND id = $2) AS found
           FROM counted""",
        session.merchant_id, run_id,
    )  # fmt: skip
    if not row["found"]:
        raise NotFound(f"there is no run {run_id}", ("id",))
    return Audit(row["target"], row["sent"], orjson.loads(row["skipped"]), row["failed"],
                 row["unknown"], row["pending"], orjson.loads(row["receipts"]),
                 row["asked"])  # fmt: skip
