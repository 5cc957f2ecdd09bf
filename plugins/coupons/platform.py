"""Giving platforms' coupons there, to the accounts by which customers last bought in the shop."""

from collections.abc import Sequence
from typing import Any

from core.domain.connections.acting import act
from core.sdk import GiveCoupon, Occurrence, PluginContext, Refused, Unknown, WrongState
from plugins.coupons.ending import revoke
from plugins.coupons.entries import Entry, enter
from plugins.coupons.events import PlatformCouponsDue

KEY = "coupons:"
"""How the keys of what is done for this plugin begin."""


async def give(context: PluginContext, occurrence: Occurrence) -> None:
    """Have the platform give the coupons of an event; told twice, they are given once.

    Who cannot have his is without it, with the reason in the ledger. RetryLater passes, so that
    the event comes again.
    """
    template_id = occurrence.payload["template_id"]
    ids = occurrence.payload["coupon_ids"]
    db, merchant_id = context.database, context.merchant_id
    async with db.read(merchant_id) as session:
        rows = await session.sql.fetch(
            """SELECT c.id, c.customer_id, t.platform_shop_id AS shop_id, t.platform_coupon,
                      (SELECT o.buyer_id FROM orders o
                       WHERE o.merchant_id = $1 AND o.customer_id = c.customer_id
                         AND o.shop_id = t.platform_shop_id AND o.buyer_id IS NOT NULL
                       ORDER BY o.ordered_at DESC LIMIT 1) AS buyer
               FROM coupons_coupons c
               JOIN coupons_templates t ON t.merchant_id = $1 AND t.id = c.template_id
               WHERE c.merchant_id = $1 AND c.template_id = $2 AND c.id = ANY($3::bigint[])
                 AND c.state = 'granted' ORDER BY c.id""",
            merchant_id, template_id, ids,
        )  # fmt: skip
    strangers = [row for row in rows if row["buyer"] is None]
    known = [row for row in rows if row["buyer"] is not None]
    await _take_back(db, merchant_id, strangers, "the customer has no account in the shop")
    if not known:
        return
    shop_id = known[0]["shop_id"]
    action = GiveCoupon(
        f"{KEY}{ids[0]}", known[0]["platform_coupon"], [row["buyer"] for row in known], ids
    )
    try:
        answers = await act(db, context.registry, merchant_id, shop_id, action)
    except (Refused, WrongState) as error:
        await _take_back(db, merchant_id, known, str(error))
        return
    except Unknown as error:
        async with db.work(merchant_id) as w:
            await enter(w, [
                Entry(row["id"], template_id, row["customer_id"], "unknown", reason=str(error))
                for row in known
            ])  # fmt: skip
        return
    refused = {one.subject: one.reason or "refused" for one in answers if not one.done}
    for reason in sorted(set(refused.values())):
        without = [row for row in known if refused.get(row["buyer"]) == reason]
        await _take_back(db, merchant_id, without, reason)


async def give_again(context: PluginContext, occurrence: Occurrence) -> None:
    """Have coupons given once more that were not, as somebody found who looked at the platform."""
    told = occurrence.payload
    if told["done"] or not told["key"].startswith(KEY):
        return
    async with context.database.work(context.merchant_id) as w:
        template_id = await w.sql.fetchval(
            "SELECT template_id FROM coupons_coupons WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, told["about"][0],
        )  # fmt: skip
        w.emit(PlatformCouponsDue(template_id, told["about"]))


async def _take_back(db: Any, merchant_id: int, rows: Sequence[Any], reason: str) -> None:
    if rows:
        async with db.work(merchant_id) as w:
            await revoke(w, [row["id"] for row in rows], reason[:500])
