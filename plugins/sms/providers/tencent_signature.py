"""Signing requests to Tencent Cloud: TC3-HMAC-SHA256."""

import hashlib
import hmac

ALGORITHM = "TC3-HMAC-SHA256"
SERVICE = "sms"


def authorization(
    secret_id: str, secret_key: str, host: str, content_type: str, timestamp: int, day: str,
    body: bytes,
) -> str:  # fmt: skip
    """The header `Authorization` of a POST; `day` is the UTC day of the timestamp, 2026-01-02."""
    digest = hashlib.sha256(body).hexdigest()
    signed = "content-type;host"
    canonical = f"POST\n/\n\ncontent-type:{content_type}\nhost:{host}\n\n{signed}\n{digest}"
    scope = f"{day}/{SERVICE}/tc3_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashed}"
    key = f"TC3{secret_key}".encode()
    for part in (day, SERVICE, "tc3_request", to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return (
        f"{ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders={signed}, Signature={key.hex()}"
    )
