"""Late changes: orders that are closed, or whose money is asked back, before they are packed."""

from core.sdk import TERMINAL_STATES, Occurrence, OrderStateChanged, PluginContext, Subscriber
from core.sdk import RefundStateChanged as RefundChanged
from plugins.packages import codes
from plugins.packages.inserts import tell_low
from plugins.packages.outcomes import Outcome


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
            """WITH held AS (
                   UPDATE packages_parcels SET late = 'closed'
                   WHERE merchant_id = $1 AND order_id = $2 AND packed_at IS NULL
                     AND late IS DISTINCT FROM 'closed' RETURNING id, wave_id),
               freed AS (
                   UPDATE packages_choices c SET outcome = $4 FROM held
                   WHERE c.merchant_id = $1 AND c.parcel_id = held.id AND c.outcome = $3
                   RETURNING c.insert_id, c.rule_id, held.wave_id),
               counted AS (
                   SELECT f.insert_id, v.warehouse, count(*)::int AS n FROM freed f
                   JOIN packages_waves v ON v.merchant_id = $1 AND v.id = f.wave_id GROUP BY 1, 2),
               stocked AS (
                   UPDATE packages_stock s SET reserved = GREATEST(s.reserved - n.n, 0)
                   FROM counted n WHERE s.merchant_id = $1 AND s.insert_id = n.insert_id
                     AND s.warehouse = n.warehouse),
               paid AS (
                   UPDATE packages_rules r SET spent = GREATEST(r.spent - f.cost, 0)
                   FROM (SELECT x.rule_id, sum(i.unit_cost)::bigint AS cost FROM freed x
                         JOIN packages_inserts i ON i.merchant_id = $1 AND i.id = x.insert_id
                         GROUP BY x.rule_id) f
                   WHERE r.merchant_id = $1 AND r.id = f.rule_id)
               SELECT held.id, v.warehouse FROM held
               JOIN packages_waves v ON v.merchant_id = $1 AND v.id = held.wave_id""",
            w.merchant_id, order_id, int(Outcome.GIVEN), int(Outcome.RELEASED),
        )  # fmt: skip
        await codes.give_back(w, context.registry, [row["id"] for row in rows], Outcome.RELEASED)
        for warehouse in sorted({row["warehouse"] for row in rows}):
            await tell_low(w, warehouse)


LATE = Subscriber("packages.late", frozenset({OrderStateChanged.type, RefundChanged.type}), follow)
