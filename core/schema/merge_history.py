"""Merges as part of a customer: what became of whom, why, and whether it was taken back."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import strawberry

from core.schema.context import CHILDREN, Info, field
from core.schema.pages import Connection, Listing, page
from core.schema.scalars import JSON, Node, camel, global_id
from core.storage.database import Session

if TYPE_CHECKING:
    from core.schema.customers import Customer


@strawberry.type(description="One customer became part of another.")
class CustomerMerge(Node):
    into_pk: strawberry.Private[int]
    merged_id: strawberry.ID = strawberry.field(
        description="Of the customer that became part of the other; it leads to that one now."
    )
    reason: str
    evidence: JSON = strawberry.field(description="How it is known that both are one person.")
    filled: list[str] = strawberry.field(
        description="Fields that the kept customer had not, and has from the other."
    )
    actor: str = strawberry.field(description="Who merged: `token:12`, `job:7` or `system`.")
    at: datetime
    undone_at: datetime | None
    undone_by: str | None

    @field("CUSTOMERS_READ", description="Who holds the merged customer's rows.")
    def customer(
        self, info: Info
    ) -> Annotated["Customer", strawberry.lazy("core.schema.customers")] | None:
        return info.context.child("customers", self.into_pk, CHILDREN["customers"])


def merge_of(row: Any) -> CustomerMerge:
    return CustomerMerge(
        id=global_id("CustomerMerge", row["id"]),
        into_pk=row["into_id"],
        merged_id=global_id("Customer", row["from_id"]),
        reason=row["reason"],
        evidence=JSON(orjson.loads(row["evidence"])),
        filled=sorted(camel(name.removesuffix("_index")) for name in orjson.loads(row["filled"])),
        actor=row["actor"],
        at=row["at"],
        undone_at=row["undone_at"],
        undone_by=row["undone_by"],
    )


async def merges_by_id(session: Session, pks: list[int]) -> dict[int, CustomerMerge]:
    rows = await session.sql.fetch(
        "SELECT * FROM customer_merges WHERE merchant_id = $1 AND id = ANY($2)",
        session.merchant_id, pks,
    )  # fmt: skip
    return {row["id"]: merge_of(row) for row in rows}


MERGES = Listing(
    "merges",
    """(SELECT g.*, g.into_id AS customer_id FROM customer_merges g
        UNION ALL SELECT g.*, g.from_id FROM customer_merges g) m""",
    "m", {}, {}, merge_of,
)  # fmt: skip
"""Each merge stands for both of its customers."""


async def merges_of_customer(
    info: Info, pk: int, first: int, after: str | None
) -> Connection[CustomerMerge]:
    """The merges that a customer had a part in, the last first."""
    return await page(info, MERGES, None, None, first, after, ("m.customer_id", pk))
