"""Which message an order is credited to: its customer's last touch before paying, and only one.

A touch counts for orders paid from its instant until before the end of its window. Messages of
marketing count for every order of their customer. Any message, also one of service, counts for the
order that it is about and that was not paid yet: so does a payment reminder. Of two touches at one
instant the stronger counts, then the newer message.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.domain.campaigns.results.windows import ANY_CHANNEL, windows
from core.storage.database import Database, Session, Work
from core.storage.jobs import Job

AT_ONCE = 2_000
"""Entries of the log, or orders, that one transaction takes."""

LOCK_SPACE = 0x6174

ARRIVED = "COALESCE(d.receipt, '') NOT IN ('undelivered', 'bounced')"
"""Whether nothing says that message `d` did not arrive."""

LAST_CLICK = """GREATEST(d.clicked_at, (
        SELECT max(k.at) FROM link_clicks k WHERE k.merchant_id = $1 AND k.delivery_id = d.id
           AND k.machine IS FALSE AND k.at <= t.paid_at))"""
"""The last click of a person before the payment; the message itself keeps the first."""

TOUCHED = f"""(VALUES
    ('delivery', 1, CASE WHEN d.marketing AND {ARRIVED} THEN COALESCE(d.delivered_at, d.sent_at)
     END),
    ('open', 2, CASE WHEN d.marketing THEN d.opened_at END),
    ('click', 3, CASE WHEN d.marketing AND d.clicked_at <= t.paid_at THEN {LAST_CLICK} END),
    ('reminder', 4, CASE WHEN d.order_id = t.id AND {ARRIVED} THEN d.sent_at END)
) x (touch, strength, at)"""
"""The touches of message `d` for order `t`."""

CREDITED = f"""
    SELECT t.id AS order_id, last.* FROM targets t CROSS JOIN LATERAL (
        SELECT d.id AS delivery_id, d.run_id, x.touch, x.at FROM deliveries d
        CROSS JOIN LATERAL {TOUCHED}
        JOIN windows w ON w.touch = x.touch AND w.since <= t.paid_at AND t.paid_at < w.until
         AND w.channel = CASE WHEN d.channel = ANY($2) THEN d.channel ELSE '{ANY_CHANNEL}' END
        WHERE d.merchant_id = $1 AND d.customer_id = t.customer_id AND d.state = 'sent'
          AND d.sent_at <= t.paid_at AND x.at <= t.paid_at AND t.paid_at < x.at + w.span
        ORDER BY x.at DESC, x.strength DESC, d.id DESC LIMIT 1) last
    WHERE t.paid_at IS NOT NULL AND t.state <> 'closed_unpaid'
"""

WRITE = f"""
    windows AS MATERIALIZED (
        SELECT channel, touch, make_interval(hours => hours) AS span, since, until
        FROM unnest($2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::timestamptz[])
            AS w (channel, touch, hours, since, until) WHERE hours > 0),
    credited AS MATERIALIZED ({CREDITED}),
    gone AS (
        DELETE FROM attributions a USING targets t
        WHERE a.merchant_id = $1 AND a.order_id = t.id
          AND NOT EXISTS (SELECT 1 FROM credited c WHERE c.order_id = t.id)
        RETURNING a.order_id),
    written AS (
        INSERT INTO attributions AS a (merchant_id, order_id, delivery_id, run_id, touch,
                                       touched_at)
        SELECT $1, order_id, delivery_id, run_id, touch, at FROM credited ORDER BY order_id
        ON CONFLICT (merchant_id, order_id) DO UPDATE SET delivery_id = excluded.delivery_id,
            run_id = excluded.run_id, touch = excluded.touch, touched_at = excluded.touched_at
        WHERE (a.delivery_id, a.touch, a.touched_at)
              IS DISTINCT FROM (excluded.delivery_id, excluded.touch, excluded.touched_at)
        RETURNING order_id)
"""
"""Credits the orders of `targets` (id, customer_id, paid_at, state); windows are $2 to $6."""

CHANGED = "((SELECT count(*) FROM gone) + (SELECT count(*) FROM written))"


@dataclass(frozen=True)
class Credited:
    """How many orders were looked at, and of how many the credit changed."""

    orders: int
    changed: int


async def merchants_to_credit(db: Database) -> list[int]:
    """Merchants with orders that have to be credited anew."""
    return await db.merchants_in("attribution_changes")


async def credit_changed(db: Database, merchant_id: int) -> int:
    """Credit the orders that the log of changes is about; returns how many entries it took."""
    taken = 0
    while True:
        async with db.work(merchant_id) as w:
            await _one_at_a_time(w)
            some: int = await w.sql.fetchval(
                f"""WITH taken AS (
                        DELETE FROM attribution_changes WHERE merchant_id = $1 AND id = ANY(ARRAY(
                            SELECT id FROM attribution_changes WHERE merchant_id = $1
                            ORDER BY id LIMIT {AT_ONCE}))
                        RETURNING customer_id, since),
                    wanted AS (
                        SELECT customer_id, min(since) AS since FROM taken GROUP BY customer_id),
                    targets AS MATERIALIZED (
                        SELECT o.id, o.customer_id, o.paid_at, o.state FROM wanted
                        CROSS JOIN LATERAL (
                            SELECT * FROM orders WHERE merchant_id = $1
                               AND customer_id = wanted.customer_id
                               AND (paid_at >= wanted.since OR paid_at IS NULL) OFFSET 0) o),
                    {WRITE}
                    SELECT (SELECT count(*) FROM taken)""",
                *await _arguments(w),
            )
        taken += some
        if some < AT_ONCE:
            return taken


async def credit_period(
    db: Database, merchant_id: int, since: datetime, until: datetime
) -> Credited:
    """Credit anew all orders paid from `since` until before `until`, some at a time.

    An order whose customer was erased keeps its credit.
    """
    orders = changed = 0
    after: Place = (since, BEFORE_ALL)
    while True:
        async with db.work(merchant_id) as w:
            some, after = await _credit_some(w, after, until)
        orders, changed = orders + some.orders, changed + some.changed
        if some.orders < AT_ONCE:
            return Credited(orders, changed)


Place = tuple[datetime, int]
"""When an order was paid, and its id."""
BEFORE_ALL = -1
"""In place of an id."""


async def _credit_some(w: Work, after: Place, until: datetime) -> tuple[Credited, Place]:
    """Credit the next orders after a place; also returns the last one's place."""
    await _one_at_a_time(w)
    row = await w.sql.fetchrow(
        f"""WITH targets AS MATERIALIZED (
                SELECT id, customer_id, paid_at, state FROM orders
                WHERE merchant_id = $1 AND (paid_at, id) > ($7, $8) AND paid_at < $9
                  AND customer_id IS NOT NULL
                ORDER BY paid_at, id LIMIT {AT_ONCE}),
            {WRITE}
            SELECT {CHANGED} AS changed, count(t.id) AS orders, max(t.paid_at) AS paid_at,
                   (array_agg(t.id ORDER BY t.paid_at DESC, t.id DESC))[1] AS id
            FROM targets t""",
        *await _arguments(w), *after, until,
    )  # fmt: skip
    last = (row["paid_at"], row["id"]) if row["orders"] else after
    return Credited(row["orders"], row["changed"]), last


class AttributionRecompute:
    """The job kind "attribution.recompute": orders paid from `since` until before `until` anew.

    The result has the numbers of `orders` looked at and of those whose credit `changed`.
    """

    name = "attribution.recompute"

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Go through the orders by the time of their payment."""
        until = datetime.fromisoformat(job.params["until"])
        first = job.params["since"], BEFORE_ALL
        while True:
            async with job.step(db) as w:
                paid_at, order_id = job.checkpoint.get("after", first)
                place = datetime.fromisoformat(paid_at), order_id
                some, (paid, last) = await _credit_some(w, place, until)
                job.done += some.orders
                job.checkpoint = {
                    "after": (paid.isoformat(), last),
                    "changed": job.checkpoint.get("changed", 0) + some.changed,
                }
            if some.orders < AT_ONCE:
                return {"orders": job.done, "changed": job.checkpoint["changed"]}


async def _one_at_a_time(w: Work) -> None:
    """Of two workers the slower would overwrite what the other saw later."""
    await w.sql.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCK_SPACE, w.merchant_id % 2**31)


async def _arguments(session: Session) -> list[Any]:
    """The merchant and his windows, as the statements take them."""
    found = await windows(session)
    return [
        session.merchant_id,
        [one.channel for one in found], [one.touch for one in found],
        [one.hours for one in found], [one.since for one in found], [one.until for one in found],
    ]  # fmt: skip
