"""The signature of the Chinese gateways: Taobao's TOP, and IOP of AliExpress and Lazada."""

import hmac
from collections.abc import Mapping
from hashlib import md5

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


def _counts(name: str, value: str) -> bool:
    return bool(name) and value != "" and name != "sign"
