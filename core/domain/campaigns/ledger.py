"""The delivery ledger's transitions, each a guarded statement over many rows.

pending -> sending -> sent | failed | unknown | skipped, and back to pending for another try. A row
is marked `sending` and committed before its message is handed over, and only the worker whose
lease it carries may say what became of it. A row found in `sending` after its lease is `unknown`.
An unknown row becomes sent or pending when the provider, a receipt or the merchant says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.domain.campaigns.journeys.exits import Leaving
from core.domain.campaigns.policy import address_columns, personal_columns, skip_reason_sql
from core.domain.campaigns.policy.gate import Gate, judged_sql, place_columns
from core.domain.campaigns.told import cut
from core.sdk.channels import Channel, MessageClass
from core.sdk.events import CampaignFinished
from core.sdk.facets import Query
from core.storage.database import Work

LOCK_SPACE = 0x6872
"""Advisory locks of runs: shared by turns, held alone by who stops a run. They queue in order, so
that turns of many workers, one after the other, cannot keep a pause waiting."""

PROVEN = "('accepted', 'delivered', 'complained')"
"""Receipts that show that the provider took the message, whatever the worker heard."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message. `after` is the pause before another try of a pending one, or
    before the fate of an unknown one is asked for; without `asked` nobody asks.

    A row given back untried (`tried` is False) does not count as an attempt. `provider` is who was
    tried; one that certainly did not send is avoided from then on. `cost` is in millionths.
    """

    delivery_id: int
    state: str
    reason: str | None = None
    detail: str | None = None
    provider_id: str | None = None
    after: timedelta = timedelta()
    tried: bool = True
    provider: str | None = None
    parts: int | None = None
    cost: int | None = None
    currency: str | None = None
    asked: bool = False


async def hold_run(w: Work, run_id: int) -> str | None:
    """The run's state, kept from being stopped until this transaction ends; None without a run."""
    # a turn knows its rows by their ids, and must not read all others of a table that is still
    # small for the planner: pages cost about the same wherever they lie
    await w.sql.execute(
        """SELECT pg_advisory_xact_lock_shared($1, $2),
                  set_config('random_page_cost', '1.1', TRUE)""",
        LOCK_SPACE, run_id % 2**31,
    )  # fmt: skip
    state: str | None = await w.sql.fetchval(
        "SELECT state FROM campaign_runs WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, run_id,
    )  # fmt: skip
    return state


async def stop_turns(w: Work, campaign_id: int) -> None:
    """Let the turns that are under way end, and none begin before this transaction ends."""
    await w.sql.execute(
        """SELECT pg_advisory_xact_lock($3, (id % 2147483648)::int) FROM campaign_runs
           WHERE merchant_id = $1 AND campaign_id = $2
             AND state IN ('planning', 'running', 'paused') ORDER BY id""",
        w.merchant_id, campaign_id, LOCK_SPACE,
    )  # fmt: skip


async def mark_sending(
    w: Work,
    run_id: int,
    step: int,
    channel: Channel,
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
    shop = None if shop_id is None else q.arg(shop_id, "bigint")
    personal, join = personal_columns(message_class, shop)
    now, name = q.arg(w.now, "timestamptz"), q.arg(channel.name, "text")
    to = address_columns(channel, q.arg, shop, "due.order_id", "due.parcel_id")
    reason = skip_reason_sql(to.address, message_class, name, shop)
    if leaving is not None:
        reason = f"COALESCE({leaving.reason_sql(w, q.args, 'due.enrolment_id')}, {reason})"
    rows = f"""SELECT due.id, due.customer_id, due.next_at AS due_at, due.not_after, c.name,
                      {personal}, {to.columns}, {reason} AS reason{place_columns(q, gate)}
               FROM due LEFT JOIN customers c ON c.merchant_id = $1 AND c.id = due.customer_id
               {to.join} {join}"""
    taken: list[Mapping[str, Any]] = await w.sql.fetch(
        f"""WITH due AS MATERIALIZED (
                SELECT id, customer_id, enrolment_id, order_id, parcel_id, next_at, not_after
                FROM deliveries
                WHERE merchant_id = $1 AND run_id = {q.arg(run_id, "bigint")}
                  AND step = {q.arg(step, "smallint")} AND state = 'pending'
                  AND next_at <= {now} AND variant IS NOT NULL
                ORDER BY next_at, id LIMIT {q.arg(limit, "bigint")} FOR UPDATE SKIP LOCKED),
            judged AS MATERIALIZED ({judged_sql(q, gate, rows, batch=True)})
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
                      d.avoid, j.rule AS reason, j.name, j.province, j.city, j.sealed, j.found,
                      j.order_number, j.tracking_number""",
        *q.args,
    )
    return taken


async def skip_late(w: Work, run_id: int, step: int, until: datetime, rule: str) -> None:
    """Skip the due rows of a step, which is closed by a rule, that may not wait until it opens."""
    await w.sql.execute(
        """UPDATE deliveries SET state = 'skipped', reason = $6, updated_at = $4
           WHERE merchant_id = $1 AND run_id = $2 AND step = $3 AND state = 'pending'
             AND next_at <= $4 AND not_after < $5""",
        w.merchant_id, run_id, step, w.now, until, rule,
    )  # fmt: skip


async def record(w: Work, owner: str, run_state: str | None, outcomes: Sequence[Outcome]) -> None:
    """Write what became of messages; rows that are no longer ours stay as they are.

    A receipt that came already and proves the message sent outweighs what the worker heard.
    """
    if not outcomes:
        return
    proven = f"""(d.receipt IN {PROVEN} OR d.receipt IS NOT NULL AND o.state = 'unknown')"""
    stopped = "(o.state = 'pending' AND $9)"
    await w.sql.execute(
        # the state is asked of rows that were found by their id: an index on it would be full of
        # entries that are no longer true
        f"""WITH o AS MATERIALIZED (
               SELECT o.*, held.state AS held, held.lease_owner AS holder
               FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
                       $10::interval[], $11::boolean[], $12::text[], $13::smallint[],
                       $14::bigint[], $15::text[], $16::boolean[])
                AS o (id, state, reason, detail, provider_id, after, tried, provider, parts, cost,
                      currency, asked)
               JOIN deliveries held ON held.merchant_id = $1 AND held.id = o.id
               ORDER BY o.id FOR UPDATE OF held)
           UPDATE deliveries d SET
               state = CASE WHEN {proven} THEN 'sent' WHEN {stopped} THEN 'skipped'
                            ELSE o.state END,
               reason = CASE WHEN {proven} THEN NULL WHEN {stopped} THEN 'cancelled'
                             ELSE o.reason END,
               detail = COALESCE(o.detail, CASE WHEN d.receipt IS NOT NULL THEN d.detail END),
               provider = COALESCE(o.provider, d.provider),
               provider_id = COALESCE(o.provider_id, d.provider_id),
               parts = COALESCE(o.parts, d.parts), cost = COALESCE(o.cost, d.cost),
               currency = COALESCE(o.currency, d.currency),
               avoid = CASE WHEN o.state = 'pending' AND o.provider IS NOT NULL
                                 AND o.provider <> ALL(COALESCE(d.avoid, '{{}}'))
                            THEN array_append(d.avoid, o.provider) ELSE d.avoid END,
               checks = CASE WHEN o.state = 'unknown' AND NOT o.asked THEN NULL ELSE 0 END,
               next_at = $3::timestamptz + o.after,
               sent_at = CASE WHEN o.state = 'sent' OR {proven} THEN $3 END,
               attempts = d.attempts - CASE WHEN o.tried THEN 0 ELSE 1 END,
               lease_owner = NULL, lease_until = NULL, updated_at = $3
           FROM o WHERE o.held = 'sending' AND o.holder = $2 AND d.merchant_id = $1
             AND d.id = o.id""",
        w.merchant_id, owner, w.now,
        [o.delivery_id for o in outcomes], [o.state for o in outcomes],
        [o.reason for o in outcomes], [cut(o.detail) for o in outcomes],
        [o.provider_id for o in outcomes], run_state == "cancelled",
        [o.after for o in outcomes], [o.tried for o in outcomes],
        [o.provider for o in outcomes], [o.parts for o in outcomes], [o.cost for o in outcomes],
        [o.currency for o in outcomes], [o.asked for o in outcomes],
    )  # fmt: skip


async def hold_ours(w: Work, run_id: int, owner: str) -> None:
    """Lock all rows that we are sending, before a turn that writes them in several statements.

    Whoever locks several rows does it in the order of their ids, in one statement.
    """
    await w.sql.execute(
        """SELECT 1 FROM deliveries WHERE merchant_id = $1 AND run_id = $2 AND state = 'sending'
             AND lease_owner = $3 ORDER BY id FOR NO KEY UPDATE""",
        w.merchant_id, run_id, owner,
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


async def expire(w: Work, run_id: int, pauses: Mapping[str, timedelta]) -> int:
    """Rows whose worker fell silent while it was sending become unknown; returns how many.

    `pauses` says of channels that can be asked after what pause that is done.
    """
    pause = """(SELECT p.pause FROM unnest($4::text[], $5::interval[]) AS p (channel, pause)
                WHERE p.channel = d.channel)"""
    result: str = await w.sql.execute(
        f"""UPDATE deliveries d SET lease_owner = NULL, lease_until = NULL, updated_at = $3,
               state = CASE WHEN d.receipt IS NULL THEN 'unknown' ELSE 'sent' END,
               sent_at = CASE WHEN d.receipt IS NOT NULL THEN d.updated_at END,
               checks = CASE WHEN {pause} IS NOT NULL THEN 0 END,
               next_at = $3::timestamptz + COALESCE({pause}, '0'),
               detail = CASE WHEN d.receipt IS NULL
                             THEN 'the worker ended while it was sending' ELSE d.detail END
           WHERE d.merchant_id = $1 AND d.run_id = $2 AND d.state = 'sending'
             AND d.lease_until < $3""",
        w.merchant_id, run_id, w.now, list(pauses), list(pauses.values()),
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
               checks = NULL, lease_owner = NULL, lease_until = NULL, updated_at = $3
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
        """UPDATE campaign_runs SET state = 'finished', finished_at = $3, finishes = finishes + 1
           WHERE merchant_id = $1 AND id = $2 AND state = 'running' AND NOT open
             AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.merchant_id = $1
                AND d.run_id = $2 AND (d.state IN ('pending', 'sending')
                    OR d.state = 'unknown' AND d.checks IS NOT NULL))
             AND NOT EXISTS (SELECT 1 FROM enrolments e WHERE e.merchant_id = $1
                AND e.run_id = $2 AND e.state = 'waiting') RETURNING finishes""",
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
    w.emit(CampaignFinished(campaign_id, run_id, finished))
    await w.notify("campaign", campaign_id)
    return True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What turned out about an unknown message: sent, pending (it was not) or still unknown.

    `after` is the pause until it is asked for again; None: nobody asks any more.
    """

    delivery_id: int
    state: str
    after: timedelta | None = None
    detail: str | None = None
    provider_id: str | None = None
    provider: str | None = None
    parts: int | None = None
    cost: int | None = None
    currency: str | None = None


async def resolve(w: Work, verdicts: Sequence[Verdict]) -> list[int]:
    """Write what turned out about unknown messages; returns the ids of rows that were unknown.

    What was not sent is sent again at once, by another provider if the channel has one; the run
    goes on for it if it was finished, and if it was cancelled the message is skipped.
    """
    rows = await w.sql.fetch(
        """WITH told AS MATERIALIZED (
               SELECT o.*, r.id AS run_id, r.campaign_id, r.state AS run_state
               FROM unnest($3::bigint[], $4::text[], $5::interval[], $6::text[], $7::text[],
                           $8::text[], $9::smallint[], $10::bigint[], $11::text[])
                    AS o (id, state, after, detail, provider_id, provider, parts, cost, currency)
               JOIN deliveries d ON d.merchant_id = $1 AND d.id = o.id AND d.state = 'unknown'
               JOIN campaign_runs r ON r.merchant_id = $1 AND r.id = d.run_id
               ORDER BY o.id FOR UPDATE OF d),
           reopened AS (
               UPDATE campaign_runs r SET state = 'running', finished_at = NULL
               FROM told WHERE r.merchant_id = $1 AND r.id = told.run_id
                 AND r.state = 'finished' AND told.state = 'pending'),
           resumed AS (
               UPDATE campaigns c SET state = 'running', updated_at = $2
               FROM told WHERE c.merchant_id = $1 AND c.id = told.campaign_id
                 AND c.state = 'finished' AND told.state = 'pending')
           UPDATE deliveries d SET
               state = CASE WHEN t.state = 'pending' AND t.run_state = 'cancelled' THEN 'skipped'
                            ELSE t.state END,
               reason = CASE WHEN t.state = 'pending' AND t.run_state = 'cancelled'
                             THEN 'cancelled' END,
               checks = CASE WHEN t.state <> 'unknown' THEN 0
                             WHEN t.after IS NOT NULL THEN d.checks + 1 END,
               next_at = $2::timestamptz + COALESCE(t.after, '0'),
               sent_at = CASE WHEN t.state = 'sent' THEN d.updated_at END,
               detail = CASE WHEN t.state = 'sent' THEN t.detail
                             ELSE COALESCE(t.detail, d.detail) END,
               provider = COALESCE(t.provider, d.provider),
               provider_id = COALESCE(t.provider_id, d.provider_id),
               parts = COALESCE(t.parts, d.parts), cost = COALESCE(t.cost, d.cost),
               currency = COALESCE(t.currency, d.currency),
               avoid = CASE WHEN t.state = 'pending' AND d.provider IS NOT NULL
                                 AND d.provider <> ALL(COALESCE(d.avoid, '{}'))
                            THEN array_append(d.avoid, d.provider) ELSE d.avoid END,
               updated_at = CASE WHEN t.state = 'unknown' THEN d.updated_at ELSE $2 END
           FROM told t WHERE d.merchant_id = $1 AND d.id = t.id
           RETURNING d.id, d.run_id""",
        w.merchant_id, w.now,
        [v.delivery_id for v in verdicts], [v.state for v in verdicts],
        [v.after for v in verdicts], [cut(v.detail) for v in verdicts],
        [v.provider_id for v in verdicts], [v.provider for v in verdicts],
        [v.parts for v in verdicts], [v.cost for v in verdicts], [v.currency for v in verdicts],
    )  # fmt: skip
    for run_id in sorted({row["run_id"] for row in rows}):
        w.ring("run.send", w.merchant_id, run_id)
    return [row["id"] for row in rows]
