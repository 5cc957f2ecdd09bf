"""Words of the merchant's own that make a review negative, whatever its sign."""

import unicodedata
from collections.abc import Sequence

from core.sdk.errors import InvalidInput
from core.storage.database import Session, Work

MAX_WORDS = 500
WORD_LIMIT = 50


def folded(text: str) -> str:
    """The text as words are sought in it: NFKC, small letters, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


async def review_words(session: Session) -> list[str]:
    """The merchant's words, folded and sorted."""
    rows = await session.sql.fetch(
        "SELECT word FROM review_words WHERE merchant_id = $1 ORDER BY word", session.merchant_id
    )
    return [row["word"] for row in rows]


async def set_review_words(w: Work, words: Sequence[str]) -> None:
    """Replace the words; reviews that are taken in from now on are looked through for them.

    Raises InvalidInput.
    """
    for place, word in enumerate(words):
        if not 0 < len(folded(word)) <= WORD_LIMIT or "\x00" in word:
            raise InvalidInput(
                f"a word has 1 to {WORD_LIMIT} characters", ("input", "words", place)
            )
    wanted = sorted({folded(word) for word in words})
    if len(wanted) > MAX_WORDS:
        raise InvalidInput(f"at most {MAX_WORDS} words", ("input", "words"))
    await w.sql.execute(
        "DELETE FROM review_words WHERE merchant_id = $1 AND word <> ALL($2::text[])",
        w.merchant_id, wanted,
    )  # fmt: skip
    await w.sql.execute(
        """INSERT INTO review_words (merchant_id, word) SELECT $1, unnest($2::text[])
           ON CONFLICT (merchant_id, word) DO NOTHING""",
        w.merchant_id, wanted,
    )  # fmt: skip
    w.audit("review_words.set", {"count": len(wanted)})


def found_in(words: Sequence[str], *texts: str | None) -> bool:
    """Whether any of the folded words stands in any of the texts."""
    if not words:
        return False
    inside = " ".join(folded(text) for text in texts if text)
    return any(word in inside for word in words)
