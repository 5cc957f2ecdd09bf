"""The gateway's side of the signature, written apart from the client's."""

import hashlib
import hmac


def expected(pairs, secret, method):
    """The signature of a request's parameters; None for a method that there is not."""
    base = b""
    for name in sorted(pairs, key=lambda text: text.encode()):
        if name == "sign" or not name or pairs[name] == "":
            continue
        base += name.encode() + pairs[name].encode()
    if method == "md5":
        digest = hashlib.md5(secret.encode() + base + secret.encode())
    elif method == "hmac":
        digest = hmac.new(secret.encode(), base, hashlib.md5)
    elif method == "hmac-sha256":
        digest = hmac.new(secret.encode(), base, hashlib.sha256)
    else:
        return None
    return digest.hexdigest().upper()
