"""The page to which a seller comes back from the platform where he authorised his shop."""

from starlette.requests import Request
from starlette.responses import Response

from core.domain.connections.attempts import finish_attempt, read_state
from core.installation import Installation
from core.schema.public.html import Language, Markup, language, page, wrong_link
from core.sdk.errors import HuikeError, NotFound, Several

CONNECTED = {
    "zh": ("店铺已连接", "“{}”已连接，订单正在同步。您可以关闭此页面。"),
    "en": ("The shop is connected", "“{}” is connected, and its orders are coming in. "
           "You can close this page."),
}  # fmt: skip
ENDED = {
    "zh": ("链接已失效", "链接已过期或已使用，请重新发起连接。"),
    "en": ("The link is not valid any more", "It has expired or was used: start again."),
}
DENIED = {
    "zh": ("未授权", "平台未授权，店铺没有连接。请重新发起连接。"),
    "en": ("Not authorised", "The platform gave no authorisation, and the shop is not connected. "
           "Start again."),
}  # fmt: skip
FAILED = {
    "zh": ("连接失败", "店铺没有连接，请重新发起连接。原因：{}"),
    "en": ("The shop is not connected", "Start again. The reason: {}"),
}
CODE_LIMIT = 2000


async def answer(installation: Installation, request: Request) -> Response:
    """Take the code, once; the state says for which merchant."""
    db, lang, query = installation.db, language(request), request.query_params
    found = read_state(db.keyring, query.get("state", ""))
    if found is None:
        return wrong_link(lang)
    code = query.get("code", "")
    if not 1 <= len(code) <= CODE_LIMIT:
        return _told(lang, *DENIED[lang], 400)
    base_url = installation.settings.base_url
    try:
        connected = await finish_attempt(db, installation.registry, base_url, *found, code)
    except NotFound:
        return _told(lang, *ENDED[lang], 410)
    except (HuikeError, Several) as error:
        return _told(lang, *FAILED[lang], 400, str(error))
    return _told(lang, *CONNECTED[lang], 200, connected.name)


def _told(lang: Language, title: str, text: str, status: int, what: str = "") -> Response:
    return page(lang, title, Markup("<p>{}</p>").format(text.format(what)), status)
