"""How a seller lets us in, and how long."""

from datetime import datetime

from core.clock import Clock
from core.sdk import Authorised, ReconnectNeeded, Refused, Token
from core.sdk.answers import Row, text
from core.sdk.apps import end_told
from plugins.aliexpress.client import Client
from plugins.aliexpress.settings import AliExpressSettings

CREATE, REFRESH = "/auth/token/create", "/auth/token/refresh"
SHOP = "aliexpress.merchant.profile.get"


async def exchange(settings: AliExpressSettings, clock: Clock, code: str) -> Authorised:
    """The token for a code, and whose it is. Raises an OutsideError."""
    async with Client.opened(settings, clock) as client:
        answer = await client.read(CREATE, code=code)
        token = token_of(answer, client.now())
    return _authorised(answer, token)


async def refresh(settings: AliExpressSettings, clock: Clock, token: Token) -> Token:
    """A new token. Raises ReconnectNeeded when the seller has to come back."""
    if token.refresh is None:
        raise ReconnectNeeded("this token cannot be renewed: authorise the shop again")
    async with Client.opened(settings, clock) as client:
        try:
            answer = await client.read(REFRESH, refresh_token=token.refresh)
        except Refused as error:
            raise ReconnectNeeded(f"the token cannot be renewed: {error}") from None
        return token_of(answer, client.now(), token)


async def verify(settings: AliExpressSettings, clock: Clock, token: Token) -> Authorised:
    """Try a token that was pasted. Raises ReconnectNeeded if it does not hold."""
    async with Client.opened(settings, clock, token) as client:
        return _authorised(await client.read(SHOP), token)


def _authorised(told: Row, token: Token) -> Authorised:
    shop = text(told.get("seller_id")) or text(told.get("user_id"))
    if shop is None:
        raise ReconnectNeeded("the platform does not say whose token this is")
    return Authorised(shop, text(told.get("user_nick")) or text(told.get("account")) or shop, token)


def token_of(told: Row, now: datetime, before: Token | None = None) -> Token:
    """The token of an answer; `before` is the one that was refreshed.

    Refreshing never moves the end of the refresh token, whatever the answer says. An end of 0
    seconds for it says that it cannot be used. Raises ReconnectNeeded.
    """
    access = text(told.get("access_token"))
    if access is None:
        raise ReconnectNeeded("the platform gave no token: authorise the shop again")
    refresh = text(told.get("refresh_token")) or (before.refresh if before else None)
    if str(told.get("refresh_expires_in")) == "0":
        refresh = None
    until = end_told(told, "refresh_expires_in", "refresh_token_valid_time", now)
    known = before.refresh_until if before else None
    if known is not None:
        until = known if until is None else min(known, until)
    return Token(access, refresh, end_told(told, "expires_in", "expire_time", now), until)
