"""The delivery ledger's transitions, each a guarded statement over many rows.

pending -> sending -> sent | failed | unknown | skipped, and back to pending for another try. A row
is marked `sending` and committed before its message is handed over, and only the worker whose
lease it carries may say what became of it. A row found in `sending` after its lease is `unknown`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.domain.campaigns.journeys.exits import Leaving
from core.domain.campaigns.policy import CONTACTS, personal_columns, skip_reason_sql
from core.domain.campaigns.policy.gate import Gate, judged_sql, place_columns
from core.sdk.channels import ContactKind, MessageClass
from core.sdk.events import CampaignFinished
from core.sdk.facets import Query
from core.storage.database import Session, Work

DETAIL_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message. `after` is the pause before another try of a pending one.

    A row given back untried (`tried` is False) does not count as an attempt.
    """

    delivery_id: int
    state: str
    reason: str | None = None
    detail: str | None = None
    provider_id: str | None = None
    after: timedelta = timedelta()
    tried: bool = True


async def hold_run(w: Work, run_id: int) -> str | None:
    """The run's state, kept from changing until this transaction ends; None if there is no run."""
    state: str | None = await w.sql.fetchval(
        "SELECT state FROM campaign_runs WHERE merchant_id = $1 AND id = $2 FOR SHARE",
        w.merchant_id, run_id,
    )  # fmt: skip
    return state


async def mark_sending(
    w: Work,
    run_id: int,
    step: int,
    channel: str,
    contact: ContactKind,
    message_class: MessageClass,
    shop_id: int | None,
    owner: str,
    lease: timedelta,
    limit: int,
    gate: Gate,
    leaving: Leaving | None = None,
) -> list[Mapping[str, Any]]:
    """Take up to `limit` due rows of a step; returns them with their customer's data.

    Policy is asked again in this statement: a row that it forbids becomes skipped, one that must
    wait stays pending until then, and both are returned with their `reason`. Rows that another
    worker is just taking are passed over. `shop_id` is the shop in whose name the run speaks, if
    any; `leaving` the exit rule of a journey.
    """
    q = Query(w.merchant_id, w.now, gate.zone.key)
    sealed = f"{CONTACTS[contact]}_sealed"
    shop = None if shop_id is None else q.arg(shop_id, "bigint")
    personal, join = personal_columns(message_class, shop)
    now, name = q.arg(w.now, "timestamptz"), q.arg(channel, "text")
    reason = skip_reason_sql(contact, message_class, name, shop)
    if leaving is not None:
        reason = f"COALESCE({leaving.reason_sql(w, q.args, 'due.enrolment_id')}, {reason})"
    rows = f"""SELECT due.id, due.customer_id, due.next_at AS due_at, due.not_after, c.name,
                      {personal}, c.{sealed} AS sealed, {reason} AS reason{place_columns(q, gate)}
               FROM due LEFT JOIN customers c ON c.merchant_id = $1 AND c.id = due.customer_id
               {join}"""
    taken: list[Mapping[str, Any]] = await w.sql.fetch(
        f"""WITH due AS MATERIALIZED (
                SELECT id, customer_id, enrolment_id, next_at, not_after FROM deliveries
                WHERE merchant_id = $1 AND run_id = {q.arg(run_id, "bigint")}
                  AND step = {q.arg(step, "smallint")} AND state = 'pending'
                  AND next_at <= {now} AND variant IS NOT NULL
                ORDER BY next_at, id LIMIT {q.arg(limit, "bigint")} FOR UPDATE SKIP LOCKED),
            judged AS ({judged_sql(q, gate, rows, batch=True)})
            UPDATE deliveries d SET
                state = CASE j.verdict WHEN 'send' THEN 'sending' WHEN 'wait' THEN 'pending'
                                       ELSE 'skipped' END,
                reason = j.rule,
                next_at = CASE j.verdict WHEN 'wait' THEN j.moment ELSE d.next_at END,
                attempts = d.attempts + CASE j.verdict WHEN 'wait' THEN 0 ELSE 1 END,
                lease_owner = CASE j.verdict WHEN 'send' THEN {q.arg(owner, "text")} END,
                lease_until = CASE j.verdict WHEN 'send'
                                   THEN {q.arg(w.now + lease, "timestamptz")} END,
                updated_at = {now}
            FROM judged j WHERE d.merchant_id = $1 AND d.id = j.id
            RETURNING d.id, d.customer_id, d.order_id, d.parcel_id, d.variant, d.attempts,
                      j.rule AS reason, j.name, j.province, j.city, j.sealed""",
        *q.args,
    )
    return taken


async def put_off(
    w: Work, run_id: int, step: int, until: datetime, rule: str, run_rests: bool
) -> None:
    """Have the due rows of a step wait for an instant, and skip those that may not wait so long.

    With `run_rests` the run as a whole waits, and only the latter are written.
    """
    await w.sql.execute(
        """UPDATE deliveries SET reason = $6, updated_at = $4,
                  state = CASE WHEN not_after < $5 THEN 'skipped' ELSE state END,
                  next_at = CASE WHEN not_after < $5 THEN next_at ELSE $5 END
           WHERE merchant_id = $1 AND run_id = $2 AND step = $3 AND state = 'pending'
             AND next_at <= $4 AND (not_after < $5 OR NOT $7)""",
        w.merchant_id, run_id, step, w.now, until, rule, run_rests,
    )  # fmt: skip


async def record(w: Work, owner: str, run_state: str | None, outcomes: Sequence[Outcome]) -> None:
    """Write what became of messages; rows that are no longer ours stay as they are."""
    if not outcomes:
        return
    await w.sql.execute(
        """UPDATE deliveries d SET
               state = CASE WHEN o.state = 'pending' AND $9 THEN 'skipped' ELSE o.state END,
               reason = CASE WHEN o.state = 'pending' AND $9 THEN 'cancelled' ELSE o.reason END,
               detail = o.detail, provider_id = o.provider_id,
               next_at = $3::timestamptz + o.after,
               sent_at = CASE WHEN o.state = 'sent' THEN $3 END,
               attempts = d.attempts - CASE WHEN o.tried THEN 0 ELSE 1 END,
               lease_owner = NULL, lease_until = NULL, updated_at = $3
           FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
                       $10::interval[], $11::boolean[])
                AS o (id, state, reason, detail, provider_id, after, tried)
           WHERE d.merchant_id = $1 AND d.id = o.id AND d.state = 'sending'
             AND d.lease_owner = $2""",
        w.merchant_id, owner, w.now,
        [o.delivery_id for o in outcomes], [o.state for o in outcomes],
        [o.reason for o in outcomes], [_cut(o.detail) for o in outcomes],
        [o.provider_id for o in outcomes], run_state == "cancelled",
        [o.after for o in outcomes], [o.tried for o in outcomes],
    )  # fmt: skip


async def renew(w: Work, owner: str, lease: timedelta, delivery_ids: Sequence[int]) -> None:
    """Go on holding rows whose messages are still on their way."""
    await w.sql.execute(
        """UPDATE deliveries SET lease_until = $4 WHERE merchant_id = $1 AND id = ANY($2::bigint[])
              AND state = 'sending' AND lease_owner = $3""",
        w.merchant_id, list(delivery_ids), owner, w.now + lease,
    )  # fmt: skip


async def give_back_lost(
    w: Work, run_id: int, owner: str, run_state: str | None, known: Sequence[int]
) -> None:
    """Make rows pending that were marked for us in a commit whose answer never reached us.

    They are none of `known`, so certainly nobody was given their message.
    """
    await w.sql.execute(
        """UPDATE deliveries SET state = CASE WHEN $6 THEN 'skipped' ELSE 'pending' END,
                  reason = CASE WHEN $6 THEN 'cancelled' END, attempts = attempts - 1,
                  lease_owner = NULL, lease_until = NULL, updated_at = $5
           WHERE merchant_id = $1 AND run_id = $2 AND state = 'sending' AND lease_owner = $3
             AND id <> ALL($4::bigint[])""",
        w.merchant_id, run_id, owner, list(known), w.now, run_state == "cancelled",
    )  # fmt: skip


async def expire(w: Work, run_id: int) -> int:
    """Rows whose worker fell silent while it was sending become unknown; returns how many."""
    result: str = await w.sql.execute(
        """UPDATE deliveries SET state = 'unknown', lease_owner = NULL, lease_until = NULL,
                  detail = 'the worker ended while it was sending', updated_at = $3
           WHERE merchant_id = $1 AND run_id = $2 AND state = 'sending' AND lease_until < $3""",
        w.merchant_id, run_id, w.now,
    )  # fmt: skip
    return int(result.rpartition(" ")[2])


async def close_erased(w: Work, customer_ids: Sequence[int]) -> int:
    """Close the open rows of customers who are being erased; returns how many.

    A message that is just being handed over becomes `unknown`: its worker no longer writes what
    became of it, since that might name the address.
    """
    result: str = await w.sql.execute(
        """UPDATE deliveries SET
               state = CASE WHEN state = 'pending' THEN 'skipped' ELSE 'unknown' END,
               reason = CASE WHEN state = 'pending' THEN 'erased' END,
               lease_owner = NULL, lease_until = NULL, updated_at = $3
           WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])
             AND state IN ('pending', 'sending')""",
        w.merchant_id, list(customer_ids), w.now,
    )  # fmt: skip
    return int(result.rpartition(" ")[2])


async def finish(w: Work, run_id: int, campaign_id: int) -> bool:
    """End a running run that has no open row left; returns whether it did."""
    # every statement that takes both locks takes the campaign's first
    await w.sql.execute(
        "SELECT 1 FROM campaigns WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, campaign_id,
    )  # fmt: skip
    finished = await w.sql.fetchval(
        """UPDATE campaign_runs SET state = 'finished', finished_at = $3
           WHERE merchant_id = $1 AND id = $2 AND state = 'running' AND NOT open
             AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.merchant_id = $1
                AND d.run_id = $2 AND d.state IN ('pending', 'sending'))
             AND NOT EXISTS (SELECT 1 FROM enrolments e WHERE e.merchant_id = $1
                AND e.run_id = $2 AND e.state = 'waiting') RETURNING id""",
        w.merchant_id, run_id, w.now,
    )  # fmt: skip
    if finished is None:
        return False
    await w.sql.execute(
        """UPDATE campaigns SET state = 'finished', updated_at = $3
           WHERE merchant_id = $1 AND id = $2 AND state = 'running' AND next_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM campaign_runs r WHERE r.merchant_id = $1
                AND r.campaign_id = $2 AND r.state IN ('planning', 'running', 'paused'))""",
        w.merchant_id, campaign_id, w.now,
    )  # fmt: skip
    w.emit(CampaignFinished(campaign_id, run_id))
    await w.notify("campaign", campaign_id)
    return True


async def open_runs(session: Session, limit: int = 100) -> list[tuple[int, int]]:
    """(merchant, run) of every merchant's runs that have something to do now."""
    rows = await session.sql.fetch(
        """SELECT r.merchant_id, r.id FROM campaign_runs r
           WHERE r.state IN ('planning', 'running') AND COALESCE(r.resume_at, $1) <= $1
             AND (r.state = 'planning'
                  OR EXISTS (SELECT 1 FROM deliveries d WHERE d.merchant_id = r.merchant_id
                       AND d.run_id = r.id AND d.state = 'pending' AND d.next_at <= $1)
                  OR NOT r.open
                     AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.merchant_id = r.merchant_id
                       AND d.run_id = r.id AND d.state IN ('pending', 'sending'))
                     AND NOT EXISTS (SELECT 1 FROM enrolments e WHERE e.merchant_id = r.merchant_id
                       AND e.run_id = r.id AND e.state = 'waiting'))
           UNION
           SELECT d.merchant_id, d.run_id FROM deliveries d
           WHERE d.state = 'sending' AND d.lease_until < $1
           LIMIT $2""",
        session.now, limit,
    )  # fmt: skip
    return [(row["merchant_id"], row["id"]) for row in rows]


def _cut(text: str | None) -> str | None:
    return None if text is None else text.replace("\x00", "")[:DETAIL_LIMIT]
