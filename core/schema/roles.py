"""Roles: the predefined ones, and those that a merchant made."""

import strawberry

from core.domain.shops import roles as domain
from core.schema.context import Info, field, mutation
from core.schema.errors import UserError
from core.schema.scalars import PermissionName, version_seen


@strawberry.type(description="A named set of permissions that staff can be given.")
class Role:
    name: str
    description: str | None
    permissions: list[PermissionName]
    predefined: bool = strawberry.field(description="Such a one can be copied, but not changed.")
    sub_account: bool = strawberry.field(
        description="Never has a permission to change money, settings of shops, or campaigns."
    )
    version: int


@strawberry.input(description="Give either `permissions` or `copyOf`.")
class RoleCreateInput:
    name: str = strawberry.field(description="Small letters, digits and _; it stays.")
    permissions: list[PermissionName] | None = None
    copy_of: str | None = strawberry.field(
        default=None, description="A role whose permissions to take."
    )
    sub_account: bool = strawberry.field(
        default=False, description="A copy of a sub-account's role is one in any case."
    )


@strawberry.input
class RoleUpdateInput:
    permissions: list[PermissionName]
    if_version: int | None = version_seen()


@strawberry.type
class RoleCreatePayload:
    role: Role | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class RoleUpdatePayload:
    role: Role | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class RoleDeletePayload:
    name: str | None = strawberry.field(default=None, description="Of the role that is gone.")
    errors: list[UserError] = strawberry.field(default_factory=list)


def role_of(role: domain.Role) -> Role:
    return Role(
        name=role.name,
        description=role.description,
        permissions=[PermissionName(name) for name in sorted(role.permissions)],
        predefined=role.predefined,
        sub_account=role.sub_account,
        version=role.version,
    )


@strawberry.type
class RoleQueries:
    @field("STAFF_READ", description="The predefined ones, then the merchant's own.")
    async def roles(self, info: Info) -> list[Role]:
        async with info.context.read() as session:
            found = await domain.all_roles(session, info.context.installation.registry)
        return [role_of(role) for role in found]


@strawberry.type
class RoleMutations:
    @mutation(
        "ROLES_WRITE", RoleCreatePayload,
        description="Make a role of permissions that you have yourself.",
    )  # fmt: skip
    async def role_create(self, info: Info, input: RoleCreateInput) -> RoleCreatePayload | None:
        context = info.context
        async with context.work() as w:
            made = await domain.create_role(
                w, context.installation.registry, input.name, input.permissions, context.need,
                input.copy_of, input.sub_account,
            )  # fmt: skip
            return RoleCreatePayload(role=role_of(made))

    @mutation(
        "ROLES_WRITE", RoleUpdatePayload,
        description="Give a role other permissions; who has it has them at once.",
    )  # fmt: skip
    async def role_update(
        self, info: Info, name: str, input: RoleUpdateInput
    ) -> RoleUpdatePayload | None:
        context = info.context
        async with context.work() as w:
            made = await domain.update_role(
                w, context.installation.registry, name, input.permissions, context.need,
                input.if_version,
            )  # fmt: skip
            return RoleUpdatePayload(role=role_of(made))

    @mutation("ROLES_WRITE", RoleDeletePayload, description="Delete a role that nobody has.")
    async def role_delete(self, info: Info, name: str) -> RoleDeletePayload | None:
        async with info.context.work() as w:
            await domain.delete_role(w, info.context.installation.registry, name)
        return RoleDeletePayload(name=name)
