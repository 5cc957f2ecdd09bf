"""The page behind the unsubscribe link of a message. A GET only ever shows it."""

import contextlib

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from core.domain.campaigns.links import read_unsubscribe_token
from core.domain.customers.consent import unsubscribe
from core.domain.customers.customers import CustomerMerged
from core.installation import Installation
from core.sdk.errors import NotFound
from core.storage.database import Database

PAGE = """<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>退订 · Unsubscribe</title>
<style>body{{font:18px/1.6 system-ui,sans-serif;max-width:30em;margin:4em auto;padding:0 1em;
text-align:center}}button{{font:inherit;padding:.5em 1.5em;cursor:pointer}}</style></head>
<body>{body}</body></html>"""
ASK = """<p>不想再收到我们的消息?<br>No more messages from us?</p>
<form method="post"><button type="submit">退订 · Unsubscribe</button></form>"""
DONE = "<p>已退订,我们不会再给您发送营销消息。<br>You are unsubscribed from our messages.</p>"
WRONG = "<p>链接无效或不完整。<br>This link is not valid; it may be incomplete.</p>"
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def page(body: str, status: int = 200) -> Response:
    return HTMLResponse(PAGE.format(body=body), status, HEADERS)


async def answer(installation: Installation, request: Request) -> Response:
    """GET shows a button, POST unsubscribes; doing it again changes nothing."""
    db = installation.db
    found = read_unsubscribe_token(db.keyring, request.path_params["token"])
    if found is None:
        return page(WRONG, 404)
    if request.method != "POST":
        return page(ASK)
    merchant_id, customer_id, channel = found
    # a customer who was erased: there is nobody left to write to
    with contextlib.suppress(NotFound):
        try:
            await _unsubscribe(db, merchant_id, customer_id, channel)
        except CustomerMerged as merged:
            await _unsubscribe(db, merchant_id, merged.customer_id, channel)
    return page(DONE)


async def _unsubscribe(db: Database, merchant_id: int, customer_id: int, channel: str) -> None:
    async with db.work(merchant_id) as w:
        await unsubscribe(w, customer_id, channel, "link")
