"""Amounts as text are those of the decimals."""

import pytest

from core.sdk.money import from_minor, minor_text


@pytest.mark.parametrize("currency", ["CNY", "JPY", "KWD", "XXX"])
@pytest.mark.parametrize("minor", [0, 1, 9, 10, 99, 100, 101, 12345, 10**15, 2**63 - 1, -1, -12345])
def test_the_text_is_the_decimals(minor, currency):
    assert minor_text(minor, currency) == str(from_minor(minor, currency))
