"""Growing pauses after failed logins, for the account and for the address they come from.

Every try counts as a failure before it is looked at, and is forgiven when it succeeds: so tries
at the same time do not slip through. Accounts that do not exist are counted alike.
"""

import ipaddress
from dataclasses import dataclass
from datetime import timedelta

from core.sdk.errors import HuikeError
from core.storage.database import SYSTEM, Database, Work
from core.storage.keyring import Keyring

FORGET = timedelta(days=1)


class LoginPaused(HuikeError):
    code = "LOGIN_PAUSED"
    cause = "Too many logins failed for this account, or from this address."
    cure = "Wait for as long as the message says."
    retryable = True


@dataclass(frozen=True)
class Limit:
    """The `free`th failure in a row begins the first pause; each further one doubles it."""

    free: int
    first: timedelta
    longest: timedelta


ACCOUNT = Limit(5, timedelta(seconds=30), timedelta(hours=1))
ADDRESS = Limit(30, timedelta(seconds=30), timedelta(hours=1))


@dataclass(frozen=True)
class Subject:
    """Whose failures are counted; `key` is a keyed hash."""

    key: bytes
    limit: Limit


def account_subject(keyring: Keyring, merchant_id: int, name: str) -> Subject:
    """An account of a merchant by its email address, whether it exists or not."""
    return Subject(keyring.blind_index("login.account", merchant_id, name), ACCOUNT)


def address_subject(keyring: Keyring, address: str | None) -> list[Subject]:
    """Where a request comes from; an IPv6 network of a household counts as one."""
    if address is None:
        return []
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        text = address
    else:
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        bits = 64 if mapped.version == 6 else 32
        text = str(ipaddress.ip_network((mapped, bits), strict=False))
    return [Subject(keyring.blind_index("login.address", SYSTEM, text), ADDRESS)]


async def count_try(db: Database, subjects: list[Subject]) -> None:
    """Count a failure for each, beforehand. Raises LoginPaused, and then counts nothing."""
    async with db.work(SYSTEM) as w:
        await w.sql.execute(
            "DELETE FROM login_pauses WHERE merchant_id = $1 AND last_at < $2",
            w.merchant_id, w.now - FORGET,
        )  # fmt: skip
        for subject in subjects:
            limit = subject.limit
            counted = await w.sql.fetchval(
                """INSERT INTO login_pauses AS p (merchant_id, subject, failures, last_at)
                   VALUES ($1, $2, 1, $3)
                   ON CONFLICT (merchant_id, subject) DO UPDATE
                   SET failures = p.failures + 1, last_at = $3,
                       paused_until = CASE WHEN p.failures + 1 >= $4::int THEN
                           $3::timestamptz + LEAST(
                               $5::interval * 2 ^ LEAST(p.failures + 1 - $4::int, 20),
                               $6::interval) END
                   WHERE p.paused_until IS NULL OR p.paused_until <= $3
                   RETURNING p.failures""",
                w.merchant_id, subject.key, w.now, limit.free, limit.first, limit.longest,
            )  # fmt: skip
            if counted is None:
                await _refuse(w, subject)


async def forgive(w: Work, subjects: list[Subject]) -> None:
    """The try that was counted last succeeded: the account starts anew, an address loses one."""
    for subject in subjects:
        await w.sql.execute(
            """UPDATE login_pauses
               SET failures = CASE WHEN $4 THEN 0 ELSE GREATEST(failures - 1, 0) END,
                   paused_until = CASE WHEN $4 OR failures <= $3::int THEN NULL
                                       ELSE paused_until END
               WHERE merchant_id = $1 AND subject = $2""",
            SYSTEM, subject.key, subject.limit.free, subject.limit is ACCOUNT,
        )  # fmt: skip


async def _refuse(w: Work, subject: Subject) -> None:
    until = await w.sql.fetchval(
        "SELECT paused_until FROM login_pauses WHERE merchant_id = $1 AND subject = $2",
        w.merchant_id, subject.key,
    )  # fmt: skip
    seconds = max(1, int((until - w.now).total_seconds()))
    raise LoginPaused(f"too many failed tries: wait {seconds} seconds", ("input",))
