"""Codes of our own: random, short enough to be typed, with a symbol that tells typos from guesses.

A code is BODY random symbols and a check symbol, of an alphabet without what looks alike. Its 31
symbols are a prime number, and each place has a weight of its own: one wrong symbol, or two that
changed places, never leave a sound code.
"""

import os
import unicodedata

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
BODY = 11
LENGTH = BODY + 1
MAX_CODE = 64

_SIZE = len(ALPHABET)
_USED = 256 - 256 % _SIZE
_DIGITS = bytes(byte % _SIZE for byte in range(256))
_SPOILT = bytes(range(_USED, 256))
"""Bytes that would make some symbols likelier than others."""
_LETTERS = ALPHABET.encode() + bytes(256 - _SIZE)
_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}
_KNOWN = frozenset(ALPHABET)


def make_codes(count: int) -> list[str]:
    """So many random codes, which nobody can guess from others; equal ones are very rare."""
    wanted = count * BODY
    digits = b""
    while len(digits) < wanted:
        more = os.urandom((wanted - len(digits)) * 256 // _USED + 16)
        digits += more.translate(_DIGITS, _SPOILT)
    digits = digits[:wanted]
    letters = digits.translate(_LETTERS).decode("ascii")
    places = [digits[place::BODY] for place in range(BODY)]
    checks = [
        ALPHABET[
            (a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j + 11 * k)
            % _SIZE
        ]
        for a, b, c, d, e, f, g, h, i, j, k in zip(*places, strict=True)
    ]
    return [letters[n * BODY : n * BODY + BODY] + check for n, check in enumerate(checks)]


def normal(text: str) -> str:
    """A code as it is looked up: full-width letters, case, spaces and hyphens do not count."""
    plain = unicodedata.normalize("NFKC", text).upper()
    return "".join(symbol for symbol in plain if not symbol.isspace() and symbol != "-")


def mistyped(code: str) -> bool:
    """Whether a normal code looks like one of ours and cannot be one: no guess, but a typo."""
    if len(code) != LENGTH or not _KNOWN.issuperset(code):
        return False
    *body, check = (_VALUES[symbol] for symbol in code)
    return sum(weight * value for weight, value in enumerate(body, 1)) % _SIZE != check
