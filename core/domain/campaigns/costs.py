"""What a run's messages cost: in parts and, currency by currency, in money."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.sdk.money import from_millionths
from core.storage.database import Session


@dataclass(frozen=True)
class Costs:
    """Messages that certainly or perhaps went out, by channel, provider and currency.

    `parts` is the sum of those whose parts are known, `priced` counts the messages whose cost is;
    `amount` is their sum in the currency's major unit.
    """

    channel: str
    provider: str | None
    currency: str | None
    messages: int
    parts: int
    priced: int
    amount: Decimal


async def run_costs(session: Session, run_id: int) -> Sequence[Costs]:
    """What a run has cost so far; nothing for one that does not exist."""
    rows = await session.sql.fetch(
        """SELECT channel, provider, currency, count(*) AS messages,
                  COALESCE(sum(parts), 0)::bigint AS parts, count(cost) AS priced,
                  COALESCE(sum(cost), 0)::bigint AS cost
           FROM deliveries
           WHERE merchant_id = $1 AND run_id = $2 AND state IN ('sent', 'unknown')
           GROUP BY channel, provider, currency ORDER BY channel, provider, currency""",
        session.merchant_id, run_id,
    )  # fmt: skip
    return [
        Costs(
            row["channel"], row["provider"], row["currency"], row["messages"], row["parts"],
            row["priced"], from_millionths(row["cost"]),
        )
        for row in rows
    ]  # fmt: skip
