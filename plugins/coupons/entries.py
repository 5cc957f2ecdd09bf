"""The coupons' ledger: each thing that happens to a coupon is one entry, in its transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """What happened to a coupon, see the model CouponEntry; `amount` in minor units."""

    coupon_id: int
    template_id: int
    customer_id: int | None
    kind: str
    amount: int | None = None
    order_ref: str | None = None
    reason: str | None = None


async def enter(w: Any, entries: Sequence[Entry]) -> None:
    """Write entries down."""
    await w.sql.execute(
        """INSERT INTO coupons_entries (merchant_id, coupon_id, template_id, customer_id, kind,
               amount, order_ref, reason, actor, at)
           SELECT $1, u.*, $2, $3
           FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[],
                       $9::text[], $10::text[]) u""",
        w.merchant_id, w.actor, w.now, [one.coupon_id for one in entries],
        [one.template_id for one in entries], [one.customer_id for one in entries],
        [one.kind for one in entries], [one.amount for one in entries],
        [one.order_ref for one in entries], [one.reason for one in entries],
    )  # fmt: skip
