"""Roles: named sets of permissions. The predefined ones are here, a merchant adds his own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import asyncpg
import orjson

from core.domain.shops.permissions import all_permissions, check_permissions
from core.registry import Registry
from core.sdk.errors import AlreadyExists, Faults, InvalidInput, NotFound, WrongState
from core.sdk.versions import check_version
from core.storage.database import Session, Work

OWNER = "owner"
NAME_LIMIT = 40

PII = frozenset({"PII_NAME", "PII_PHONE", "PII_EMAIL", "PII_ADDRESS"})
LOOKING = frozenset(
    {"SHOPS_READ", "CUSTOMERS_READ", "ORDERS_READ", "MEMBERS_READ", "SEGMENTS_READ", "JOBS_READ"}
)
SUB_ACCOUNT_MAY = LOOKING | PII | {
    "CUSTOMERS_WRITE", "CAMPAIGNS_READ", "REPLIES_READ", "TASKS_READ", "TASKS_WRITE",
}  # fmt: skip
"""All that a sub-account can be given of core's: it changes no money, no shops, no campaigns."""

DESCRIPTIONS = {
    OWNER: "May do everything, also what plugins bring later.",
    "manager": "Runs the business day by day; how people and programs get in is the owner's.",
    "marketer": "Makes segments and campaigns and sends them; sees customers masked.",
    "analyst": "Reads figures; sees customers masked and changes nothing.",
    "service_agent": "A sub-account that helps customers.",
    "warehouse": "A sub-account that ships orders: sees whom and where to.",
    "finance": "Reads orders and what campaigns cost, adjusts points; sees customers masked.",
}
SUB_ACCOUNTS = frozenset({"service_agent", "warehouse"})

GRANTED = {
    "manager": LOOKING | PII | {
        "SHOPS_WRITE", "SHOPS_CONNECT", "TASKS_READ", "TASKS_WRITE", "PLUGINS_WRITE", "STAFF_READ",
        "STAFF_WRITE", "CUSTOMERS_WRITE", "CUSTOMERS_IMPORT",
        "CUSTOMERS_MERGE", "CUSTOMERS_DATA_EXPORT", "CONSENT_EVIDENCE", "FIELDS_WRITE",
        "ORDERS_WRITE", "SEGMENTS_WRITE", "CAMPAIGNS_READ", "CAMPAIGNS_WRITE", "CAMPAIGNS_SEND",
        "MEMBERS_WRITE", "POINTS_WRITE", "POINTS_APPROVE", "SENDING_POLICY_WRITE",
        "REPLIES_READ", "AUDIT_READ", "WEBHOOKS_READ", "JOBS_CANCEL",
    },
    "marketer": LOOKING | {
        "SEGMENTS_WRITE", "CAMPAIGNS_READ", "CAMPAIGNS_WRITE", "CAMPAIGNS_SEND", "REPLIES_READ",
        "TASKS_READ", "TASKS_WRITE",
    },
    "analyst": LOOKING | {"CAMPAIGNS_READ"},
    "service_agent": LOOKING - {"SEGMENTS_READ", "JOBS_READ"} | {
        "CUSTOMERS_WRITE", "CAMPAIGNS_READ", "REPLIES_READ", "TASKS_READ", "TASKS_WRITE",
    } | PII,
    "warehouse": frozenset(
        {"SHOPS_READ", "ORDERS_READ", "PII_NAME", "PII_PHONE", "PII_ADDRESS"}
    ),
    "finance": LOOKING | {"CAMPAIGNS_READ", "POINTS_WRITE", "POINTS_APPROVE", "AUDIT_READ"},
}  # fmt: skip
"""Core's permissions of each predefined role; the owner's are all there are."""


@dataclass(frozen=True)
class Role:
    """A named set of permissions. Whoever has a sub-account's role is a sub-account."""

    name: str
    permissions: frozenset[str]
    sub_account: bool
    predefined: bool
    description: str | None = None
    version: int = 1


def predefined_roles(registry: Registry) -> dict[str, Role]:
    """The roles that every merchant has, by name, with what plugins add to them."""
    known = all_permissions(registry)
    return {
        name: Role(
            name,
            frozenset(
                one.name
                for one in known.values()
                if name == OWNER or one.name in GRANTED[name] or name in one.roles
            ),
            name in SUB_ACCOUNTS,
            True,
            description,
        )
        for name, description in DESCRIPTIONS.items()
    }


def sub_account_may(registry: Registry) -> frozenset[str]:
    """All permissions that a sub-account can have."""
    known = all_permissions(registry).values()
    return frozenset(
        one.name for one in known if one.name in SUB_ACCOUNT_MAY or SUB_ACCOUNTS & set(one.roles)
    )


def role_of(registry: Registry, name: str, row: asyncpg.Record | None) -> Role | None:
    """A role by its name and its row of the table `roles`, which predefined ones do not have.

    What no longer exists, or a sub-account must not have, is not in it, whatever is stored.
    """
    if (found := predefined_roles(registry).get(name)) is not None:
        return found
    if row is None:
        return None
    allowed = sub_account_may(registry) if row["sub_account"] else all_permissions(registry).keys()
    stored = frozenset(orjson.loads(row["permissions"]))
    return Role(name, stored & frozenset(allowed), row["sub_account"], False)


async def find_role(
    session: Session, registry: Registry, name: str, path: tuple[str, ...] = ("input", "role")
) -> Role:
    """A role of the merchant's; inside a unit of work it stays until the end. Raises NotFound."""
    row = await session.sql.fetchrow(
        "SELECT * FROM roles WHERE merchant_id = $1 AND name = $2 FOR SHARE",
        session.merchant_id, name,
    )  # fmt: skip
    role = role_of(registry, name, row)
    if role is None:
        known = ", ".join(one.name for one in await all_roles(session, registry))
        raise NotFound(f"there is no role {name!r}; there are {known}", path)
    return role


async def all_roles(session: Session, registry: Registry) -> list[Role]:
    """The predefined roles, then the merchant's own by name."""
    rows = await session.sql.fetch(
        "SELECT * FROM roles WHERE merchant_id = $1 ORDER BY name LIMIT 1000", session.merchant_id
    )
    own = [(role_of(registry, row["name"], row), row["version"]) for row in rows]
    return [
        *predefined_roles(registry).values(),
        *(replace(role, version=version) for role, version in own if role is not None),
    ]


async def create_role(
    w: Work,
    registry: Registry,
    name: str,
    permissions: Iterable[str] | None,
    need: Callable[[str], None],
    copied: str | None = None,
    sub_account: bool = False,
) -> Role:
    """Make a role, of `permissions` or as a copy. `need` raises unless the caller has a right.

    The copy of a sub-account's role is one too. Raises AlreadyExists, InvalidInput, NotFound,
    Several.
    """
    name, faults = name.strip(), Faults()
    if not name.isidentifier() or name != name.lower() or len(name) > NAME_LIMIT:
        faults.wrong(f"a role's name has 1 to {NAME_LIMIT} small letters, digits and _", "name")
    if name in DESCRIPTIONS:
        faults.add(AlreadyExists(f"{name} is a predefined role; copy it", ("input", "name")))
    if (permissions is None) == (copied is None):
        faults.wrong("give either permissions or a role to copy", "permissions")
    with faults:
        if copied is not None:
            source = await find_role(w, registry, copied, ("input", "copyOf"))
            permissions, sub_account = source.permissions, sub_account or source.sub_account
    if permissions is not None:
        with faults:
            granted = _checked(registry, permissions, sub_account, need)
    faults.tell()
    try:
        async with w.sql.transaction():
            await w.sql.execute(
                """INSERT INTO roles
                       (merchant_id, name, permissions, sub_account, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $5)""",
                w.merchant_id, name, orjson.dumps(granted).decode(), sub_account, w.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise AlreadyExists(f"there is a role named {name} already", ("input", "name")) from None
    w.audit("role.created", {"role": name, "permissions": granted})
    return Role(name, frozenset(granted), sub_account, False)


async def update_role(
    w: Work,
    registry: Registry,
    name: str,
    permissions: Iterable[str],
    need: Callable[[str], None],
    if_version: int | None = None,
) -> Role:
    """Give a role of the merchant's own other permissions; who has it has them at once.

    The caller needs the permissions of before and after. Raises NotFound, WrongState,
    InvalidInput, and Conflict for a role of another version than `if_version`.
    """
    role = await _own(w, registry, name)
    for permission in sorted(role.permissions):
        need(permission)
    check_version(role.version, if_version)
    granted = _checked(registry, permissions, role.sub_account, need)
    await w.sql.execute(
        """UPDATE roles SET permissions = $3, updated_at = $4, version = version + 1
           WHERE merchant_id = $1 AND name = $2""",
        w.merchant_id, name, orjson.dumps(granted).decode(), w.now,
    )  # fmt: skip
    await w.sql.execute(
        """SELECT pg_notify('huike', 'staff:' || merchant_id || ':' || id) FROM staff
           WHERE merchant_id = $1 AND role = $2""",
        w.merchant_id, name,
    )  # fmt: skip
    w.audit("role.updated", {
        "role": name,
        "added": sorted(set(granted) - role.permissions),
        "removed": sorted(role.permissions - set(granted)),
    })  # fmt: skip
    return Role(name, frozenset(granted), role.sub_account, False, version=role.version + 1)


async def delete_role(w: Work, registry: Registry, name: str) -> None:
    """Delete a role of the merchant's own that nobody has. Raises NotFound, WrongState."""
    await _own(w, registry, name)
    holders = await w.sql.fetchval(
        "SELECT count(*) FROM staff WHERE merchant_id = $1 AND role = $2", w.merchant_id, name
    )
    given = await w.sql.fetchval(
        "SELECT count(*) FROM oidc_providers WHERE merchant_id = $1 AND default_role = $2",
        w.merchant_id, name,
    )  # fmt: skip
    if holders or given:
        who = f"{holders} of the staff have it" if holders else "new staff get it by their login"
        raise WrongState(f"{who}: give another role first", ("name",))
    await w.sql.execute(
        "DELETE FROM roles WHERE merchant_id = $1 AND name = $2", w.merchant_id, name
    )
    w.audit("role.deleted", {"role": name})


async def _own(w: Work, registry: Registry, name: str) -> Role:
    row = await w.sql.fetchrow(
        "SELECT * FROM roles WHERE merchant_id = $1 AND name = $2 FOR UPDATE", w.merchant_id, name
    )
    if name in DESCRIPTIONS:
        raise WrongState(f"{name} is predefined: copy it and change the copy", ("name",))
    role = role_of(registry, name, row)
    if role is None:
        raise NotFound(f"there is no role {name!r}", ("name",))
    return replace(role, version=row["version"])


def _checked(
    registry: Registry,
    permissions: Iterable[str],
    sub_account: bool,
    need: Callable[[str], None],
) -> list[str]:
    granted = check_permissions(registry, permissions)
    barred = sorted(set(granted) - sub_account_may(registry)) if sub_account else []
    if barred:
        raise InvalidInput(
            f"a sub-account cannot have {', '.join(barred)}", ("input", "permissions")
        )
    for permission in granted:
        need(permission)  # nobody gives away what they do not have
    return granted
