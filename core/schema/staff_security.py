"""What a merchant asks of everybody who logs in."""

from typing import Annotated

import strawberry

from core.domain.shops.staff.second_factor import require_second_factor, second_factor_required
from core.schema.context import Info, field, mutation
from core.schema.errors import UserError


@strawberry.input
class StaffSecondFactorSetInput:
    required: bool = strawberry.field(description="False asks for it no longer.")


@strawberry.type
class StaffSecondFactorSetPayload:
    required: bool | None = strawberry.field(
        default=None, description="Whether everybody who logs in by password needs one now."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffSecurityQueries:
    @field("STAFF_READ", description="Whether everybody who logs in by password needs one.")
    async def staff_second_factor_required(self, info: Info) -> bool:
        async with info.context.read() as session:
            return await second_factor_required(session)


@strawberry.type
class StaffSecurityMutations:
    @mutation(
        "STAFF_SECURITY_WRITE", StaffSecondFactorSetPayload,
        description="Ask everybody who logs in by password for a second factor. Who has none can "
        "only set one up, from now on; set up your own first.",
    )  # fmt: skip
    async def staff_second_factor_set(
        self,
        info: Info,
        input: Annotated[
            StaffSecondFactorSetInput, strawberry.argument(description="Whether to ask for it.")
        ],
    ) -> StaffSecondFactorSetPayload | None:
        context = info.context
        staff_id = context.caller.staff_id if context.caller else None
        async with context.work() as w:
            await require_second_factor(w, input.required, staff_id)
        return StaffSecondFactorSetPayload(required=input.required)
