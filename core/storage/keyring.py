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
import logging
import os
import secrets
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.clock import system_clock
from core.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

KEY_BYTES = 32
NONCE_BYTES = 12
INDEX_BYTES = 16
MAX_KEY_ID = 255
LOOK_SECONDS = 5.0
"""How often a process that seals looks whether the keyring's file was changed."""


class SealError(Exception):
    """A sealed value does not open: wrong keyring, or the value was moved or altered."""


class Keyring:
    """Named keys: the primary one encrypts, each one decrypts what it once encrypted.

    `made` says when a key was made, where that is known. A keyring that was read from a file
    follows the file: renewed keys are taken over without a restart.
    """

    def __init__(
        self,
        keys: Mapping[int, bytes],
        primary: int,
        index_key: bytes,
        made: Mapping[int, datetime] | None = None,
    ) -> None:
        if primary not in keys:
            raise SettingsError(f"the keyring's primary key {primary} is not among its keys")
        if any(len(key) != KEY_BYTES for key in (*keys.values(), index_key)):
            raise SettingsError(f"every key of the keyring must be {KEY_BYTES} bytes long")
        self._index_key = index_key
        self._index_keys = lru_cache(maxsize=4096)(self._derive)
        self._file: Path | None = None
        self._seen: tuple[int, int, int] | None = None
        self._look_at = 0.0
        self._use(keys, primary, made or {})

    def _use(self, keys: Mapping[int, bytes], primary: int, made: Mapping[int, datetime]) -> None:
        self._keys = dict(keys)
        self.primary = primary
        self.made = {key_id: at for key_id, at in made.items() if key_id in keys}
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._sealing = (bytes([primary]), self._ciphers[primary])

    @property
    def ids(self) -> list[int]:
        """The keys' ids, in the order in which they were added."""
        return list(self._keys)

    def with_new_key(self, now: datetime) -> "Keyring":
        """A copy with one random key more, which does not encrypt yet. Raises SettingsError."""
        key_id = max(self._keys) + 1
        if key_id > MAX_KEY_ID:
            free = [n for n in range(1, MAX_KEY_ID + 1) if n not in self._keys]
            if not free:
                raise SettingsError("the keyring is full: retire a key first")
            key_id = free[0]
        keys = {**self._keys, key_id: secrets.token_bytes(KEY_BYTES)}
        return Keyring(keys, self.primary, self._index_key, {**self.made, key_id: now})

    def promoted(self, now: datetime) -> "Keyring":
        """A copy in which the newest key encrypts; its age counts from now."""
        newest = self.ids[-1]
        return Keyring(self._keys, newest, self._index_key, {**self.made, newest: now})

    def without(self, key_id: int) -> "Keyring":
        """A copy without a key. Raises SettingsError for the primary one."""
        keys = {one: key for one, key in self._keys.items() if one != key_id}
        return Keyring(keys, self.primary, self._index_key, self.made)

    def follow(self, path: Path) -> None:
        """Take over what the file says, now and whenever it is changed."""
        self._file = path
        self._seen = _stamp(path)

    def refresh(self) -> None:
        """Take over the file if it was changed; a keyring that came otherwise stays as it is."""
        if self._file is None:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            seen = _stamp(self._file)
            if seen == self._seen:
                return
            read = Keyring.from_text(self._file.read_text(errors="replace"))
        except (OSError, SettingsError) as error:
            logger.error("the changed keyring %s is not taken over: %s", self._file, error)
            return
        if read.fingerprint() != self.fingerprint():
            logger.error("the changed keyring %s belongs to another installation", self._file)
            return
        self._seen = seen
        self._use(read._keys, read.primary, read.made)

    @classmethod
    def generate(cls) -> "Keyring":
        """A new keyring with one random key."""
        keys = {1: secrets.token_bytes(KEY_BYTES)}
        return cls(keys, 1, secrets.token_bytes(KEY_BYTES), {1: system_clock()})

    @classmethod
    def from_text(cls, text: str) -> "Keyring":
        """Read what `to_text` wrote. Raises SettingsError when it is malformed."""
        try:
            data = json.loads(text)
            keys = {int(key_id): base64.b64decode(key) for key_id, key in data["keys"].items()}
            made = {
                int(key_id): datetime.fromisoformat(at)
                for key_id, at in data.get("made", {}).items()
            }
            return cls(keys, int(data["primary"]), base64.b64decode(data["index"]), made)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsError(
                f"the keyring is malformed ({error}): restore it from your backup, "
                "without it the contact data cannot be read"
            ) from None

    def to_text(self) -> str:
        """The keyring as JSON; whoever has it reads all contact data."""
        keys = {str(key_id): base64.b64encode(key).decode() for key_id, key in self._keys.items()}
        index = base64.b64encode(self._index_key).decode()
        made = {str(key_id): at.isoformat() for key_id, at in self.made.items()}
        return json.dumps(
            {"primary": self.primary, "keys": keys, "index": index, "made": made}, indent=1
        )

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
        if self._file is not None and time.monotonic() >= self._look_at:
            self.refresh()
        nonce = os.urandom(NONCE_BYTES)
        prefix, cipher = self._sealing
        return prefix + nonce + cipher.encrypt(nonce, value, place.encode())

    def open_bytes(self, sealed: bytes, place: str) -> bytes:
        """Decrypt bytes; see `open`."""
        cipher = self._ciphers.get(sealed[0]) if sealed else None
        if cipher is None and sealed:
            self.refresh()
            cipher = self._ciphers.get(sealed[0])
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
    path = keyring_path(settings)
    try:
        if not path.exists():
            _create(path)
        keyring = Keyring.from_text(path.read_text(errors="replace"))
        keyring.follow(path)
        return keyring
    except OSError as error:
        raise SettingsError(
            f"cannot read or make {path} ({error.strerror}): make its folder writable, "
            "or give the keyring in HUIKE_KEYRING"
        ) from None


def keyring_path(settings: Settings) -> Path:
    """Where the keyring stands, unless HUIKE_KEYRING gives it."""
    return settings.home / "keyring.json"


def write_keyring(path: Path, keyring: Keyring) -> None:
    """Replace the keyring's file in one step, so that nobody ever reads half of it."""
    draft = _draft(path, keyring)
    try:
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = _draft(path, Keyring.generate())
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # fails when another process was first: theirs counts
    finally:
        os.unlink(draft)


def _draft(path: Path, keyring: Keyring) -> str:
    handle, draft = tempfile.mkstemp(prefix=".keyring-", dir=path.parent)  # of mode 0600
    with open(handle, "w") as file:
        file.write(keyring.to_text())
        file.flush()
        os.fsync(handle)  # the database, too, outlives a power cut
    return draft


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
