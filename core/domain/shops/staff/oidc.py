"""Logging in by an identity provider: authorisation code with PKCE, state and nonce.

Nothing is stored in between: what the answer is checked with is given sealed to whoever begins
(`flow`), and comes back with the answer. So a login that one browser began, no other can end.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import asyncpg
import orjson

from core.domain.shops.merchants import NAME_LIMIT
from core.domain.shops.staff.accounts import add_staff, email_index
from core.domain.shops.staff.login import LoginRefused, logged_in
from core.domain.shops.staff.oidc_client import (
    OidcFailed,
    authorization_endpoint,
    claims_of,
    exchange,
)
from core.domain.shops.staff.oidc_provider import Provider, provider_of
from core.domain.shops.staff.pauses import address_subject, count_try, forgive
from core.domain.shops.staff.sessions import Client, Tokens, begin_session
from core.sdk.contacts import normalise_email
from core.sdk.errors import InvalidInput, NotFound
from core.storage.database import Database, Work
from core.storage.keyring import SealError

FLOW_LIFE = timedelta(minutes=10)
PLACE = "staff.oidc_flow"
SCOPE = "openid email profile"


@dataclass(frozen=True)
class Started:
    """Where to send the browser, and what to keep in it until it comes back."""

    url: str
    flow: str


async def start_login(db: Database, merchant_id: int, redirect_uri: str, client: Client) -> Started:
    """Begin a login. Raises NotFound without a provider, InvalidInput, OidcFailed, LoginPaused."""
    subjects = address_subject(db.keyring, client.address)
    await count_try(db, subjects)
    provider = await _provider(db, merchant_id)
    if redirect_uri not in provider.redirect_uris:
        raise InvalidInput("this address is not among those set", ("input", "redirectUri"))
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    digest = hashlib.sha256(verifier.encode()).digest()
    endpoint = await authorization_endpoint(provider)
    query = urlencode({
        "response_type": "code", "client_id": provider.client_id, "scope": SCOPE,
        "redirect_uri": redirect_uri, "state": state, "nonce": nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    })  # fmt: skip
    flow = {
        "merchant": merchant_id, "issuer": provider.issuer, "redirect_uri": redirect_uri,
        "state": state, "nonce": nonce, "verifier": verifier,
        "until": int((db.clock() + FLOW_LIFE).timestamp()),
    }  # fmt: skip
    async with db.work(merchant_id) as w:
        await forgive(w, subjects)
    sealed = db.keyring.seal_bytes(orjson.dumps(flow), PLACE)
    return Started(
        f"{endpoint}{'&' if '?' in endpoint else '?'}{query}",
        base64.urlsafe_b64encode(sealed).decode(),
    )


async def finish_login(db: Database, flow: str, state: str, code: str, client: Client) -> Tokens:
    """Begin a session with what the provider sent the browser back with.

    Raises InvalidInput for another flow or state, OidcFailed, LoginRefused for who has no account
    and gets none, LoginPaused.
    """
    subjects = address_subject(db.keyring, client.address)
    await count_try(db, subjects)
    said = _opened(db, flow)
    if said is None or said["until"] <= db.clock().timestamp():
        raise InvalidInput("this login was not begun here, or too long ago", ("input", "flow"))
    if not hmac.compare_digest(said["state"].encode(), state.encode(errors="replace")):
        raise InvalidInput("the state is not that of this login", ("input", "state"))
    merchant_id = said["merchant"]
    provider = await _provider(db, merchant_id)
    if provider.issuer != said["issuer"]:
        raise InvalidInput("another identity provider was set: begin anew", ("input", "flow"))
    try:
        token = await exchange(provider, code, said["redirect_uri"], said["verifier"])
        claims = await claims_of(provider, token, said["nonce"], db.clock())
    except OidcFailed as error:
        async with db.work(merchant_id, "nobody") as w:
            w.audit("staff.login_refused", {"staff": None, "why": f"oidc: {error.message}"})
        raise
    tokens = None
    async with db.work(merchant_id, "nobody") as w:
        row = await _account(w, provider, claims)
        if row is None or row["disabled_at"] is not None:
            why = "no account" if row is None else "disabled"
            w.audit("staff.login_refused", {"staff": row["id"] if row else None, "why": why})
        else:
            w.actor = f"staff:{row['id']}"
            await w.sql.execute(
                """UPDATE staff SET last_login_at = $3, oidc_subject = $4, invite_hash = NULL,
                       invite_until = NULL WHERE merchant_id = $1 AND id = $2""",
                merchant_id, row["id"], w.now, claims["sub"],
            )  # fmt: skip
            if row["oidc_subject"] is None:
                w.audit("staff.oidc_linked", {"staff": row["id"]})
            tokens = await begin_session(w, row["id"], "oidc", client)
            await forgive(w, subjects)
            w.audit("staff.logged_in", logged_in(tokens, "oidc"))
    if tokens is None:
        raise LoginRefused("nobody here has this login: ask to be invited", ("input",))
    return tokens


async def _account(w: Work, provider: Provider, claims: Mapping[str, Any]) -> asyncpg.Record | None:
    """Whose login it is, locked; made at the first login of an address of the domains set.

    An account that belongs to another subject is nobody's: the address may have changed hands.
    """
    row = await w.sql.fetchrow(
        "SELECT * FROM staff WHERE merchant_id = $1 AND oidc_subject = $2 FOR UPDATE",
        w.merchant_id, claims["sub"],
    )  # fmt: skip
    if row is not None:
        return row
    email = normalise_email(claims["email"])
    if email is None:
        return None
    if email.partition("@")[2] in provider.domains and provider.default_role is not None:
        name = str(claims.get("name") or "").replace("\x00", "").strip()[:NAME_LIMIT]
        made = await add_staff(w, name or email.partition("@")[0], email, provider.default_role)
        if made is not None:
            w.audit("staff.provisioned", {"staff": made, "role": provider.default_role})
    row = await w.sql.fetchrow(
        "SELECT * FROM staff WHERE merchant_id = $1 AND email_index = $2 FOR UPDATE",
        w.merchant_id, email_index(w.keyring, w.merchant_id, email),
    )  # fmt: skip
    return None if row is None or row["oidc_subject"] is not None else row


async def _provider(db: Database, merchant_id: int) -> Provider:
    async with db.read(merchant_id) as session:
        provider = await provider_of(session)
    if provider is None:
        raise NotFound("this merchant has no identity provider", ("input", "merchantId"))
    return provider


def _opened(db: Database, flow: str) -> dict[str, Any] | None:
    try:
        sealed = base64.urlsafe_b64decode(flow.encode())
        opened: dict[str, Any] = orjson.loads(db.keyring.open_bytes(sealed, PLACE))
    except (binascii.Error, ValueError, SealError):
        return None
    return opened
