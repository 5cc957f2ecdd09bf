"""Signing requests to Alibaba Cloud: version 3 (ACS3-HMAC-SHA256)."""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

ALGORITHM = "ACS3-HMAC-SHA256"
UNRESERVED = "-_.~"
NO_BODY = hashlib.sha256(b"").hexdigest()

# asking the library for each text is what a single message would spend most time on
_QUOTED = [quote(bytes([byte]), UNRESERVED) for byte in range(256)]


def encoded(parameters: Mapping[str, str]) -> str:
    """Parameters as in an address, by RFC 3986 and in order of their names.

    Names are letters, digits and dots.
    """
    return "&".join([
        f"{name}={''.join([_QUOTED[byte] for byte in parameters[name].encode()])}"
        for name in sorted(parameters)
    ])  # fmt: skip


class Signing:
    """Signs what is posted in the name of one access key, which is kept ready."""

    def __init__(self, access_key_id: str, secret: str) -> None:
        self._start = f"{ALGORITHM} Credential={access_key_id},SignedHeaders="
        self._ready = hmac.new(secret.encode(), digestmod=hashlib.sha256)

    def headers(self, query: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers with `x-acs-content-sha256` and `authorization` added.

        `query` is encoded and sorted; names of `headers` are lower case, all of them are signed.
        """
        digest = hashlib.sha256(body).hexdigest() if body else NO_BODY
        complete = {**headers, "x-acs-content-sha256": digest}
        names = sorted(complete)
        listed = ";".join(names)
        lines = "".join([f"{name}:{complete[name].strip()}\n" for name in names])
        canonical = f"POST\n/\n{query}\n{lines}\n{listed}\n{digest}"
        signature = self._ready.copy()
        signature.update(f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}".encode())
        complete["authorization"] = f"{self._start}{listed},Signature={signature.hexdigest()}"
        return complete
