"""Messages of Amazon SNS: their signature, and the confirmation of a subscription."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from core.sdk import Refused, RetryLater, outbound
from core.sdk.large import aiohttp, loaded

Fetch = Callable[[str], Awaitable[bytes]]
"""Reads an address of Amazon's."""

SECONDS = 10.0
ANSWER_BYTES = 64 * 1024
MOST_CERTIFICATES = 20

_HOST = re.compile(r"sns\.[a-z]{2}(?:-[a-z]+)+-\d\.amazonaws\.com(?:\.cn)?")
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
}  # fmt: skip
_HASHES = {"1": SHA1(), "2": SHA256()}  # noqa: S303 - version 1 is what Amazon sends unless told

_certificates: dict[str, RSAPublicKey] = {}


async def check(message: Mapping[str, Any], topics: list[str], fetch: Fetch) -> None:
    """Refuse what is not signed by Amazon, or not from one of the topics. Raises Refused."""
    names = _SIGNED.get(str(message.get("Type")))
    if names is None:
        raise Refused("this is no message of SNS that is expected here")
    if message.get("TopicArn") not in topics:
        raise Refused("the topic is not in the settings: enter it under topic_arns")
    algorithm = _HASHES.get(str(message.get("SignatureVersion")))
    if algorithm is None:
        raise Refused("the version of the signature is not known")
    text = "".join(f"{name}\n{message[name]}\n" for name in names if message.get(name) is not None)
    key = await _key(str(message.get("SigningCertURL")), fetch)
    try:
        signature = base64.b64decode(str(message.get("Signature")), validate=True)
        key.verify(signature, text.encode(), PKCS1v15(), algorithm)
    except (InvalidSignature, binascii.Error, ValueError):
        raise Refused("the signature is not Amazon's") from None


async def confirm(message: Mapping[str, Any], fetch: Fetch) -> None:
    """Agree to a subscription that was checked."""
    url = str(message.get("SubscribeURL"))
    if not is_amazons(url):
        raise Refused("the address that confirms is not Amazon's")
    await fetch(url)


def is_amazons(url: str) -> bool:
    """Whether an address leads to SNS and nowhere else."""
    try:
        parts = urlsplit(url)
        plain = parts.port in (None, 443) and parts.username is None and parts.password is None
    except ValueError:
        return False
    return parts.scheme == "https" and plain and bool(_HOST.fullmatch(parts.hostname or ""))


async def _key(url: str, fetch: Fetch) -> RSAPublicKey:
    if not is_amazons(url) or not urlsplit(url).path.endswith(".pem"):
        raise Refused("the certificate's address is not Amazon's")
    if url not in _certificates:
        try:
            key = x509.load_pem_x509_certificate(await fetch(url)).public_key()
        except ValueError:
            raise Refused("there is no certificate at the address that the message names") from None
        if not isinstance(key, RSAPublicKey):
            raise Refused("the certificate is of a kind that Amazon does not use")
        if len(_certificates) >= MOST_CERTIFICATES:
            _certificates.clear()
        _certificates[url] = key
    return _certificates[url]


async def fetch(url: str) -> bytes:
    """What stands at an address of Amazon's. Raises RetryLater."""
    await loaded(aiohttp)
    try:
        async with (
            outbound.http_session(aiohttp.ClientTimeout(total=SECONDS)) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise RetryLater(f"{url} answers {response.status}")
            return await outbound.body_of(response, ANSWER_BYTES)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise RetryLater(f"{url} cannot be read: {error}") from None
