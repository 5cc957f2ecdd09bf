"""A merchant's own lists of words, such as those that end marketing: one word a row."""

from collections.abc import Callable, Sequence

from core.sdk.errors import Faults
from core.storage.database import Session, Work
from core.storage.versions import next_version

WORD_LIMIT = 50

PATH = ("input", "words")


async def words_of(session: Session, table: str) -> list[str]:
    """The words of a list, sorted."""
    rows = await session.sql.fetch(
        f"SELECT word FROM {table} WHERE merchant_id = $1 ORDER BY word", session.merchant_id
    )
    return [row["word"] for row in rows]


async def replace_words(
    w: Work,
    table: str,
    words: Sequence[str],
    folded: Callable[[str], str],
    most: int,
    if_version: int | None = None,
) -> None:
    """Replace the words of a list by these, as `folded` makes them alike.

    The table is the kind of setting. Raises InvalidInput, Several, Conflict.
    """
    faults = Faults()
    for number, word in enumerate(words):
        if not 0 < len(folded(word)) <= WORD_LIMIT or "\x00" in word:
            faults.wrong(f"a word has 1 to {WORD_LIMIT} characters", "words", number)
    wanted = sorted({folded(word) for word in words})
    if len(wanted) > most:
        faults.wrong(f"at most {most} words", "words")
    faults.tell()
    await next_version(w, table, "", if_version)
    await w.sql.execute(
        f"DELETE FROM {table} WHERE merchant_id = $1 AND word <> ALL($2::text[])",
        w.merchant_id, wanted,
    )  # fmt: skip
    await w.sql.execute(
        f"""INSERT INTO {table} (merchant_id, word) SELECT $1, unnest($2::text[])
            ON CONFLICT (merchant_id, word) DO NOTHING""",
        w.merchant_id, wanted,
    )  # fmt: skip
    w.audit(f"{table}.set", {"count": len(wanted)})
