"""By which identity provider (OpenID Connect) a merchant's staff log in, and who may."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson

from core.domain.shops.roles import OWNER, find_role
from core.domain.shops.staff.accounts import LastOwner, Need
from core.registry import Registry
from core.sdk.contacts import normalise_email
from core.sdk.errors import Faults, NotFound
from core.storage.database import Session, Work
from core.storage.versions import next_version

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
LIMIT = 20
PROVIDER = "oidc"
"""The kind of setting, without places."""


@dataclass(frozen=True)
class Provider:
    """A merchant's settings of its provider.

    `domains` are those of email addresses that get an account with `default_role` at their first
    login; everybody else must have been invited.
    """

    issuer: str
    client_id: str
    redirect_uris: Sequence[str]
    domains: Sequence[str] = ()
    default_role: str | None = None
    secret: str | None = None

    def __repr__(self) -> str:  # without the secret
        return f"Provider({self.issuer!r}, {self.client_id!r})"


def is_safe(url: str) -> bool:
    """Whether a URL is https, or http to this very machine; without user, query or fragment."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    plain = not (parts.username or parts.password or parts.fragment) and url.isascii()
    right = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    return bool(host) and plain and right and len(url) <= 500


async def set_provider(
    w: Work,
    registry: Registry,
    given: Provider,
    need: Need,
    keep_secret: bool = False,
    if_version: int | None = None,
) -> None:
    """Store the settings; they hold for the next login.

    Raises Several(InvalidInput), NotFound, Conflict. `keep_secret` keeps what is stored, unless
    issuer or client are others.
    """
    faults = Faults()
    with faults:
        _check(given)
    with faults:
        if given.default_role is not None:
            role = await find_role(w, registry, given.default_role, ("input", "defaultRole"))
            for permission in sorted(role.permissions):
                need(permission)
    faults.tell()
    await next_version(w, PROVIDER, "", if_version)
    secret = given.secret
    stored = await provider_of(w)
    if keep_secret and stored and _same(stored, given):
        secret = stored.secret
    sealed = w.keyring.seal(secret, _place(w.merchant_id)) if secret else None
    await w.sql.execute(
        """INSERT INTO oidc_providers (merchant_id, issuer, client_id, secret_sealed,
               redirect_uris, domains, default_role, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
           ON CONFLICT (merchant_id) DO UPDATE
           SET issuer = excluded.issuer, client_id = excluded.client_id,
               secret_sealed = excluded.secret_sealed, redirect_uris = excluded.redirect_uris,
               domains = excluded.domains, default_role = excluded.default_role,
               updated_at = excluded.updated_at""",
        w.merchant_id, given.issuer, given.client_id, sealed,
        orjson.dumps(list(given.redirect_uris)).decode(),
        orjson.dumps([domain.lower() for domain in given.domains]).decode(),
        given.default_role, w.now,
    )  # fmt: skip
    if stored is not None and stored.issuer != given.issuer:
        # a subject means somebody else at another provider
        await w.sql.execute(
            "UPDATE staff SET oidc_subject = NULL WHERE merchant_id = $1", w.merchant_id
        )
    w.audit("staff.oidc_set", {
        "issuer": given.issuer, "domains": list(given.domains), "role": given.default_role,
    })  # fmt: skip


async def remove_provider(w: Work) -> None:
    """End logins by the provider; sessions go on.

    Raises NotFound without one, LastOwner where no owner has a password.
    """
    owners = await w.sql.fetch(
        """SELECT password_hash IS NOT NULL AS has_password FROM staff
           WHERE merchant_id = $1 AND role = $2 AND disabled_at IS NULL
             AND (password_hash IS NOT NULL OR oidc_subject IS NOT NULL)
           ORDER BY id FOR UPDATE""",
        w.merchant_id, OWNER,
    )  # fmt: skip
    if owners and not any(row["has_password"] for row in owners):
        raise LastOwner("no owner has a password: none could log in any more", ())
    gone = await w.sql.fetchval(
        "DELETE FROM oidc_providers WHERE merchant_id = $1 RETURNING TRUE", w.merchant_id
    )
    if not gone:
        raise NotFound("no identity provider is set", ())
    await next_version(w, PROVIDER, "", None, is_set=False)
    w.audit("staff.oidc_removed")


async def provider_of(session: Session) -> Provider | None:
    """The settings of the merchant, secret and all; None without."""
    row = await session.sql.fetchrow(
        "SELECT * FROM oidc_providers WHERE merchant_id = $1", session.merchant_id
    )
    if row is None:
        return None
    sealed = row["secret_sealed"]
    return Provider(
        row["issuer"],
        row["client_id"],
        orjson.loads(row["redirect_uris"]),
        orjson.loads(row["domains"]),
        row["default_role"],
        session.keyring.open(sealed, _place(session.merchant_id)) if sealed else None,
    )


def _same(stored: Provider, given: Provider) -> bool:
    return (stored.issuer, stored.client_id) == (given.issuer, given.client_id)


def _check(given: Provider) -> None:
    faults = Faults()
    if not is_safe(given.issuer) or urlsplit(given.issuer).query:
        faults.wrong("an issuer is an https URL", "issuer")
    if not 1 <= len(given.client_id) <= 200 or not given.client_id.isprintable():
        faults.wrong("a client id has 1 to 200 characters", "clientId")
    if not 1 <= len(given.redirect_uris) <= LIMIT or not all(map(is_safe, given.redirect_uris)):
        faults.wrong(f"give 1 to {LIMIT} https URLs to return to", "redirectUris")
    wrong = [domain for domain in given.domains if normalise_email(f"a@{domain}") is None]
    if wrong or len(given.domains) > LIMIT:
        faults.wrong("write a domain as example.com", "domains")
    if given.domains and given.default_role is None:
        faults.wrong("domains need a role for new staff", "defaultRole")
    if given.default_role == OWNER:
        faults.wrong("nobody becomes owner by himself", "defaultRole")
    faults.tell()


def _place(merchant_id: int) -> str:
    return f"oidc_providers.secret|{merchant_id}"
