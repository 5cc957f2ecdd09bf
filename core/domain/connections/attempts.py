"""Connecting by link: the seller is sent to the platform's page and comes back with a code.

The state that travels with him is signed, ends after an hour, and counts once.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from core.domain.connections.connecting import ConnectionRefused, connect
from core.domain.connections.opening import Platform, platform_of
from core.domain.shops.shops import get_shop
from core.registry import Registry
from core.sdk.connectors import Authorised, Authorising
from core.sdk.errors import Faults, InvalidInput, NotFound, OutsideError
from core.sdk.ids import is_number
from core.storage.database import Database, Work
from core.storage.keyring import Keyring

PURPOSE = "connect"
PATH = "/connect/callback"
LIFE = timedelta(hours=1)


@dataclass(frozen=True)
class Connected:
    """A shop that a seller has just let us into."""

    shop_id: int
    name: str


async def start_attempt(
    w: Work, registry: Registry, base_url: str, connector: str, shop_id: int | None = None
) -> str:
    """Where the seller is to go; `shop_id` says which shop is meant, if it exists already.

    Raises NotFound, PluginDisabled, InvalidInput, Several.
    """
    faults = Faults()
    with faults:
        platform = await platform_of(w, registry, connector)
        if not isinstance(platform.connector, Authorising):
            raise InvalidInput(
                f"{connector} has no page to authorise on: connect with a token",
                ("input", "platform"),
            )
    if shop_id is not None:
        with faults:
            shop = await get_shop(w, shop_id)
            if shop["platform"] != connector:
                message = f"{shop['name']!r} is no shop of {connector[:40]}"
                raise InvalidInput(message, ("input", "shopId"))
    faults.tell()
    assert isinstance(platform.connector, Authorising)
    nonce = secrets.token_urlsafe(12)
    await w.sql.execute(
        """INSERT INTO connect_attempts (merchant_id, nonce, connector, shop_id, actor, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6)""",
        w.merchant_id, nonce, connector, shop_id, w.actor, w.now + LIFE,
    )  # fmt: skip
    text = f"{w.merchant_id}.{nonce}"
    state = f"{text}.{w.keyring.sign(PURPOSE, text)}"
    return platform.connector.authorise_url(platform.settings, state, base_url + PATH)


def read_state(keyring: Keyring, state: str) -> tuple[int, str] | None:
    """(merchant, nonce) of a state, or None when it is not one of ours."""
    text, _, signature = state.rpartition(".")
    merchant, _, nonce = text.partition(".")
    if not is_number(merchant):
        return None
    return (int(merchant), nonce) if keyring.verify(PURPOSE, text, signature) else None


async def finish_attempt(
    db: Database, registry: Registry, base_url: str, merchant_id: int, nonce: str, code: str
) -> Connected:
    """Take the code that the seller came back with, and connect his shop.

    Raises NotFound when the attempt has ended or was used, ConnectionRefused, AlreadyExists,
    InvalidInput, PluginDisabled.
    """
    async with db.work(merchant_id) as w:
        # used up at once: of two requests one goes on
        row = await w.sql.fetchrow(
            """UPDATE connect_attempts SET used_at = $3
               WHERE merchant_id = $1 AND nonce = $2 AND used_at IS NULL AND expires_at > $3
               RETURNING *""",
            merchant_id, nonce, w.now,
        )  # fmt: skip
        if row is None:
            raise NotFound("the link has expired, or it was used already")
        platform = await platform_of(w, registry, row["connector"])
    authorised = await _exchange(platform, code, base_url + PATH)
    async with db.work(merchant_id, row["actor"]) as w:
        shop_id = await connect(w, platform, authorised, row["shop_id"])
        return Connected(shop_id, authorised.name)


async def _exchange(platform: Platform, code: str, callback: str) -> Authorised:
    connector = platform.connector
    assert isinstance(connector, Authorising)
    try:
        return await platform.call(connector.exchange(platform.settings, code, callback))
    except OutsideError as error:
        raise ConnectionRefused(str(error)) from error
