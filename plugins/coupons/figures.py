"""What coupons brought: how many were granted and redeemed, sales, and what was taken off."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from core.sdk import InvalidInput
from core.sdk.facets import midnight

MAX_DAYS = 1100
By = Literal["template", "campaign", "tier"]
GROUPS: dict[By, tuple[str, str, str]] = {
    "template": ("c.template_id", "t.name", ""),
    "campaign": (
        "c.campaign_id", "g.name",
        "LEFT JOIN campaigns g ON g.merchant_id = $1 AND g.id = c.campaign_id",
    ),
    "tier": (
        "i.tier_id", "r.name",
        """LEFT JOIN tier_intervals i ON i.merchant_id = $1 AND i.customer_id = c.customer_id
               AND i.valid_to IS NULL
           LEFT JOIN tiers r ON r.merchant_id = $1 AND r.id = i.tier_id""",
    ),
}  # fmt: skip
"""Key, name and joins of each way to group."""


@dataclass(frozen=True)
class Figures:
    """Sums of a group in one currency; `key` and `name` are None for coupons of no group.

    `claimed` of the granted ones were taken by the customers themselves. Amounts are minor units;
    an order with several coupons counts in the sales of each.
    """

    key: int | None
    name: str | None
    currency: str
    granted: int
    claimed: int
    redeemed: int
    sales: int
    off: int


async def figures(
    session: Any, since: date, until: date, by: By, segment_id: int | None = None
) -> Sequence[Figures]:
    """What was granted and what was redeemed on the merchant's days from `since` to `until`.

    With a segment only of its present customers. Tiers are those of today. Raises InvalidInput.
    """
    if not 0 <= (until - since).days <= MAX_DAYS:
        raise InvalidInput(f"give a first and a last day, at most {MAX_DAYS} days apart", ("to",))
    name = await session.sql.fetchval(
        "SELECT time_zone FROM merchants WHERE id = $1", session.merchant_id
    )
    zone = ZoneInfo(name)
    key, title, joins = GROUPS[by]
    rows = await session.sql.fetch(
        f"""SELECT {key} AS key, {title} AS name, t.currency,
                   count(*) FILTER (WHERE c.granted_at >= $2 AND c.granted_at < $3) AS granted,
                   count(*) FILTER (WHERE c.granted_at >= $2 AND c.granted_at < $3
                                      AND c.source IN ('claim', 'public', 'code')) AS claimed,
                   count(*) FILTER (WHERE {REDEEMED}) AS redeemed,
                   COALESCE(sum(c.sales) FILTER (WHERE {REDEEMED}), 0)::bigint AS sales,
                   COALESCE(sum(c.amount) FILTER (WHERE {REDEEMED}), 0)::bigint AS off
            FROM coupons_coupons c
            JOIN coupons_templates t ON t.merchant_id = $1 AND t.id = c.template_id {joins}
            WHERE c.merchant_id = $1 AND c.state NOT IN ('stock', 'held', 'revoked')
              AND (c.granted_at >= $2 AND c.granted_at < $3 OR {REDEEMED})
              AND ($4::bigint IS NULL OR EXISTS (
                  SELECT 1 FROM segment_members m WHERE m.merchant_id = $1 AND m.segment_id = $4
                    AND m.customer_id = c.customer_id AND m.left_at IS NULL))
            GROUP BY 1, 2, 3 ORDER BY redeemed DESC, 1""",
        session.merchant_id, midnight(since, zone), midnight(until + timedelta(days=1), zone),
        segment_id,
    )  # fmt: skip
    return [Figures(**row) for row in rows]


REDEEMED = "c.state = 'redeemed' AND c.redeemed_at >= $2 AND c.redeemed_at < $3"
