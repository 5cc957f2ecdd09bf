"""Late changes: orders that are closed, or whose money is asked back, before they are packed."""

from typing import Any

from core.sdk import TERMINAL_STATES, Occurrence, OrderStateChanged, PluginContext, Subscriber
from core.sdk import RefundStateChanged as RefundChanged
from plugins.packages.returning import give_back


async def follow(context: PluginContext, event: Occurrence) -> None:
    """Flag the parcels of the order that are not packed; of one that closed, give back what was
    reserved for them."""
    order_id = event.payload["order_id"]
    if event.type == RefundChanged.type:
        if event.payload["old_state"] is None:
            async with context.database.work(context.merchant_id) as w:
                await flag(w, order_id)
    elif event.payload["state"] in TERMINAL_STATES:
        async with context.database.work(context.merchant_id) as w:
            await release(w, context.registry, order_id)


async def flag(w: Any, order_id: int) -> None:
    """Money was asked back for an order: say so of its parcels that are not packed."""
    await w.sql.execute(
        """UPDATE packages_parcels SET late = 'refund'
           WHERE merchant_id = $1 AND order_id = $2 AND packed_at IS NULL AND late IS NULL""",
        w.merchant_id, order_id,
    )  # fmt: skip


async def release(w: Any, registry: Any, order_id: int) -> None:
    """An order was closed: give back what is set aside for its parcels that are not packed."""
    rows = await w.sql.fetch(
        """UPDATE packages_parcels SET late = 'closed'
           WHERE merchant_id = $1 AND order_id = $2 AND packed_at IS NULL
             AND late IS DISTINCT FROM 'closed' RETURNING id""",
        w.merchant_id, order_id,
    )  # fmt: skip
    await give_back(w, registry, [row["id"] for row in rows])


LATE = Subscriber("packages.late", frozenset({OrderStateChanged.type, RefundChanged.type}), follow)
