"""The page where customers see what they agreed to, and change it: one button each way."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from core.domain.campaigns.links import read_preferences_token
from core.domain.customers.consent import MARKETING, PERSONALISATION
from core.domain.customers.customers import kept_customer
from core.domain.customers.preferences import Choice, choices, choose
from core.installation import Installation
from core.schema.public.html import (
    Language,
    Markup,
    button,
    evidence,
    form,
    language,
    link,
    page,
    wrong_link,
)
from core.storage.database import Session

TEXT_VERSION = "preferences-1"
"""Changes with the sentences below: the log says by it what a customer agreed to."""

TITLE = {"zh": "我的消息设置", "en": "My messages"}
THANKS = {
    "zh": ("谢谢", "您的选择已经保存，立即生效。", "返回我的消息设置"),
    "en": ("Thank you", "Your choice is saved and holds from now on.", "Back to my messages"),
}
GONE = {
    "zh": ("没有记录", "我们没有保存您的任何选择。"),
    "en": ("Nothing is stored", "We have nothing stored about you."),
}
SENTENCES: dict[str, dict[Language, str]] = {
    MARKETING: {
        "zh": "接收来自“{place}”的营销消息（{channel}）",
        "en": "Marketing messages from {place} by {channel}",
    },
    "service": {
        "zh": "接收来自“{place}”的服务消息，例如订单和物流（{channel}）",
        "en": "Service messages, as on orders and parcels, from {place} by {channel}",
    },
    PERSONALISATION: {
        "zh": "根据我的资料和购买记录向我推荐（个性化推荐）：{place}",
        "en": "Messages that are made to fit my data and purchases: {place}",
    },
}
ALL_SHOPS = {"zh": "{merchant}（全部店铺）", "en": "{merchant} (all shops)"}
STATUS: dict[str | None, dict[Language, str]] = {
    "granted": {"zh": "已同意", "en": "You agreed"},
    "denied": {"zh": "已拒绝", "en": "You refused"},
    "unproven": {"zh": "未确认", "en": "Not confirmed"},
    None: {"zh": "未选择", "en": "You have not chosen"},
}
YES = {"zh": "同意", "en": "Agree"}
NO = {"zh": "拒绝", "en": "Refuse"}


async def answer(installation: Installation, request: Request) -> Response:
    """GET shows the choices, POST records one and thanks."""
    lang, token = language(request), request.query_params.get("t", "")
    found = read_preferences_token(installation.db.keyring, token)
    if found is None:
        return wrong_link(lang)
    if request.method == "POST":
        return await _record(installation, request, *found, lang)
    async with installation.db.read(found[0]) as session:
        kept = await kept_customer(session, found[1])
        if kept is None:
            return _gone(lang)
        names = await _names(installation, session)
        items = [
            _item(lang, one, _sentence(lang, one, names)) for one in await choices(session, kept)
        ]
    return page(lang, TITLE[lang], Markup("<ul>{}</ul>").format(Markup("").join(items)))


async def _record(
    installation: Installation, request: Request, merchant_id: int, customer_id: int, lang: Language
) -> Response:
    posted = await form(request)
    agree = {"yes": True, "no": False}.get(posted.get("say", ""))
    async with installation.db.work(merchant_id, f"customer:{customer_id}") as w:
        kept = await kept_customer(w, customer_id)
        if kept is None:
            return _gone(lang)
        said = {one.key: one for one in await choices(w, kept)}.get(posted.get("choice", ""))
        if said is None or agree is None:
            return wrong_link(lang)
        text = _sentence(lang, said, await _names(installation, w))
        version = f"{TEXT_VERSION}-{lang}"
        await choose(w, kept, said, agree, text, version, evidence(request))
    title, text, label = THANKS[lang]
    back = link(f"?t={request.query_params['t']}", label)
    return page(lang, title, Markup("<p>{}</p>{}").format(text, back))


async def _names(installation: Installation, session: Session) -> Mapping[str, str]:
    """Titles of the channels by their names, and the merchant's name under ""."""
    titles = {name: owned.value.title for name, owned in installation.registry.channels.items()}
    merchant: str = await session.sql.fetchval(
        "SELECT name FROM merchants WHERE id = $1", session.merchant_id
    )
    return {**titles, "": merchant}


def _sentence(lang: Language, choice: Choice, names: Mapping[str, str]) -> str:
    place = choice.shop or ALL_SHOPS[lang].format(merchant=names[""])
    channel = names.get(choice.channel, choice.channel)
    sentence = SENTENCES.get(choice.purpose, SENTENCES[MARKETING])[lang]
    return sentence.format(place=place, channel=channel)


def _item(lang: Language, choice: Choice, sentence: str) -> Markup:
    buttons = Markup("").join(
        button(label, sentence, choice=choice.key, say=say)
        for label, say, status in ((YES[lang], "yes", "granted"), (NO[lang], "no", "denied"))
        if choice.status != status
    )
    return Markup("<li>{}<br><strong>{}</strong>{}</li>").format(
        sentence, STATUS[choice.status][lang], buttons
    )


def _gone(lang: Language) -> Response:
    title, text = GONE[lang]
    return page(lang, title, Markup("<p>{}</p>").format(text), 410)
