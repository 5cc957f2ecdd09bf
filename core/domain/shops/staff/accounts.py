"""Accounts of staff: invited with a link that works once, given a role, reset and disabled."""

import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import asyncpg

from core.domain.shops.merchants import check_name
from core.domain.shops.roles import OWNER, Role, find_role, role_of
from core.domain.shops.staff.passwords import check_password, hash_password
from core.domain.shops.staff.pauses import address_subject, count_try, forgive
from core.domain.shops.staff.sessions import Client, end_sessions
from core.domain.shops.tokens import hash_secret, read_token
from core.registry import Registry
from core.sdk.contacts import normalise_email
from core.sdk.errors import AlreadyExists, Faults, HuikeError, InvalidInput, NotFound
from core.sdk.versions import check_version
from core.storage.database import Database, Session, Work
from core.storage.keyring import Keyring

INVITE = "hi"
INVITE_LIFE = timedelta(days=3)

Need = Callable[[str], None]
"""Raises unless the caller has the right of this name."""


class InviteInvalid(HuikeError):
    code = "INVITE_INVALID"
    cause = "The link of an invitation or reset was used, replaced, or is older than three days."
    cure = "Ask for a new one: `staffReset`, or `huike staff reset`."


class LastOwner(HuikeError):
    code = "LAST_OWNER"
    cause = "Nobody else who can log in has the role owner."
    cure = "Give somebody else the role owner first."


def email_index(keyring: Keyring, merchant_id: int, email: str) -> bytes:
    """By what an account is found."""
    return keyring.blind_index("staff.email", merchant_id, email)


def email_of(keyring: Keyring, row: Mapping[str, Any]) -> str:
    """The address of a row of the table `staff`."""
    return keyring.open(row["email_sealed"], _place(row["merchant_id"], row["id"]))


def check_email(text: str) -> str:
    """An address in its normal form. Raises InvalidInput."""
    email = normalise_email(text)
    if email is None:
        raise InvalidInput("this is no email address", ("input", "email"))
    return email


async def staff_row(session: Session, staff_id: int) -> asyncpg.Record:
    """An account, disabled or not. Raises NotFound."""
    row = await session.sql.fetchrow(
        "SELECT * FROM staff WHERE merchant_id = $1 AND id = $2", session.merchant_id, staff_id
    )
    if row is None:
        raise NotFound("there is no staff with this id", ("id",))
    return row


async def find_by_email(session: Session, text: str) -> int:
    """The id of an account by its address. Raises NotFound, InvalidInput."""
    email = check_email(text)
    staff_id: int | None = await session.sql.fetchval(
        "SELECT id FROM staff WHERE merchant_id = $1 AND email_index = $2",
        session.merchant_id, email_index(session.keyring, session.merchant_id, email),
    )  # fmt: skip
    if staff_id is None:
        raise NotFound("nobody has this email address", ("input", "email"))
    return staff_id


def state_of(row: Mapping[str, Any]) -> str:
    """Return "disabled", "invited" (has no way to log in yet) or "active"."""
    if row["disabled_at"] is not None:
        return "disabled"
    return "active" if row["password_hash"] or row["oidc_subject"] else "invited"


async def invite(
    w: Work, registry: Registry, name: str, email: str, role: str, need: Need
) -> tuple[int, str]:
    """Add an account; returns its id and the token of its link, which cannot be shown again.

    The caller needs all that the role may. Raises AlreadyExists, InvalidInput, NotFound, Several.
    """
    faults = Faults()
    with faults:
        email = check_email(email)
    with faults:
        name = check_name(name)
    with faults:
        _need_all(need, await find_role(w, registry, role))
    faults.tell()
    staff_id = await add_staff(w, name, email, role)
    if staff_id is None:
        raise AlreadyExists("somebody has this email address already", ("input", "email"))
    w.audit("staff.invited", {"staff": staff_id, "role": role})
    return staff_id, await _new_link(w, staff_id)


async def add_staff(w: Work, name: str, email: str, role: str) -> int | None:
    """An account that nobody can log in to yet; None when the address has one."""
    (staff_id,) = await w.new_ids("staff", 1)
    found: int | None = await w.sql.fetchval(
        """INSERT INTO staff (merchant_id, id, name, email_sealed, email_index, role,
                              recovery_hashes, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, '[]', $7)
           ON CONFLICT (merchant_id, email_index) DO NOTHING RETURNING id""",
        w.merchant_id, staff_id, name, w.keyring.seal(email, _place(w.merchant_id, staff_id)),
        email_index(w.keyring, w.merchant_id, email), role, w.now,
    )  # fmt: skip
    return found


async def accept_invite(db: Database, token: str, password: str, client: Client) -> int:
    """Set the first password, or the one after a reset; the link is used up by that.

    Returns the id of the account. Raises InviteInvalid, InvalidInput, Several, LoginPaused.
    """
    subjects, faults, email = address_subject(db.keyring, client.address), Faults(), ""
    await count_try(db, subjects)
    with faults:
        found = read_token(token, INVITE, 1)
        if found is None:
            raise InviteInvalid("this is no token of an invitation", ("input", "token"))
        merchant_id, staff_id, (secret,) = found
        async with db.read(merchant_id) as session:
            row = await _invited(session, staff_id, secret)
        email = email_of(db.keyring, row)
    with faults:
        password = check_password(password, email)
    faults.tell()
    stored = await hash_password(password)
    async with db.work(merchant_id, f"staff:{staff_id}") as w:
        await _invited(w, staff_id, secret, "FOR UPDATE")
        await w.sql.execute(
            """UPDATE staff SET password_hash = $3, invite_hash = NULL, invite_until = NULL
               WHERE merchant_id = $1 AND id = $2""",
            merchant_id, staff_id, stored,
        )  # fmt: skip
        await forgive(w, subjects)
        w.audit("staff.password_set", {"staff": staff_id})
    return staff_id


async def update_staff(
    w: Work, registry: Registry, staff_id: int, changes: Mapping[str, Any], need: Need,
    if_version: int | None = None,
) -> None:  # fmt: skip
    """Change `name`, `role` or `disabled`, at once also for those who are logged in.

    The caller needs all that the person may, before and after. Raises NotFound, InvalidInput,
    Several, LastOwner, and Conflict for an account of another version than `if_version`.
    """
    row, owners = await _locked(w, registry, staff_id, need)
    check_version(row["version"], if_version)
    role, disabled = row["role"], row["disabled_at"] is not None
    name, faults = row["name"], Faults()
    if "name" in changes:
        with faults:
            name = check_name(changes["name"])
    if "role" in changes:
        with faults:
            _need_all(need, await find_role(w, registry, changes["role"]))
        role = changes["role"]
    faults.tell()
    if "disabled" in changes:
        disabled = changes["disabled"]
    if staff_id in owners and (role != OWNER or disabled) and len(owners) == 1:
        raise LastOwner("this is the last owner who can log in", ("id",))
    await w.sql.execute(
        """UPDATE staff SET name = $3, role = $4, version = version + 1,
               disabled_at = CASE WHEN $5 THEN COALESCE(disabled_at, $6::timestamptz) END
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, staff_id, name, role, disabled, w.now,
    )  # fmt: skip
    if role != row["role"]:
        w.audit("staff.role_changed", {"staff": staff_id, "from": row["role"], "to": role})
        await w.notify("staff", staff_id)
    if disabled and row["disabled_at"] is None:
        await end_sessions(w, staff_id)
        w.audit("staff.disabled", {"staff": staff_id})
    elif not disabled and row["disabled_at"] is not None:
        w.audit("staff.enabled", {"staff": staff_id})
    if name != row["name"]:
        w.audit("staff.renamed", {"staff": staff_id})


async def reset(w: Work, registry: Registry, staff_id: int, need: Need) -> str:
    """Take password, second factor and sessions away; returns the token of a new link.

    The caller needs all that the person may. Raises NotFound.
    """
    await _locked(w, registry, staff_id, need)
    await w.sql.execute(
        """UPDATE staff SET password_hash = NULL, totp_sealed = NULL, totp_since = NULL,
               recovery_hashes = '[]', oidc_subject = NULL
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, staff_id,
    )  # fmt: skip
    await end_sessions(w, staff_id)
    w.audit("staff.reset", {"staff": staff_id})
    return await _new_link(w, staff_id)


async def _locked(
    w: Work, registry: Registry, staff_id: int, need: Need
) -> tuple[asyncpg.Record, set[int]]:
    """The account, and the owners who can log in; all of them stay so until the end."""
    rows = await w.sql.fetch(
        """SELECT p.*, r.permissions, r.sub_account FROM staff p
           LEFT JOIN roles r ON r.merchant_id = p.merchant_id AND r.name = p.role
           WHERE p.merchant_id = $1 AND (p.id = $2 OR p.role = $3)
           ORDER BY p.id FOR UPDATE OF p""",
        w.merchant_id, staff_id, OWNER,
    )  # fmt: skip
    row = next((one for one in rows if one["id"] == staff_id), None)
    if row is None:
        raise NotFound("there is no staff with this id", ("id",))
    present = role_of(registry, row["role"], row if row["permissions"] is not None else None)
    if present is not None:
        _need_all(need, present)
    owners = {
        one["id"] for one in rows
        if one["role"] == OWNER and state_of(one) == "active"
    }  # fmt: skip
    return row, owners


async def _invited(session: Session, staff_id: int, secret: str, lock: str = "") -> asyncpg.Record:
    row = await session.sql.fetchrow(
        f"SELECT * FROM staff WHERE merchant_id = $1 AND id = $2 {lock}",
        session.merchant_id, staff_id,
    )  # fmt: skip
    kept = (row and row["invite_hash"]) or b""
    if not hmac.compare_digest(kept, hash_secret(secret)) or row["invite_until"] <= session.now:
        raise InviteInvalid("the link does not work, or no longer", ("input", "token"))
    return row


async def _new_link(w: Work, staff_id: int) -> str:
    secret = secrets.token_hex(24)
    await w.sql.execute(
        """UPDATE staff SET invite_hash = $3, invite_until = $4
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, staff_id, hash_secret(secret), w.now + INVITE_LIFE,
    )  # fmt: skip
    return f"{INVITE}_{w.merchant_id}_{staff_id}_{secret}"


def _need_all(need: Need, role: Role) -> None:
    for permission in sorted(role.permissions):
        need(permission)


def _place(merchant_id: int, staff_id: int) -> str:
    return f"staff.email|{merchant_id}|{staff_id}"
