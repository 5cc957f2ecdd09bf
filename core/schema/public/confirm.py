"""The page behind the link of a double opt-in: link scanners open it, only the button confirms."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from core.domain.campaigns.links import read_confirmation_token
from core.domain.customers.consent_requests import RequestState, confirm_request, find_request
from core.installation import Installation
from core.schema.public.html import (
    Language,
    Markup,
    button,
    evidence,
    language,
    page,
    wrong_link,
)
from core.sdk.errors import NotFound

ASK = {
    "zh": ("请确认", "您同意以下内容吗？", "确认"),
    "en": ("Please confirm", "Do you agree to this?", "Confirm"),
}
TOLD: dict[RequestState, dict[Language, tuple[str, str, int]]] = {
    "confirmed": {
        "zh": ("已确认", "谢谢，您的同意已经记录。您可以随时撤回。", 200),
        "en": ("Confirmed", "Thank you. Your consent is recorded; withdraw it any time.", 200),
    },
    "expired": {
        "zh": ("链接已过期", "请重新申请，我们会再发一个链接。", 410),
        "en": ("The link has expired", "Ask again, and you will get a new link.", 410),
    },
    "replaced": {
        "zh": ("链接已失效", "我们已经给您发送了更新的链接，请使用新的链接。", 410),
        "en": ("The link was replaced", "A newer link was sent to you: use that one.", 410),
    },
    "changed": {
        "zh": ("链接已失效", "您的联系方式已更改，请重新申请。", 410),
        "en": ("The link is not valid any more", "Your address has changed: ask again.", 410),
    },
}


async def answer(installation: Installation, request: Request) -> Response:
    """GET shows what would be confirmed and a button, POST confirms; once, however often."""
    db, lang = installation.db, language(request)
    token = read_confirmation_token(request.query_params.get("t", ""))
    if token is None:
        return wrong_link(lang)
    merchant_id, secret = token
    try:
        if request.method == "POST":
            async with db.work(merchant_id, "customer") as w:
                _, state = await confirm_request(w, secret, evidence(request))
            return _told(lang, "confirmed" if state == "pending" else state)
        async with db.read(merchant_id) as session:
            row, state = await find_request(session, secret)
    except NotFound:
        return wrong_link(lang)
    return _asked(lang, row) if state == "pending" else _told(lang, state)


def _asked(lang: Language, row: Mapping[str, Any]) -> Response:
    title, question, label = ASK[lang]
    body = Markup("<p>{}</p><p>{}</p><blockquote>{}</blockquote>{}").format(
        row["shop"] or row["merchant"], question, row["text"], button(label)
    )
    return page(lang, title, body)


def _told(lang: Language, state: RequestState) -> Response:
    title, text, status = TOLD[state][lang]
    return page(lang, title, Markup("<p>{}</p>").format(text), status)
