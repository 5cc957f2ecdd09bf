"""Links whose clicks are counted: found in a template once, made for each message.

A link takes the place of an address in the template as a variable of its own. An address with
variables inside is known only once a message is made: it stands between two marks in the template,
and is stored for that message before the message goes out. Only stored addresses are ever
redirected to, and no variable decides to which server they lead.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import unescape
from urllib.parse import urlsplit

from core.domain.campaigns.content.html import MARK, around_liquid, ascii_url, liquid_marks
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
_ENDED = re.compile(f"[{re.escape(_AFTER)}]+{MARK.pattern}")
"""Where an address in a text ends before a mark; a tag, which is no part of it."""
_SITE = re.compile(r"https?://[^/?#\\]+[/?#]", re.I)
_BEGIN, _END = "\x02", "\x03"
_NUMBERED = re.compile(f"{_BEGIN}(.*?){_END}", re.S)
_MADE = re.compile(f"{_BEGIN}([0-9]{{1,5}}):([^{_BEGIN}{_END}]*){_END}")
_LEFT = re.compile(f"{_BEGIN}(?:[0-9]{{1,5}}:)?|{_END}")
MADE_LIMIT = 1000
"""Addresses with variables that are stored of one message; further ones stay as they are."""


@dataclass(frozen=True)
class Tracking:
    """What is tracked in the messages of one text; a link's number is its place in `links`.

    `urls` are fixed addresses, `patterns` those with variables, as they stand in the templates.
    """

    urls: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    opens: bool = False
    short: bool = False

    @property
    def links(self) -> tuple[str, ...]:
        """All addresses, by number."""
        return self.urls + self.patterns

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

    def addresses(
        self, keyring: Keyring, base_url: str, merchant_id: int, delivery_id: int
    ) -> "Addresses":
        """What gathers the addresses with variables of one message."""
        link = partial(click_url, keyring, base_url, merchant_id, delivery_id, short=self.short)
        return Addresses(self, link)


@dataclass
class Addresses:
    """The addresses with variables of one message: `found` gives each one's number and pattern.

    Their numbers go on from those of the text's links.
    """

    tracking: Tracking
    link: Callable[[int], str]
    found: dict[str, tuple[int, int]] = field(default_factory=dict)

    def followed(self, text: str, html: bool) -> str:
        """A field of the message with links in the places of these addresses."""
        if not self.tracking.patterns:
            return text

        def linked(made: re.Match[str]) -> str:
            number, address = int(made[1]), made[2]
            url = ascii_url((unescape(address) if html else address).strip())
            known = len(self.tracking.links)
            if number >= known or not _leads_there(url, self.tracking.links[number]):
                return address
            if url not in self.found and len(self.found) == MADE_LIMIT:
                return address
            return self.link(self.found.setdefault(url, (known + len(self.found), number))[0])

        return _LEFT.sub("", _MADE.sub(linked, text))


def with_tracking(
    channel: Channel, sources: Mapping[str, str], options: Options
) -> tuple[dict[str, str], Tracking]:
    """The templates with variables in the places of links, as far as the options ask for it.

    Channels without HTML get short links, since their messages' length costs.
    """
    html = {part.name for part in channel.fields if part.html}
    urls: dict[str, int] = {}
    patterns: dict[str, int] = {}
    made = dict(sources)
    if options.track_clicks:
        for part in channel.fields:
            if part.name in made and part.name != "subject":
                made[part.name] = _replaced(made[part.name], part.html, urls)
        for part in channel.fields:
            if part.name in made:
                made[part.name] = _numbered(made[part.name], part.html, len(urls), patterns)
    opens = options.track_opens and bool(html)
    if opens:
        for name in html & made.keys():
            made[name] = _with_pixel(made[name])
    return made, Tracking(tuple(urls), tuple(patterns), opens, short=not html)


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


async def store_addresses(w: Work, made: Mapping[int, Addresses]) -> None:
    """Store where the links of messages lead whose addresses have variables, by delivery.

    A message that is made once more has its newest addresses. Of a message that is no longer being
    sent, since its customer was erased, nothing is stored.
    """
    rows = [
        (delivery_id, number, link, url)
        for delivery_id, addresses in made.items()
        for url, (number, link) in addresses.found.items()
    ]
    columns: Sequence[Sequence[object]] = list(zip(*rows, strict=True))
    if columns:
        await w.sql.execute(
            """WITH held AS MATERIALIZED (
                   SELECT id FROM deliveries WHERE merchant_id = $1 AND id = ANY($2::bigint[])
                     AND state = 'sending' ORDER BY id FOR SHARE)
               INSERT INTO message_links AS m (merchant_id, delivery_id, number, link, url)
               SELECT $1, x.delivery_id, x.number, x.link, x.url
               FROM unnest($2::bigint[], $3::smallint[], $4::smallint[], $5::text[])
                    AS x (delivery_id, number, link, url)
               JOIN held ON held.id = x.delivery_id
               ORDER BY x.delivery_id, x.number
               ON CONFLICT (merchant_id, delivery_id, number)
               DO UPDATE SET link = excluded.link, url = excluded.url""",
            w.merchant_id, *columns,
        )  # fmt: skip


def links_of(source: str, html: bool) -> tuple[list[str], list[str]]:
    """(fixed addresses, those whose variables keep them from being tracked) of a template."""
    urls: dict[str, int] = {}
    _replaced(source, html, urls)
    marked: list[str] = []

    def look(hidden: str) -> str:
        found = [one[2] for one in _HREF.findall(hidden)] if html else _BARE.findall(hidden)
        marked.extend(url for url in found if MARK.search(url) and not _resolvable(url))
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
    def tracked(url: str, fixed: str) -> str:
        if _plain(url):
            return _mark(fixed, urls)
        return f"{_BEGIN}{url}{_END}" if _resolvable(url) else url

    def in_html(found: re.Match[str]) -> str:
        start, quote, url = found.groups()
        return f"{start}{quote}{tracked(url, ascii_url(unescape(url)))}{quote}"

    tags = {n for n, (at, _) in enumerate(liquid_marks(source)) if source[at + 1] == "%"}

    def in_text(found: re.Match[str]) -> str:
        ends = (one.start() for one in _ENDED.finditer(found[0]) if int(one[1]) in tags)
        url = found[0][: next(ends, None)].rstrip(_AFTER)
        return tracked(url, url) + found.group(0)[len(url) :]

    if html:
        return around_liquid(source, lambda hidden: _HREF.sub(in_html, hidden))
    return around_liquid(source, lambda hidden: _BARE.sub(in_text, hidden))


def _plain(url: str) -> bool:
    return MARK.search(url) is None and is_sound(unescape(url))


def _resolvable(url: str) -> bool:
    """Whether variables decide only where on a server an address leads, not to which."""
    site = _SITE.match(unescape(url))
    return bool(MARK.search(url)) and site is not None and _plain(site[0])


def _numbered(source: str, html: bool, first: int, patterns: dict[str, int]) -> str:
    """The template with the number of its link in each address with variables."""

    def number(found: re.Match[str]) -> str:
        pattern = unescape(found[1]) if html else found[1]
        place = first + patterns.setdefault(pattern, len(patterns))
        return f"{_BEGIN}{place}:{found[1]}{_END}"

    return _NUMBERED.sub(number, source)


def _leads_there(url: str, pattern: str) -> bool:
    """Whether an address is one of a pattern's; customers' values may hold anything at all."""
    site = _SITE.match(pattern)
    return site is not None and url.startswith(ascii_url(site[0])) and is_sound(url)


def _mark(url: str, urls: dict[str, int]) -> str:
    return "{{ %s }}" % _variable(urls.setdefault(url, len(urls)))  # noqa: UP031 - braces


def _variable(number: int) -> str:
    return f"link_{number}"


def _with_pixel(source: str) -> str:
    pixel = '<img src="{{ %s }}" width="1" height="1" alt="">' % PIXEL  # noqa: UP031 - braces
    end = source.lower().rfind("</body")
    return source + pixel if end < 0 else source[:end] + pixel + source[end:]
