"""How many coupons of a template may still be had, and by whom; read under the template's lock."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from core.sdk.facets import midnight
from plugins.coupons.templates import Template

FULL = "there are no coupons left"
FULL_TODAY = "today's coupons are used up"


@dataclass
class Allowance:
    """What is left of a template's limits; `take` counts what is had meanwhile."""

    template: Template
    left: int | None = None
    today: int | None = None
    had: Counter[int] = field(default_factory=Counter)
    members: set[int] | None = None

    def exhausted(self) -> str | None:
        """Why nobody can have a coupon, or None."""
        if self.left is not None and self.left <= 0:
            return FULL
        if self.today is not None and self.today <= 0:
            return FULL_TODAY
        return None

    def not_for(self, customer_id: int | None) -> str | None:
        """Why this customer cannot have one, or None."""
        if customer_id is None:
            if self.members is not None or self.template.per_customer is not None:
                return "it is for known customers"
            return None
        if self.members is not None and customer_id not in self.members:
            return "it is for customers of a segment"
        most = self.template.per_customer
        if most is not None and self.had[customer_id] >= most:
            return f"each customer can have {most}"
        return None

    def try_for(self, customer_id: int | None) -> str | None:
        """Take one for this customer, or say why he cannot have it."""
        why = self.not_for(customer_id) or self.exhausted()
        if why is None:
            self.take(customer_id)
        return why

    def take(self, customer_id: int | None, count: int = 1) -> None:
        """Count coupons that are had."""
        if self.left is not None:
            self.left -= count
        if self.today is not None:
            self.today -= count
        if customer_id is not None:
            self.had[customer_id] += count


async def cap_by_stock(session: Any, allowed: Allowance, most: int) -> None:
    """Let a pool allow no more than it has codes; they are counted up to `most`."""
    if allowed.template.source == "pool":
        stock = (await count_stock(session, [allowed.template.id], most))[allowed.template.id]
        allowed.left = stock if allowed.left is None else min(allowed.left, stock)


async def count_stock(session: Any, template_ids: Sequence[int], most: int) -> dict[int, int]:
    """How many codes of each template are in stock, counted up to `most`."""
    rows = await session.sql.fetch(
        """SELECT u.id, (SELECT count(*) FROM (
               SELECT 1 FROM coupons_coupons
               WHERE merchant_id = $1 AND template_id = u.id AND state = 'stock' LIMIT $3) s) AS n
           FROM unnest($2::bigint[]) u (id)""",
        session.merchant_id, list(template_ids), most,
    )  # fmt: skip
    return {row["id"]: row["n"] for row in rows}


async def allowances(
    w: Any, templates: Sequence[Template], customer_ids: Sequence[int]
) -> dict[int, Allowance]:
    """What the locked templates still allow, for these customers."""
    made = {
        one.id: Allowance(one, None if one.total is None else one.total - one.issued)
        for one in templates
    }
    limited = [one.id for one in templates if one.per_customer is not None]
    if limited and customer_ids:
        rows = await w.sql.fetch(
            """SELECT template_id, customer_id, count(*) AS had FROM coupons_coupons
               WHERE merchant_id = $1 AND template_id = ANY($2::bigint[])
                 AND customer_id = ANY($3::bigint[]) AND state <> 'revoked'
               GROUP BY 1, 2""",
            w.merchant_id, limited, list(customer_ids),
        )  # fmt: skip
        for row in rows:
            made[row["template_id"]].had[row["customer_id"]] = row["had"]
    daily = [one.id for one in templates if one.daily is not None]
    if daily:
        zone = await w.sql.fetchval("SELECT time_zone FROM merchants WHERE id = $1", w.merchant_id)
        today = midnight(w.now.astimezone(ZoneInfo(zone)).date(), ZoneInfo(zone))
        rows = await w.sql.fetch(
            """SELECT template_id, count(*) AS had FROM coupons_coupons
               WHERE merchant_id = $1 AND template_id = ANY($2::bigint[]) AND granted_at >= $3
                 AND state <> 'revoked' GROUP BY 1""",
            w.merchant_id, daily, today,
        )  # fmt: skip
        had = {row["template_id"]: row["had"] for row in rows}
        for one in templates:
            if one.daily is not None:
                made[one.id].today = one.daily - had.get(one.id, 0)
    for one in templates:
        if one.segment_id is not None:
            rows = await w.sql.fetch(
                """SELECT customer_id FROM segment_members WHERE merchant_id = $1
                      AND segment_id = $2 AND customer_id = ANY($3::bigint[])
                      AND left_at IS NULL""",
                w.merchant_id, one.segment_id, list(customer_ids),
            )  # fmt: skip
            made[one.id].members = {row["customer_id"] for row in rows}
    return made
