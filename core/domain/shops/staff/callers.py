"""Who presents a Bearer token, a program's or a person's; and whether he still may."""

from core.domain.shops.caller import Caller
from core.domain.shops.known_tokens import KnownTokens
from core.domain.shops.staff.sessions import ACCESS, authenticate_session, session_caller
from core.domain.shops.tokens import token_caller
from core.registry import Registry
from core.storage.database import Database


async def authenticate_bearer(
    db: Database, registry: Registry, tokens: KnownTokens, token: str
) -> Caller | None:
    """Who presents this token; None when it is malformed, unknown, expired or revoked."""
    if token.startswith(f"{ACCESS}_"):
        return await authenticate_session(db, registry, token)
    return await tokens.authenticate(token)


async def present_rights(db: Database, registry: Registry, caller: Caller) -> Caller | None:
    """The same caller with the rights of this moment; None when they have ended.

    For connections that live longer than the token with which they began: a session that goes on
    keeps them alive.
    """
    if caller.session_id is not None:
        return await session_caller(db, registry, caller.merchant_id, caller.session_id, None)
    assert caller.token_id is not None
    return await token_caller(db, caller.merchant_id, caller.token_id, caller.proof)
