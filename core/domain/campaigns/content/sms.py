"""Text messages: how long they are, in how many parts they go, and what providers refuse.

At home (mainland China) every character counts as one UTF-16 unit, with the signature in front.
Abroad a text of the GSM alphabet alone has longer parts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LENGTH = 500
"""Providers at home take no longer message, in UTF-16 units with the signature."""

_UNICODE = (70, 67)
_GSM = (160, 153)
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")
_OPT_OUT = re.compile(
    r"(?:拒收|退订|回复?\s*[A-Za-z]|\bstop\b|unsubscribe|opt out)[^。！!？?]{0,16}$", re.I
)
_LINK = re.compile(r"https?://|www\.", re.I)


@dataclass(frozen=True)
class Measure:
    """A message's length in units of its encoding, and its parts, signature included."""

    length: int
    parts: int


def measure(text: str, signature: str = "", abroad: bool = False) -> Measure:
    """How long a message is; the signature is put in front as 【signature】."""
    whole = f"【{signature}】{text}" if signature else text
    widths = _gsm_widths(whole) if abroad else None
    if widths is not None:
        return Measure(sum(widths), _parts(widths, *_GSM))
    widths = [2 if character > "\uffff" else 1 for character in whole]
    return Measure(sum(widths), _parts(widths, *_UNICODE))


def faults(text: str, signature: str = "", abroad: bool = False) -> Iterator[str]:
    """What a provider would refuse the message for."""
    beyond = sorted({character for character in text if character > "\uffff"})
    if beyond and not abroad:
        yield f"providers at home refuse such characters: {' '.join(beyond[:5])}"
    if ("【" in text or "】" in text) and not abroad:
        yield "the signature is put in front by itself: leave 【 and 】 out"
    length = measure(text, signature, abroad).length
    if length > MAX_LENGTH and not abroad:
        yield f"it has {length} characters with its signature; {MAX_LENGTH} are taken"


def says_how_to_refuse(text: str, words: str | None = None) -> bool:
    """Whether a marketing text ends by telling how to get no more, in these words if given."""
    end = text.rstrip(" 。.！!")
    return end.endswith(words) if words else _OPT_OUT.search(end) is not None


def has_link(value: str) -> bool:
    """Whether a variable's value brings a link, which providers refuse."""
    return _LINK.search(value) is not None


def _parts(widths: list[int], alone: int, joined: int) -> int:
    if sum(widths) <= alone:
        return 1
    parts, used = 1, 0
    for width in widths:  # a character of two units is not cut in two
        if used + width > joined:
            parts, used = parts + 1, 0
        used += width
    return parts


def _gsm_widths(text: str) -> list[int] | None:
    """Each character's width in the GSM alphabet, or None for a text that is not of it."""
    widths = [1 if one in _BASIC else 2 if one in _EXTENDED else 0 for one in text]
    return widths if all(widths) else None
