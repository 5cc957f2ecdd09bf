"""DKIM's public keys in the DNS (RFC 6376, RFC 8463)."""

import base64
import binascii
from collections.abc import Iterator, Sequence

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from plugins.email.checking.dns import Dns
from plugins.email.checking.findings import Finding, bad, good, warning
from plugins.email.dkim import PrivateKey

ABOUT = "DKIM"
GOOD_BITS = 2048
LEAST_BITS = 1024
USUAL = (
    "default", "dkim", "mail", "huike", "s1", "s2", "k1", "k2", "k3", "selector1", "selector2",
    "google", "pm", "resend", "mx", "smtp", "email", "key1", "20230601",
)  # fmt: skip
"""Selectors that services use, tried when none is given."""


def findings(dns: Dns, domain: str, selectors: Sequence[str]) -> Iterator[Finding]:
    """What is to say about a domain's keys; of none given, the usual ones are looked for."""
    found = 0
    for selector in selectors or USUAL:
        records = dns.records(f"{selector}._domainkey.{domain}", "TXT")
        if records:
            found += 1
            yield from _of_record(selector, domain, records)
        elif selectors:
            yield bad(
                ABOUT, f"there is no key at {selector}._domainkey.{domain}",
                "publish the key there; `huike email dkim-key` shows what to enter",
            )  # fmt: skip
    if not found and not selectors:
        yield warning(
            ABOUT, f"no usual selector has a key at {domain}; yours may have another name",
            "give yours by --selector; if there is none, make one by `huike email dkim-key`",
        )  # fmt: skip


def _of_record(selector: str, domain: str, records: Sequence[str]) -> Iterator[Finding]:
    name = f"{selector}._domainkey.{domain}"
    if len(records) > 1:
        yield bad(ABOUT, f"{name} has {len(records)} records", "leave only one")
    tags = tags_of(records[0])
    if not tags.get("p"):
        yield bad(ABOUT, f"the key at {name} was withdrawn", "publish one, or use another selector")
        return
    if tags.get("v", "DKIM1") != "DKIM1":
        yield bad(ABOUT, f"the record at {name} does not begin with v=DKIM1", "correct it")
        return
    try:
        raw = base64.b64decode("".join(tags["p"].split()), validate=True)
        if tags.get("k", "rsa") == "ed25519":
            ed25519.Ed25519PublicKey.from_public_bytes(raw)
            yield good(ABOUT, f"{name} has an Ed25519 key; some receivers need an RSA key too")
            return
        key = load_der_public_key(raw)
    except (ValueError, binascii.Error):
        yield bad(ABOUT, f"the key at {name} cannot be read", "enter it anew, without line breaks")
        return
    bits = key.key_size if isinstance(key, rsa.RSAPublicKey) else 0
    if bits < LEAST_BITS:
        yield bad(ABOUT, f"the key at {name} is too short ({bits} bits)", "make one of 2048 bits")
    elif bits < GOOD_BITS:
        yield warning(ABOUT, f"the key at {name} has {bits} bits", "make one of 2048 bits")
    else:
        yield good(ABOUT, f"{name} has an RSA key of {bits} bits")
    if "y" in tags.get("t", "").split(":"):
        yield warning(ABOUT, f"{name} is marked as a test (t=y)", "remove t=y when it works")


def tags_of(record: str) -> dict[str, str]:
    """The tags of a record such as v=DKIM1; p=..."""
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def record_of(key: PrivateKey) -> str:
    """What has to stand in the DNS for a private key."""
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"
