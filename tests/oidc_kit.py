"""A strict identity provider on loopback: OpenID Connect Core, PKCE (RFC 7636), one code once.

Tokens are signed with the cryptography library alone, apart from what checks them.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
from urllib.parse import parse_qs, urlencode, urlsplit

import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from core.app import listen


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def challenge_of(verifier):
    """RFC 7636, 4.6."""
    return encoded(hashlib.sha256(verifier.encode("ascii")).digest())


def number(value):
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Key:
    def __init__(self, kid):
        self.kid = kid
        self.private = rsa.generate_private_key(65537, 2048)

    def public(self):
        numbers = self.private.public_key().public_numbers()
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
                "n": number(numbers.n), "e": number(numbers.e)}  # fmt: skip

    def sign(self, claims, **header):
        parts = [{"alg": "RS256", "kid": self.kid, "typ": "JWT", **header}, claims]
        text = ".".join(encoded(json.dumps(part).encode()) for part in parts)
        signature = self.private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{encoded(signature)}"


class IdentityProvider:
    """`person` are the claims of who sits at the browser; `forge` may change the ID token."""

    CLIENT, SECRET = "huike", "s3cret/with:signs"

    def __init__(self, clock, redirect_uri):
        self.clock, self.redirect_uri = clock, redirect_uri
        self.keys = [Key("1")]
        self.person = {}
        self.forge = None
        self.codes = {}
        self.key_reads = 0
        self.issuer = ""

    def app(self):
        return Starlette(routes=[
            Route("/.well-known/openid-configuration", self.configuration),
            Route("/authorize", self.authorize),
            Route("/token", self.token, methods=["POST"]),
            Route("/keys", self.jwks),
        ])  # fmt: skip

    async def configuration(self, request):
        return JSONResponse({
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })  # fmt: skip

    async def jwks(self, request):
        self.key_reads += 1
        return JSONResponse({"keys": [key.public() for key in self.keys]})

    async def authorize(self, request):
        asked = request.query_params
        right = (
            asked.get("response_type") == "code"
            and asked.get("client_id") == self.CLIENT
            and asked.get("redirect_uri") == self.redirect_uri
            and "openid" in asked.get("scope", "").split()
            and asked.get("code_challenge_method") == "S256"
            and len(asked.get("code_challenge", "")) == 43
            and len(asked.get("state", "")) >= 22
            and len(asked.get("nonce", "")) >= 22
        )
        if not right:
            return JSONResponse({"error": "invalid_request"}, 400)
        code = secrets.token_urlsafe(16)
        self.codes[code] = (asked["code_challenge"], asked["nonce"])
        answer = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{self.redirect_uri}?{answer}", 302)

    async def token(self, request):
        basic = f"{self.CLIENT}:{self.SECRET}".encode()
        if request.headers.get("authorization") != f"Basic {base64.b64encode(basic).decode()}":
            return JSONResponse({"error": "invalid_client"}, 401)
        form = parse_qs((await request.body()).decode())
        challenge, nonce = self.codes.pop(form.get("code", [""])[0], (None, None))
        verifier = form.get("code_verifier", [""])[0]
        right = (
            form.get("grant_type") == ["authorization_code"]
            and form.get("redirect_uri") == [self.redirect_uri]
            and 43 <= len(verifier) <= 128
            and challenge == challenge_of(verifier)
        )
        if not right:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(self.clock().timestamp())
        claims = {"iss": self.issuer, "aud": self.CLIENT, "iat": now, "exp": now + 300,
                  "nonce": nonce, **self.person}  # fmt: skip
        made = self.forge(claims) if self.forge else self.keys[-1].sign(claims)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": made})


@contextlib.asynccontextmanager
async def serving(clock, redirect_uri):
    provider = IdentityProvider(clock, redirect_uri)
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(provider.app(), log_config=None, lifespan="off"))
    server.capture_signals = contextlib.nullcontext
    provider.issuer = "http://127.0.0.1:%d" % listener.getsockname()[1]  # noqa: UP031
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield provider
    finally:
        server.should_exit = True
        await task
        listener.close()


def came_back(location):
    """What the frontend reads from the address that the browser came back to."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
