"""API tokens: shown once, kept as a hash, limited by permissions and time."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

import orjson

from core.domain.shops.caller import Caller
from core.domain.shops.merchants import check_name
from core.domain.shops.permissions import all_permissions, check_permissions
from core.registry import Registry
from core.sdk.errors import Faults, InvalidInput, NotFound, WrongState
from core.sdk.ids import is_number
from core.storage.database import SYSTEM, Database, Session, Work

PREFIX = "hk"
USED_AT_STEP = timedelta(minutes=1)
OVERLAP_LIMIT = timedelta(days=30)


Proof = TypeVar("Proof", bytes, bytes | None)
Answer = TypeVar("Answer")


class Presented(NamedTuple, Generic[Proof]):
    """The id of a token or of a session, and the hash of the secret that came with it."""

    merchant_id: int
    id: int
    proof: Proof


async def create_token(
    w: Work,
    registry: Registry,
    name: str,
    permissions: Iterable[str],
    expires_at: datetime | None = None,
) -> tuple[int, str]:
    """Make a token; returns its id and the token itself, which cannot be shown again.

    Raises InvalidInput, Several.
    """
    faults = Faults()
    with faults:
        name = check_name(name)
    with faults:
        granted = check_permissions(registry, permissions)
    if expires_at is not None and expires_at <= w.now:
        faults.wrong("the expiry lies in the past", "expiresAt")
    faults.tell()
    secret = secrets.token_urlsafe(24)
    token_id: int = await w.sql.fetchval(
        """INSERT INTO api_tokens (merchant_id, name, secret_hash, permissions, expires_at,
                                   created_at, made_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id""",
        w.merchant_id, name, hash_secret(secret),
        orjson.dumps(granted).decode(), expires_at, w.now, w.actor,
    )  # fmt: skip
    w.audit("token.created", {"token": token_id, "permissions": granted})
    return token_id, _written(w.merchant_id, token_id, secret)


async def create_owner_token(w: Work, registry: Registry) -> str:
    """A token with every permission there is now, without an expiry."""
    _, token = await create_token(w, registry, "owner", all_permissions(registry))
    return token


async def rotate_token(
    w: Work, token_id: int, overlap: timedelta, need: Callable[[str], None]
) -> str:
    """Give a token a new secret, and return it; the old one works on for `overlap`.

    `need` raises unless the caller has a right: all of the token's are needed. Raises NotFound,
    WrongState for one that has ended, InvalidInput.
    """
    if not timedelta(0) <= overlap <= OVERLAP_LIMIT:
        raise InvalidInput(
            f"the overlap is 0 to {OVERLAP_LIMIT.days} days", ("input", "overlapHours")
        )
    row = await w.sql.fetchrow(
        "SELECT * FROM api_tokens WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, token_id,
    )  # fmt: skip
    if row is None:
        raise NotFound(f"there is no token {token_id}", ("id",))
    for permission in orjson.loads(row["permissions"]):
        need(permission)  # nobody takes what they do not have
    if row["revoked_at"] or (row["expires_at"] and row["expires_at"] <= w.now):
        raise WrongState("the token has ended: make a new one", ("id",))
    secret = secrets.token_urlsafe(24)
    await w.sql.execute(
        """UPDATE api_tokens SET secret_hash = $3, previous_hash = secret_hash, previous_until = $4,
               made_by = $5
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, token_id, hash_secret(secret), w.now + overlap, w.actor,
    )  # fmt: skip
    await w.notify("token", token_id)
    w.audit("token.rotated", {"token": token_id, "overlap_seconds": int(overlap.total_seconds())})
    return _written(w.merchant_id, token_id, secret)


async def revoke_token(w: Work, token_id: int) -> None:
    """End a token at once; revoking it again changes nothing. Raises NotFound."""
    revoked = await w.sql.fetchval(
        """UPDATE api_tokens t SET revoked_at = COALESCE(t.revoked_at, $3)
           FROM (SELECT id, revoked_at FROM api_tokens
                 WHERE merchant_id = $1 AND id = $2 FOR UPDATE) before
           WHERE t.merchant_id = $1 AND t.id = before.id RETURNING before.revoked_at IS NULL""",
        w.merchant_id, token_id, w.now,
    )  # fmt: skip
    if revoked is None:
        raise NotFound(f"there is no token {token_id}", ("id",))
    if revoked:
        await w.notify("token", token_id)
        w.audit("token.revoked", {"token": token_id})


async def is_same_person(session: Session, one: str, other: str) -> bool:
    """Whether two actors ("staff:3", "token:12") are one, or one's tokens: who makes or renews a
    token sees its secret, so what it does he may have done."""
    return await _person(session, one) == await _person(session, other)


async def _person(session: Session, actor: str) -> str:
    seen = set()
    while actor.startswith("token:") and actor not in seen:
        seen.add(actor)
        made_by = await session.sql.fetchval(
            "SELECT made_by FROM api_tokens WHERE merchant_id = $1 AND id = $2::bigint",
            session.merchant_id, int(actor.partition(":")[2]),
        )  # fmt: skip
        if made_by is None or not made_by.startswith(("token:", "staff:")):
            break
        actor = made_by
    return actor


async def token_caller(
    db: Database, merchant_id: int, token_id: int, proof: bytes
) -> Caller | None:
    """Who has the token with this hash of its secret; None when it is unknown or has ended."""
    presented = Presented(merchant_id, token_id, proof)
    caller: Caller | None = await db.look(SYSTEM, _callers, presented)
    return caller


async def _callers(
    session: Session, presented: Sequence[Presented[bytes]]
) -> dict[Presented[bytes], Caller]:
    statement = """SELECT t.merchant_id, t.id, t.secret_hash, t.previous_hash, t.previous_until,
                          t.permissions, t.expires_at, t.last_used_at
                   FROM unnest($1::bigint[], $2::bigint[]) AS asked (merchant_id, id)
                   JOIN api_tokens t USING (merchant_id, id)
                   WHERE t.revoked_at IS NULL"""
    return await those_that_hold(
        session, presented, statement, _caller, "api_tokens", "last_used_at"
    )


def _caller(row: Mapping[str, Any], proof: bytes, now: datetime) -> Caller | None:
    ends = [row["expires_at"]]
    if not hmac.compare_digest(row["secret_hash"], proof):
        if not hmac.compare_digest(row["previous_hash"] or b"", proof):
            return None
        ends.append(row["previous_until"])
    until = min((end for end in ends if end is not None), default=None)
    if until is not None and until <= now:
        return None
    permissions = _permissions(row["permissions"])
    return Caller(row["merchant_id"], permissions, token_id=row["id"], until=until, proof=proof)


async def those_that_hold(
    session: Session,
    presented: Sequence[Presented[Proof]],
    statement: str,
    judge: Callable[[Mapping[str, Any], Proof, datetime], Answer | None],
    table: str,
    used_at: str,
) -> dict[Presented[Proof], Answer]:
    """What `judge` makes of the rows of those that hold at present; it gives None for the others.

    The statement is given merchants and ids. That a row was used is written down in its column
    `used_at`.
    """
    merchant_ids, ids = zip(*{(one.merchant_id, one.id) for one in presented}, strict=True)
    rows = await session.sql.fetch(statement, merchant_ids, ids)
    found = {(row["merchant_id"], row["id"]): row for row in rows}
    answers = {
        one: answer
        for one in presented
        if (row := found.get((one.merchant_id, one.id))) is not None
        and (answer := judge(row, one.proof, session.now)) is not None
    }
    await _note_use(session, table, used_at, [found[one.merchant_id, one.id] for one in answers])
    return answers


async def _note_use(
    session: Session, table: str, column: str, rows: Iterable[Mapping[str, Any]]
) -> None:
    """Write down that these were used now, if that was not done lately.

    Who holds one of the rows is not waited for: many wait for this.
    """
    step = session.now - USED_AT_STEP
    stale = {
        (row["merchant_id"], row["id"]) for row in rows if row[column] is None or row[column] < step
    }
    if not stale:
        return
    merchant_ids, ids = zip(*stale, strict=True)
    await session.sql.execute(
        f"""UPDATE {table} t SET {column} = $3
            FROM (SELECT merchant_id, id FROM {table}
                  JOIN unnest($1::bigint[], $2::bigint[]) AS used (merchant_id, id)
                      USING (merchant_id, id)
                  FOR UPDATE OF {table} SKIP LOCKED) free
            WHERE t.merchant_id = free.merchant_id AND t.id = free.id""",
        merchant_ids, ids, session.now,
    )  # fmt: skip


@lru_cache(maxsize=200)
def _permissions(stored: str) -> frozenset[str]:
    return frozenset(orjson.loads(stored))


def read_token(token: str, prefix: str, secrets_in_it: int) -> tuple[int, int, list[str]] | None:
    """Merchant, row and secrets of a token as it is presented; None for any other text."""
    parts = token.split("_", 2 + secrets_in_it)
    if len(parts) != 3 + secrets_in_it or parts[0] != prefix:
        return None
    numbers = parts[1:3]
    if not all(map(is_number, numbers)):
        return None
    return int(numbers[0]), int(numbers[1]), parts[3:]


def hash_secret(secret: str) -> bytes:
    """What is kept of a token's secret."""
    # the secret is 24 random bytes: a plain hash cannot be guessed backwards
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _written(merchant_id: int, token_id: int, secret: str) -> str:
    return f"{PREFIX}_{merchant_id}_{token_id}_{secret}"
