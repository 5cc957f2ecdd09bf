"""Whether a campaign's texts are fit to be sent: errors stop its start, warnings are told."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from core.domain.campaigns.content.html import (
    CLIPPED_BYTES,
    MARK,
    around_liquid,
    ascii_url,
    prepared,
)
from core.domain.campaigns.content.measuring import text_rules, text_warnings
from core.domain.campaigns.content.outside import fault_of
from core.domain.campaigns.content.tracking import is_sound, links_of
from core.domain.campaigns.content.variables import flow_about
from core.domain.campaigns.content.writing import variables_named
from core.domain.campaigns.flows import FLOW, campaign_channel, check_variant
from core.registry import Registry
from core.sdk.channels import AdvisingChannel, Channel, TextRules
from core.sdk.errors import HuikeError, InvalidInput, Several
from core.sdk.flows import Flow, Send
from core.sdk.large import lexbor
from core.storage.database import Session

MAX_LINKS = 30
"""So many different links are asked at most whether they answer."""

_OTHER_SCHEMES = frozenset({"mailto", "tel", "sms"})

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """Something about a text; `path` leads to it in the flow."""

    level: Level
    message: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class _Links:
    """The links and pictures of HTML, with Liquid's marks as words."""

    hrefs: list[str]
    images: list[Mapping[str, str | None]]


async def check_texts(session: Session, registry: Registry, flow: Flow) -> None:
    """Raises Several of InvalidInput when texts of the flow must not be sent."""
    errors: list[HuikeError] = [
        InvalidInput(one.message, one.path)
        for one in await text_findings(session, registry, flow)
        if one.level == "error"
    ]
    if errors:
        raise Several(errors)


async def text_findings(session: Session, registry: Registry, flow: Flow) -> list[Finding]:
    """What is to say about a flow's texts without asking anybody outside."""
    found: list[Finding] = []
    for path, send, content in _texts(flow):
        channel = campaign_channel(registry, send.channel)
        try:
            await check_variant(session, registry, channel, content, flow_about(flow))
        except Several as several:
            found += [
                Finding("error", error.message, path + error.path[2:]) for error in several.errors
            ]
            continue
        if channel.contact == "phone":
            rules = await text_rules(session, registry, channel)
            found += _of_text(channel, send, content, rules, path)
        else:
            found += _of_html(channel, send, content, path)
    return found


def _texts(flow: Flow) -> Iterator[tuple[tuple[str, ...], Send, Mapping[str, str]]]:
    for number, send in flow.sends().items():
        for place, variant in enumerate(send.variants):
            path = (*FLOW, "steps", str(number), "variants", str(place), "content")
            yield path, send, variant.content


def _of_text(
    channel: Channel,
    send: Send,
    content: Mapping[str, str],
    rules: TextRules,
    path: tuple[str, ...],
) -> Iterator[Finding]:
    for part in channel.fields:
        source = content.get(part.name) or ""
        if source:
            literal = around_liquid(source, lambda hidden: MARK.sub("", hidden), whole=False)
            for message in text_warnings(literal, rules, send.message_class, abroad=False):
                yield Finding("warning", message, (*path, part.name))
            yield from _untracked(source, False, (*path, part.name))


def _of_html(
    channel: Channel, send: Send, content: Mapping[str, str], path: tuple[str, ...]
) -> Iterator[Finding]:
    named = variables_named(channel, content)
    if send.message_class == "marketing" and not named & {"unsubscribe_url", "preferences_url"}:
        yield Finding(
            "warning",
            "a marketing message needs a link to unsubscribe: use {{ unsubscribe_url }}",
            path,
        )
    if isinstance(channel, AdvisingChannel):
        for name, message in channel.advice(content):
            yield Finding("warning", message, (*path, name))
    for part in channel.fields:
        source = content.get(part.name) or ""
        if not part.html or not source:
            continue
        place, html = (*path, part.name), prepared(source)
        if len(html.encode()) > CLIPPED_BYTES:
            yield Finding("warning", "it is larger than 102 kB: some mailboxes cut it off", place)
        links = _links(html)
        for href in dict.fromkeys(links.hrefs):
            if (fault := _fault(href)) is not None:
                yield Finding("error", f"the link {_shown(href)!r} {fault}", place)
        for image in links.images:
            for level, fault in _image_faults(image):
                name = _shown(image.get("src") or "")
                yield Finding(level, f"the picture {name!r} {fault}", place)
        yield from _untracked(html, True, place)


def _untracked(source: str, html: bool, path: tuple[str, ...]) -> Iterator[Finding]:
    for url in dict.fromkeys(links_of(source, html)[1]):
        message = f"clicks on {url} are not counted: a variable decides to which server it leads"
        yield Finding("warning", message, path)


def _links(html: str) -> _Links:
    found = _Links([], [])

    def look(hidden: str) -> str:
        parsed = lexbor.LexborHTMLParser(hidden)
        found.hrefs.extend((node.attributes.get("href") or "").strip() for node in parsed.css("a"))
        found.images.extend(node.attributes for node in parsed.css("img"))
        return hidden

    around_liquid(html, look)
    return found


def _fault(href: str) -> str | None:
    """What is wrong with a link's address; nothing is known of one that begins with a variable."""
    if not href:
        return "has no address"
    if href.startswith("#") or MARK.match(href):
        return None
    scheme = href.partition(":")[0].lower()
    if scheme in _OTHER_SCHEMES:
        return None
    if scheme not in ("http", "https"):
        return "does not begin with https://"
    return None if is_sound(ascii_url(href)) else "is no address that can be followed"


def _image_faults(image: Mapping[str, str | None]) -> Iterator[tuple[Level, str]]:
    source = (image.get("src") or "").strip()
    if not MARK.match(source) and not source.lower().startswith(("http://", "https://")):
        yield "error", "needs an address that begins with https://"
    if image.get("alt") is None:
        yield "warning", "has no alt text for those who do not see it"
    if not image.get("width"):
        yield "warning", "has no width: the message jumps while it is loaded"


async def unanswered(registry: Registry, flow: Flow) -> list[Finding]:
    """Links of a sound flow that do not answer; takes some seconds, so hold no connection."""
    places: dict[str, tuple[str, ...]] = {}
    for path, send, content in _texts(flow):
        for part in campaign_channel(registry, send.channel).fields:
            for url in _outside(content.get(part.name) or "", part.html):
                places.setdefault(url, (*path, part.name))
    asked = list(places)[:MAX_LINKS]
    faults = await asyncio.gather(*map(fault_of, asked))
    return [
        Finding("warning", f"the link {url} {fault}", places[url])
        for url, fault in zip(asked, faults, strict=True)
        if fault is not None
    ]


def _outside(source: str, html: bool) -> Iterable[str]:
    """Addresses without variables that a customer's program will ask for."""
    if not html:
        return links_of(source, False)[0]
    made = prepared(source)
    images = (ascii_url(image.get("src") or "") for image in _links(made).images)
    return [
        *links_of(made, True)[0],
        *(url for url in images if url.startswith("http") and is_sound(url)
          and not MARK.search(url)),
    ]  # fmt: skip


def _shown(href: str) -> str:
    return MARK.sub("{{…}}", href)[:200]
