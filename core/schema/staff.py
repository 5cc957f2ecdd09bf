"""The people who work for a merchant: who they are, and how they are managed."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from core.domain.shops.caller import Caller
from core.domain.shops.staff.accounts import (
    INVITE_LIFE,
    email_of,
    invite,
    reset,
    state_of,
    update_staff,
)
from core.schema.context import ANY_TOKEN, Context, Info, field, mutation
from core.schema.errors import UserError
from core.schema.scalars import Node, by_pk, changes, global_id, need_id, version_seen
from core.storage.database import Session


@strawberry.enum(description="Whether somebody can log in.")
class StaffState(Enum):
    INVITED = strawberry.enum_value("invited", description="Has no password yet.")
    ACTIVE = strawberry.enum_value("active", description="Can log in.")
    DISABLED = strawberry.enum_value("disabled", description="Cannot, until enabled again.")


@strawberry.type(description="A person who works for the merchant.")
class Staff(Node):
    name: str
    email: str
    role: str = strawberry.field(description="The name of one of `roles`.")
    state: StaffState
    second_factor: bool = strawberry.field(description="Whether a login needs a code as well.")
    linked: bool = strawberry.field(description="Whether the identity provider knows the person.")
    last_login_at: datetime | None
    version: int
    created_at: datetime


@strawberry.type(description="A login on some device, and what came of it.")
class StaffSession(Node):
    method: str = strawberry.field(description="`password` or `oidc`.")
    agent: str = strawberry.field(description="What the program says it is.")
    address: str | None = strawberry.field(description="Where the login came from.")
    current: bool = strawberry.field(description="Whether it is the one that asks.")
    used_at: datetime = strawberry.field(description="To a minute.")
    ends_at: datetime = strawberry.field(description="Ends at the latest then.")
    created_at: datetime


@strawberry.input
class StaffInviteInput:
    email: str
    name: str
    role: str = strawberry.field(description="You need all permissions of it yourself.")


@strawberry.input(description="Absent fields stay as they are.")
class StaffUpdateInput:
    name: strawberry.Maybe[str]
    role: strawberry.Maybe[str] = strawberry.field(
        default=None, description="Holds at once, also for who is logged in."
    )
    disabled: strawberry.Maybe[bool] = strawberry.field(
        default=None, description="True ends all sessions, and nobody can log in."
    )
    if_version: int | None = version_seen()


@strawberry.type
class StaffInvitePayload:
    staff: Staff | None = None
    token: str | None = strawberry.field(
        default=None,
        description="For `staffInviteAccept`: put it into the link that you send. Shown only now.",
    )
    until: datetime | None = strawberry.field(default=None, description="When the token ends.")
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffUpdatePayload:
    staff: Staff | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class StaffResetPayload:
    staff: Staff | None = None
    token: str | None = strawberry.field(
        default=None, description="For `staffInviteAccept`; shown only now."
    )
    until: datetime | None = strawberry.field(default=None, description="When the token ends.")
    errors: list[UserError] = strawberry.field(default_factory=list)


def staff_of(session: Session, row: Any) -> Staff:
    return Staff(
        id=global_id("Staff", row["id"]),
        name=row["name"],
        email=email_of(session.keyring, row),
        role=row["role"],
        state=StaffState(state_of(row)),
        second_factor=row["totp_since"] is not None,
        linked=row["oidc_subject"] is not None,
        last_login_at=row["last_login_at"],
        version=row["version"],
        created_at=row["created_at"],
    )


async def staff_by_id(session: Session, pks: list[int]) -> dict[int, Staff]:
    rows = await session.sql.fetch(
        "SELECT * FROM staff WHERE merchant_id = $1 AND id = ANY($2)", session.merchant_id, pks
    )
    return {row["id"]: staff_of(session, row) for row in rows}


async def _own_sessions(
    session: Session, caller: Caller | None, pks: list[int] | None = None
) -> list[StaffSession]:
    """The caller's open sessions, the newest first; `pks` leaves those of these ids."""
    rows = await session.sql.fetch(
        """SELECT * FROM staff_sessions
           WHERE merchant_id = $1 AND staff_id = $2 AND ended_at IS NULL
             AND idle_until > $3 AND ends_at > $3 AND ($4::bigint[] IS NULL OR id = ANY($4))
           ORDER BY id DESC LIMIT 1000""",
        session.merchant_id, caller.staff_id if caller else None, session.now, pks,
    )  # fmt: skip
    return [
        StaffSession(
            id=global_id("StaffSession", row["id"]),
            method=row["method"],
            agent=row["agent"],
            address=row["address"],
            current=caller is not None and row["id"] == caller.session_id,
            used_at=row["used_at"],
            ends_at=row["ends_at"],
            created_at=row["created_at"],
        )
        for row in rows
    ]


def sessions_of(
    context: Context,
) -> Callable[[Session, list[int]], Awaitable[dict[int, StaffSession]]]:
    """Loads the caller's own open sessions by their ids."""

    async def load(session: Session, pks: list[int]) -> dict[int, StaffSession]:
        return by_pk(await _own_sessions(session, context.caller, pks))

    return load


@strawberry.type
class StaffQueries:
    @field("STAFF_READ", description="Everybody, the newest first; at most 1000.")
    async def staff(self, info: Info) -> list[Staff]:
        async with info.context.read() as session:
            rows = await session.sql.fetch(
                "SELECT * FROM staff WHERE merchant_id = $1 ORDER BY id DESC LIMIT 1000",
                session.merchant_id,
            )
            return [staff_of(session, row) for row in rows]

    @field(ANY_TOKEN, description="The person who has logged in; null for a program's token.")
    async def staff_me(self, info: Info) -> Staff | None:
        caller = info.context.caller
        if caller is None or caller.staff_id is None:
            return None
        return await info.context.load("staff", caller.staff_id, staff_by_id)

    @field(ANY_TOKEN, description="Your open sessions, the newest first; none for a token.")
    async def staff_sessions(self, info: Info) -> list[StaffSession]:
        async with info.context.read() as session:
            return await _own_sessions(session, info.context.caller)


@strawberry.type
class StaffMutations:
    @mutation(
        "STAFF_WRITE", StaffInvitePayload,
        description="Add a person, who sets the first password by a link of yours.",
    )  # fmt: skip
    async def staff_invite(self, info: Info, input: StaffInviteInput) -> StaffInvitePayload | None:
        context = info.context
        async with context.work() as w:
            pk, token = await invite(
                w, context.installation.registry, input.name, input.email, input.role, context.need
            )
            found = (await staff_by_id(w, [pk]))[pk]
            return StaffInvitePayload(staff=found, token=token, until=w.now + INVITE_LIFE)

    @mutation(
        "STAFF_WRITE", StaffUpdatePayload,
        description="Rename somebody, give another role, disable or enable. You need all that the "
        "person may, before and after. The last owner stays.",
    )  # fmt: skip
    async def staff_update(
        self, info: Info, id: strawberry.ID, input: StaffUpdateInput
    ) -> StaffUpdatePayload | None:
        context, pk = info.context, need_id("Staff", id)
        async with context.work() as w:
            await update_staff(
                w, context.installation.registry, pk, changes(input), context.need,
                input.if_version,
            )  # fmt: skip
            return StaffUpdatePayload(staff=(await staff_by_id(w, [pk]))[pk])

    @mutation(
        "STAFF_WRITE", StaffResetPayload,
        description="For who lost password or phone: takes password, second factor, link to the "
        "identity provider and sessions away, and gives the token of a new link.",
    )  # fmt: skip
    async def staff_reset(self, info: Info, id: strawberry.ID) -> StaffResetPayload | None:
        context, pk = info.context, need_id("Staff", id)
        async with context.work() as w:
            token = await reset(w, context.installation.registry, pk, context.need)
            found = (await staff_by_id(w, [pk]))[pk]
            return StaffResetPayload(staff=found, token=token, until=w.now + INVITE_LIFE)
