"""Ending a shop's connection and erasing the people who were known through that shop alone."""

from typing import Any

from core.domain.connections.connecting import disconnect
from core.domain.privacy.erasure import erase_customer
from core.registry import Registry
from core.storage import jobs
from core.storage.database import Database, Session, Work
from core.storage.jobs import Job

KIND = "shop.erase"
REASON = "purpose_ended"
CHUNK = 20

ONLY_HERE = """
    (EXISTS (SELECT 1 FROM orders o WHERE o.merchant_id = c.merchant_id AND o.customer_id = c.id
               AND o.shop_id = $2)
     OR EXISTS (SELECT 1 FROM customer_identities i WHERE i.merchant_id = c.merchant_id
                  AND i.customer_id = c.id AND i.scope = 'shop' AND i.scope_id = $2))
    AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.merchant_id = c.merchant_id
                      AND o.customer_id = c.id AND o.shop_id <> $2)
    AND NOT EXISTS (SELECT 1 FROM customer_identities i WHERE i.merchant_id = c.merchant_id
                      AND i.customer_id = c.id AND i.scope = 'shop' AND i.scope_id <> $2)
    AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.merchant_id = c.merchant_id
                      AND m.customer_id = c.id AND m.left_at IS NULL)
"""
"""Customers `c` who bought in shop $2 or are known there, in no other, and are no members."""


async def disconnect_and_erase(w: Work, shop_id: int) -> int:
    """End the connection and have the shop's people erased; returns the job. Raises NotFound.

    Who also bought in another shop, or is a member of the merchant's own programme, stays. Of the
    orders figures without a person stay, as after any erasure.
    """
    await disconnect(w, shop_id)
    for table in ("dead_letters", "waiting_records"):
        await w.sql.execute(
            f"DELETE FROM {table} WHERE merchant_id = $1 AND shop_id = $2", w.merchant_id, shop_id
        )
    job_id = await jobs.enqueue(w, KIND, {"shop_id": shop_id}, await count_only_here(w, shop_id))
    w.audit("shop.erase_requested", {"shop": shop_id, "job": job_id})
    return job_id


async def count_only_here(session: Session, shop_id: int) -> int:
    """How many people an erasure of the shop would erase."""
    count: int = await session.sql.fetchval(
        f"SELECT count(*) FROM customers c WHERE c.merchant_id = $1 AND {ONLY_HERE}",
        session.merchant_id, shop_id,
    )  # fmt: skip
    return count


class ShopErasure:
    """The job kind "shop.erase"."""

    name = KIND

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Erase the shop's people in steps of a few."""
        more = True
        while more:
            async with job.step(db) as w:
                rows = await w.sql.fetch(
                    f"""SELECT c.id FROM customers c
                        WHERE c.merchant_id = $1 AND c.id > $3 AND {ONLY_HERE}
                        ORDER BY c.id LIMIT $4""",
                    w.merchant_id, job.params["shop_id"], job.checkpoint.get("after", 0), CHUNK,
                )  # fmt: skip
                for row in rows:
                    await erase_customer(w, self._registry, row["id"], REASON)
                job.done += len(rows)
                more = bool(rows)
                if rows:
                    job.checkpoint = {"after": rows[-1]["id"]}
        return {"erased": job.done}
