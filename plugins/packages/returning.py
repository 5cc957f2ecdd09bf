"""Parcels that are not packed after all: what was set aside for them goes back."""

from collections.abc import Sequence
from typing import Any

from core.domain.customers.tasks import cancel_tasks
from plugins.packages import codes
from plugins.packages.inserts import tell_low
from plugins.packages.outcomes import Outcome


async def give_back(w: Any, registry: Any, parcel_ids: Sequence[int]) -> None:
    """Give back stock, budgets, codes and notes to be written of parcels that are not packed.

    Repeated, nothing happens.
    """
    rows = await w.sql.fetch(
        """WITH freed AS (
               UPDATE packages_choices c SET outcome = $4
               FROM packages_parcels p, packages_waves v
               WHERE c.merchant_id = $1 AND c.parcel_id = ANY($2::bigint[]) AND c.outcome = $3
                 AND p.merchant_id = $1 AND p.id = c.parcel_id AND p.packed_at IS NULL
                 AND v.merchant_id = $1 AND v.id = p.wave_id
               RETURNING c.insert_id, c.rule_id, c.task_id, v.warehouse),
           stocked AS (
               UPDATE packages_stock s SET reserved = GREATEST(s.reserved - n.n, 0)
               FROM (SELECT insert_id, warehouse, count(*)::int AS n FROM freed GROUP BY 1, 2) n
               WHERE s.merchant_id = $1 AND s.insert_id = n.insert_id
                 AND s.warehouse = n.warehouse),
           paid AS (
               UPDATE packages_rules r SET spent = GREATEST(r.spent - f.cost, 0)
               FROM (SELECT x.rule_id, sum(i.unit_cost)::bigint AS cost FROM freed x
                     JOIN packages_inserts i ON i.merchant_id = $1 AND i.id = x.insert_id
                     GROUP BY x.rule_id) f
               WHERE r.merchant_id = $1 AND r.id = f.rule_id)
           SELECT task_id, warehouse FROM freed""",
        w.merchant_id, list(parcel_ids), int(Outcome.GIVEN), int(Outcome.RELEASED),
    )  # fmt: skip
    await codes.give_back(w, registry, parcel_ids)
    tasks = [row["task_id"] for row in rows if row["task_id"] is not None]
    await cancel_tasks(w, tasks, "the parcel is not packed")
    for warehouse in sorted({row["warehouse"] for row in rows}):
        await tell_low(w, warehouse)
