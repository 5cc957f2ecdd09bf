"""What a frontend developer reads in the schema: all of it says what it is."""

import pytest

from core.schema.build import build_schema
from core.schema.descriptions import CLEARS, WORDS, elements


@pytest.fixture(scope="module")
def found(installation):
    return list(elements(build_schema(installation.registry)._schema))


def test_everything_has_a_description(found):
    without = [f"{kind} {name}.{member}" for kind, name, member, element in found
               if not element.description]  # fmt: skip
    assert not without, (
        "describe what you have added, beside the code or in core.schema.descriptions"
    )


def test_words_are_all_shown(found):
    shown = {(name, member): element.description for _, name, member, element in found}
    unseen = [
        f"{name}.{member}"
        for names, words in WORDS.items()
        for name in names.split()
        for member, text in words.items()
        if (shown.get((name, member)) or "").removesuffix(CLEARS) != text
    ]
    assert not unseen, "no such element, or the code describes it itself"


def test_words_are_short_sentences():
    for names, words in WORDS.items():
        for member, text in words.items():
            assert text[0].isupper() or text[0] in "`0123456789", (names, member)
            assert text.endswith("."), (names, member)
            assert len(text) <= 160, (names, member)
