"""Encryption of contact data at rest, and the blind index that finds it again.

A sealed value is `key id (1 byte) | nonce (12) | AES-256-GCM ciphertext and tag`. Its associated
data names table, column, merchant and row, so that a value moved to another row does not open.
The blind index is a keyed hash of the normalised value under a key of its own per field and
merchant: equal values are found, nothing else is learnt.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.settings import Settings, SettingsError

KEY_BYTES = 32
NONCE_BYTES = 12
INDEX_BYTES = 16


class SealError(Exception):
    """A sealed value does not open: wrong keyring, or the value was moved or altered."""


class Keyring:
    """Named keys: the primary one encrypts, each one decrypts what it once encrypted."""

    def __init__(self, keys: Mapping[int, bytes], primary: int, index_key: bytes) -> None:
        if primary not in keys:
            raise SettingsError(f"the keyring's primary key {primary} is not among its keys")
        if any(len(key) != KEY_BYTES for key in (*keys.values(), index_key)):
            raise SettingsError(f"every key of the keyring must be {KEY_BYTES} bytes long")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._keys = dict(keys)
        self._primary = primary
        self._prefix = bytes([primary])
        self._index_key = index_key
        self._index_keys = lru_cache(maxsize=4096)(self._derive)

    @classmethod
    def generate(cls) -> "Keyring":
        """A new keyring with one random key."""
        return cls({1: secrets.token_bytes(KEY_BYTES)}, 1, secrets.token_bytes(KEY_BYTES))

    @classmethod
    def from_text(cls, text: str) -> "Keyring":
        """Read what `to_text` wrote. Raises SettingsError when it is malformed."""
        try:
            data = json.loads(text)
            keys = {int(key_id): base64.b64decode(key) for key_id, key in data["keys"].items()}
            return cls(keys, int(data["primary"]), base64.b64decode(data["index"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsError(
                f"the keyring is malformed ({error}): restore it from your backup, "
                "without it the contact data cannot be read"
            ) from None

    def to_text(self) -> str:
        """The keyring as JSON; whoever has it reads all contact data."""
        keys = {str(key_id): base64.b64encode(key).decode() for key_id, key in self._keys.items()}
        index = base64.b64encode(self._index_key).decode()
        return json.dumps({"primary": self._primary, "keys": keys, "index": index}, indent=1)

    def fingerprint(self) -> str:
        """Tells two keyrings apart without giving either away."""
        return hmac.new(self._index_key, b"fingerprint", hashlib.sha256).hexdigest()[:16]

    def seal(self, value: str, place: str) -> bytes:
        """Encrypt `value` for `place`, for instance "customers.phone|7|4711"."""
        return self.seal_bytes(value.encode(), place)

    def open(self, sealed: bytes, place: str) -> str:
        """Decrypt what `seal` made for the same place. Raises SealError."""
        return self.open_bytes(sealed, place).decode()

    def seal_bytes(self, value: bytes, place: str) -> bytes:
        """Encrypt bytes; see `seal`."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self._primary].encrypt(nonce, value, place.encode())
        return self._prefix + nonce + sealed

    def open_bytes(self, sealed: bytes, place: str) -> bytes:
        """Decrypt bytes; see `open`."""
        cipher = self._ciphers.get(sealed[0]) if sealed else None
        if cipher is None:
            raise SealError(f"{place}: sealed with a key that the keyring does not hold")
        nonce, text = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, text, place.encode())
        except (InvalidTag, ValueError):  # ValueError: cut off within the nonce
            raise SealError(f"{place}: the sealed value was moved or altered") from None

    def blind_index(self, field: str, merchant_id: int, value: str) -> bytes:
        """Keyed hash (16 bytes) of a normalised value, for exact look-up only."""
        key = self._index_keys(field, merchant_id)
        return hmac.digest(key, value.encode(), "sha256")[:INDEX_BYTES]

    def sign(self, purpose: str, text: str) -> str:
        """Short signature for links that leave the house; see `verify`."""
        digest = hmac.digest(self._index_keys(f"sign:{purpose}", 0), text.encode(), "sha256")
        return base64.urlsafe_b64encode(digest[:15]).decode()

    def verify(self, purpose: str, text: str, signature: str) -> bool:
        """Whether `sign(purpose, text)` gave `signature`, compared in constant time."""
        return hmac.compare_digest(self.sign(purpose, text).encode(), signature.encode())

    def derive(self, purpose: str, merchant_id: int) -> bytes:
        """A key (32 bytes) of a merchant's own for a purpose; it outlives the encryption keys."""
        return self._index_keys(f"key:{purpose}", merchant_id)

    def _derive(self, field: str, merchant_id: int) -> bytes:
        return hmac.digest(self._index_key, f"{field}|{merchant_id}".encode(), "sha256")


def load_keyring(settings: Settings) -> Keyring:
    """The keyring from HUIKE_KEYRING, or from `keyring.json` in the home, made at first use."""
    if settings.keyring is not None:
        return Keyring.from_text(settings.keyring)
    path = settings.home / "keyring.json"
    try:
        if not path.exists():
            _create(path)
        return Keyring.from_text(path.read_text(errors="replace"))
    except OSError as error:
        raise SettingsError(
            f"cannot read or make {path} ({error.strerror}): make its folder writable, "
            "or give the keyring in HUIKE_KEYRING"
        ) from None


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(prefix=".keyring-", dir=path.parent)  # of mode 0600
    try:
        with open(handle, "w") as file:
            file.write(Keyring.generate().to_text())
            file.flush()
            os.fsync(handle)  # the database, too, outlives a power cut
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # fails when another process was first: theirs counts
    finally:
        os.unlink(draft)
