"""Sessions of staff: an access token for minutes, renewed by a refresh token that is good once.

Both begin with the merchant's and the session's number. A refresh token holds two secrets: one
that stays as long as the session, and one that changes each time. Who presents the first with an
old second has a copy of a token that was used already: then the whole session ends.
"""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.domain.shops.caller import Caller
from core.domain.shops.roles import role_of
from core.domain.shops.tokens import Presented, hash_secret, read_token, those_that_hold
from core.registry import Registry
from core.sdk.errors import HuikeError, NotFound
from core.storage.database import SYSTEM, Database, Session, Work

ACCESS, REFRESH = "hs", "hr"
ACCESS_LIFE = timedelta(minutes=10)
IDLE_LIFE = timedelta(hours=12)
SESSION_LIFE = timedelta(days=7)
KEPT = timedelta(days=30)
AGENT_LIMIT = 200


class SessionEnded(HuikeError):
    code = "SESSION_ENDED"
    cause = "The session ended, or its refresh token was used before."
    cure = "Log in again."


@dataclass(frozen=True)
class Client:
    """Where a request comes from: an address, and what the program says it is."""

    address: str | None = None
    agent: str = ""


@dataclass(frozen=True)
class Tokens:
    """What a login or a refresh gives; shown once."""

    staff_id: int
    session_id: int
    access: str
    access_until: datetime
    refresh: str
    ends_at: datetime


async def begin_session(w: Work, staff_id: int, method: str, client: Client) -> Tokens:
    """A new session; `method` is "password" or "oidc". Forgets old ones of the same person."""
    await w.sql.execute(
        """DELETE FROM staff_sessions WHERE merchant_id = $1 AND staff_id = $2
             AND COALESCE(ended_at, idle_until) < $3""",
        w.merchant_id, staff_id, w.now - KEPT,
    )  # fmt: skip
    access, family, refresh = (secrets.token_hex(24) for _ in range(3))
    ends_at = w.now + SESSION_LIFE
    session_id: int = await w.sql.fetchval(
        """INSERT INTO staff_sessions (merchant_id, staff_id, method, access_hash, access_until,
               family_hash, refresh_hash, idle_until, ends_at, address, agent, used_at, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) RETURNING id""",
        w.merchant_id, staff_id, method, hash_secret(access), w.now + ACCESS_LIFE,
        hash_secret(family), hash_secret(refresh), w.now + IDLE_LIFE, ends_at, client.address,
        client.agent[:AGENT_LIMIT].replace("\x00", ""), w.now,
    )  # fmt: skip
    return _tokens(w, session_id, staff_id, access, family, refresh, ends_at)


async def refresh_session(db: Database, token: str) -> Tokens:
    """New tokens for an old refresh token, which is spent by that. Raises SessionEnded."""
    found = read_token(token, REFRESH, 2)
    if found is None:
        raise SessionEnded("this is no refresh token", ("input", "refreshToken"))
    merchant_id, session_id, (family, refresh) = found
    async with db.work(merchant_id) as w:
        row = await w.sql.fetchrow(
            """SELECT s.*, p.disabled_at FROM staff_sessions s
               JOIN staff p ON p.merchant_id = s.merchant_id AND p.id = s.staff_id
               WHERE s.merchant_id = $1 AND s.id = $2 FOR UPDATE OF s""",
            merchant_id, session_id,
        )  # fmt: skip
        tokens: Tokens | None = None
        known = row is not None and hmac.compare_digest(row["family_hash"], hash_secret(family))
        if not known or not _goes_on(row, w.now):
            pass
        elif not hmac.compare_digest(row["refresh_hash"], hash_secret(refresh)):
            w.actor = f"staff:{row['staff_id']}"
            await end_sessions(w, row["staff_id"], only=session_id)
            w.audit("session.reuse_detected", {"staff": row["staff_id"], "session": session_id})
        else:
            tokens = await _renew(w, row["staff_id"], session_id, family, row["ends_at"])
    if tokens is None:
        raise SessionEnded("the session has ended: log in again", ("input", "refreshToken"))
    return tokens


def _goes_on(row: Mapping[str, Any], now: datetime) -> bool:
    over = row["ended_at"] or row["disabled_at"]
    return not over and now < _until(row)


async def _renew(w: Work, staff_id: int, session_id: int, family: str, ends_at: datetime) -> Tokens:
    access, refresh = secrets.token_hex(24), secrets.token_hex(24)
    await w.sql.execute(
        """UPDATE staff_sessions SET access_hash = $3, access_until = $4, refresh_hash = $5,
               idle_until = $6, used_at = $7 WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, session_id, hash_secret(access), w.now + ACCESS_LIFE, hash_secret(refresh),
        w.now + IDLE_LIFE, w.now,
    )  # fmt: skip
    return _tokens(w, session_id, staff_id, access, family, refresh, ends_at)


def _tokens(
    w: Work,
    session_id: int,
    staff_id: int,
    access: str,
    family: str,
    refresh: str,
    ends_at: datetime,
) -> Tokens:
    row = f"{w.merchant_id}_{session_id}"
    return Tokens(
        staff_id,
        session_id,
        f"{ACCESS}_{row}_{access}",
        min(w.now + ACCESS_LIFE, ends_at),
        f"{REFRESH}_{row}_{family}_{refresh}",
        ends_at,
    )


async def end_sessions(
    w: Work, staff_id: int, only: int | None = None, but: int | None = None
) -> list[int]:
    """End a person's sessions that are open, one or all `but` one; returns their ids.

    Subscriptions and requests under them end too.
    """
    rows = await w.sql.fetch(
        """UPDATE staff_sessions SET ended_at = $3
           WHERE merchant_id = $1 AND staff_id = $2 AND ended_at IS NULL
             AND ($4::bigint IS NULL OR id = $4) AND ($5::bigint IS NULL OR id <> $5)
           RETURNING id""",
        w.merchant_id, staff_id, w.now, only, but,
    )  # fmt: skip
    await w.notify("staff", staff_id)
    return sorted(row["id"] for row in rows)


async def end_own_session(w: Work, staff_id: int, session_id: int) -> None:
    """Log out, here or on another device. Raises NotFound; one that ended stays as it is."""
    known = await w.sql.fetchval(
        "SELECT TRUE FROM staff_sessions WHERE merchant_id = $1 AND staff_id = $2 AND id = $3",
        w.merchant_id, staff_id, session_id,
    )  # fmt: skip
    if not known:
        raise NotFound(f"there is no session {session_id}", ("id",))
    if await end_sessions(w, staff_id, only=session_id):
        w.audit("session.ended", {"staff": staff_id, "session": session_id})


async def authenticate_session(db: Database, registry: Registry, token: str) -> Caller | None:
    """Who presents this access token; None when it is unknown, too old, or its session ended."""
    found = read_token(token, ACCESS, 1)
    if found is None:
        return None
    merchant_id, session_id, (secret,) = found
    return await session_caller(db, registry, merchant_id, session_id, hash_secret(secret))


async def session_caller(
    db: Database, registry: Registry, merchant_id: int, session_id: int, proof: bytes | None
) -> Caller | None:
    """Who has this session, and what he may do at present; None when it has ended.

    Without `proof`, an access token that came with the session before is taken as shown.
    """
    presented = Presented(merchant_id, session_id, proof)
    row = await db.look(SYSTEM, _present_sessions, presented)
    if row is None:
        return None
    role = role_of(registry, row["role"], row if row["permissions"] is not None else None)
    return Caller(
        merchant_id,
        role.permissions if role is not None and not row["lacks_factor"] else frozenset(),
        staff_id=row["staff_id"],
        session_id=session_id,
        until=_until(row),
        lacks_factor=row["lacks_factor"],
    )


async def _present_sessions(
    session: Session, presented: Sequence[Presented[bytes | None]]
) -> dict[Presented[bytes | None], Mapping[str, Any]]:
    """The rows of those that have not ended."""
    statement = """SELECT s.*, p.role, r.permissions, r.sub_account,
                          m.second_factor_required AND p.totp_since IS NULL
                              AND s.method = 'password' AS lacks_factor
                   FROM unnest($1::bigint[], $2::bigint[]) AS asked (merchant_id, id)
                   JOIN staff_sessions s USING (merchant_id, id)
                   JOIN merchants m ON m.id = s.merchant_id
                   JOIN staff p ON p.merchant_id = s.merchant_id AND p.id = s.staff_id
                   LEFT JOIN roles r ON r.merchant_id = s.merchant_id AND r.name = p.role
                   WHERE s.ended_at IS NULL AND p.disabled_at IS NULL"""
    return await those_that_hold(session, presented, statement, _shown, "staff_sessions", "used_at")


def _shown(row: Mapping[str, Any], proof: bytes | None, now: datetime) -> Mapping[str, Any] | None:
    """The row, if it still has the access token with this hash."""
    if _until(row) <= now:
        return None
    if proof is not None and (
        not hmac.compare_digest(row["access_hash"], proof) or row["access_until"] <= now
    ):
        return None
    return row


def _until(row: Mapping[str, Any]) -> datetime:
    until: datetime = min(row["idle_until"], row["ends_at"])
    return until
