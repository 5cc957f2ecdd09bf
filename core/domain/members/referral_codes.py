"""Codes by which members refer others (暗号): made at random, and read however they are written."""

import secrets
import unicodedata
from dataclasses import dataclass

from core.domain.customers.customers import get_customer
from core.domain.members.membership import find_membership
from core.domain.members.points import CUSTOMER, lock
from core.sdk.errors import NotFound, WrongState
from core.storage.database import Session, Work

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's Base32: no letter in it looks like a digit."""
LENGTH = 8
"""40 bits: of a million codes one is hit by a million guesses, and brings its guesser nothing."""
LOOKALIKES = str.maketrans("oil", "011")


@dataclass(frozen=True)
class Code:
    """A code and the customer whose it is now."""

    id: int
    customer_id: int


def fold(text: str) -> str:
    """A code as it is stored, whatever case, width and separators it was written with."""
    return letters_of(text).translate(LOOKALIKES).upper()


def letters_of(text: str) -> str:
    """The letters and digits of a text, without what two writings of it differ in."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(one for one in plain if one.isalnum())


def shown(code: str) -> str:
    """A code as people read it: in two groups."""
    return f"{code[: LENGTH // 2]}-{code[LENGTH // 2 :]}"


async def code_of(session: Session, customer_id: int) -> str | None:
    """The customer's code, of several after a merge the oldest; None if none was made yet."""
    code: str | None = await session.sql.fetchval(
        """SELECT code FROM referral_codes WHERE merchant_id = $1 AND customer_id = $2
              AND code IS NOT NULL ORDER BY id LIMIT 1""",
        session.merchant_id, customer_id,
    )  # fmt: skip
    return code


async def make_code(w: Work, customer_id: int) -> str:
    """A member's code, made if there is none yet. Raises NotFound, WrongState for no member."""
    await get_customer(w, customer_id, path=CUSTOMER)
    await lock(w, [customer_id])
    if (present := await code_of(w, customer_id)) is not None:
        return present
    if await find_membership(w, customer_id) is None:
        raise WrongState("the customer is not a member", CUSTOMER)
    made: str | None = None
    while made is None:
        made = await w.sql.fetchval(
            """INSERT INTO referral_codes (merchant_id, customer_id, code, created_at)
               VALUES ($1, $2, $3, $4)
               ON CONFLICT (merchant_id, code) DO NOTHING RETURNING code""",
            w.merchant_id, customer_id, "".join(secrets.choice(ALPHABET) for _ in range(LENGTH)),
            w.now,
        )  # fmt: skip
    return made


async def find_code(session: Session, text: str) -> Code:
    """The code that somebody entered. Raises NotFound."""
    row = await session.sql.fetchrow(
        "SELECT id, customer_id FROM referral_codes WHERE merchant_id = $1 AND code = $2",
        session.merchant_id, fold(text),
    )  # fmt: skip
    if row is None:
        raise NotFound("there is no such code", ("input", "code"))
    return Code(row["id"], row["customer_id"])
