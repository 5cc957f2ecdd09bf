"""Double opt-in: a request waits until somebody who reads the address confirms it by a link.

The link's secret is made when the message is made, and only its hash is stored. A request is bound
to the address that it was sent to: once the customer has another one, it cannot be confirmed.
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from core.domain.customers.consent import MARKETING, Word, check_word, set_consent
from core.domain.customers.suppressions import welcome_back
from core.sdk.channels import ContactKind
from core.sdk.errors import Faults, NotFound, WrongState
from core.storage.database import Session, Work

SOURCE = "double_opt_in"
VALID = timedelta(days=7)
SECRET_BYTES = 32

RequestState = Literal["pending", "confirmed", "expired", "replaced", "changed"]
"""`changed` is one whose customer has another address by now."""


async def make_request(
    w: Work,
    customer_id: int,
    *,
    channel: str,
    contact: ContactKind,
    purpose: str,
    shop_id: int,
    text: str,
    text_version: str,
    source: str,
) -> int:
    """Record that consent is asked for at the customer's present address; returns the row's id.

    An earlier request for the same is replaced. Raises NotFound, InvalidInput, WrongState.
    """
    word = Word(channel, purpose, "granted", source, shop_id, text, text_version)
    faults = Faults()
    with faults:
        await check_word(w, word)
    customer = await w.sql.fetchrow(
        """SELECT phone_index, email_index FROM customers
           WHERE merchant_id = $1 AND id = $2 FOR NO KEY UPDATE""",
        w.merchant_id, customer_id,
    )  # fmt: skip
    if customer is None:
        faults.add(NotFound("there is no customer with this id", ("id",)))
    elif customer[f"{contact}_index"] is None:
        faults.add(
            WrongState(f"the customer has no {contact} to send the confirmation to", ("id",))
        )
    faults.tell()
    await w.sql.execute(
        """UPDATE consent_requests SET state = 'replaced'
           WHERE merchant_id = $1 AND customer_id = $2 AND shop_id = $3 AND channel = $4
             AND purpose = $5 AND state = 'pending'""",
        w.merchant_id, customer_id, shop_id, channel, purpose,
    )  # fmt: skip
    request_id: int = await w.sql.fetchval(
        """INSERT INTO consent_requests (merchant_id, customer_id, shop_id, channel, purpose,
               address_index, token_hash, source, text, text_version, state, created_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'pending', $11, $12) RETURNING id""",
        w.merchant_id, customer_id, shop_id, channel, purpose, customer[f"{contact}_index"],
        # the hash of nothing yet: see `new_secret`
        secrets.token_bytes(SECRET_BYTES), source, text, text_version, w.now, w.now + VALID,
    )  # fmt: skip
    return request_id


async def new_secret(w: Work, request_id: int) -> str:
    """Give a request the secret of its link, which exists in this process only."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    await w.sql.execute(
        "UPDATE consent_requests SET token_hash = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, request_id, _hash(secret),
    )  # fmt: skip
    return secret


async def find_request(session: Session, secret: str) -> tuple[Mapping[str, Any], RequestState]:
    """The request of a link, with the shop's and the merchant's name, and its state.

    Raises NotFound.
    """
    row = await session.sql.fetchrow(
        """SELECT r.*, m.name AS merchant, s.name AS shop,
                  r.address_index IS NOT DISTINCT FROM c.phone_index
                      OR r.address_index IS NOT DISTINCT FROM c.email_index AS same_address
           FROM consent_requests r
           JOIN customers c ON c.merchant_id = r.merchant_id AND c.id = r.customer_id
           JOIN merchants m ON m.id = r.merchant_id
           LEFT JOIN shops s ON s.merchant_id = r.merchant_id AND s.id = r.shop_id
           WHERE r.merchant_id = $1 AND r.token_hash = $2""",
        session.merchant_id, _hash(secret),
    )  # fmt: skip
    if row is None:
        raise NotFound("there is no such request")
    return row, _state(row, session.now)


async def confirm_request(
    w: Work, secret: str, evidence: Mapping[str, Any]
) -> tuple[Mapping[str, Any], RequestState]:
    """Confirm a request: consent is granted, with its text and `evidence`.

    Returns the request and the state in which it was found; only a pending one is confirmed.
    Raises NotFound.
    """
    found, _ = await find_request(w, secret)
    # the customer first, as whoever makes a request does
    await w.sql.execute(
        "SELECT 1 FROM customers WHERE merchant_id = $1 AND id = $2 FOR NO KEY UPDATE",
        w.merchant_id, found["customer_id"],
    )  # fmt: skip
    row, state = await find_request(w, secret)
    if state != "pending":
        return row, state
    await w.sql.execute(
        """UPDATE consent_requests SET state = 'confirmed', confirmed_at = $3
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, row["id"], w.now,
    )  # fmt: skip
    proof = {
        "requested_at": row["created_at"].isoformat(),
        "requested_by": row["source"],
        "confirmed_at": w.now.isoformat(),
        **evidence,
    }
    await set_consent(
        w, row["customer_id"], row["channel"], row["purpose"], "granted", SOURCE, proof,
        shop_id=row["shop_id"], text=row["text"], text_version=row["text_version"],
    )  # fmt: skip
    if row["purpose"] == MARKETING:
        await welcome_back(w, row["customer_id"], row["channel"], row["shop_id"], SOURCE)
    return row, state


def _state(row: Mapping[str, Any], now: datetime) -> RequestState:
    state: RequestState = row["state"]
    if state == "pending" and row["expires_at"] <= now:
        return "expired"
    if state == "pending" and not row["same_address"]:
        return "changed"
    return state


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
