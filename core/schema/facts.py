"""What a customer's orders add up to."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry

from core.schema.context import CHILDREN, Info, field
from core.schema.scalars import Money, money
from core.schema.shops import Shop, shops_by_id
from core.storage.database import Session


@strawberry.type(
    description="What a customer's orders in one currency add up to, in one shop or in all. A "
    "purchase is the paid and not fully refunded orders of one day of the shop's calendar."
)
class CustomerFacts:
    row: strawberry.Private[Any]
    currency: str
    orders: int
    purchases: int
    first_purchase_at: datetime | None
    second_purchase_at: datetime | None
    last_purchase_at: datetime | None
    average_days_between_purchases: Decimal | None = strawberry.field(
        description="With one decimal; null before the second purchase."
    )
    paid: Money
    refunded: Money
    net: Money = strawberry.field(description="Paid less refunded.")
    average_purchase: Money | None = strawberry.field(description="Net over purchases.")
    refunds: int = strawberry.field(description="Orders of which something was paid back.")

    @field("SHOPS_READ", description="The shop; null where all shops are added up.")
    async def shop(self, info: Info) -> Shop | None:
        if not self.row["shop_id"]:
            return None
        return await info.context.load("shops", self.row["shop_id"], shops_by_id)


def facts_of(row: Any) -> CustomerFacts:
    currency, purchases = row["currency"], row["purchases"]
    net = row["paid"] - row["refunded"]
    days = row["days_between"]
    return CustomerFacts(
        row=row,
        currency=currency,
        orders=row["orders"],
        purchases=purchases,
        first_purchase_at=row["first_purchase_at"],
        second_purchase_at=row["second_purchase_at"],
        last_purchase_at=row["last_purchase_at"],
        average_days_between_purchases=(
            None if days is None else round(Decimal(days) / (purchases - 1), 1)
        ),
        paid=money(row["paid"], currency),
        refunded=money(row["refunded"], currency),
        net=money(net, currency),
        average_purchase=money(round(net / purchases), currency) if purchases else None,
        refunds=row["refunds"],
    )


def facts_of_customers(
    per_shop: bool,
) -> Callable[[Session, list[int]], Awaitable[dict[int, list[CustomerFacts]]]]:
    """Loads the figures of many customers with one statement."""

    async def load(session: Session, pks: list[int]) -> dict[int, list[CustomerFacts]]:
        rows = await session.sql.fetch(
            """SELECT * FROM customer_facts
               WHERE merchant_id = $1 AND customer_id = ANY($2) AND (shop_id <> 0) = $3
               ORDER BY shop_id, currency""",
            session.merchant_id, pks, per_shop,
        )  # fmt: skip
        found: dict[int, list[CustomerFacts]] = {}
        for row in rows:
            found.setdefault(row["customer_id"], []).append(facts_of(row))
        return found

    return load


CHILDREN["facts_of_customers"] = facts_of_customers
