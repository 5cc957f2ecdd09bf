"""Words of the merchant's own that make a review negative, whatever its sign."""

import unicodedata
from collections.abc import Sequence

from core.domain.shops.word_lists import replace_words, words_of
from core.storage.database import Session, Work

MAX_WORDS = 500
TABLE = "review_words"


def folded(text: str) -> str:
    """The text as words are sought in it: NFKC, small letters, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


async def review_words(session: Session) -> list[str]:
    """The merchant's words, folded and sorted."""
    return await words_of(session, TABLE)


async def set_review_words(w: Work, words: Sequence[str], if_version: int | None = None) -> None:
    """Replace the words; reviews that are taken in from now on are looked through for them.

    Raises InvalidInput, Conflict.
    """
    await replace_words(w, TABLE, words, folded, MAX_WORDS, if_version)


def found_in(words: Sequence[str], *texts: str | None) -> bool:
    """Whether any of the folded words stands in any of the texts."""
    if not words:
        return False
    inside = " ".join(folded(text) for text in texts if text)
    return any(word in inside for word in words)
