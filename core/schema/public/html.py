"""What the customers' pages have in common: language, frame, form data, headers."""

import base64
import hashlib
import re
from typing import Any, Literal
from urllib.parse import parse_qsl

from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

Language = Literal["zh", "en"]
LANGUAGES: dict[Language, str] = {"zh": "zh-CN", "en": "en"}

STYLE = Markup("""
body{font:18px/1.6 system-ui,sans-serif;max-width:32em;margin:3em auto;padding:0 1em;
color:#111;background:#fff}
h1{font-size:1.3em}
button{font:inherit;padding:.4em 1.2em;cursor:pointer}
blockquote{margin:1em 0;padding:0 1em;border-left:4px solid #888;white-space:pre-line}
li{margin:1em 0}
ul{padding:0;list-style:none}
""")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}
PAGE = Markup("""<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main><h1>{title}</h1>{body}</main></body></html>""")
FORM_BYTES = 16 * 1024
FORM_FIELDS = 20
AGENT_LIMIT = 300
_WEIGHT = re.compile(r"q=([01](?:\.[0-9]{0,3})?)")

WRONG = {
    "zh": ("链接无效", Markup("<p>链接无效或不完整。</p>")),
    "en": ("This link is not valid", Markup("<p>The link is not valid; it may be incomplete.</p>")),
}


def language(request: Request) -> Language:
    """The first of our languages that the browser asks for; Chinese when it asks for none."""
    wanted = []
    for part in request.headers.get("accept-language", "")[:500].split(","):
        name, _, rest = part.partition(";")
        given = _WEIGHT.search(rest)
        wanted.append((float(given.group(1)) if given else 1.0, name.strip().lower()[:2]))
    for weight, name in sorted(wanted, key=lambda one: -one[0]):
        if weight and name == "en":
            return "en"
        if weight and name == "zh":
            return "zh"
    return "zh"


def page(lang: Language, title: str, body: Markup, status: int = 200) -> Response:
    """A whole page; `title` is text, `body` is HTML."""
    text = PAGE.format(lang=LANGUAGES[lang], title=title, style=STYLE, body=body)
    return HTMLResponse(str(text), status, {**HEADERS, "content-language": LANGUAGES[lang]})


def wrong_link(lang: Language) -> Response:
    """What an altered or cut link leads to."""
    return page(lang, *WRONG[lang], 404)


def button(label: str, about: str = "", **hidden: str) -> Markup:
    """A form with one button, which posts the hidden values to the page's own address.

    `about` tells those who cannot see where the button stands what it is for.
    """
    fields = Markup("").join(
        Markup('<input type="hidden" name="{}" value="{}">').format(name, value)
        for name, value in hidden.items()
    )
    name = Markup(' aria-label="{}: {}"').format(label, about) if about else ""
    shown = Markup('<button type="submit"{}>{}</button>').format(name, label)
    return Markup('<form method="post">{}{}</form>').format(fields, shown)


def link(href: str, label: str) -> Markup:
    """A link in a paragraph of its own."""
    return Markup('<p><a href="{}">{}</a></p>').format(href, label)


async def form(request: Request) -> dict[str, str]:
    """The posted values; nothing when there are more than any of our forms has."""
    taken = b""
    async for piece in request.stream():
        taken += piece
        if len(taken) > FORM_BYTES:
            return {}
    try:
        return dict(parse_qsl(taken.decode(), max_num_fields=FORM_FIELDS))
    except ValueError:
        return {}


def evidence(request: Request) -> dict[str, Any]:
    """Who clicked, as far as it can be told: for the log of consent."""
    agent = request.headers.get("user-agent", "")[:AGENT_LIMIT]
    return {
        "ip": request.client.host if request.client else None,
        "user_agent": agent.replace("\x00", ""),
    }


__all__ = [
    "HEADERS", "Language", "Markup", "button", "escape", "evidence", "form", "language", "link",
    "page", "wrong_link",
]  # fmt: skip
