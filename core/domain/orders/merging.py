"""Merging customers with their orders: figures follow, and so do orders that came since."""

from collections.abc import Mapping
from typing import Any

from core.domain.customers import merge
from core.domain.customers.identify import lock_customers
from core.domain.customers.suggestions import open_suggestion, rejected_pairs
from core.domain.orders.facts import refresh_facts
from core.registry import Registry
from core.sdk.errors import InvalidInput, NotFound
from core.storage.database import Database, Work
from core.storage.jobs import Job

PAIRS_A_STEP = 20


async def merge_customers(
    w: Work,
    registry: Registry,
    into: int,
    from_: int,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
) -> int:
    """Make `from_` part of `into`, with everything; returns the merge's id.

    Raises NotFound, CustomerMerged, InvalidInput.
    """
    await lock_customers(w)  # orders are taken in under it, so the newest one stays the newest
    newest = await w.sql.fetchval(
        """SELECT COALESCE(max(id), 0) FROM orders
           WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])""",
        w.merchant_id, [into, from_],
    )  # fmt: skip
    marks = {"orders": newest}
    merge_id = await merge.merge_customers(w, registry, into, from_, reason, evidence, marks)
    await refresh_facts(w, [into, from_])
    return merge_id


async def unmerge_customers(w: Work, registry: Registry, merge_id: int) -> tuple[int, int]:
    """Undo a merge; returns who is there again, and who held its rows until now.

    Orders that came since go with the buyer id that they came through.
    Raises NotFound, WrongState.
    """
    undone = await merge.unmerge(w, registry, merge_id)
    await _move_orders_since(w, undone)
    await refresh_facts(w, [undone.back, undone.holder])
    return undone.back, undone.holder


async def _move_orders_since(w: Work, undone: merge.Unmerged) -> None:
    await w.sql.execute(
        """WITH moved AS (
               UPDATE orders o SET customer_id = $2 FROM customer_identities i
               WHERE o.merchant_id = $1 AND o.customer_id = $3 AND o.id > $4
                 AND i.merchant_id = $1 AND i.customer_id = $2 AND i.scope = 'shop'
                 AND i.scope_id = o.shop_id AND i.value = o.buyer_id
               RETURNING o.id)
           DELETE FROM customer_merge_moves m USING moved
           WHERE m.merchant_id = $1 AND m.merge_id = ANY($5::bigint[])
             AND m.table_name = 'orders' AND m.row_id = moved.id""",
        w.merchant_id, undone.back, undone.holder, undone.marks.get("orders", 0),
        list(undone.later),
    )  # fmt: skip


async def accept_suggestion(
    w: Work, registry: Registry, suggestion_id: int, keep: int | None = None
) -> int:
    """Merge a suggested pair; returns the merge's id. `keep` says which of the two is kept.

    By default that is the one known longer. Raises NotFound, WrongState, CustomerMerged,
    InvalidInput.
    """
    await lock_customers(w)
    row = await open_suggestion(w, suggestion_id)
    first, second = row["first_id"], row["second_id"]
    if keep not in (None, first, second):
        raise InvalidInput("keep is neither of the two customers", ("input", "keep"))
    into, from_ = (second, first) if keep == second else (first, second)
    evidence = {"suggestion": suggestion_id}
    return await merge_customers(w, registry, into, from_, "suggestion", evidence)


class AutomaticMerges:
    """The job that merges customers whom one record showed to be one person.

    `pairs` are rows of `customer_identities`, the stronger id first. Who they lead to is looked up
    when the job comes to them, so it does not matter what was merged or undone meanwhile.
    """

    name = "customers.merge"

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        pairs = job.params["pairs"]
        merged = job.checkpoint.get("merged", 0)
        while job.done < len(pairs):
            async with job.step(db) as w:
                for strong, weak in pairs[job.done : job.done + PAIRS_A_STEP]:
                    merged += await self._merge(w, strong, weak)
                job.done = min(job.done + PAIRS_A_STEP, len(pairs))
                job.checkpoint = {"merged": merged}
        return {"merged": merged}

    async def _merge(self, w: Work, strong: int, weak: int) -> bool:
        await lock_customers(w)
        rows = await w.sql.fetch(
            """SELECT id, customer_id, scope, kind FROM customer_identities
               WHERE merchant_id = $1 AND id = ANY($2::bigint[])""",
            w.merchant_id, [strong, weak],
        )  # fmt: skip
        found = {row["id"]: row for row in rows}
        if len(found) < 2:
            return False
        into, from_ = found[strong]["customer_id"], found[weak]["customer_id"]
        if into == from_ or await rejected_pairs(w, [into, from_]):
            return False
        identities = [
            {"id": row["id"], "scope": row["scope"], "kind": row["kind"]}
            for row in (found[strong], found[weak])
        ]
        evidence = {"rule": "one record", "identities": identities}
        try:
            await merge_customers(w, self.registry, into, from_, "same identity", evidence)
        except NotFound:  # an identity whose customer is gone
            return False
        return True
