"""What follows from an order's news: its points, its customer's tier, and referrals."""

from core.domain.members.earning import award_orders
from core.domain.members.membership import join_buyers
from core.domain.members.programme import find_programme
from core.domain.members.referrals import follow_purchases
from core.domain.members.review import review_members
from core.sdk.events import (
    CustomersMerged,
    CustomersUnmerged,
    Occurrence,
    OrderCreated,
    OrderStateChanged,
    RefundStateChanged,
)
from core.storage.database import Database

ORDERS = frozenset({OrderCreated.type, OrderStateChanged.type, RefundStateChanged.type})
EVENTS = ORDERS | {CustomersMerged.type, CustomersUnmerged.type}


async def follow_event(db: Database, occurrence: Occurrence) -> None:
    """Bring points and tier in line; for an event that comes twice there is nothing left to do."""
    async with db.work(occurrence.merchant_id) as w:
        programme = await find_programme(w)
        if programme is None:
            return
        payload = occurrence.payload
        customer_ids = [payload.get("customer_id"), payload.get("merged_id")]
        known = [one for one in customer_ids if one is not None]
        if programme.rules.join_on_purchase:
            await join_buyers(w, known)
        if occurrence.type in ORDERS:
            await award_orders(w, programme, [payload["order_id"]])
        await review_members(w, programme, known)
    await follow_purchases(db, occurrence.merchant_id, known)
