"""The platform's calls to a merchant's own server, signed apart from who checks them."""

import asyncio
import hashlib
from urllib.parse import urlencode

import orjson

from core.sdk import WebRequest
from tests.stand_ins.taobao.shapes import at

BUDGET = 1.2
"""Seconds that the platform waits; then the buyer joins without the merchant."""
TRIES = 10
ADDRESS = "https://crm.example/hooks/taobao.members/x"


def signature(secret, query, headers, body):
    parts = {**query, **headers}
    parts.pop("sign", None)
    text = "".join(key + parts[key] for key in sorted(parts))
    whole = secret.encode() + text.encode() + body + secret.encode()
    return hashlib.md5(whole).hexdigest().upper()


def request(world, app, method, told, headers=None, **more):
    """A call as it arrives; `headers` are signed with it, `more` is put into the query."""
    query = {
        "app_key": app.key, "method": method, "sign_method": "md5", "timestamp": at(world.now()),
        **more,
    }  # fmt: skip
    headers, body = headers or {}, orjson.dumps(told)
    query["sign"] = signature(app.secret, query, headers, body)
    sent = {name.lower(): value for name, value in headers.items()}
    if headers:
        sent["top-sign-list"] = ",".join(headers)
    url = f"{ADDRESS}?{urlencode(query)}"
    return WebRequest("POST", url, tuple(query.items()), sent, body)


async def ask(take, call):
    """The answer's code; None where it is late or no answer."""
    try:
        async with asyncio.timeout(BUDGET):
            answer = await take(call)
    except TimeoutError:
        return None
    if answer.status != 200:
        return None
    return orjson.loads(answer.body)["query_code"]


async def replay(take, make):
    """Tell again what the merchant did not answer; returns how often it was told."""
    for turn in range(TRIES):
        if await ask(take, make()) == "SUC":
            return turn + 1
    return TRIES
