"""What membership of a platform's programme means to the merchant's own: joins, exits and tiers."""

from collections.abc import Sequence

from core.domain.members.membership import Joining, MemberSource, admit, dismiss
from core.domain.members.programme import Programme, find_programme, get_programme
from core.domain.members.review import review_members
from core.domain.members.tiers import end_tiers, give_tiers
from core.sdk.events import TierChanged
from core.storage.database import Database, Work

CAUSE = "platform"
CHUNK = 1000


async def follow_platform(
    w: Work, customer_ids: Sequence[int], left: Sequence[int], told: bool
) -> None:
    """Bring the merchant's programme in line with what platforms tell of customers.

    `left` are those of them who just left a platform's programme. With `told` False it is history.
    """
    if not customer_ids:
        return
    programme = await find_programme(w)
    if programme is None:
        return
    rules = programme.rules.platform
    if rules.joins:
        await _join(w, programme, customer_ids, told)
        await _leave(w, left)
    if rules.grades:
        await _apply_grades(w, programme, customer_ids)


async def admit_platform_members(w: Work, programme: Programme) -> int:
    """Let in up to CHUNK customers who are members on a platform and never were here.

    For who joined there before the programme let such members in. Returns how many came in.
    """
    if not programme.rules.platform.joins:
        return 0
    rows = await w.sql.fetch(
        """SELECT DISTINCT p.customer_id FROM platform_members p
           WHERE p.merchant_id = $1 AND p.member AND p.customer_id IS NOT NULL AND NOT EXISTS (
               SELECT 1 FROM memberships m
               WHERE m.merchant_id = $1 AND m.customer_id = p.customer_id)
           ORDER BY 1 LIMIT $2""",
        w.merchant_id, CHUNK,
    )  # fmt: skip
    customer_ids = [row["customer_id"] for row in rows]
    admitted = await _join(w, programme, customer_ids, told=False)
    if programme.rules.platform.grades:
        await _apply_grades(w, programme, customer_ids)
    return admitted


async def admit_due(db: Database, merchant_id: int) -> None:
    """Let in those whom platforms told of before the rules let them in, a chunk at a time."""
    while True:
        async with db.work(merchant_id) as w:
            if await admit_platform_members(w, await get_programme(w)) < CHUNK:
                return


async def _join(w: Work, programme: Programme, customer_ids: Sequence[int], told: bool) -> int:
    """Let in who is a member on a platform and none here, and did not leave here since."""
    rows = await w.sql.fetch(
        """SELECT DISTINCT ON (p.customer_id) p.customer_id, p.joined_at, p.shop_id
           FROM platform_members p
           WHERE p.merchant_id = $1 AND p.customer_id = ANY($2::bigint[]) AND p.member
             AND NOT EXISTS (
               SELECT 1 FROM memberships m WHERE m.merchant_id = $1
                  AND m.customer_id = p.customer_id
                  AND (m.left_at IS NULL OR m.left_at >= COALESCE(p.joined_at, m.left_at)))
           ORDER BY p.customer_id, p.joined_at, p.id""",
        w.merchant_id, list(customer_ids),
    )  # fmt: skip
    joining = [
        Joining(row["customer_id"], min(row["joined_at"] or w.now, w.now), row["shop_id"])
        for row in rows
    ]
    return len(await admit(w, programme, joining, MemberSource.PLATFORM, told=told))


async def _leave(w: Work, customer_ids: Sequence[int]) -> None:
    """Who came by a platform goes when he is a member on none any more."""
    if not customer_ids:
        return
    rows = await w.sql.fetch(
        """SELECT m.customer_id FROM memberships m
           WHERE m.merchant_id = $1 AND m.customer_id = ANY($2::bigint[]) AND m.left_at IS NULL
             AND m.join_source = $3 AND NOT EXISTS (
               SELECT 1 FROM platform_members p WHERE p.merchant_id = $1
                  AND p.customer_id = m.customer_id AND p.member)""",
        w.merchant_id, list(customer_ids), MemberSource.PLATFORM,
    )  # fmt: skip
    await dismiss(w, [row["customer_id"] for row in rows], MemberSource.PLATFORM)


async def _apply_grades(w: Work, programme: Programme, customer_ids: Sequence[int]) -> None:
    """Members are at least in the tier of their best grade; one that a grade gave goes with it."""
    mapped = [
        (platform, grade, rank)
        for platform, ranks in programme.rules.platform.grades.items()
        for grade, rank in ranks.items()
    ]
    platforms, grades, ranks = zip(*mapped, strict=True)
    rows = await w.sql.fetch(
        """WITH mapped AS (
               SELECT u.platform, u.grade, t.id, t.rank
               FROM unnest($3::text[], $4::smallint[], $5::smallint[]) AS u (platform, grade, rank)
               JOIN tiers t ON t.merchant_id = $1 AND t.rank = u.rank)
           SELECT m.customer_id, i.tier_id AS old_id, w.id AS new_id
           FROM memberships m
           LEFT JOIN tier_intervals i ON i.merchant_id = $1 AND i.customer_id = m.customer_id
                AND i.valid_to IS NULL
           LEFT JOIN tiers t ON t.merchant_id = $1 AND t.id = i.tier_id
           LEFT JOIN LATERAL (
               SELECT a.id, a.rank FROM platform_members p
               JOIN shops s ON s.merchant_id = $1 AND s.id = p.shop_id
               JOIN mapped a ON a.platform = s.platform AND a.grade = p.grade
               WHERE p.merchant_id = $1 AND p.customer_id = m.customer_id
                 AND p.member IS DISTINCT FROM FALSE
               ORDER BY a.rank DESC LIMIT 1) w ON TRUE
           WHERE m.merchant_id = $1 AND m.customer_id = ANY($2::bigint[]) AND m.left_at IS NULL
             AND (w.rank > COALESCE(t.rank, -1)
                  OR i.cause = $6 AND w.id IS DISTINCT FROM i.tier_id)""",
        w.merchant_id, list(customer_ids), platforms, grades, ranks, CAUSE,
    )  # fmt: skip
    await give_tiers(
        w, {row["customer_id"]: row["new_id"] for row in rows if row["new_id"]}, None, CAUSE
    )
    lost = [row["customer_id"] for row in rows if row["new_id"] is None]
    if lost:
        for customer_id, tier_id in (await end_tiers(w, lost)).items():
            w.emit(TierChanged(customer_id, tier_id, None, CAUSE))
        await review_members(w, programme, lost)
