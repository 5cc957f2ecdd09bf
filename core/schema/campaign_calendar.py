"""When a campaign happens again, and what it was made by: fields of `Campaign`."""

from datetime import datetime
from typing import Any

import orjson
import strawberry

from core.domain.campaigns.recurring import next_occurrences
from core.schema.context import Info, field
from core.schema.errors import BAD_REQUEST, RequestError
from core.schema.pages import First
from core.schema.scalars import JSON

MAX_OCCURRENCES = 100


@strawberry.type
class CampaignCalendar:
    row: strawberry.Private[Any]

    @field(
        "CAMPAIGNS_READ",
        description="The next moments at which it happens; none if it does not recur, or has "
        "ended. For a message at each customer's own time, the moment in the shop.",
    )
    async def next_occurrences(self, info: Info, first: First = 5) -> list[datetime]:
        if not 1 <= first <= MAX_OCCURRENCES:
            raise RequestError(BAD_REQUEST, f"first must be from 1 to {MAX_OCCURRENCES}")
        async with info.context.read() as session:
            return await next_occurrences(session, self.row, first)

    @field("CAMPAIGNS_READ", description="The recipe that it was made by, if any.")
    async def recipe(self, info: Info) -> str | None:
        recipe: str | None = self.row["recipe"]
        return recipe

    @field("CAMPAIGNS_READ", description="The recipe's parameters as they were given.")
    async def recipe_parameters(self, info: Info) -> JSON | None:
        return self.row["parameters"] and JSON(orjson.loads(self.row["parameters"]))

    @field("CAMPAIGNS_READ", description="Why a reviewer sent the draft back.")
    async def rejected_reason(self, info: Info) -> str | None:
        reason: str | None = self.row["rejected_reason"]
        return reason
