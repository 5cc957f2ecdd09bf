"""What a frontend developer reads in the schema: how much of it says nothing may only fall."""

from collections import Counter

import pytest

from core.schema.build import build_schema
from core.schema.descriptions import WORDS, elements

WITHOUT = {"type": 47, "field": 626, "input field": 450, "enum value": 150, "argument": 204}
"""How many of each kind have no description. Lower them with each one that you write."""


@pytest.fixture(scope="module")
def found(installation):
    return list(elements(build_schema(installation.registry)._schema))


def test_no_more_elements_are_without_a_description(found):
    without = Counter(kind for kind, _, _, element in found if not element.description)
    grown = {kind: count - WITHOUT[kind] for kind, count in without.items()
             if count > WITHOUT[kind]}  # fmt: skip
    assert not grown, f"describe what you have added: {grown} more than before"
    assert dict(without) == WITHOUT, "fewer are without one: lower WITHOUT"


def test_words_are_all_shown(found):
    shown = {(name, member): element.description for _, name, member, element in found}
    unseen = [
        f"{name}.{member}"
        for names, words in WORDS.items()
        for name in names.split()
        for member, text in words.items()
        if shown.get((name, member)) != text
    ]
    assert not unseen, "no such element, or the code describes it itself"


def test_words_are_short_sentences():
    for names, words in WORDS.items():
        for member, text in words.items():
            assert text[0].isupper() or text[0] in "`0123456789", (names, member)
            assert text.endswith("."), (names, member)
            assert len(text) <= 160, (names, member)
