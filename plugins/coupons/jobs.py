"""What the plugin does by the clock: ending what is over, and reminding."""

from typing import Any

from core.sdk import PluginContext
from plugins.coupons import ending, guessing
from plugins.coupons.events import CouponExpiring, CouponUnused
from plugins.coupons.settings import CouponSettings
from plugins.coupons.variables import take_back_unsent

AT_ONCE = 1000


async def tidy(context: PluginContext) -> None:
    """Give back what lapsed reservations and unsent messages hold, and end what is over."""
    for step in (ending.release_lapsed, take_back_unsent, ending.expire):
        done = ending.AT_ONCE
        while done == ending.AT_ONCE:
            async with context.database.work(context.merchant_id) as w:
                done = await step(w)
    async with context.database.work(context.merchant_id) as w:
        await guessing.forget(w)


async def remind(context: PluginContext) -> None:
    """Tell of coupons that expire soon, or have lain unused for long."""
    settings = context.settings
    assert isinstance(settings, CouponSettings)
    for days in sorted(settings.expiring_days):
        told = AT_ONCE
        while told == AT_ONCE:
            async with context.database.work(context.merchant_id) as w:
                told = await _tell_expiring(w, days)
    told = AT_ONCE if settings.unused_days is not None else 0
    while told == AT_ONCE:
        async with context.database.work(context.merchant_id) as w:
            told = await _tell_unused(w, settings.unused_days or 0)


async def _tell_expiring(w: Any, days: int) -> int:
    """The shortest time that fits is told: who is told of 1 day is not told of 7 afterwards."""
    rows = await w.sql.fetch(
        """UPDATE coupons_coupons SET reminded = $3
           WHERE merchant_id = $1 AND id IN (
               SELECT id FROM coupons_coupons WHERE merchant_id = $1 AND state = 'granted'
                 AND customer_id IS NOT NULL AND expires_at > $2
                 AND expires_at <= $2::timestamptz + make_interval(days => $3)
                 AND COALESCE(reminded > $3, TRUE)
               ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED)
           RETURNING id, template_id, customer_id""",
        w.merchant_id, w.now, days, AT_ONCE,
    )  # fmt: skip
    for row in rows:
        w.emit(CouponExpiring(row["id"], row["template_id"], row["customer_id"], days))
    return len(rows)


async def _tell_unused(w: Any, days: int) -> int:
    rows = await w.sql.fetch(
        """UPDATE coupons_coupons SET unused_told = TRUE
           WHERE merchant_id = $1 AND id IN (
               SELECT id FROM coupons_coupons WHERE merchant_id = $1 AND state = 'granted'
                 AND customer_id IS NOT NULL AND NOT unused_told
                 AND granted_at <= $2::timestamptz - make_interval(days => $3)
                 AND COALESCE(expires_at > $2, TRUE)
               ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED)
           RETURNING id, template_id, customer_id""",
        w.merchant_id, w.now, days, AT_ONCE,
    )  # fmt: skip
    for row in rows:
        w.emit(CouponUnused(row["id"], row["template_id"], row["customer_id"], days))
    return len(rows)
