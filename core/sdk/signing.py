"""Signatures: of the Chinese gateways (Taobao's TOP, and IOP of AliExpress and Lazada), and of what
platforms push.
"""

import hmac
from base64 import b64encode
from collections.abc import Mapping
from hashlib import md5

from pydantic import SecretStr

from core.sdk.errors import Refused

KEYED = {"hmac": "md5", "hmac-sha256": "sha256", "sha256": "sha256"}
"""The hash of each method whose key is the secret. IOP says "sha256" for HMAC-SHA256."""


def sign(
    params: Mapping[str, str], secret: str, method: str = "hmac-sha256", prefix: str = ""
) -> str:
    """The value of `sign` for a request's text parameters, in upper case hexadecimal digits.

    `params` are those of the protocol and of the call alike, not yet URL-encoded; an empty one and
    `sign` itself do not count. `method` is "md5", "hmac" (HMAC-MD5), "hmac-sha256" or "sha256".
    `prefix` is what IOP puts in front: the path of a call by path. Raises ValueError for another
    method.
    """
    pairs = (name + value for name, value in sorted(params.items()) if _counts(name, value))
    text, key = (prefix + "".join(pairs)).encode(), secret.encode()
    if method == "md5":
        # the gateway's own construction, not a choice of ours
        return md5(key + text + key, usedforsecurity=False).hexdigest().upper()
    if method not in KEYED:
        raise ValueError(f"there is no way to sign called {method!r}")
    return hmac.new(key, text, KEYED[method]).hexdigest().upper()


def check_pushed(signed: bytes, secret: SecretStr | None, given: str, base64: bool = False) -> None:
    """Whether a platform has sent this: `given` is the HMAC-SHA256 of it. Raises Refused.

    It comes in hexadecimal digits of any case, or in base64.
    """
    if secret is None:
        raise Refused("the plugin's settings have no secret yet that messages are signed with")
    made = hmac.digest(secret.get_secret_value().encode(), signed, "sha256")
    wanted = b64encode(made).decode() if base64 else made.hex()
    said = given.strip() if base64 else given.strip().lower()
    if not hmac.compare_digest(wanted.encode(), said.encode()):
        raise Refused("the signature is wrong")


def _counts(name: str, value: str) -> bool:
    return bool(name) and value != "" and name != "sign"
