"""DKIM signatures (RFC 6376, RFC 8463): relaxed/relaxed, with RSA and Ed25519.

Own code, since what there is signs 125 messages a second: the canonical forms are made once for
all keys of a message, and the keys are kept ready.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

Header = tuple[str, str]
"""A header's name and its text, which may be folded."""
PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

LEAST_BITS = 1024
SIGNED = (
    "from", "reply-to", "to", "subject", "date", "message-id", "list-unsubscribe",
    "list-unsubscribe-post", "feedback-id", "mime-version", "content-type",
)  # fmt: skip
"""The headers that are signed where a message has them."""
ONCE = ("from", "subject", "to")
"""Named once more than they are there, so that nobody adds a second one on the way."""

_BLANKS = re.compile(rb"[ \t]+")
_FOLDS = re.compile(r"\r\n(?=[ \t])")
_SPACES = re.compile(r"[ \t]+")


class UnfitKey(ValueError):
    """A private key that cannot sign; the text says why."""


def read_key(pem: str) -> PrivateKey:
    """The private key of a PEM file's text. Raises UnfitKey."""
    try:
        key = load_pem_private_key(pem.strip().encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnfitKey(
            "this is no private key in PEM form without a password; "
            "`huike email dkim-key DOMAIN` makes one"
        ) from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if not isinstance(key, rsa.RSAPrivateKey):
        raise UnfitKey("mail is signed with RSA or Ed25519; this key is of another kind")
    if key.key_size < LEAST_BITS:
        raise UnfitKey(f"the RSA key has {key.key_size} bits; take 2048")
    return key


class Signer:
    """Signs messages with one key in the name of one domain."""

    def __init__(self, domain: str, selector: str, key: PrivateKey) -> None:
        self.domain = domain
        self._key = key
        self.slow = isinstance(key, rsa.RSAPrivateKey)
        """A signature takes nearly a millisecond, without holding the interpreter."""
        kind = "rsa" if self.slow else "ed25519"
        self._start = f"v=1; a={kind}-sha256; c=relaxed/relaxed; d={domain}; s={selector};\r\n t="

    def header(self, names: str, canonical: str, body_hash: str, at: int) -> Header:
        """The signature's header, of canonical headers and the body's hash, at a Unix time."""
        value = f"{self._start}{at}; h={names};\r\n bh={body_hash};\r\n b="
        signed = f"{canonical}{canonical_header('dkim-signature', value)}".encode()
        signature = base64.b64encode(self.signature(signed)).decode()
        lines = "\r\n ".join(
            signature[start : start + 72] for start in range(0, len(signature), 72)
        )
        return "DKIM-Signature", value + lines

    def signature(self, signed: bytes) -> bytes:
        """The signature of what is to be signed."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(signed, PKCS1v15(), SHA256())
        return self._key.sign(hashlib.sha256(signed).digest())


def sign(
    signers: Sequence[Signer], headers: Sequence[Header], body: bytes, at: int
) -> list[Header]:
    """The DKIM-Signature headers of a message, one for each signer.

    `headers` are the message's own, each name once; `body` has CRLF line ends.
    """
    if not signers:
        return []
    there = {name.lower(): value for name, value in headers}
    names = [name for name in SIGNED if name in there]
    canonical = "".join(canonical_header(name, there[name]) + "\r\n" for name in names)
    listed = ":".join([*names, *ONCE])
    hashed = body_hash(body)
    return [signer.header(listed, canonical, hashed, at) for signer in signers]


def canonical_header(name: str, value: str) -> str:
    """A header in relaxed form, without the line's end."""
    return f"{name.lower()}:{_SPACES.sub(' ', _FOLDS.sub('', value)).strip(' ')}"


def body_hash(body: bytes) -> str:
    """The hash of a body in relaxed form."""
    if b" " in body or b"\t" in body:
        body = _BLANKS.sub(b" ", body).replace(b" \r\n", b"\r\n")
    body = body.rstrip(b"\r\n ")
    return base64.b64encode(hashlib.sha256(body and body + b"\r\n").digest()).decode()


def as_text(headers: Iterable[Header]) -> str:
    """Headers as they stand in a message."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers)
