"""Letting customers into a journey: the one place where enrolments come from."""

from datetime import datetime

from core.domain.campaigns.journeys.asking import rule_sql
from core.domain.campaigns.journeys.running import Journey
from core.domain.campaigns.planning import Recipients
from core.domain.campaigns.results.holdout import holdout_of
from core.registry import Registry
from core.sdk.facets import Query
from core.sdk.flows import Entry
from core.storage.database import Work


async def enrol(
    w: Work,
    registry: Registry,
    q: Query,
    journey: Journey,
    recipients: Recipients,
    entry_key: str,
    *,
    at: datetime | None = None,
    event_id: int | None = None,
) -> int:
    """Let customers in as the entry rule has it; returns how many came in.

    `recipients` are SQL of the query `q`. `entry_key` is an expression of its rows, a number that
    says which occasion this is: the event, the run, the year. A customer comes in once for each, so
    that what is told twice counts once; with the entry rule "never" once in all, and with "order"
    once for each order. They begin at `at`, now unless it is given, from which their waits count;
    `event_id` is the event that lets them in, if any. Who is held out leaves at once, and counts.
    Nobody comes in while the run is not running, or no longer open.

    Raises Several when the entry's rule can no longer be asked.
    """
    entry = journey.flow.entry
    # two at once must not both find that the last time was long ago
    lock = "NO KEY UPDATE" if entry.again == "every" else "SHARE"
    if not await w.sql.fetchval(
        f"""SELECT id FROM campaign_runs WHERE merchant_id = $1 AND id = $2 AND open
               AND state = 'running' FOR {lock}""",
        w.merchant_id, journey.run_id,
    ):  # fmt: skip
        return 0
    rule = await rule_sql(w, registry, q, entry.rule)
    run, campaign = q.arg(journey.run_id, "bigint"), q.arg(journey.campaign_id, "bigint")
    now, begun = q.arg(w.now, "timestamptz"), q.arg(at or w.now, "timestamptz")
    event = q.arg(event_id, "bigint")
    holdout = holdout_of(journey.campaign_id, journey.options)
    reason = holdout.reason_sql(q, "c.id") if holdout else "NULL::text"
    once = "customer_id" if entry.again == "every" else "customer_id, entry_key"
    result: str = await w.sql.execute(
        f"""INSERT INTO enrolments (merchant_id, campaign_id, run_id, customer_id, entry_key,
                order_id, parcel_id, event_id, wake_at, entered_at, state, reason, ended_at)
            SELECT DISTINCT ON ({once}) $1, {campaign}, {run}, a.customer_id, a.entry_key,
                   a.order_id, a.parcel_id, {event},
                   CASE WHEN a.reason IS NULL THEN {now} END, {begun},
                   CASE WHEN a.reason IS NULL THEN 'waiting' ELSE 'left' END, a.reason,
                   CASE WHEN a.reason IS NOT NULL THEN {now} END
            FROM (SELECT c.id AS customer_id, {_key(entry, recipients, entry_key)} AS entry_key,
                         {recipients.order} AS order_id, {recipients.parcel} AS parcel_id,
                         {rule} AS wanted, {reason} AS reason
                  FROM {recipients.source}
                  -- as a merge holds them, so that nobody comes in who goes
                  ORDER BY c.id FOR KEY SHARE OF c) a
            WHERE a.wanted AND NOT EXISTS (
                SELECT 1 FROM enrolments e WHERE e.merchant_id = $1 AND e.campaign_id = {campaign}
                   AND e.customer_id = a.customer_id AND {_before(entry, q, now)})
            ORDER BY customer_id, entry_key
            ON CONFLICT (merchant_id, campaign_id, customer_id, entry_key) DO NOTHING""",
        *q.args,
    )
    count = int(result.rpartition(" ")[2])
    if count:
        w.ring("journeys.advance", w.merchant_id)
    return count


def _key(entry: Entry, recipients: Recipients, given: str) -> str:
    if entry.again == "never":
        # named all the same: its parameters must stand somewhere
        return f"COALESCE(0, {given})"
    if entry.again == "order":
        # below 0, so that it is never the number of an event
        return f"COALESCE(-{recipients.order}, {given})"
    return given


def _before(entry: Entry, q: Query, now: str) -> str:
    """A condition on an enrolment `e` that keeps its customer from coming in again."""
    if entry.again == "never":
        return "TRUE"
    if entry.again == "every":
        return f"e.entered_at > {now} - make_interval(days => {q.arg(entry.days, 'int')})"
    return "FALSE"
