"""Amazon's Signature Version 4, for a call with a body and no query.

Own code, since the kept library (botocore) weighs 100 MB and signs requests of its own kind only.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"


def signed_headers(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    scope: tuple[str, str],
    access_key_id: str,
    secret: str,
    at: datetime,
) -> dict[str, str]:
    """The headers with host, x-amz-date and Authorization; `scope` is (region, service)."""
    parts = urlsplit(url)
    moment = at.strftime("%Y%m%dT%H%M%SZ")
    given = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    given |= {"host": parts.netloc, "x-amz-date": moment}
    names = ";".join(sorted(given))
    request = "\n".join([
        method, quote(parts.path or "/", safe="/-_.~"), parts.query,
        *(f"{name}:{given[name]}" for name in sorted(given)), "",
        names, hashlib.sha256(body).hexdigest(),
    ])  # fmt: skip
    place = "/".join([moment[:8], *scope, "aws4_request"])
    text = "\n".join([ALGORITHM, moment, place, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in place.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    authorization = (
        f"{ALGORITHM} Credential={access_key_id}/{place}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return {**given, "authorization": authorization}
