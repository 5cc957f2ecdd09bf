"""Ids as clients see them: a type and a number, made opaque."""

import binascii
from collections.abc import Callable
from functools import cache

MAX_ID = 2**63

TOKEN_DIGITS = 18
"""The most digits of a number in a token; more would not fit the database's ids."""


def is_number(text: str) -> bool:
    """Whether a token's part is a number as we write ids."""
    return text.isascii() and text.isdecimal() and len(text) <= TOKEN_DIGITS


def join_id(type_name: str, pk: int) -> str:
    """The global id of an object, in base64 that is safe in URLs.

    Letters, digits, "_" and ":" never make the two characters that are not.
    """
    return id_maker(type_name)(pk)


@cache
def id_maker(type_name: str) -> Callable[[int], str]:
    """`join_id` for the objects of one type."""
    form = f"{type_name}:%d".encode()
    encode = binascii.b2a_base64

    def make(pk: int) -> str:
        return encode(form % pk, newline=False).decode("ascii")

    return make


def split_id(text: str) -> tuple[str, int] | None:
    """Type and number of a global id, None when it is none of ours."""
    try:
        decoded = binascii.a2b_base64(text, strict_mode=True)
        name, _, number = decoded.decode().partition(":")
    except ValueError:  # binascii's and Unicode's are such
        return None
    if not (name.isascii() and number.isascii() and number.isdecimal() and len(number) <= 19):
        return None
    pk = int(number)
    return (name, pk) if pk < MAX_ID else None
