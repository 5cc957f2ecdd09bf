"""The font that cards are printed with, and which characters it has."""

import unicodedata
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reportlab.pdfbase.ttfonts import TTFont

NAME = "WenQuanYi Micro Hei"
INVISIBLE = ("Cc", "Cf", "Mn")
"""Controls, joiners, and marks on the character before: nothing by themselves."""
MISSING = "〓"
"""The geta mark, which Chinese and Japanese print has for a character that the font lacks."""


@cache
def font() -> "TTFont":
    """The font, registered with reportlab; reading it takes half a second once."""
    from reportlab.pdfbase import pdfmetrics  # large, seldom needed
    from reportlab.pdfbase.ttfonts import TTFont

    file = files("paperang_p2_fonts_cjk").joinpath("fonts", "wqy-microhei.ttc")
    with file.open("rb") as opened:
        made = TTFont(NAME, opened)
    pdfmetrics.registerFont(made)
    return made


def lacking(text: str) -> str:
    """The characters of a text that cannot be printed, each once."""
    return "".join(dict.fromkeys(sign for sign in text if MISSING in _printed(sign)))


def printable(text: str) -> str:
    """A text as it can be printed: what the font lacks is written otherwise, or marked."""
    return "".join(map(_printed, text))


@cache
def _printed(sign: str) -> str:
    """What is printed for a character: itself, one of the same meaning, nothing, or the mark."""
    if _known(sign):
        return sign
    if unicodedata.category(sign) in INVISIBLE:
        return ""
    plain = unicodedata.normalize("NFKD", sign)
    plain = "".join(one for one in plain if unicodedata.category(one) not in INVISIBLE)
    return plain if plain and all(map(_known, plain)) else MISSING


def _known(sign: str) -> bool:
    face = font().face
    glyph = face.charToGlyph.get(ord(sign))
    if sign.isspace() or glyph is None:
        return sign.isspace()
    # the font has empty glyphs, too
    return bool(face.glyphPos[glyph] < face.glyphPos[glyph + 1])
