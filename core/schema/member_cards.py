"""Finding a customer by a member's card."""

import strawberry

from core.domain.members.membership import customer_of_card
from core.schema.context import Info, field
from core.schema.customers import Customer, customers_by_id


@strawberry.type
class MemberCardQueries:
    @field(
        "CUSTOMERS_READ",
        description="Whose card it is or was; after a merge the cards of both lead to the one.",
    )
    async def customer_by_card(self, info: Info, card_number: str) -> Customer | None:
        async with info.context.read() as session:
            pk = await customer_of_card(session, card_number)
        return None if pk is None else await info.context.load("customers", pk, customers_by_id)
