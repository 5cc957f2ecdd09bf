"""Which customer an old link or reference means now."""

from core.storage.database import Session


async def kept_customer(session: Session, customer_id: int) -> int | None:
    """The customer, or the one that it was merged into, however often; None when erased."""
    found: int | None = await session.sql.fetchval(
        """WITH RECURSIVE chain (id) AS (
               SELECT $2::bigint
               UNION
               SELECT m.into_id FROM chain JOIN customer_merges m
                 ON m.merchant_id = $1 AND m.from_id = chain.id AND m.undone_at IS NULL)
           SELECT c.id FROM chain JOIN customers c ON c.merchant_id = $1 AND c.id = chain.id
           WHERE NOT EXISTS (SELECT 1 FROM customer_merges m WHERE m.merchant_id = $1
                                AND m.from_id = chain.id AND m.undone_at IS NULL)""",
        session.merchant_id, customer_id,
    )  # fmt: skip
    return found
