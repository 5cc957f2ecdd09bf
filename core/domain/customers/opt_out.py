"""Words by which somebody who was written to says: no more."""

import re
import unicodedata
from collections.abc import Iterable

OPT_OUT_WORDS = frozenset({
    "T", "TD", "R", "N", "退订", "STOP", "QUIT", "END", "REVOKE", "OPT OUT", "CANCEL",
    "UNSUBSCRIBE",
})  # fmt: skip
"""Chinese short messages ask for T, TD, R, N or 退订; the English words count by law in the US."""

_BETWEEN_WORDS = re.compile(r"[\W_]+")


def is_opt_out(text: str, words: Iterable[str] = OPT_OUT_WORDS) -> bool:
    """Whether an answer is one of the words and nothing else.

    Case, full width, blanks and punctuation do not count: "ｔ", " Stop. " and "opt-out" are words.
    """
    said = _normal(text)
    return bool(said) and said in {_normal(word) for word in words}


def _normal(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _BETWEEN_WORDS.sub(" ", folded).strip()
