"""Return paths and ids that name their message, and are read back from what comes in.

A message's key is signed already, so nobody can make up a bounce of a message that he did not get.
Mail servers may change the case of addresses, therefore the signature is in base32 here.
"""

import base64
import binascii
import re

SEPARATOR = "+"
LOCAL_LIMIT = 64
SIGNATURE_BYTES = 15

_PATH = re.compile(r"\+(\d{1,18})\.([a-z0-9.]{1,30})\.([a-z2-7]{24})@", re.I)
_KEY = re.compile(r"<(\d{1,18}(?:\.[a-z0-9]{1,30}){1,2}\.[\w-]{20})@", re.A)
_TAG = re.compile(r"(\d{1,18})-([a-z0-9]{1,30}(?:-[0-9]{1,18})?)-([\w-]{20})", re.A)


def return_path(address: str, key: str) -> str:
    """The envelope's sender of a message: bounces+1.4711.signature@example.com."""
    text, _, signature = key.rpartition(".")
    try:
        raw = base64.urlsafe_b64decode(signature)
    except (binascii.Error, ValueError):
        return address
    code = base64.b32encode(raw).decode().lower()
    local, _, domain = address.rpartition("@")
    named = f"{local}{SEPARATOR}{text}.{code}"
    if len(raw) != SIGNATURE_BYTES or len(named) > LOCAL_LIMIT:
        return address
    return f"{named}@{domain}"


def key_of_path(text: str) -> str | None:
    """The message's key in an address that `return_path` made, wherever it stands in the text."""
    found = _PATH.search(text)
    if found is None:
        return None
    raw = base64.b32decode(found.group(3).upper())
    return f"{found.group(1)}.{found.group(2).lower()}.{base64.urlsafe_b64encode(raw).decode()}"


def keys_of_ids(text: str) -> list[str]:
    """The keys in Message-IDs of ours, as In-Reply-To and References name them."""
    return _KEY.findall(text)


def tag(key: str) -> str:
    """A key in letters, digits, - and _ only, as providers want labels to be."""
    text, _, signature = key.rpartition(".")
    return f"{text.replace('.', '-')}-{signature}"


def key_of_tag(text: str) -> str | None:
    """The key that `tag` was given."""
    found = _TAG.fullmatch(text)
    if found is None:
        return None
    return ".".join([found.group(1), found.group(2).replace("-", "."), found.group(3)])
