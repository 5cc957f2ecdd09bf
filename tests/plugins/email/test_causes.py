"""Whose fault a refusal is: what the large providers really say."""

from pathlib import Path

from plugins.email.bounces.causes import cause_of

REFUSALS = Path(__file__).with_name("refusals.tsv")
"""Cause, enhanced code or -, and the words."""


def test_what_providers_say():
    cases = [line.split("\t") for line in REFUSALS.read_text("utf-8").splitlines()]
    made = [(cause_of(None if code == "-" else code, words), words) for _, code, words in cases]
    assert made == [(cause, words) for cause, _, words in cases]


def test_a_refused_recipient_in_smtp():
    assert cause_of(None, "550 5.1.1 <a@b.example>... User unknown") == "hard"
    assert cause_of(None, "550 asked for by the recipient") == "block"
