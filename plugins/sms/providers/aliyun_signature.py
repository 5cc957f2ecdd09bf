"""Signing requests to Alibaba Cloud: version 3 (ACS3-HMAC-SHA256)."""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

ALGORITHM = "ACS3-HMAC-SHA256"
UNRESERVED = "-_.~"


def encoded(parameters: Mapping[str, str]) -> str:
    """Parameters as in an address, by RFC 3986 and in order of their names."""
    pairs = sorted((quote(k, UNRESERVED), quote(v, UNRESERVED)) for k, v in parameters.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def signed_headers(
    access_key_id: str,
    secret: str,
    method: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
) -> dict[str, str]:
    """The headers with `x-acs-content-sha256` and `authorization` added.

    `query` is encoded and sorted; names of `headers` are lower case, all of them are signed.
    """
    digest = hashlib.sha256(body).hexdigest()
    complete = {**headers, "x-acs-content-sha256": digest}
    names = sorted(complete)
    listed = ";".join(names)
    lines = "".join(f"{name}:{complete[name].strip()}\n" for name in names)
    canonical = f"{method}\n/\n{query}\n{lines}\n{listed}\n{digest}"
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    complete["authorization"] = (
        f"{ALGORITHM} Credential={access_key_id},SignedHeaders={listed},Signature={signature}"
    )
    return complete
