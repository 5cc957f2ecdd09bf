"""What members are told ahead: points that expire, a tier that ends, a next tier within reach.

Once on each day of a merchant's calendar all points that are about to expire are looked at, and all
members, a chunk at a time. What is told is an event; `member_reminders` remembers it, so that no
occasion is told twice, whoever sweeps and however often. Of several days of a rule the nearest that
has come is told.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from core.domain.members.points import LAPSED, LEFT
from core.domain.members.programme import Programme, get_programme
from core.domain.members.standing import members_of
from core.domain.members.tiers import measured
from core.sdk.events import Event, NextTierNear, PointsExpiring, TierEnding
from core.storage.database import Database, Work
from core.storage.telling import insert_events, payload

CHUNK = 5000

TELL = """INSERT INTO member_reminders (merchant_id, customer_id, kind, occasion, at)
    SELECT $1, u.customer, $2, u.occasion, $3
    FROM unnest($4::bigint[], $5::text[]) AS u (customer, occasion)
    ON CONFLICT (merchant_id, customer_id, kind, occasion) DO NOTHING
    RETURNING customer_id, occasion"""
"""The (customer, occasion) of $4 and $5 that nobody was told of before."""

UTC = """to_jsonb({column} AT TIME ZONE 'UTC') #>> '{{}}' || '+00:00'"""
EXPIRING = f"""SELECT '{PointsExpiring.type}' AS type, {payload(PointsExpiring)} AS payload,
        $2::timestamptz AS at, customer_id, expires_at
    FROM due JOIN told USING (customer_id) WHERE occasion = expires_at || '/' || days"""
TELL_POINTS = f"""
    WITH due AS MATERIALIZED (
        SELECT customer_id, {UTC.format(column="l.expires_at")} AS expires_at,
               sum(points)::bigint AS points,
               (SELECT min(d) FROM unnest($3::int[]) d
                WHERE l.expires_at <= $2 + d * interval '1 day') AS days
        FROM ({LEFT.format(until=f"AND NOT {LAPSED.format(entry='u.entry_id', now='$2')}")}
              AND l.available_at <= $2 AND l.expires_at > $2 AND l.expires_at <= $4) l
        JOIN memberships m USING (customer_id)
        WHERE m.merchant_id = $1 AND m.left_at IS NULL
        GROUP BY customer_id, l.expires_at HAVING sum(points) > 0),
    told AS (
        INSERT INTO member_reminders (merchant_id, customer_id, kind, occasion, at)
        SELECT $1, customer_id, '{PointsExpiring.type}', expires_at || '/' || days, $2 FROM due
        ON CONFLICT (merchant_id, customer_id, kind, occasion) DO NOTHING
        RETURNING customer_id, occasion),
    events AS (
        {insert_events(EXPIRING, "customer_id, expires_at")})
    SELECT count(*) FROM told
"""
"""Tells all members of what expires until $4: found by when it expires, not member by member."""


async def merchants_to_remind(db: Database) -> list[int]:
    """Merchants whose members were not looked at yet on this day of the merchant's calendar."""
    return await db.merchants(
        """SELECT p.merchant_id FROM programmes p JOIN merchants m ON m.id = p.merchant_id
           WHERE COALESCE(p.reminded_on < ($1::timestamptz AT TIME ZONE m.time_zone)::date,
                          TRUE)
           ORDER BY 1""",
        db.clock(),
    )  # fmt: skip


async def remind(db: Database, merchant_id: int) -> None:
    """Tell every member what is due; any worker may go on where another was stopped."""
    async with db.work(merchant_id) as w:
        programme = await get_programme(w)
        day = w.now.astimezone(programme.zone).date()
        await _tell_points(w, programme)
        rules = programme.rules.reminders
        if not rules.tier_days and rules.next_tier_percent is None:
            await _done(w, day)
            return
    after = 0
    while True:
        async with db.work(merchant_id) as w:
            programme = await get_programme(w)
            ids = await _next(w, after)
            await _tell_endings(w, programme, ids)
            await _tell_next_tiers(w, programme, ids)
            if len(ids) < CHUNK:
                await _done(w, day)
                return
        after = ids[-1]


async def _next(w: Work, after: int) -> list[int]:
    rows = await w.sql.fetch(
        """SELECT customer_id FROM memberships
           WHERE merchant_id = $1 AND left_at IS NULL AND customer_id > $2
           ORDER BY customer_id LIMIT $3""",
        w.merchant_id, after, CHUNK,
    )  # fmt: skip
    return [row["customer_id"] for row in rows]


async def _done(w: Work, day: date) -> None:
    await w.sql.execute(
        "UPDATE programmes SET reminded_on = $2 WHERE merchant_id = $1", w.merchant_id, day
    )


async def _tell_points(w: Work, programme: Programme) -> None:
    days = sorted(programme.rules.reminders.points_days)
    if not days:
        return
    told = await w.sql.fetchval(
        TELL_POINTS, w.merchant_id, w.now, days, w.now + timedelta(days=days[-1])
    )  # fmt: skip
    if told:
        w.ring("outbox.drain", w.merchant_id)


async def _tell_endings(w: Work, programme: Programme, customer_ids: Sequence[int]) -> None:
    """Who would keep the tier if its period ended with what was bought so far is not told."""
    days, rules = sorted(programme.rules.reminders.tier_days), programme.rules.tiers
    if not days:
        return
    measure = measured(rules, programme.zone, "i.customer_id", "i.ends_at")
    rows = await w.sql.fetch(
        f"""SELECT *, (SELECT min(d) FROM unnest($5::int[]) d
                       WHERE ends_at <= $4::timestamptz + d * interval '1 day') AS days
            FROM (SELECT i.customer_id, i.id, i.tier_id, i.ends_at,
                         CASE WHEN NOT i.manual
                              THEN COALESCE(t.keep_threshold, t.threshold) - {measure} END
                             AS missing
                  FROM (SELECT *, review_at + $6::interval AS ends_at FROM tier_intervals
                        WHERE merchant_id = $1 AND customer_id = ANY($3::bigint[])
                          AND valid_to IS NULL) i
                  JOIN tiers t ON t.merchant_id = $1 AND t.id = i.tier_id
                  WHERE i.ends_at > $4 AND i.ends_at <= $7) ending
            WHERE COALESCE(missing > 0, TRUE) ORDER BY customer_id""",
        w.merchant_id, programme.currency, list(customer_ids), w.now, days,
        timedelta(days=rules.grace_days), w.now + timedelta(days=days[-1]),
    )  # fmt: skip
    due = {
        (row["customer_id"], f"{row['id']}/{row['ends_at'].isoformat()}/{row['days']}"): TierEnding(
            row["customer_id"], row["tier_id"], row["ends_at"].isoformat(), row["days"],
            row["missing"],
        )
        for row in rows
    }  # fmt: skip
    await _tell(w, TierEnding.type, due)


async def _tell_next_tiers(w: Work, programme: Programme, customer_ids: Sequence[int]) -> None:
    percent = programme.rules.reminders.next_tier_percent
    if percent is None:
        return
    thresholds = {tier.id: tier.threshold for tier in programme.tiers}
    due: dict[tuple[int, str], NextTierNear] = {}
    for pk, one in (await members_of(w, programme, customer_ids)).items():
        if one.next_id is None or not one.missing:
            continue
        if one.missing * 100 > (thresholds[one.next_id] or 0) * percent:
            continue
        since = one.tier_since or one.joined_at
        due[pk, f"{one.next_id}/{since.isoformat()}"] = NextTierNear(pk, one.next_id, one.missing)
    await _tell(w, NextTierNear.type, due)


async def _tell(w: Work, kind: str, due: Mapping[tuple[int, str], Event]) -> None:
    """Emit the events by (customer, occasion), but for those that were told before."""
    rows = await w.sql.fetch(
        TELL, w.merchant_id, kind, w.now, [pk for pk, _ in due], [occasion for _, occasion in due]
    )
    new = {(row["customer_id"], row["occasion"]) for row in rows}
    for key, event in due.items():
        if key in new:
            w.emit(event)
