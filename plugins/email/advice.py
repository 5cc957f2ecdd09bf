"""What makes spam filters and mailboxes suspicious of a message, in words for who writes it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

MANY_PICTURES_TEXT = 200
"""With less text than this, a message with pictures looks like one big picture."""

_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.S)
_TAG = re.compile(r"<[^>]*>")
_STYLE = re.compile(r"<(style|script|mj-style)\b.*?</\1\s*>", re.S | re.I)
_LINK = re.compile(r"<a\b[^>]*?\bhref\s*=\s*[\"']([^\"']*)[\"'][^>]*>(.*?)</a\s*>", re.S | re.I)
_IMAGE = re.compile(r"<(?:img|mj-image)\b", re.I)
_SHOWN_ADDRESS = re.compile(r"(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?:/\S*)?", re.I)
_ACTIVE = re.compile(r"<(script|form|iframe|object|embed)\b|\bon(?:click|load|error)\s*=", re.I)
_SHORTENERS = frozenset({
    "bit.ly", "t.co", "goo.gl", "tinyurl.com", "ow.ly", "is.gd", "t.cn", "dwz.cn", "url.cn",
    "suo.im", "rebrand.ly",
})  # fmt: skip
_PHRASES = (
    "act now", "100% free", "risk free", "risk-free", "no obligation", "winner", "congratulations",
    "click here", "earn money", "make money", "cash bonus", "this is not spam", "viagra", "lottery",
    "urgent response", "恭喜您中奖", "免费领取", "点击领取", "代开发票", "发票代开", "贷款", "赌博",
    "日赚", "稳赚", "绝密", "最后机会",
)  # fmt: skip


def advice(content: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """(field, warning) for each thing; the templates as they are written."""
    subject, html = content.get("subject") or "", content.get("html") or ""
    return [
        *(("subject", warning) for warning in _of_subject(_LIQUID.sub("", subject))),
        *(("html", warning) for warning in _of_html(_LIQUID.sub("", html))),
    ]


def _of_subject(subject: str) -> Iterator[str]:
    letters = [one for one in subject if one.isascii() and one.isalpha()]
    if len(letters) >= 8 and sum(one.isupper() for one in letters) > 0.7 * len(letters):
        yield "it is nearly all capitals, which filters take for spam"
    if len(re.findall(r"[!！]", subject)) > 1 or re.search(r"[$￥¥€]{2}", subject):
        yield "several exclamation or currency marks look like spam"
    if re.match(r"\s*(?:re|fwd?|回复|转发)\s*[:：]", subject, re.I):
        yield "it pretends to be an answer, which filters and readers resent"
    if len(subject) > 70:
        yield "it is longer than 70 characters: most mailboxes show only the beginning"
    yield from _phrases(subject)


def _of_html(html: str) -> Iterator[str]:
    if _ACTIVE.search(html):
        yield "scripts, forms and frames are removed by mailboxes, and often the message with them"
    visible = " ".join(_TAG.sub(" ", _STYLE.sub("", html)).split())
    if _IMAGE.search(html) and len(visible) < MANY_PICTURES_TEXT:
        yield "it is pictures with hardly any text: filters distrust it, and many see no pictures"
    for href, shown in _LINK.findall(html):
        yield from _of_link(href.strip(), " ".join(_TAG.sub("", shown).split()))
    yield from _phrases(visible)


def _of_link(href: str, shown: str) -> Iterator[str]:
    try:
        host = (urlsplit(href).hostname or "").lower()
    except ValueError:
        return
    if host in _SHORTENERS:
        yield f"links shortened by {host} are blocked by many mailboxes: link to your own domain"
    if re.fullmatch(r"[0-9.]+|\[.*\]", host):
        yield f"the link {href} leads to a bare internet address, as fraud does"
    named = _SHOWN_ADDRESS.fullmatch(shown)
    if named and host and _site(named.group(1).lower()) != _site(host):
        yield f"a link shows {named.group(1)} and leads to {host}: that looks like fraud"


def _site(host: str) -> str:
    return ".".join(host.split(".")[-2:])


def _phrases(text: str) -> Iterator[str]:
    found = [phrase for phrase in _PHRASES if phrase in text.lower()]
    if found:
        yield f"words that filters know from spam: {', '.join(found)}"
