"""Looking at members again when a period ends, and at all of them when the rules have changed."""

from core.domain.members.points import release_lapsed
from core.domain.members.programme import Programme, get_programme
from core.domain.members.tiers import apply_changes, find_changes
from core.storage.database import Database, Work

CHUNK = 1000


async def merchants_due(db: Database) -> list[int]:
    """Merchants with a tier to look at again, a hold that lapsed, or rules that changed."""
    return await db.merchants(
        """SELECT merchant_id FROM programmes p
           WHERE reviewed < version
              OR EXISTS (SELECT 1 FROM tier_intervals i WHERE i.merchant_id = p.merchant_id
                   AND i.valid_to IS NULL AND i.review_at <= $1::timestamptz
                     - COALESCE((p.rules #>> '{tiers,grace_days}')::int, 0) * interval '1 day')
              OR EXISTS (SELECT 1 FROM points_holds h WHERE h.merchant_id = p.merchant_id
                   AND h.state = 'held' AND h.expires_at <= $1)
           ORDER BY merchant_id""",
        db.clock(),
    )  # fmt: skip


async def review_due(db: Database, merchant_id: int) -> None:
    """Do what is due for a merchant, a chunk of members at a time; any worker may go on."""
    async with db.work(merchant_id) as w:
        programme = await get_programme(w)
        await release_lapsed(w)
        version, reviewed = await w.sql.fetchrow(
            "SELECT version, reviewed FROM programmes WHERE merchant_id = $1", merchant_id
        )
    after = 0
    while True:
        async with db.work(merchant_id) as w:
            ids = await _next(w, after, every=reviewed < version)
            await review_members(w, programme, ids)
        if len(ids) < CHUNK:
            break
        after = ids[-1]
    async with db.work(merchant_id) as w:
        await w.sql.execute(
            "UPDATE programmes SET reviewed = GREATEST(reviewed, $2) WHERE merchant_id = $1",
            merchant_id, version,
        )  # fmt: skip


async def _next(w: Work, after: int, every: bool) -> list[int]:
    """The next members to look at, by number."""
    rows = await w.sql.fetch(
        """SELECT m.customer_id FROM memberships m
           WHERE m.merchant_id = $1 AND m.left_at IS NULL AND m.customer_id > $2
             AND ($3 OR EXISTS (SELECT 1 FROM tier_intervals i WHERE i.merchant_id = $1
                 AND i.customer_id = m.customer_id AND i.valid_to IS NULL AND i.review_at <= $4))
           ORDER BY m.customer_id LIMIT $5""",
        w.merchant_id, after, every, w.now, CHUNK,
    )  # fmt: skip
    return [row["customer_id"] for row in rows]


async def review_members(w: Work, programme: Programme, customer_ids: list[int]) -> None:
    """Give those of the customers who are members the tiers that they deserve now."""
    changes = await find_changes(
        w, programme.rules.tiers, programme.tiers, programme.currency, programme.zone, customer_ids
    )
    await apply_changes(w, programme.rules.tiers, changes)
