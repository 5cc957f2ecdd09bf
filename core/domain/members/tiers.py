"""Which tier each member deserves: one statement over any number of members.

Members rise at once when what the programme measures reaches a tier's threshold. They fall only at
the end of the period for which a tier is kept, if they miss its keep threshold; except that a tier
which was reached by what was refunded since was never deserved, and is lost at once: the member is
in the tier of before again, for as long as that was to be kept. A tier given by hand is kept until
it ends, unless a better one is deserved.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from core.domain.members.rules import Measure, TierRules
from core.domain.orders.facts import COUNTED, REFUNDED
from core.sdk.events import TierChanged
from core.storage.database import Session, Work


@dataclass(frozen=True, slots=True)
class TierRule:
    """A tier as it is, or as it might be: see models.Tier."""

    id: int
    rank: int
    threshold: int | None
    keep_threshold: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """A member's tier and the one that follows; None is none. `cause`: why. `resumed` is the
    interval of before that goes on, if one does."""

    customer_id: int
    old_id: int | None
    new_id: int | None
    cause: str
    resumed: int | None = None


MEASURES: dict[Measure, str] = {
    "net_spend": f"""SELECT COALESCE(sum(o.paid - {REFUNDED}), 0)::bigint FROM orders o
        WHERE o.merchant_id = $1 AND o.customer_id = {{customer}} AND {COUNTED}
          AND o.currency = $2 AND o.paid_at > {{start}} AND o.paid_at <= {{end}}""",
    "purchases": f"""SELECT count(DISTINCT (o.shop_id, (o.paid_at AT TIME ZONE s.time_zone)::date))
        FROM orders o JOIN shops s ON s.merchant_id = $1 AND s.id = o.shop_id
        WHERE o.merchant_id = $1 AND o.customer_id = {{customer}} AND {COUNTED}
          AND o.currency = $2 AND o.paid_at > {{start}} AND o.paid_at <= {{end}}""",
    "points": """SELECT COALESCE(sum(e.points), 0)::bigint FROM points_entries e
        LEFT JOIN points_entries l ON l.merchant_id = $1 AND l.id = e.reverses
        WHERE e.merchant_id = $1 AND e.customer_id = {customer} AND $2::text IS NOT NULL
          AND (e.kind = 'earn' OR e.kind = 'reverse' AND l.kind = 'earn')
          AND COALESCE(l.at, e.at) > {start} AND COALESCE(l.at, e.at) <= {end}""",
}
"""What is measured of a customer between two instants, in a currency $2; refunds count at once."""


def measured(rules: TierRules, zone: ZoneInfo, customer: str, end: str) -> str:
    """An SQL expression: what the programme measures of a customer in the window up to `end`."""
    if rules.window == "rolling":
        start = f"{end} - interval '{rules.window_days * 24} hours'"
    else:
        local = f"{end} AT TIME ZONE '{zone.key}'"
        start = f"date_trunc('year', {local}) AT TIME ZONE '{zone.key}' - interval '1 microsecond'"
    return f"({MEASURES[rules.measure].format(customer=customer, start=start, end=end)})"


async def find_changes(
    session: Session,
    rules: TierRules,
    tiers: Sequence[TierRule],
    currency: str,
    zone: ZoneInfo,
    customer_ids: Sequence[int] | None = None,
) -> list[Change]:
    """The members whose tier ought to change now, with these rules and tiers."""
    before_reached = measured(rules, zone, "d.customer_id", "i.valid_from")
    rows = await session.sql.fetch(
        f"""WITH {_causes(rules, zone)}
            SELECT d.customer_id, d.tier_id AS old_id, COALESCE(b.tier_id, d.deserved_id) AS new_id,
                   d.cause, b.id AS resumed
            FROM causes d
            LEFT JOIN LATERAL (
                SELECT i.id, i.tier_id FROM tier_intervals i JOIN tiers t ON t.id = i.tier_id
                WHERE d.cause = 'refund' AND i.merchant_id = $1 AND i.customer_id = d.customer_id
                  AND i.valid_to = d.valid_from AND NOT i.merged
                  AND COALESCE(i.review_at > $3, TRUE)
                  AND t.rank >= d.deserved_rank
                  AND CASE WHEN i.threshold IS NULL THEN TRUE
                           ELSE {before_reached} >= i.threshold END
                ORDER BY t.rank DESC LIMIT 1) b ON TRUE
            WHERE d.cause IS NOT NULL ORDER BY d.customer_id""",
        *_arguments(session, rules, tiers, currency, customer_ids),
    )
    return [
        Change(
            row["customer_id"], row["old_id"],
            row["old_id"] if row["cause"] == "kept" else row["new_id"], row["cause"],
            row["resumed"],
        )
        for row in rows
    ]  # fmt: skip


async def count_changes(
    session: Session, rules: TierRules, tiers: Sequence[TierRule], currency: str, zone: ZoneInfo
) -> Counter[str]:
    """How many members would rise, fall, and so on, by cause, with these rules and tiers."""
    rows = await session.sql.fetch(
        f"""WITH {_causes(rules, zone)}
            SELECT cause, count(*) AS members FROM causes WHERE cause IS NOT NULL GROUP BY cause""",
        *_arguments(session, rules, tiers, currency, None),
    )
    return Counter({row["cause"]: row["members"] for row in rows})


def _causes(rules: TierRules, zone: ZoneInfo) -> str:
    """The tables `tiers` and `causes`: members, what they deserve, and why that is a change."""
    measure = measured(rules, zone, "m.customer_id", "$3::timestamptz")
    when_reached = measured(rules, zone, "m.customer_id", "i.valid_from")
    # OFFSET 0: a cause is worked out once, wherever it is asked for
    return f"""tiers AS (
                SELECT * FROM unnest($4::bigint[], $5::int[], $6::bigint[], $7::bigint[])
                    AS t (id, rank, threshold, keep_threshold)),
            members AS (
                SELECT m.customer_id, i.valid_from, i.tier_id, i.manual, i.review_at,
                       i.threshold AS reached, t.rank,
                       COALESCE(t.keep_threshold, t.threshold) AS keep, {measure} AS measure,
                       CASE WHEN i.threshold IS NOT NULL THEN {when_reached} END AS when_reached
                FROM memberships m
                LEFT JOIN tier_intervals i ON i.merchant_id = $1 AND i.customer_id = m.customer_id
                    AND i.valid_to IS NULL
                LEFT JOIN tiers t ON t.id = i.tier_id
                WHERE m.merchant_id = $1 AND m.left_at IS NULL
                  AND ($8::bigint[] IS NULL OR m.customer_id = ANY($8::bigint[]))),
            deserved AS (
                SELECT m.*, d.id AS deserved_id, COALESCE(d.rank, -1) AS deserved_rank
                FROM members m
                LEFT JOIN LATERAL (SELECT t.id, t.rank FROM tiers t WHERE t.threshold <= m.measure
                    ORDER BY t.rank DESC LIMIT 1) d ON TRUE),
            causes AS (
                SELECT *, CASE
                    WHEN tier_id IS NULL THEN CASE WHEN deserved_id IS NOT NULL THEN 'upgrade' END
                    WHEN rank IS NULL THEN 'removed'
                    WHEN deserved_rank > rank THEN 'upgrade'
                    WHEN deserved_rank = rank AND NOT manual AND review_at > $3 THEN NULL
                    WHEN when_reached < reached THEN 'refund'
                    WHEN review_at + $9::interval > $3 OR review_at IS NULL THEN NULL
                    WHEN manual THEN 'ended'
                    WHEN measure >= keep THEN 'kept'
                    ELSE 'downgrade' END AS cause
                FROM deserved OFFSET 0)"""


def _arguments(
    session: Session,
    rules: TierRules,
    tiers: Sequence[TierRule],
    currency: str,
    customer_ids: Sequence[int] | None,
) -> list[Any]:
    return [
        session.merchant_id, currency, session.now, [tier.id for tier in tiers],
        [tier.rank for tier in tiers], [tier.threshold for tier in tiers],
        [tier.keep_threshold for tier in tiers],
        None if customer_ids is None else list(customer_ids), timedelta(days=rules.grace_days),
    ]  # fmt: skip


async def apply_changes(w: Work, rules: TierRules, changes: Sequence[Change]) -> None:
    """Write changes of tiers down; who keeps his tier gets another period."""
    review_at = w.now + timedelta(days=rules.keep_days)
    kept = [change.customer_id for change in changes if change.cause == "kept"]
    moved = [change for change in changes if change.cause != "kept"]
    await w.sql.execute(
        """UPDATE tier_intervals SET review_at = $3 WHERE merchant_id = $1
              AND customer_id = ANY($2::bigint[]) AND valid_to IS NULL""",
        w.merchant_id, kept, review_at,
    )  # fmt: skip
    await end_tiers(w, [change.customer_id for change in moved])
    await w.sql.execute(
        """UPDATE tier_intervals SET valid_to = NULL
           WHERE merchant_id = $1 AND id = ANY($2::bigint[])""",
        w.merchant_id, [change.resumed for change in moved if change.resumed is not None],
    )  # fmt: skip
    risen = [change for change in moved if change.new_id is not None and change.resumed is None]
    await w.sql.execute(
        """INSERT INTO tier_intervals (merchant_id, customer_id, tier_id, valid_from, review_at,
               threshold, cause)
           SELECT $1, u.customer, u.tier, $2, $3, t.threshold, u.cause
           FROM unnest($4::bigint[], $5::bigint[], $6::text[]) AS u (customer, tier, cause)
           JOIN tiers t ON t.merchant_id = $1 AND t.id = u.tier""",
        w.merchant_id, w.now, review_at, [change.customer_id for change in risen],
        [change.new_id for change in risen], [change.cause for change in risen],
    )  # fmt: skip
    for change in moved:
        w.emit(TierChanged(change.customer_id, change.old_id, change.new_id, change.cause))


async def set_tier(
    w: Work, customer_id: int, tier_id: int, until: datetime | None, cause: str = "manual"
) -> None:
    """Give a member a tier by hand, until an instant or for good."""
    await give_tiers(w, {customer_id: tier_id}, until, cause)


async def give_tiers(w: Work, tiers: Mapping[int, int], until: datetime | None, cause: str) -> None:
    """Give members tiers, by customer, that they need not deserve, until an instant or for good."""
    if not tiers:
        return
    old = await end_tiers(w, list(tiers))
    await w.sql.execute(
        """INSERT INTO tier_intervals (merchant_id, customer_id, tier_id, valid_from, review_at,
               manual, cause)
           SELECT $1, u.customer, u.tier, $2, $3, TRUE, $4
           FROM unnest($5::bigint[], $6::bigint[]) AS u (customer, tier)""",
        w.merchant_id, w.now, until, cause, list(tiers), list(tiers.values()),
    )  # fmt: skip
    for customer_id, tier_id in tiers.items():
        w.emit(TierChanged(customer_id, old.get(customer_id), tier_id, cause))


async def end_tiers(w: Work, customer_ids: Sequence[int]) -> dict[int, int]:
    """End the present tiers of customers; returns them by customer."""
    rows = await w.sql.fetch(
        """UPDATE tier_intervals SET valid_to = $3 WHERE merchant_id = $1
              AND customer_id = ANY($2::bigint[]) AND valid_to IS NULL
           RETURNING customer_id, tier_id""",
        w.merchant_id, list(customer_ids), w.now,
    )  # fmt: skip
    return {row["customer_id"]: row["tier_id"] for row in rows}
