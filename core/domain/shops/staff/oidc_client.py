"""Talking to an identity provider: where it answers, its keys, and a code for an identity.

What it says of itself and its keys are kept for an hour; a signature by an unknown key has the
keys fetched anew, at most every few seconds.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from core.domain.shops.staff.oidc_provider import Provider, is_safe
from core.sdk.errors import HuikeError
from core.sdk.large import httpx2, jose_errors, jwk, jwt
from core.sdk.outbound import NotPublic, http_client

ALGORITHMS = ("RS256", "PS256", "ES256")
ANSWER_SECONDS = 8.0
MAX_BYTES = 256 * 1024
KEPT_SECONDS = 3600.0
ANEW_SECONDS = 5.0
LEEWAY_SECONDS = 30


class OidcFailed(HuikeError):
    code = "OIDC_FAILED"
    cause = "The identity provider did not confirm who logs in, or says something untrustworthy."
    cure = "Begin the login again; if it stays so, check the provider's settings (`staffOidcSet`)."
    retryable = True


@dataclass
class _Known:
    """What is known of a provider, and since when on the process's clock."""

    metadata: Mapping[str, Any]
    read_at: float
    keys: "jwk.KeySet | None" = None
    keys_at: float = 0.0


_known: dict[str, _Known] = {}


async def authorization_endpoint(provider: Provider) -> str:
    """Where browsers are sent. Raises OidcFailed."""
    return str((await _discover(provider.issuer)).metadata["authorization_endpoint"])


async def exchange(provider: Provider, code: str, redirect_uri: str, verifier: str) -> str:
    """The ID token that the provider gives for a code, not checked yet. Raises OidcFailed."""
    metadata = (await _discover(provider.issuer)).metadata
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri,
        "client_id": provider.client_id, "code_verifier": verifier,
    }  # fmt: skip
    methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    auth = None
    if provider.secret is not None and "client_secret_basic" in methods:
        auth = httpx2.BasicAuth(provider.client_id, provider.secret)
        del form["client_id"]
    elif provider.secret is not None:
        form["client_secret"] = provider.secret
    answer = await _ask("POST", str(metadata["token_endpoint"]), data=form, auth=auth)
    token = answer.get("id_token")
    if not isinstance(token, str):
        raise OidcFailed("the identity provider gave no ID token", ("input", "code"))
    return token


async def claims_of(provider: Provider, token: str, nonce: str, now: datetime) -> Mapping[str, Any]:
    """Who the provider says has logged in, after all checks of OpenID Connect. Raises OidcFailed.

    Signature by a key of the provider, issuer, audience, expiry, nonce, and that it vouches for
    the email address.
    """
    claims = await _signed(provider.issuer, token)
    rules = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()), leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": provider.issuer},
        sub={"essential": True}, exp={"essential": True}, iat={"essential": True},
        nonce={"essential": True, "value": nonce},
    )  # fmt: skip
    try:
        rules.validate(claims)
    except jose_errors.JoseError as error:
        raise OidcFailed(f"the ID token is not for this login: {error.error}") from None
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or provider.client_id not in audiences:
        raise OidcFailed("the ID token is meant for another program")
    party = claims.get("azp", provider.client_id if len(audiences) == 1 else None)
    if party != provider.client_id:
        raise OidcFailed("the ID token was given to another program")
    if not isinstance(claims["sub"], str) or not 1 <= len(claims["sub"]) <= 255:
        raise OidcFailed("the ID token names nobody")
    if claims.get("email_verified") is not True or not isinstance(claims.get("email"), str):
        raise OidcFailed("the identity provider does not vouch for the email address")
    return claims


async def _signed(issuer: str, token: str) -> dict[str, Any]:
    known = await _discover(issuer)
    for anew in (False, True):
        keys = await _keys(known, anew)
        try:
            return dict(jwt.decode(token, keys, algorithms=ALGORITHMS).claims)
        except jose_errors.InvalidKeyIdError:
            continue
        except (jose_errors.JoseError, ValueError):
            break
    raise OidcFailed("the ID token is not signed by the identity provider")


async def _discover(issuer: str) -> _Known:
    known = _known.get(issuer)
    if known is not None and time.monotonic() - known.read_at < KEPT_SECONDS:
        return known
    metadata = await _ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if metadata.get("issuer") != issuer:
        raise OidcFailed("the identity provider calls itself by another name than the issuer set")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not isinstance(metadata.get(name), str) or not is_safe(metadata[name]):
            raise OidcFailed(f"the identity provider has no safe {name}")
    known = _known[issuer] = _Known(metadata, time.monotonic())
    return known


async def _keys(known: _Known, anew: bool) -> "jwk.KeySet":
    age = time.monotonic() - known.keys_at
    if known.keys is None or age > (ANEW_SECONDS if anew else KEPT_SECONDS):
        answer = await _ask("GET", str(known.metadata["jwks_uri"]))
        found = answer.get("keys")
        public = [
            key for key in found if isinstance(key, dict) and key.get("kty") in ("RSA", "EC")
            and key.get("use", "sig") == "sig"
        ] if isinstance(found, list) else []  # fmt: skip
        try:
            known.keys = jwk.KeySet.import_key_set({"keys": public})
        except (jose_errors.JoseError, ValueError, KeyError, TypeError):
            raise OidcFailed("the identity provider's keys cannot be read") from None
        known.keys_at = time.monotonic()
    return known.keys


async def _ask(method: str, url: str, **given: Any) -> dict[str, Any]:
    body = b""
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            http_client(ANSWER_SECONDS) as client,
            client.stream(method, url, headers={"accept": "application/json"}, **given) as answer,
        ):
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > MAX_BYTES:
                    raise OidcFailed("the identity provider's answer is too long")
    except NotPublic as error:
        raise OidcFailed(f"the identity provider {error}") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise OidcFailed(f"the identity provider does not answer: {type(error).__name__}") from None
    if answer.status_code != 200:
        raise OidcFailed(f"the identity provider answers {answer.status_code}")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise OidcFailed("the identity provider's answer is no JSON object")
    return found
