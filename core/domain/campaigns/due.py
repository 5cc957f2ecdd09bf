"""Which runs have something to do now, and whose turn it is.

Service messages go first. Among the rest merchants take turns, and each merchant's runs take
turns: the one that was served longest ago comes first. So nobody waits for all of somebody else's.
"""

from dataclasses import dataclass

from core.storage.database import SYSTEM, Database, Work

LIMIT = 100


@dataclass(frozen=True)
class DueRun:
    """A run to be served. With `service` it has service messages to send."""

    merchant_id: int
    run_id: int
    service: bool


async def due_runs(db: Database, limit: int = LIMIT) -> list[DueRun]:
    """Every merchant's runs that have something to do now, up to a limit, in order of turn.

    That is: to be planned, a message to send (of a step whose channel is not resting), a dead
    worker's messages, or nothing left at all, which finishes the run.
    """
    async with db.read(SYSTEM) as session:
        rows = await session.sql.fetch(
            """WITH due AS (
                   SELECT r.merchant_id, r.id, r.flow, r.served_at FROM campaign_runs r
                   WHERE r.state IN ('planning', 'running') AND COALESCE(r.resume_at, $1) <= $1
                     AND (r.state = 'planning' OR EXISTS (
                            SELECT 1 FROM jsonb_array_elements(r.flow -> 'steps')
                                WITH ORDINALITY AS s (step, place)
                            WHERE s.step ->> 'kind' = 'send'
                              AND COALESCE((r.resting ->> (s.place - 1)::text)::timestamptz, $1)
                                  <= $1
                              AND EXISTS (SELECT 1 FROM deliveries d
                                 WHERE d.merchant_id = r.merchant_id AND d.run_id = r.id
                                   AND d.step = (s.place - 1)::smallint AND d.state = 'pending'
                                   AND d.next_at <= $1))
                        OR NOT r.open
                          AND NOT EXISTS (SELECT 1 FROM deliveries d
                             WHERE d.merchant_id = r.merchant_id AND d.run_id = r.id
                               AND (d.state IN ('pending', 'sending')
                                    OR d.state = 'unknown' AND d.checks IS NOT NULL))
                          AND NOT EXISTS (SELECT 1 FROM enrolments e
                             WHERE e.merchant_id = r.merchant_id AND e.run_id = r.id
                               AND e.state = 'waiting'))
                   UNION
                   SELECT r.merchant_id, r.id, r.flow, r.served_at FROM deliveries d
                   JOIN campaign_runs r ON r.merchant_id = d.merchant_id AND r.id = d.run_id
                   WHERE d.state = 'sending' AND d.lease_until < $1),
               queued AS (
                   SELECT merchant_id, id, served_at,
                          flow @> '{"steps": [{"message_class": "service"}]}' AS service
                   FROM due)
               SELECT merchant_id, id, service FROM queued
               ORDER BY NOT service,
                        row_number() OVER (PARTITION BY merchant_id
                                           ORDER BY NOT service, served_at NULLS FIRST, id),
                        served_at NULLS FIRST, id
               LIMIT $2""",
            session.now, limit,
        )  # fmt: skip
    return [DueRun(row["merchant_id"], row["id"], row["service"]) for row in rows]


async def mark_served(w: Work, run_id: int) -> None:
    """A worker begins to work on the run: others' turn comes first after this."""
    await w.sql.execute(
        "UPDATE campaign_runs SET served_at = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, run_id, w.now,
    )  # fmt: skip
