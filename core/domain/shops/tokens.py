"""API tokens: shown once, kept as a hash, limited by permissions and time."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from core.domain.shops.merchants import check_name
from core.domain.shops.permissions import all_permissions, check_permissions
from core.registry import Registry
from core.sdk.errors import InvalidInput, NotFound
from core.storage.database import Database, Work

PREFIX = "hk"
USED_AT_STEP = timedelta(minutes=1)


@dataclass(frozen=True)
class Caller:
    """Who makes a request: the merchant and the rights of the token presented."""

    merchant_id: int
    token_id: int
    permissions: frozenset[str]


async def create_token(
    w: Work,
    registry: Registry,
    name: str,
    permissions: Iterable[str],
    expires_at: datetime | None = None,
) -> tuple[int, str]:
    """Make a token; returns its id and the token itself, which cannot be shown again."""
    if expires_at is not None and expires_at <= w.now:
        raise InvalidInput("the expiry lies in the past", ("input", "expiresAt"))
    secret = secrets.token_urlsafe(24)
    granted = check_permissions(registry, permissions)
    token_id: int = await w.sql.fetchval(
        """INSERT INTO api_tokens (merchant_id, name, secret_hash, permissions, expires_at,
                                   created_at)
           VALUES ($1, $2, $3, $4, $5, $6) RETURNING id""",
        w.merchant_id, check_name(name), _hash(secret),
        orjson.dumps(granted).decode(), expires_at, w.now,
    )  # fmt: skip
    w.audit("token.created", {"token": token_id, "permissions": granted})
    return token_id, f"{PREFIX}_{w.merchant_id}_{token_id}_{secret}"


async def create_owner_token(w: Work, registry: Registry) -> str:
    """A token with every permission there is now, without an expiry."""
    _, token = await create_token(w, registry, "owner", all_permissions(registry))
    return token


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
        w.audit("token.revoked", {"token": token_id})


async def authenticate(db: Database, token: str) -> Caller | None:
    """Who presents this token; None when it is malformed, unknown, expired or revoked."""
    parts = token.split("_", 3)
    if len(parts) != 4 or parts[0] != PREFIX:
        return None
    numbers = parts[1:3]
    if not all(n.isascii() and n.isdecimal() and len(n) <= 18 for n in numbers):
        return None
    merchant_id, token_id = map(int, numbers)
    async with db.read(merchant_id) as session:
        row = await session.sql.fetchrow(
            "SELECT * FROM api_tokens WHERE merchant_id = $1 AND id = $2", merchant_id, token_id
        )
        if row is None or not hmac.compare_digest(row["secret_hash"], _hash(parts[3])):
            return None
        if row["revoked_at"] or (row["expires_at"] and row["expires_at"] <= session.now):
            return None
        if row["last_used_at"] is None or session.now - row["last_used_at"] > USED_AT_STEP:
            await session.sql.execute(
                "UPDATE api_tokens SET last_used_at = $3 WHERE merchant_id = $1 AND id = $2",
                merchant_id, token_id, session.now,
            )  # fmt: skip
    return Caller(merchant_id, token_id, frozenset(orjson.loads(row["permissions"])))


def _hash(secret: str) -> bytes:
    # the secret is 24 random bytes: a plain hash cannot be guessed backwards
    return hashlib.sha256(secret.encode()).digest()
