"""Calls of the platform to us (SPI): buyers who join the membership pass, or leave it.

A call is only a hint; the member is fetched. The platform waits little more than a second, lets
buyers join without us where we are late, and then tells again for a day: the same twice is nothing.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b, md5

import orjson

from core.domain.connections.inbox import take_in
from core.sdk import Changed, PluginContext, Refused, Resource, WebRequest, WebResponse
from plugins.taobao.settings import TaobaoSettings
from plugins.taobao.values import moment

ROUTE = "taobao.members"
MEMBERSHIP = "tmall.mei.crm.member."
ASKED_BEFORE = ".query"
"""How calls end that ask whether he may, before anything has happened."""
SIGNED_HEADERS = "top-sign-list"
SKEW = timedelta(minutes=5)
AGREED = WebResponse(orjson.dumps({"query_code": "SUC"}), content_type="application/json")


async def take(context: PluginContext, request: WebRequest) -> WebResponse:
    """Agree, and have the member fetched. Raises Refused for what the platform did not send."""
    settings = context.settings
    assert isinstance(settings, TaobaoSettings)
    query = dict(request.query)
    check(settings, query, request)
    at = moment(query.get("timestamp"))
    if at is None or abs(context.database.clock() - at) > SKEW:
        raise Refused("the call's timestamp is more than five minutes off")
    try:
        told = orjson.loads(request.body)
        ouid, nick = str(told["ouid"]), str(told["seller_name"])
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"the call makes no sense: {error!r}") from None
    method = query.get("method", "")
    if method.startswith(MEMBERSHIP) and not method.endswith(ASKED_BEFORE):
        whole = b"\n".join((str(sorted(query.items())).encode(), request.body))
        key = blake2b(whole, digest_size=16).hexdigest()
        async with context.database.work(context.merchant_id) as w:
            # a call names the seller by his nick, which is what his shop was called
            shops: Sequence[str] = await w.sql.fetchval(
                """SELECT array_agg(external_id) FROM shops WHERE merchant_id = $1
                     AND platform = 'taobao' AND name = $2 AND external_id IS NOT NULL""",
                w.merchant_id, nick,
            ) or []  # fmt: skip
            await take_in(
                w, "taobao", [Changed(key, shop, Resource.MEMBERS, ouid, at) for shop in shops]
            )
    return AGREED


def check(settings: TaobaoSettings, query: Mapping[str, str], request: WebRequest) -> None:
    """Check the signature: over what is in the query, the headers that are named, and the body.

    Raises Refused.
    """
    if settings.app_secret is None:
        raise Refused("the plugin's settings have no app_key and app_secret yet")
    names = filter(None, request.headers.get(SIGNED_HEADERS, "").split(","))
    signed = {name: request.headers.get(name.strip().lower(), "") for name in names} | dict(query)
    given = signed.pop("sign", "")
    text = "".join(name + value for name, value in sorted(signed.items())).encode()
    secret = settings.app_secret.get_secret_value().encode()
    # the platform's own construction, not a choice of ours
    wanted = md5(secret + text + request.body + secret, usedforsecurity=False).hexdigest().upper()
    if not hmac.compare_digest(wanted.encode(), given.encode()):
        raise Refused("the signature is wrong")
