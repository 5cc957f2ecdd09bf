"""What a person who is logged in changes about the own login: password and second factor."""

from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from core.domain.shops.staff.accounts import email_of, staff_row
from core.domain.shops.staff.login import REFUSED, LoginRefused, take_code, totp_place
from core.domain.shops.staff.passwords import check_password, hash_password, matches
from core.domain.shops.staff.pauses import account_subject, count_try, forgive
from core.domain.shops.staff.second_factor import second_factor_required
from core.domain.shops.staff.sessions import end_sessions
from core.domain.shops.staff.totp import (
    new_recovery_codes,
    new_secret,
    otpauth_uri,
    recovery_hash,
    step_of,
)
from core.sdk.errors import Faults, WrongState
from core.storage.database import Database, Work

PASSWORD = ("input", "password")


@dataclass(frozen=True)
class Enrolment:
    """What an authenticator app needs; shown once."""

    secret: str
    uri: str


async def change_password(
    db: Database, merchant_id: int, staff_id: int, session_id: int, old: str, new: str
) -> int:
    """Set another password; returns how many other sessions ended by that.

    Raises LoginRefused for a wrong old one, InvalidInput, Several, LoginPaused.
    """
    faults, email = Faults(), ""
    with faults:
        row = await _proven(db, merchant_id, staff_id, old, ("input", "oldPassword"))
        email = email_of(db.keyring, row)
    with faults:
        text = check_password(new, email, ("input", "newPassword"))
    faults.tell()
    stored = await hash_password(text)
    async with _work(db, merchant_id, staff_id) as w:
        await _unchanged(w, row)
        await w.sql.execute(
            "UPDATE staff SET password_hash = $3 WHERE merchant_id = $1 AND id = $2",
            merchant_id, staff_id, stored,
        )  # fmt: skip
        await _forgive(w, row)
        ended = await end_sessions(w, staff_id, but=session_id)
        w.audit("staff.password_changed", {"staff": staff_id, "sessions_ended": len(ended)})
    return len(ended)


async def begin_totp(db: Database, merchant_id: int, staff_id: int, password: str) -> Enrolment:
    """A new secret for an authenticator app; it counts once a code of it was given.

    Raises LoginRefused for a wrong password, WrongState with a second factor already.
    """
    row = await _proven(db, merchant_id, staff_id, password, PASSWORD)
    secret = new_secret()
    async with _work(db, merchant_id, staff_id) as w:
        row = await _unchanged(w, row)
        if row["totp_since"] is not None:
            raise WrongState("there is a second factor: switch it off first", ("input",))
        merchant = await w.sql.fetchval("SELECT name FROM merchants WHERE id = $1", merchant_id)
        await w.sql.execute(
            "UPDATE staff SET totp_sealed = $3, totp_step = 0 WHERE merchant_id = $1 AND id = $2",
            merchant_id, staff_id, w.keyring.seal(secret, totp_place(merchant_id, staff_id)),
        )  # fmt: skip
        await _forgive(w, row)
    return Enrolment(secret, otpauth_uri(secret, email_of(db.keyring, row), merchant))


async def confirm_totp(w: Work, staff_id: int, code: str) -> list[str]:
    """Switch the second factor on by a code of the app; returns the recovery codes, once.

    Raises LoginRefused for a wrong code, WrongState without an enrolment.
    """
    row = await w.sql.fetchrow(
        "SELECT * FROM staff WHERE merchant_id = $1 AND id = $2 FOR UPDATE", w.merchant_id, staff_id
    )
    if row["totp_sealed"] is None or row["totp_since"] is not None:
        raise WrongState("begin with `staffTotpEnrol`", ("input", "code"))
    secret = w.keyring.open(row["totp_sealed"], totp_place(w.merchant_id, staff_id))
    step = step_of(secret, code, w.now, row["totp_step"])
    if step is None:
        raise LoginRefused("the code is wrong: is the phone's clock right?", ("input", "code"))
    codes = new_recovery_codes()
    await w.sql.execute(
        """UPDATE staff SET totp_since = $3, totp_step = $4, recovery_hashes = $5
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, staff_id, w.now, step,
        orjson.dumps([recovery_hash(one) for one in codes]).decode(),
    )  # fmt: skip
    w.audit("staff.totp_enabled", {"staff": staff_id})
    return codes


async def end_totp(db: Database, merchant_id: int, staff_id: int, password: str, code: str) -> None:
    """Switch the second factor off. Raises LoginRefused, WrongState without one, LoginPaused."""
    row = await _proven(db, merchant_id, staff_id, password, PASSWORD)
    async with _work(db, merchant_id, staff_id) as w:
        row = await _unchanged(w, row)
        if row["totp_since"] is None:
            raise WrongState("there is no second factor", ("input",))
        if await second_factor_required(w):
            raise WrongState("everybody needs a second factor here", ("input",))
        right = await take_code(w, row, code)
        if right:
            await w.sql.execute(
                """UPDATE staff SET totp_sealed = NULL, totp_since = NULL, recovery_hashes = '[]'
                   WHERE merchant_id = $1 AND id = $2""",
                merchant_id, staff_id,
            )  # fmt: skip
            await _forgive(w, row)
            w.audit("staff.totp_disabled", {"staff": staff_id})
    if not right:
        raise LoginRefused("the code is wrong", ("input", "code"))


async def _proven(
    db: Database,
    merchant_id: int,
    staff_id: int,
    password: str,
    path: tuple[str, ...],
) -> asyncpg.Record:
    """The account, whose password was given once more: a stolen session is not enough.

    The try counts until the caller has done what it was for: else codes could be guessed between.
    """
    async with db.read(merchant_id) as session:
        row = await staff_row(session, staff_id)
    if row["password_hash"] is None:
        raise WrongState("this account has no password: it logs in elsewhere", ("input",))
    subjects = [account_subject(db.keyring, merchant_id, email_of(db.keyring, row))]
    await count_try(db, subjects)
    if not await matches(row["password_hash"], password):
        async with _work(db, merchant_id, staff_id) as w:
            w.audit("staff.password_refused", {"staff": staff_id})
        raise LoginRefused(REFUSED, path)
    return row


async def _forgive(w: Work, row: asyncpg.Record) -> None:
    await forgive(w, [account_subject(w.keyring, w.merchant_id, email_of(w.keyring, row))])


async def _unchanged(w: Work, row: asyncpg.Record) -> asyncpg.Record:
    """The account as it is now, locked; the password that was proven must still be its."""
    found = await w.sql.fetchrow(
        "SELECT * FROM staff WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id,
        row["id"],
    )
    if found["password_hash"] != row["password_hash"] or found["disabled_at"] is not None:
        raise LoginRefused(REFUSED, ("input",))
    return found


def _work(db: Database, merchant_id: int, staff_id: int) -> Any:
    return db.work(merchant_id, f"staff:{staff_id}")
