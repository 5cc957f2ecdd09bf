"""The page behind the unsubscribe link of a message. A GET only ever shows it."""

import contextlib

from starlette.requests import Request
from starlette.responses import Response

from core.domain.campaigns.links import preferences_token, read_unsubscribe_token
from core.domain.customers.consent import unsubscribe
from core.domain.customers.customers import kept_customer
from core.installation import Installation
from core.schema.public.html import (
    Markup,
    button,
    evidence,
    language,
    link,
    page,
    wrong_link,
)
from core.sdk.errors import NotFound

ASK = {
    "zh": ("退订", "不想再收到我们的营销消息？", "退订"),
    "en": ("Unsubscribe", "No more marketing messages from us?", "Unsubscribe"),
}
DONE = {
    "zh": ("已退订", "我们不会再给您发送营销消息。"),
    "en": ("You are unsubscribed", "We will send you no more marketing messages."),
}
MORE = {"zh": "查看和更改我的全部选择", "en": "See and change all my choices"}


async def answer(installation: Installation, request: Request) -> Response:
    """GET shows a button, POST unsubscribes; doing it again changes nothing."""
    db, lang = installation.db, language(request)
    found = read_unsubscribe_token(db.keyring, request.path_params["token"])
    if found is None:
        return wrong_link(lang)
    merchant_id, customer_id, channel = found
    choices = f"../preferences?t={preferences_token(db.keyring, merchant_id, customer_id)}"
    if request.method != "POST":
        title, text, label = ASK[lang]
        body = Markup("<p>{}</p>{}{}").format(text, button(label), link(choices, MORE[lang]))
        return page(lang, title, body)
    async with db.work(merchant_id, f"customer:{customer_id}") as w:
        kept = await kept_customer(w, customer_id)
        # a customer who was erased: there is nobody left to write to
        with contextlib.suppress(NotFound):
            if kept is not None:
                await unsubscribe(w, kept, channel, "link", evidence=evidence(request))
    title, text = DONE[lang]
    return page(lang, title, Markup("<p>{}</p>{}").format(text, link(choices, MORE[lang])))
