"""Codes of an authenticator app (TOTP, RFC 6238), and recovery codes for when the phone is lost."""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

import pyotp

ISSUER = "Huike"
SECONDS = 30
RECOVERY_CODES = 10


def new_secret() -> str:
    """A secret (160 bits) in base32, as the apps take it."""
    return pyotp.random_base32()


def otpauth_uri(secret: str, email: str, merchant: str) -> str:
    """What a QR code shows to the app."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=f"{ISSUER} {merchant}")


def step_of(secret: str, code: str, now: datetime, after: int) -> int | None:
    """The step of time whose code it is, later than `after`: no code is taken twice.

    A clock that is one step off is allowed for.
    """
    digits = "".join(code.split()).encode()
    present = int(now.timestamp()) // SECONDS
    totp = pyotp.TOTP(secret, interval=SECONDS)
    for step in (present - 1, present, present + 1):
        if step > after and hmac.compare_digest(totp.generate_otp(step).encode(), digits):
            return step
    return None


def new_recovery_codes() -> list[str]:
    """Codes of 80 random bits, written as abcd-efgh-ijkl-mnop; each is good for one login."""
    made = []
    for _ in range(RECOVERY_CODES):
        text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
        made.append("-".join(text[at : at + 4] for at in range(0, 16, 4)))
    return made


def recovery_hash(code: str) -> str:
    """What is kept of a recovery code; it is too random to be guessed backwards."""
    plain = "".join(code.split()).replace("-", "").lower()
    return hashlib.sha256(plain.encode()).hexdigest()
