"""Signatures of what delivery services push, each as its vendor describes it."""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from core.sdk import Refused

SVIX_PREFIX = "whsec_"


def public_key(text: str) -> EllipticCurvePublicKey:
    """SendGrid's verification key, as it shows it: base64 of DER. Raises ValueError."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise ValueError("this is not the verification key that SendGrid shows") from None
    if not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("this is not the verification key that SendGrid shows")
    return key


def check_sendgrid(key: str, timestamp: str, signature: str, body: bytes) -> None:
    """ECDSA over timestamp and body. Raises Refused."""
    try:
        signed = base64.b64decode(signature, validate=True)
        public_key(key).verify(signed, timestamp.encode() + body, ECDSA(SHA256()))
    except (InvalidSignature, ValueError, binascii.Error):
        raise Refused("the signature is not SendGrid's") from None


def check_mailgun(key: str, timestamp: str, token: str, signature: str) -> None:
    """HMAC over timestamp and token, which does not cover the event. Raises Refused."""
    made = hmac.new(key.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(made.encode(), signature.encode()):
        raise Refused("the signature is not Mailgun's")


def check_svix(secret: str, message_id: str, timestamp: str, signatures: str, body: bytes) -> None:
    """HMAC over id, time and body; one of several signatures must be right. Raises Refused."""
    try:
        key = base64.b64decode(secret.removeprefix(SVIX_PREFIX))
    except (ValueError, binascii.Error):
        raise Refused("the webhook's secret in the settings is not the one of Resend") from None
    signed = f"{message_id}.{timestamp}.".encode() + body
    made = base64.b64encode(hmac.digest(key, signed, "sha256"))
    given = [one.partition(",")[2].encode() for one in signatures.split() if one[:3] == "v1,"]
    if not any(hmac.compare_digest(made, one) for one in given):
        raise Refused("the signature is not Resend's")


def check_password(username: str, password: str, authorization: str) -> None:
    """Basic authentication. Raises Refused."""
    wanted = b"Basic " + base64.b64encode(f"{username}:{password}".encode())
    if not hmac.compare_digest(wanted, authorization.encode()):
        raise Refused("user name or password are wrong")


def check_age(timestamp: str, now: datetime, limit: timedelta) -> None:
    """Refuse what was signed longer ago than `limit`, or in the future. Raises Refused."""
    try:
        at = float(timestamp)
    except ValueError:
        raise Refused("the time of the signature is no number") from None
    if not abs(now.timestamp() - at) <= limit.total_seconds():
        raise Refused("the signature is too old, or its clock is wrong")
