"""Where members stand: card, tier, what is measured, and what the next tier needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core.domain.members.programme import Programme
from core.domain.members.tiers import measured
from core.storage.database import Session


@dataclass(frozen=True)
class MemberStanding:
    """A member now. `measured` and `missing` are in the programme's measure; the next tier is the
    lowest better one that is reached by itself."""

    card_number: str
    joined_at: datetime
    join_source: str
    join_shop_id: int | None
    tier_id: int | None
    tier_since: datetime | None
    tier_until: datetime | None
    measured: int
    next_id: int | None
    missing: int | None


async def members_of(
    session: Session, programme: Programme, customer_ids: Sequence[int]
) -> dict[int, MemberStanding]:
    """The present members among these customers."""
    measure = measured(programme.rules.tiers, programme.zone, "m.customer_id", "$3::timestamptz")
    rows = await session.sql.fetch(
        f"""SELECT m.customer_id, m.card_number, m.joined_at, m.join_source, m.join_shop_id,
                   i.tier_id, i.valid_from AS tier_since, i.review_at AS tier_until, v.measured,
                   n.id AS next_id, GREATEST(n.threshold - v.measured, 0) AS missing
            FROM memberships m
            LEFT JOIN tier_intervals i ON i.merchant_id = $1 AND i.customer_id = m.customer_id
                AND i.valid_to IS NULL
            LEFT JOIN tiers t ON t.merchant_id = $1 AND t.id = i.tier_id
            CROSS JOIN LATERAL (SELECT {measure} AS measured OFFSET 0) v
            LEFT JOIN LATERAL (SELECT id, threshold FROM tiers n
                WHERE n.merchant_id = $1 AND n.threshold IS NOT NULL AND n.deleted_at IS NULL
                  AND n.rank > COALESCE(t.rank, -1)
                ORDER BY n.rank LIMIT 1) n ON TRUE
            WHERE m.merchant_id = $1 AND m.customer_id = ANY($4::bigint[]) AND m.left_at IS NULL""",
        session.merchant_id, programme.currency, session.now, list(customer_ids),
    )  # fmt: skip
    return {
        row["customer_id"]: MemberStanding(
            **{name: row[name] for name in MemberStanding.__dataclass_fields__}
        )
        for row in rows
    }
