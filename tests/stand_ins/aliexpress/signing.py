"""The gateway's side of the signature, written apart from the client's."""

import hashlib
import hmac


def expected(pairs, secret, method, prefix=""):
    """The signature of a request's parameters; None for a method that there is not."""
    base = prefix.encode()
    for name in sorted(pairs, key=lambda one: one.encode()):
        if name != "sign" and pairs[name] != "":
            base += (name + pairs[name]).encode()
    key = secret.encode()
    if method == "sha256":
        digest = hmac.new(key, base, hashlib.sha256)
    elif method == "md5" and not prefix:
        digest = hashlib.md5(key + base + key)
    else:
        return None
    return digest.hexdigest().upper()


def pushed(body, app_key, secret, over):
    """The Authorization header of a pushed message, signed over "key_and_body" or "body"."""
    said = app_key.encode() + body if over == "key_and_body" else body
    return hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()
