"""What customers agreed to: an appended log, its present fold, and addresses never to write to."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from core.domain.customers.customers import get_customer
from core.sdk.errors import InvalidInput
from core.sdk.events import CustomerUnsubscribed
from core.storage.database import Work

MARKETING = "marketing"
STATUSES = ("granted", "denied", "unproven")


async def set_consent(
    w: Work,
    customer_id: int,
    channel: str,
    purpose: str,
    status: str,
    source: str,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Record a customer's yes or no for a channel and purpose; the latest word counts.

    `status` is granted, denied or unproven; `evidence` is JSON. Raises NotFound, InvalidInput.
    """
    if status not in STATUSES:
        raise InvalidInput(f"a consent is one of {', '.join(STATUSES)}", ("input", "status"))
    await get_customer(w, customer_id)
    await w.sql.execute(
        """WITH event AS (
               INSERT INTO consent_events (merchant_id, customer_id, channel, purpose, status,
                                           source, evidence, at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8))
           INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
           VALUES ($1, $2, $3, $4, $5, $8)
           ON CONFLICT (merchant_id, customer_id, shop_id, channel, purpose)
               DO UPDATE SET status = excluded.status, at = excluded.at""",
        w.merchant_id, customer_id, channel, purpose, status, source, _json(evidence), w.now,
    )  # fmt: skip


async def grant_where_unknown(
    w: Work,
    customer_ids: Sequence[int],
    channel: str,
    source: str,
    evidence: Mapping[str, Any] | None = None,
) -> int:
    """Record marketing consent of customers who never said anything about the channel.

    Whoever has a consent of any status keeps it. Returns how many were granted.
    """
    granted: int = await w.sql.fetchval(
        """WITH granted AS (
               INSERT INTO consents (merchant_id, customer_id, channel, purpose, status, at)
               SELECT c.merchant_id, c.id, $3, $4, 'granted', $7
               FROM customers c
               WHERE c.merchant_id = $1 AND c.id = ANY($2::bigint[])
               ORDER BY c.id
               ON CONFLICT (merchant_id, customer_id, shop_id, channel, purpose) DO NOTHING
               RETURNING customer_id),
           logged AS (
               INSERT INTO consent_events (merchant_id, customer_id, channel, purpose, status,
                                           source, evidence, at)
               SELECT $1, customer_id, $3, $4, 'granted', $5, $6, $7 FROM granted)
           SELECT count(*) FROM granted""",
        w.merchant_id, list(customer_ids), channel, MARKETING, source, _json(evidence), w.now,
    )  # fmt: skip
    return granted


async def suppress(w: Work, channel: str, address_index: bytes, reason: str) -> None:
    """Never write to an address on a channel again, whoever it belongs to."""
    await w.sql.execute(
        """INSERT INTO suppressions (merchant_id, channel, address_index, reason, at)
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (merchant_id, channel, address_index, shop_id) DO NOTHING""",
        w.merchant_id, channel, address_index, reason, w.now,
    )  # fmt: skip


async def unsubscribe(w: Work, customer_id: int, channel: str, source: str) -> None:
    """A customer wants no more marketing on a channel: consent denied, addresses suppressed.

    A second call changes nothing. Raises NotFound.
    """
    customer = await get_customer(w, customer_id)
    # indexes of phone and email never collide, so both can be kept: the channel uses its own
    for index in (customer["phone_index"], customer["email_index"]):
        if index is not None:
            await suppress(w, channel, index, "unsubscribed")
    status = await w.sql.fetchval(
        """SELECT status FROM consents
           WHERE merchant_id = $1 AND customer_id = $2 AND channel = $3 AND purpose = $4""",
        w.merchant_id, customer_id, channel, MARKETING,
    )  # fmt: skip
    if status != "denied":
        await set_consent(w, customer_id, channel, MARKETING, "denied", source)
        w.emit(CustomerUnsubscribed(customer_id, channel, source))


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
