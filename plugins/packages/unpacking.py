"""A parcel that was scanned by mistake: it is as it was before."""

from typing import Any

from core.sdk import TERMINAL_STATES
from plugins.packages import codes
from plugins.packages.changes import flag, release
from plugins.packages.events import PackagesParcelUnpacked
from plugins.packages.packing import Parcel, hold_parcel, move_stock, parcels_of


async def unpack_parcel(w: Any, registry: Any, code: str) -> Parcel:
    """It is not packed: its inserts are in the stock and reserved again, and its coupons nobody's
    yet unless they were used; a remark that said otherwise is corrected. Again, nothing happens.

    What happened to its order meanwhile counts at once. Raises InvalidInput for a code misread and
    NotFound.
    """
    row = await hold_parcel(w, code)
    parcel_id = row["id"]
    if row["packed_at"] is not None:
        await _unpack(w, parcel_id)
        await codes.take_back(w, registry, parcel_id)
        await _follow(w, registry, row["order_id"])
        w.audit("packages.parcel_unpacked", {"parcel": parcel_id})
        w.emit(PackagesParcelUnpacked(parcel_id, row["order_id"]))
    (parcel,) = await parcels_of(w, parcel_id=parcel_id)
    return parcel


async def _unpack(w: Any, parcel_id: int) -> None:
    await w.sql.execute(
        """UPDATE packages_parcels SET packed_at = NULL, packed_by = NULL, remark_reason = NULL,
               remark = CASE WHEN remark IN ('done', 'unknown') THEN 'stale'
                             WHEN remark IN ('trying', 'stale') THEN remark END
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, parcel_id,
    )  # fmt: skip
    await move_stock(w, parcel_id, 1)


async def _follow(w: Any, registry: Any, order_id: int) -> None:
    order = await w.sql.fetchrow(
        """SELECT o.state, EXISTS (SELECT 1 FROM refunds r WHERE r.merchant_id = $1
                                     AND r.order_id = o.id) AS refund
           FROM orders o WHERE o.merchant_id = $1 AND o.id = $2""",
        w.merchant_id, order_id,
    )  # fmt: skip
    if order["refund"]:
        await flag(w, order_id)
    if order["state"] in TERMINAL_STATES:
        await release(w, registry, order_id)
