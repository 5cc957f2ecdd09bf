"""A merchant's own lists of words, each set as a whole."""

import strawberry

from core.domain.shops.word_lists import words_of
from core.schema.setting_versions import IN_WORDS
from core.storage.database import Session
from core.storage.versions import versions_of


@strawberry.type(description="A list of the merchant's own words.")
class WordList:
    words: list[str] = strawberry.field(description="As they are sought in texts, sorted.")
    version: int = strawberry.field(description=IN_WORDS)


async def word_list(session: Session, table: str) -> WordList:
    """The words of a table, as they are now."""
    versions = await versions_of(session, table, [""])
    return WordList(words=await words_of(session, table), version=versions.get("", 0))
