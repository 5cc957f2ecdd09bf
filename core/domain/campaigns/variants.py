"""Which text of several a recipient gets, and which of them turns out best.

A customer always falls to the same variant of a step (chance.py). A step with a winner gives its
variants to a part of the recipients only; the rest wait until the best is known, with `variant`
NULL and the moment of the decision as `next_at`, and then get that one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from core.domain.campaigns.chance import PARTS, choice_sql, salt, share_sql
from core.domain.campaigns.results.attribution import credit_changed
from core.domain.orders.facts import COUNTED
from core.sdk.facets import Query
from core.sdk.flows import Goal, Send, Winner
from core.storage.database import Database, Work

MIN_SENT = 30
"""Fewer messages of a variant say too little about it."""
MIN_REACHED = 5
"""The best variant must have reached the goal this often."""
RELEASE = 10_000

REACHED: Mapping[Goal, str] = {
    "opened": "d.opened_at IS NOT NULL",
    "clicked": "d.clicked_at IS NOT NULL",
    "bought": f"""EXISTS (SELECT 1 FROM attributions a
                   JOIN orders o ON o.merchant_id = a.merchant_id AND o.id = a.order_id
                   WHERE a.merchant_id = d.merchant_id AND a.run_id = d.run_id
                     AND a.delivery_id = d.id AND {COUNTED})""",
}


@dataclass(frozen=True)
class Tried:
    """What a variant's test came to."""

    variant: int
    sent: int
    reached: int


def variant_sql(q: Query, campaign_id: int, send: Send, customer: str, winner: int | None) -> str:
    """SQL of the variant that a customer gets: NULL for those who wait for the winner.

    `winner` is the variant that was decided on, if it was.
    """
    if winner is not None:
        return f"{winner}::smallint"
    if len(send.variants) == 1:
        return "0::smallint"
    weights = [variant.share for variant in send.variants]
    chosen = choice_sql(customer, q.arg(salt(campaign_id, send.key), "text"), weights)
    if send.winner is None:
        return chosen
    place = share_sql(customer, q.arg(salt(campaign_id, f"{send.key}:test"), "text"))
    return f"CASE WHEN {place} < {send.winner.test_percent * PARTS // 100} THEN {chosen} END"


async def decided(w: Work, run_id: int, step: int) -> int | None:
    """The winner of a run's step, if it was decided."""
    variant: int | None = await w.sql.fetchval(
        """SELECT variant FROM variant_winners
           WHERE merchant_id = $1 AND run_id = $2 AND step = $3""",
        w.merchant_id, run_id, step,
    )  # fmt: skip
    return variant


async def release_variants(
    db: Database, merchant_id: int, run_id: int, sends: Mapping[int, Send]
) -> None:
    """Decide the winners whose time has come, and let those who waited for them be written to."""
    for step, send in sends.items():
        if send.winner is not None and len(send.variants) > 1:
            if send.winner.goal == "bought" and await _is_due(
                db, merchant_id, run_id, step, send.winner
            ):
                # an order that was paid just now counts as well
                await credit_changed(db, merchant_id)
            async with db.work(merchant_id) as w:
                variant = await _decide(w, run_id, step, send, send.winner)
            while variant is not None and await _release(db, merchant_id, run_id, step, variant):
                pass


async def _is_due(db: Database, merchant_id: int, run_id: int, step: int, winner: Winner) -> bool:
    async with db.read(merchant_id) as session:
        due: bool = await session.sql.fetchval(
            """SELECT EXISTS (SELECT 1 FROM campaign_runs WHERE merchant_id = $1 AND id = $2
                   AND state = 'running' AND planned_at <= $4)
               AND NOT EXISTS (SELECT 1 FROM variant_winners
                   WHERE merchant_id = $1 AND run_id = $2 AND step = $3)""",
            merchant_id, run_id, step, session.now - winner.after.span,
        )  # fmt: skip
    return due


async def _decide(w: Work, run_id: int, step: int, send: Send, winner: Winner) -> int | None:
    """The step's winner, decided now if its time has come; None before."""
    run = await w.sql.fetchrow(
        """SELECT planned_at FROM campaign_runs
           WHERE merchant_id = $1 AND id = $2 AND state = 'running' FOR NO KEY UPDATE""",
        w.merchant_id, run_id,
    )  # fmt: skip
    if run is None or run["planned_at"] + winner.after.span > w.now:
        return None
    known = await decided(w, run_id, step)
    if known is not None:
        return known
    tried = await _tried(w, run_id, step, len(send.variants), winner.goal)
    variant, reason = best(tried)
    await w.sql.execute(
        """INSERT INTO variant_winners (merchant_id, run_id, step, variant, reason, figures,
                                        decided_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        w.merchant_id, run_id, step, variant, reason, orjson.dumps(tried).decode(), w.now,
    )  # fmt: skip
    return variant


def best(tried: Sequence[Tried]) -> tuple[int, str]:
    """(variant, reason) of the best by rate: "best", or the first one for "tie" or "too_few"."""
    leader = max(tried, key=lambda one: one.reached / one.sent if one.sent else 0.0)
    if any(one.sent < MIN_SENT for one in tried) or leader.reached < MIN_REACHED:
        return 0, "too_few"
    if any(
        one.reached * leader.sent == leader.reached * one.sent for one in tried if one != leader
    ):
        return 0, "tie"
    return leader.variant, "best"


async def _tried(w: Work, run_id: int, step: int, variants: int, goal: Goal) -> list[Tried]:
    rows = await w.sql.fetch(
        f"""SELECT d.variant, count(*) AS sent, count(*) FILTER (WHERE {REACHED[goal]}) AS reached
            FROM deliveries d
            WHERE d.merchant_id = $1 AND d.run_id = $2 AND d.step = $3 AND d.state = 'sent'
            GROUP BY d.variant""",
        w.merchant_id, run_id, step,
    )  # fmt: skip
    found: dict[int, Any] = {row["variant"]: row for row in rows}
    return [
        Tried(n, found[n]["sent"], found[n]["reached"]) if n in found else Tried(n, 0, 0)
        for n in range(variants)
    ]


async def _release(db: Database, merchant_id: int, run_id: int, step: int, variant: int) -> int:
    async with db.work(merchant_id) as w:
        result: str = await w.sql.execute(
            """UPDATE deliveries d SET variant = $4,
                      next_at = CASE WHEN d.state = 'pending' THEN LEAST(d.next_at, $5)
                                     ELSE d.next_at END
               FROM (SELECT id FROM deliveries WHERE merchant_id = $1 AND run_id = $2 AND step = $3
                        AND variant IS NULL AND state = 'pending'
                     ORDER BY id LIMIT $6 FOR UPDATE) AS waiting
               WHERE d.merchant_id = $1 AND d.id = waiting.id""",
            merchant_id, run_id, step, variant, w.now, RELEASE,
        )  # fmt: skip
    return int(result.rpartition(" ")[2])


def waits(winner: Winner, planned_at: str) -> str:
    """SQL of when a message is due whose variant is not known yet: when the winner is decided."""
    return f"{planned_at} + interval '{winner.after.span.total_seconds():.0f} seconds'"
