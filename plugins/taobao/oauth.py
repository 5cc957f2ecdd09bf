"""How a seller lets us in, and how long."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import orjson

from core.clock import Clock
from core.sdk import Authorised, ReconnectNeeded, Refused, Token
from core.sdk.answers import Row
from plugins.taobao.client import Client
from plugins.taobao.messages import switch_on
from plugins.taobao.settings import TaobaoSettings
from plugins.taobao.tmall import TYPE
from plugins.taobao.tokens import token_of

CREATE, REFRESH = "taobao.top.auth.token.create", "taobao.top.auth.token.refresh"
SELLER = "taobao.user.seller.get"


async def exchange(settings: TaobaoSettings, clock: Clock, code: str) -> Authorised:
    """The token for a code, and whose it is. Raises an OutsideError."""
    async with Client.opened(settings, clock) as client:
        answer = await client.read(CREATE, code=code)
        result = _result(answer)
        token = token_of(result, client.now())
    return await _authorised(settings, clock, token, result)


async def refresh(settings: TaobaoSettings, clock: Clock, token: Token) -> Token:
    """A new token. Raises ReconnectNeeded when the seller has to come back."""
    if token.refresh is None:
        raise ReconnectNeeded("this app's tokens cannot be renewed: authorise the shop again")
    async with Client.opened(settings, clock) as client:
        try:
            answer = await client.read(REFRESH, refresh_token=token.refresh)
        except Refused as error:
            raise ReconnectNeeded(f"the token cannot be renewed: {error}") from None
        return token_of(_result(answer), client.now(), token)


async def verify(settings: TaobaoSettings, clock: Clock, token: Token) -> Authorised:
    """Try a token that was pasted. Raises ReconnectNeeded if it does not hold."""
    return await _authorised(settings, clock, token, {})


async def _authorised(
    settings: TaobaoSettings, clock: Clock, token: Token, result: Row
) -> Authorised:
    """Whose token it is: a sub-account's token is still its shop's."""
    async with Client.opened(settings, clock, token) as client:
        answer = await client.read(SELLER, fields=["user_id", "nick", "type"])
        user = answer.get("user") or {}
        shop = user.get("user_id") or result.get("taobao_user_id")
        if not shop:
            raise ReconnectNeeded("the platform does not say whose token this is")
        name = user.get("nick") or unquote(str(result.get("taobao_user_nick") or shop))
        await switch_on(client, settings.message_group, str(name))
    more = {**token.more, TYPE: str(user.get("type") or "")}
    return Authorised(str(shop), str(name), replace(token, more=more))


def _result(answer: Row) -> Mapping[str, Any]:
    """The token, which the API gives as JSON inside a string. Raises ReconnectNeeded."""
    try:
        result = orjson.loads(str(answer.get("token_result")))
        if result["access_token"]:
            return dict(result)
    except (ValueError, KeyError, TypeError):
        pass
    raise ReconnectNeeded("the platform gave no token: authorise the shop again")
