"""One box that finds customers."""

from enum import Enum

import strawberry

from core.domain.customers.masking import EMAIL, NAME, PHONE
from core.domain.customers.search import Hit, search_customers
from core.schema.context import Info, field
from core.schema.costs import costs
from core.schema.customers import Customer, customers_by_id
from core.schema.orders import Order, orders_by_id


@strawberry.enum(description="What of a customer fits a query.")
class CustomerMatch(Enum):
    PHONE = "phone"
    EMAIL = "email"
    PLATFORM_ID = "platform_id"
    ORDER_NUMBER = "order_number"
    TRACKING_NUMBER = "tracking_number"
    NAME = "name"
    TAG = "tag"


@strawberry.type(description="A customer that was found.")
class CustomerSearchHit:
    hit: strawberry.Private[Hit]
    customer: Customer
    matched_by: list[CustomerMatch] = strawberry.field(description="The best first.")

    @field("ORDERS_READ", description="The order whose number, or whose parcel, was asked for.")
    async def order(self, info: Info) -> Order | None:
        if self.hit.order_id is None:
            return None
        return await info.context.load("orders", self.hit.order_id, orders_by_id)


@strawberry.type
class SearchQueries:
    @costs(20)
    @field(
        "CUSTOMERS_READ",
        description="Customers by the beginning of a tag or, with PII_NAME, of a name, or by "
        "exactly this platform id, with ORDERS_READ order or tracking number, with PII_PHONE phone "
        "number, with PII_EMAIL email address. Exact matches come first; `first` is 1 to 50.",
    )
    async def customer_search(
        self, info: Info, query: str, first: int = 20
    ) -> list[CustomerSearchHit]:
        context = info.context
        kinds = [one.name for one in (NAME, PHONE, EMAIL) if context.may(one.permission)]
        async with context.read() as session:
            hits = await search_customers(session, query, first, context.may("ORDERS_READ"), kinds)
            found = await customers_by_id(session, [hit.customer_id for hit in hits])
        return [
            CustomerSearchHit(
                hit=hit,
                customer=found[hit.customer_id],
                matched_by=[CustomerMatch(one) for one in hit.matched_by],
            )
            for hit in hits
            if hit.customer_id in found
        ]
