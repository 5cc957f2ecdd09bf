"""Links whose clicks are counted: found in a template once, made for each message.

A link takes the place of an address in the template as a variable of its own. Addresses with a
variable inside stay as they are: only stored addresses are ever redirected to.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from urllib.parse import urlsplit

from core.domain.campaigns.content.html import MARK, around_liquid, ascii_url
from core.domain.campaigns.links import click_url, open_url
from core.sdk.channels import Channel
from core.sdk.flows import Options
from core.storage.database import Work
from core.storage.keyring import Keyring

URL_LIMIT = 2000
PIXEL = "open_pixel"

_HREF = re.compile(
    r"""(<a(?:rea)?\b[^<>]*?\bhref\s*=\s*)(["'])\s*(https?://[^"'<>\s]+)\s*\2""", re.I
)
_BARE = re.compile(r"https?://[!-~]+", re.I)
_AFTER = "\"'<>)]}.,;:!?"


@dataclass(frozen=True)
class Tracking:
    """What is tracked in the messages of one text; a link's number is its place in `urls`."""

    urls: tuple[str, ...] = ()
    opens: bool = False
    short: bool = False

    @property
    def variables(self) -> frozenset[str]:
        """The variables that stand for links in the templates; merchants cannot name them."""
        links = {_variable(number) for number in range(len(self.urls))}
        return frozenset(links | {PIXEL} if self.opens else links)

    def values(
        self, keyring: Keyring, base_url: str, merchant_id: int, delivery_id: int
    ) -> dict[str, str]:
        """The links of one message, by variable."""
        made = {
            _variable(number): click_url(
                keyring, base_url, merchant_id, delivery_id, number, self.short
            )
            for number in range(len(self.urls))
        }
        if self.opens:
            made[PIXEL] = open_url(keyring, base_url, merchant_id, delivery_id)
        return made


def with_tracking(
    channel: Channel, sources: Mapping[str, str], options: Options
) -> tuple[dict[str, str], Tracking]:
    """The templates with variables in the places of links, as far as the options ask for it.

    Channels without HTML get short links, since their messages' length costs.
    """
    html = {field.name for field in channel.fields if field.html}
    urls: dict[str, int] = {}
    made = dict(sources)
    if options.track_clicks:
        for field in channel.fields:
            if field.name in made and field.name != "subject":
                made[field.name] = _replaced(made[field.name], field.html, urls)
    opens = options.track_opens and bool(html)
    if opens:
        for name in html & made.keys():
            made[name] = _with_pixel(made[name])
    return made, Tracking(tuple(urls), opens, short=not html)


async def store_links(w: Work, run_id: int, step: int, variant: int, urls: tuple[str, ...]) -> None:
    """Store where a text's links lead; a run's texts never change, so once is enough."""
    await w.sql.execute(
        """INSERT INTO tracked_links (merchant_id, run_id, step, variant, number, url)
           SELECT $1, $2, $3, $4, n.number - 1, n.url
           FROM unnest($5::text[]) WITH ORDINALITY AS n (url, number)
           WHERE NOT EXISTS (SELECT 1 FROM tracked_links l WHERE l.merchant_id = $1
               AND l.run_id = $2 AND l.step = $3 AND l.variant = $4)
           ON CONFLICT (merchant_id, run_id, step, variant, number) DO NOTHING""",
        w.merchant_id, run_id, step, variant, list(urls),
    )  # fmt: skip


def links_of(source: str, html: bool) -> tuple[list[str], list[str]]:
    """(addresses that can be tracked, those with variables inside) of a template."""
    urls: dict[str, int] = {}
    _replaced(source, html, urls)
    marked: list[str] = []

    def look(hidden: str) -> str:
        found = [one[2] for one in _HREF.findall(hidden)] if html else _BARE.findall(hidden)
        marked.extend(url for url in found if MARK.search(url))
        return hidden

    around_liquid(source, look)
    return list(urls), [MARK.sub("{{…}}", url) for url in marked]


def is_sound(url: str) -> bool:
    """Whether an address can be stored and redirected to."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        return False
    return (
        bool(parts.hostname) and parts.username is None and len(url) <= URL_LIMIT
        and "\\" not in url and url.isprintable()
    )  # fmt: skip


def _replaced(source: str, html: bool, urls: dict[str, int]) -> str:
    def in_html(found: re.Match[str]) -> str:
        start, quote, url = found.groups()
        return (
            f"{start}{quote}{_mark(ascii_url(unescape(url)), urls)}{quote}"
            if _plain(url)
            else found[0]
        )

    def in_text(found: re.Match[str]) -> str:
        url = found.group(0).rstrip(_AFTER)
        rest = found.group(0)[len(url) :]
        return _mark(url, urls) + rest if _plain(url) else found.group(0)

    if html:
        return around_liquid(source, lambda hidden: _HREF.sub(in_html, hidden))
    return around_liquid(source, lambda hidden: _BARE.sub(in_text, hidden))


def _plain(url: str) -> bool:
    return MARK.search(url) is None and is_sound(unescape(url))


def _mark(url: str, urls: dict[str, int]) -> str:
    return "{{ %s }}" % _variable(urls.setdefault(url, len(urls)))  # noqa: UP031 - braces


def _variable(number: int) -> str:
    return f"link_{number}"


def _with_pixel(source: str) -> str:
    pixel = '<img src="{{ %s }}" width="1" height="1" alt="">' % PIXEL  # noqa: UP031 - braces
    end = source.lower().rfind("</body")
    return source + pixel if end < 0 else source[:end] + pixel + source[end:]
