"""Logging in by password, with a code of the second factor where there is one.

An account that does not exist is answered like a wrong password, and as late.
"""

from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson

from core.domain.shops.staff.accounts import email_index
from core.domain.shops.staff.passwords import hash_password, is_outdated, matches
from core.domain.shops.staff.pauses import account_subject, address_subject, count_try, forgive
from core.domain.shops.staff.sessions import Client, Tokens, begin_session
from core.domain.shops.staff.totp import recovery_hash, step_of
from core.sdk.contacts import normalise_email
from core.sdk.errors import HuikeError
from core.storage.database import Database, Work


class LoginRefused(HuikeError):
    code = "LOGIN_REFUSED"
    cause = "Email address, password or code is wrong, or the account is disabled."
    cure = "Try again; somebody with the right STAFF_WRITE can reset the account."


class CodeNeeded(HuikeError):
    code = "LOGIN_CODE_NEEDED"
    cause = "The account has a second factor."
    cure = "Log in again with a code of the authenticator app, or a recovery code."


REFUSED = "email address, password or code is wrong"


async def log_in(
    db: Database, merchant_id: int, email: str, password: str, code: str | None, client: Client
) -> Tokens:
    """Begin a session. Raises LoginRefused, CodeNeeded, LoginPaused."""
    name = normalise_email(email) or ""
    subjects = [
        account_subject(db.keyring, merchant_id, name),
        *address_subject(db.keyring, client.address),
    ]
    await count_try(db, subjects)
    async with db.read(merchant_id) as session:
        known = await session.sql.fetchval("SELECT TRUE FROM merchants WHERE id = $1", merchant_id)
        row = await session.sql.fetchrow(
            "SELECT * FROM staff WHERE merchant_id = $1 AND email_index = $2",
            merchant_id, email_index(db.keyring, merchant_id, name),
        )  # fmt: skip
    stored = row["password_hash"] if row else None
    fits = await matches(stored, password)
    outdated = fits and stored is not None and is_outdated(stored)
    renewed = await hash_password(password) if outdated else None
    tokens, refusal = None, "unknown"
    async with db.work(merchant_id, "nobody") as w:
        if row is not None:
            # it may have been disabled or reset while the password was looked at
            row = await w.sql.fetchrow(
                "SELECT * FROM staff WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
                merchant_id, row["id"],
            )  # fmt: skip
            fits = fits and row["password_hash"] == stored
            refusal = await _refusal(w, row, fits, code)
        if row is not None and refusal == "":
            w.actor = f"staff:{row['id']}"
            await w.sql.execute(
                """UPDATE staff SET last_login_at = $3, password_hash = COALESCE($4, password_hash)
                   WHERE merchant_id = $1 AND id = $2""",
                merchant_id, row["id"], w.now, renewed,
            )  # fmt: skip
            tokens = await begin_session(w, row["id"], "password", client)
            await forgive(w, subjects)
            w.audit("staff.logged_in", logged_in(tokens, "password"))
        elif known:
            w.audit("staff.login_refused", {"staff": row["id"] if row else None, "why": refusal})
    if tokens is not None:
        return tokens
    if refusal == "code needed":
        raise CodeNeeded("a code of the second factor is needed", ("input", "code"))
    raise LoginRefused(REFUSED, ("input",))


def logged_in(tokens: Tokens, method: str) -> dict[str, Any]:
    """What the audit log says of a login."""
    return {"staff": tokens.staff_id, "session": tokens.session_id, "method": method}


async def _refusal(w: Work, row: Mapping[str, Any], fits: bool, code: str | None) -> str:
    """Why a login is refused, for the audit log; empty if it is not."""
    if not fits:
        return "password"
    if row["disabled_at"] is not None:
        return "disabled"
    if row["totp_since"] is None:
        return ""
    if not code:
        return "code needed"
    return "" if await take_code(w, row, code) else "code"


async def take_code(w: Work, row: Mapping[str, Any] | asyncpg.Record, code: str) -> bool:
    """Whether a code of the app, or a recovery code, is right; it is used up by that.

    The row is locked by the caller.
    """
    secret = w.keyring.open(row["totp_sealed"], totp_place(w.merchant_id, row["id"]))
    step = step_of(secret, code, w.now, row["totp_step"])
    if step is not None:
        await w.sql.execute(
            "UPDATE staff SET totp_step = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, row["id"], step,
        )  # fmt: skip
        return True
    hashes, given = orjson.loads(row["recovery_hashes"]), recovery_hash(code)
    if given not in hashes:
        return False
    hashes.remove(given)
    await w.sql.execute(
        "UPDATE staff SET recovery_hashes = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, row["id"], orjson.dumps(hashes).decode(),
    )  # fmt: skip
    w.audit("staff.recovery_code_used", {"staff": row["id"], "left": len(hashes)})
    return True


def totp_place(merchant_id: int, staff_id: int) -> str:
    """What the secret of a second factor is bound to."""
    return f"staff.totp|{merchant_id}|{staff_id}"
