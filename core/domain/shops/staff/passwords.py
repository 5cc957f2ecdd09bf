"""Passwords: what makes one good enough, and their slow hashes (Argon2id)."""

import asyncio
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from core.sdk.errors import InvalidInput

MIN_LENGTH, MAX_LENGTH = 12, 200
AT_ONCE = 2
"""Each hash takes 64 MiB: more than these wait for their turn."""

NOBODYS = (
    "$argon2id$v=19$m=65536,t=3,p=4$0PRlSc8yplr1qwh46Km7Mw"
    "$rOn9cDlfN801wQTOSwk79J+79YyLYw7vq5NmMbiirEs"
)
"""A hash of a password that nobody knows, for accounts that have none: they take as long."""

_hasher = PasswordHasher()
_turns = asyncio.Semaphore(AT_ONCE)


def check_password(
    password: str, email: str = "", path: tuple[str, ...] = ("input", "password")
) -> str:
    """The password in its normal form. Raises InvalidInput for one that is easily guessed."""
    text = unicodedata.normalize("NFKC", password)
    if not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        raise InvalidInput(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters", path)
    local = email.partition("@")[0]
    if len(set(text)) < 5 or (len(local) > 3 and local in text.lower()):
        raise InvalidInput("this password is easily guessed: take a longer, mixed one", path)
    return text


async def hash_password(password: str) -> str:
    """The hash to keep of a password in its normal form."""
    async with _turns:
        return await asyncio.to_thread(_hasher.hash, password)


async def matches(stored: str | None, password: str) -> bool:
    """Whether a password is the one whose hash is kept; takes as long when none is."""
    text = unicodedata.normalize("NFKC", password)[:MAX_LENGTH]
    async with _turns:
        fits = await asyncio.to_thread(_verify, stored or NOBODYS, text)
    return fits and stored is not None


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with parameters that are no longer used."""
    return _hasher.check_needs_rehash(stored)


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (Argon2Error, InvalidHashError):
        return False
