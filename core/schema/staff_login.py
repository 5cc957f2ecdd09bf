"""How staff log in and out, and what they change about their own login."""

from datetime import datetime

import strawberry

from core.domain.shops.staff.accounts import accept_invite
from core.domain.shops.staff.credentials import (
    begin_totp,
    change_password,
    confirm_totp,
    end_totp,
)
from core.domain.shops.staff.login import log_in
from core.domain.shops.staff.second_factor import lacks_second_factor
from core.domain.shops.staff.sessions import Tokens, end_own_session, refresh_session
from core.schema.context import NO_TOKEN, PERSON, Info, mutation
from core.schema.errors import UserError
from core.schema.scalars import global_id, need_id

MERCHANT = ("input", "merchantId")


@strawberry.type(description="What a login or a refresh gives. Neither token is ever shown again.")
class StaffTokens:
    access_token: str = strawberry.field(description="What to present as Bearer.")
    access_until: datetime = strawberry.field(description="Refresh before then.")
    refresh_token: str = strawberry.field(
        description="For `staffRefresh`, once: using it twice ends the session."
    )
    ends_at: datetime = strawberry.field(description="Log in again then; 12 idle hours end it too.")


@strawberry.input
class StaffLoginInput:
    merchant_id: strawberry.ID = strawberry.field(
        description="Of the merchant whose staff it is; `viewer` and `huike staff list` show it."
    )
    email: str
    password: str
    code: str | None = strawberry.field(
        default=None, description="Of the authenticator app, or a recovery code."
    )


@strawberry.input
class StaffRefreshInput:
    refresh_token: str


@strawberry.input
class StaffInviteAcceptInput:
    token: str = strawberry.field(description="Of an invitation or a reset; works once.")
    password: str = strawberry.field(description="12 to 200 characters.")


@strawberry.input
class StaffPasswordChangeInput:
    old_password: str
    new_password: str = strawberry.field(description="12 to 200 characters.")


@strawberry.input
class StaffTotpEnrolInput:
    password: str


@strawberry.input
class StaffTotpConfirmInput:
    code: str = strawberry.field(description="That the authenticator app shows now.")


@strawberry.input
class StaffTotpDisableInput:
    password: str
    code: str = strawberry.field(description="Of the authenticator app, or a recovery code.")


@strawberry.type
class StaffLoginPayload:
    tokens: StaffTokens | None = None
    second_factor_needed: bool | None = strawberry.field(
        default=None,
        description="Whether nothing works with these tokens but setting up a second factor, by "
        "`staffTotpEnrol` and `staffTotpConfirm`.",
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffRefreshPayload:
    tokens: StaffTokens | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffInviteAcceptPayload:
    staff_id: strawberry.ID | None = strawberry.field(
        default=None, description="Who can log in now."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffLogoutPayload:
    session_id: strawberry.ID | None = strawberry.field(default=None, description="What ended.")
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffSessionEndPayload:
    session_id: strawberry.ID | None = strawberry.field(default=None, description="What ended.")
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffPasswordChangePayload:
    sessions_ended: int | None = strawberry.field(
        default=None, description="How many others of yours ended by that."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffTotpEnrolPayload:
    secret: str | None = strawberry.field(default=None, description="Shown only now.")
    uri: str | None = strawberry.field(
        default=None, description="An otpauth URI: show it as a QR code. Shown only now."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffTotpConfirmPayload:
    recovery_codes: list[str] | None = strawberry.field(
        default=None, description="Each is good for one login without the app. Shown only now."
    )
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffTotpDisablePayload:
    disabled: bool | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


def tokens_of(tokens: Tokens) -> StaffTokens:
    return StaffTokens(
        access_token=tokens.access,
        access_until=tokens.access_until,
        refresh_token=tokens.refresh,
        ends_at=tokens.ends_at,
    )


@strawberry.type
class StaffLoginMutations:
    @mutation(
        NO_TOKEN, StaffLoginPayload,
        description="Log in by password. With a second factor and no `code` the error is "
        "LOGIN_CODE_NEEDED.",
    )  # fmt: skip
    async def staff_login(self, info: Info, input: StaffLoginInput) -> StaffLoginPayload | None:
        context = info.context
        merchant_id = need_id("Merchant", input.merchant_id, MERCHANT)
        tokens = await log_in(
            context.installation.db, merchant_id, input.email, input.password, input.code,
            context.client,
        )  # fmt: skip
        async with context.installation.db.read(merchant_id) as session:
            lacks = await lacks_second_factor(session, tokens.staff_id)
        return StaffLoginPayload(tokens=tokens_of(tokens), second_factor_needed=lacks)

    @mutation(
        NO_TOKEN, StaffRefreshPayload,
        description="New tokens for a refresh token, which is used up; one that was used before "
        "ends the session.",
    )  # fmt: skip
    async def staff_refresh(
        self, info: Info, input: StaffRefreshInput
    ) -> StaffRefreshPayload | None:
        tokens = await refresh_session(info.context.installation.db, input.refresh_token)
        return StaffRefreshPayload(tokens=tokens_of(tokens))

    @mutation(
        NO_TOKEN, StaffInviteAcceptPayload,
        description="Set the password by the token of an invitation or a reset.",
    )  # fmt: skip
    async def staff_invite_accept(
        self, info: Info, input: StaffInviteAcceptInput
    ) -> StaffInviteAcceptPayload | None:
        context = info.context
        pk = await accept_invite(
            context.installation.db, input.token, input.password, context.client
        )
        return StaffInviteAcceptPayload(staff_id=global_id("Staff", pk))

    @mutation(PERSON, StaffLogoutPayload, description="End this session and its subscriptions.")
    async def staff_logout(self, info: Info) -> StaffLogoutPayload | None:
        staff_id, session_id = info.context.person
        async with info.context.work() as w:
            await end_own_session(w, staff_id, session_id)
        return StaffLogoutPayload(session_id=global_id("StaffSession", session_id))

    @mutation(PERSON, StaffSessionEndPayload, description="End one of your own sessions.")
    async def staff_session_end(
        self, info: Info, id: strawberry.ID
    ) -> StaffSessionEndPayload | None:
        staff_id, _ = info.context.person
        async with info.context.work() as w:
            await end_own_session(w, staff_id, need_id("StaffSession", id))
        return StaffSessionEndPayload(session_id=id)

    @mutation(
        PERSON, StaffPasswordChangePayload,
        description="Set another password; your other sessions end.",
    )  # fmt: skip
    async def staff_password_change(
        self, info: Info, input: StaffPasswordChangeInput
    ) -> StaffPasswordChangePayload | None:
        context = info.context
        ended = await change_password(
            context.installation.db, context.merchant_id, *context.person, input.old_password,
            input.new_password,
        )  # fmt: skip
        return StaffPasswordChangePayload(sessions_ended=ended)

    @mutation(
        PERSON, StaffTotpEnrolPayload,
        description="Begin a second factor (TOTP): a secret for an authenticator app. It counts "
        "from `staffTotpConfirm` on.",
    )  # fmt: skip
    async def staff_totp_enrol(
        self, info: Info, input: StaffTotpEnrolInput
    ) -> StaffTotpEnrolPayload | None:
        context = info.context
        staff_id, _ = context.person
        made = await begin_totp(
            context.installation.db, context.merchant_id, staff_id, input.password
        )
        return StaffTotpEnrolPayload(secret=made.secret, uri=made.uri)

    @mutation(
        PERSON, StaffTotpConfirmPayload,
        description="Switch the second factor on; gives the recovery codes.",
    )  # fmt: skip
    async def staff_totp_confirm(
        self, info: Info, input: StaffTotpConfirmInput
    ) -> StaffTotpConfirmPayload | None:
        staff_id, _ = info.context.person
        async with info.context.work() as w:
            codes = await confirm_totp(w, staff_id, input.code)
        return StaffTotpConfirmPayload(recovery_codes=codes)

    @mutation(PERSON, StaffTotpDisablePayload, description="Switch the second factor off.")
    async def staff_totp_disable(
        self, info: Info, input: StaffTotpDisableInput
    ) -> StaffTotpDisablePayload | None:
        context = info.context
        staff_id, _ = context.person
        await end_totp(
            context.installation.db, context.merchant_id, staff_id, input.password, input.code
        )
        return StaffTotpDisablePayload(disabled=True)
