"""HTML of messages: MJML and style sheets are worked in once per template, before the merge.

Liquid's marks are taken out first and put back after, since tools for HTML do not know them. Where
one stands between tags it becomes a comment, which is allowed everywhere, tables included.
"""

import re
import string
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from urllib.parse import quote

from core.sdk.large import css_inline, lexbor, mrml

CLIPPED_BYTES = 102 * 1024
"""Above this size some mailboxes show a message cut off."""

MAX_TAGS = 5_000
MAX_MJML_TAGS = 1_000
"""The parsers end the process where tags nested too deeply use up the stack."""

_LIQUID = re.compile(r"\{([{%])")
_ENDS = re.compile(r"</(?:body|html)\s*>", re.I)
_EDGE = re.compile(r"<!--|-->|<|>")
_OPENED = re.compile(r"<[a-z]", re.I)
MARK = re.compile(r"(?:<!--|&lt;!--)?hklq([0-9]+)x(?:-->|--&gt;)?")
"""What stands for one of Liquid's marks while HTML is worked on."""
_MJML = re.compile(r"\s*<mjml\b", re.I)
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_EMPTY_LINES = re.compile(r"\n{3,}")
_INVISIBLE = frozenset({"head", "style", "script", "title", "template", "noscript"})
_BLOCKS = frozenset({
    "address", "article", "blockquote", "div", "dl", "footer", "form", "header", "li", "main",
    "ol", "section", "table", "tr", "ul",
})  # fmt: skip
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre"})


class HtmlError(Exception):
    """HTML or MJML that cannot be worked with; the message is for who wrote it."""


def is_mjml(source: str) -> bool:
    """Whether a template is written in MJML."""
    return _MJML.match(source) is not None


@lru_cache(maxsize=256)
def prepared(source: str) -> str:
    """A template as HTML with its styles inline; one that has neither is returned as it is.

    A style sheet with Liquid in it stays as it is. Raises HtmlError.
    """
    mjml = is_mjml(source)
    limit = MAX_MJML_TAGS if mjml else MAX_TAGS
    if len(_OPENED.findall(source)) > limit:
        raise HtmlError(f"it has more than {limit} tags")
    if mjml:
        return around_liquid(source, _from_mjml)
    styles = [node.text() for node in lexbor.LexborHTMLParser(source).css("style")]
    if not any(styles) or any(_LIQUID.search(style) for style in styles):
        return source
    return around_liquid(source, _inlined, comments=True)


@lru_cache(maxsize=256)
def plain_text(source: str) -> str:
    """The text of a prepared template, with the addresses of its links; Liquid's marks stay.

    Raises HtmlError.
    """
    try:
        return around_liquid(source, _text, comments=True, whole=False)
    except RecursionError:
        raise HtmlError("its tags are nested too deeply") from None


def around_liquid(
    source: str, work: Callable[[str], str], comments: bool = False, whole: bool = True
) -> str:
    """A template after some work on it in which Liquid's marks stand as words (see `MARK`).

    With `comments` they are comments where they are in no tag. Raises HtmlError when a mark is
    lost by the work, unless `whole` is False.
    """
    places = liquid_marks(source)
    made = work("".join(_hidden(source, places, comments)))
    kept = {int(number) for number in MARK.findall(made)}
    if whole and len(kept) < len(places):
        start, end = next(place for n, place in enumerate(places) if n not in kept)
        raise HtmlError(f"{source[start:end]} stands where HTML does not allow it")
    return MARK.sub(lambda found: source[slice(*places[int(found.group(1))])], made)


def liquid_marks(source: str) -> list[tuple[int, int]]:
    """Where Liquid's marks begin and end, each standing for itself by its place in the list."""
    places, end, closers = [], 0, {"{": "}}", "%": "%}"}
    while found := _LIQUID.search(source, end):
        end = found.end()
        closer = closers.get(found.group(1))
        close = -1 if closer is None else source.find(closer, end)
        if close >= 0:
            end = close + 2
            places.append((found.start(), end))
        else:
            closers.pop(found.group(1), None)  # nor can any later one end
    return places


def _hidden(source: str, places: list[tuple[int, int]], comments: bool) -> Iterator[str]:
    """The source with a word for each mark, or a comment where it is in no tag or comment."""
    last, inside = 0, ""
    for number, (start, end) in enumerate(places):
        literal = source[last:start]
        last = end
        for edge in _EDGE.findall(literal):
            if inside == "<!--":
                inside = "" if edge == "-->" else inside
            else:
                inside = edge if edge.startswith("<") else ""
        mark = f"hklq{number}x"
        yield literal
        yield f"<!--{mark}-->" if comments and not inside else mark
    yield source[last:]


def _from_mjml(source: str) -> str:
    try:
        made = mrml.to_html(source, render_options=mrml.RenderOptions(fonts={}))
    except OSError as error:
        raise HtmlError(f"the MJML cannot be read: {error}") from None
    return str(made.content)


@cache
def _inliner() -> "css_inline.CSSInliner":
    return css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


def _inlined(source: str) -> str:
    try:
        return _inliner().inline(source)
    except (ValueError, css_inline.InlineError) as error:
        raise HtmlError(f"the style sheet cannot be worked in: {error}") from None


def _text(source: str) -> str:
    pieces: list[str] = []
    # what stands before or after the body belongs to it, marks among them
    _gather(lexbor.LexborHTMLParser("<body>" + _ENDS.sub("", source)).root, pieces)
    lines = [line.strip() for line in "".join(pieces).split("\n")]
    return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip()


def _gather(node: "lexbor.LexborNode | None", pieces: list[str]) -> None:
    for child in node.iter(include_text=True) if node is not None else ():
        tag = child.tag or ""
        if tag == "-text":
            pieces.append(_BLANKS.sub(" ", child.text_content or ""))
        elif tag == "-comment":
            pieces.append((child.html or "") if MARK.fullmatch(child.html or "") else "")
        elif tag == "br":
            pieces.append("\n")
        elif tag == "img":
            pieces.append(child.attributes.get("alt") or "")
        elif tag not in _INVISIBLE:
            edge = "\n\n" if tag in _PARAGRAPHS else "\n" if tag in _BLOCKS else ""
            pieces.append(edge)
            start = len(pieces)
            _gather(child, pieces)
            if tag == "a":
                _add_address(child.attributes.get("href") or "", pieces, start)
            pieces.append(" " if tag in ("td", "th") else edge)


def ascii_url(url: str) -> str:
    """An address whose other characters are coded, as browsers send it."""
    return quote(url, safe=string.punctuation)


def _add_address(href: str, pieces: list[str], start: int) -> None:
    """The address of a link behind its text, unless that is the address."""
    if href and not href.startswith("#") and "".join(pieces[start:]).strip() != href:
        pieces.append(f" ({ascii_url(href)})")
