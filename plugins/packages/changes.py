"""Late changes: orders that are closed, or whose money is asked back, before they are packed."""

from core.sdk import TERMINAL_STATES, Occurrence, OrderStateChanged, PluginContext, Subscriber
from core.sdk import RefundStateChanged as RefundChanged
from plugins.packages.returning import give_back


async def follow(context: PluginContext, event: Occurrence) -> None:
    """Flag the parcels of the order that are not packed; of one that closed, give back what was
    reserved for them."""
    order_id = event.payload["order_id"]
    if event.type == RefundChanged.type:
        if event.payload["old_state"] is None:
            await _flag(context, order_id)
    elif event.payload["state"] in TERMINAL_STATES:
        await _release(context, order_id)


async def _flag(context: PluginContext, order_id: int) -> None:
    async with context.database.work(context.merchant_id) as w:
        await w.sql.execute(
            """UPDATE packages_parcels SET late = 'refund'
               WHERE merchant_id = $1 AND order_id = $2 AND packed_at IS NULL AND late IS NULL""",
            w.merchant_id, order_id,
        )  # fmt: skip


async def _release(context: PluginContext, order_id: int) -> None:
    async with context.database.work(context.merchant_id) as w:
        rows = await w.sql.fetch(
            """UPDATE packages_parcels SET late = 'closed'
               WHERE merchant_id = $1 AND order_id = $2 AND packed_at IS NULL
                 AND late IS DISTINCT FROM 'closed' RETURNING id""",
            w.merchant_id, order_id,
        )  # fmt: skip
        await give_back(w, context.registry, [row["id"] for row in rows])


LATE = Subscriber("packages.late", frozenset({OrderStateChanged.type, RefundChanged.type}), follow)
