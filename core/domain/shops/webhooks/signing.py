"""Signatures in the form of Standard Webhooks (version 1): HMAC-SHA256 over id, time and body."""

import base64
import hmac
import secrets
from collections.abc import Sequence
from typing import Any

from core.storage.database import Session

PREFIX = "whsec_"
KEY_BYTES = 32


def new_secret() -> str:
    """A random secret as its receiver gets it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def signature(keys: Sequence[str], message_id: str, seconds: int, body: bytes) -> str:
    """The header webhook-signature of a body sent at a Unix time: one for each secret."""
    text = f"{message_id}.{seconds}.".encode() + body
    digests = (hmac.digest(base64.b64decode(key.removeprefix(PREFIX)), text, "sha256")
               for key in keys)  # fmt: skip
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def place(column: str, merchant_id: int, webhook_id: int) -> str:
    """What a sealed secret is bound to; `column` is "secret" or "previous"."""
    return f"webhooks.{column}|{merchant_id}|{webhook_id}"


def secrets_of(session: Session, row: Any) -> list[str]:
    """The secrets of a webhook's row that hold at present, the new one first."""
    keyring, pk = session.keyring, row["id"]
    found = [keyring.open(row["secret_sealed"], place("secret", session.merchant_id, pk))]
    if row["previous_sealed"] and row["previous_until"] > session.now:
        found.append(
            keyring.open(row["previous_sealed"], place("previous", session.merchant_id, pk))
        )
    return found
