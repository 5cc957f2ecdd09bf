"""Why a referral is none: the referrer himself, his household, a ring, somebody known already.

Contacts are compared by their blind indexes. Receivers of orders are sealed as a whole, so those of
both sides' newest orders are opened and compared in memory; nothing of them is kept.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import orjson

from core.domain.customers.contacts import is_masked, normalise_phone
from core.domain.members.referral_codes import letters_of
from core.storage.database import Session

RECEIVERS = 20
"""So many of a customer's newest orders are looked at for receivers."""
ADDRESS_LENGTH = 6
"""A shorter address, such as a town, is many people's."""


class RefusalReason(StrEnum):
    """Why a referral was refused."""

    SELF = "self"
    NOT_NEW = "not_new"
    SAME_PHONE = "same_phone"
    SAME_EMAIL = "same_email"
    SAME_ADDRESS = "same_address"
    RING = "ring"
    LEFT = "left"
    SECOND = "second"
    MONTH_LIMIT = "month_limit"
    TOTAL_LIMIT = "total_limit"
    STAFF = "staff"


EXPLANATIONS = {
    RefusalReason.SELF: "The code is the customer's own.",
    RefusalReason.NOT_NEW: "The customer had bought before the code was entered.",
    RefusalReason.SAME_PHONE: "Both sides have the same phone number.",
    RefusalReason.SAME_EMAIL: "Both sides have the same email address.",
    RefusalReason.SAME_ADDRESS: "Both sides' orders went to the same address.",
    RefusalReason.RING: "The customer, or somebody whom he referred, had referred the referrer.",
    RefusalReason.LEFT: "One of the two is no member.",
    RefusalReason.SECOND: "The customer was referred by somebody else before.",
    RefusalReason.MONTH_LIMIT: "The referrer has had all the referrals of this month.",
    RefusalReason.TOTAL_LIMIT: "The referrer has had all the referrals that one can have.",
    RefusalReason.STAFF: "Staff refused it.",
}

KNOWN = """
    WITH RECURSIVE above (id) AS (
        SELECT $2::bigint
        UNION
        SELECT c.customer_id FROM above a
        JOIN referrals r ON r.merchant_id = $1 AND r.customer_id = a.id
             AND r.state IN ('waiting', 'granted')
        JOIN referral_codes c ON c.merchant_id = $1 AND c.id = r.code_id)
    SELECT CASE
        WHEN $2 = $3 THEN 'self'
        WHEN EXISTS (SELECT 1 FROM orders o WHERE o.merchant_id = $1 AND o.customer_id = $3
                     AND o.paid_at <= $4) THEN 'not_new'
        WHEN (SELECT count(*) FROM memberships m
              JOIN customers p ON p.merchant_id = $1 AND p.id = m.customer_id
              WHERE m.merchant_id = $1 AND m.customer_id IN ($2, $3) AND m.left_at IS NULL) < 2
             THEN 'left'
        WHEN EXISTS (SELECT 1 FROM above WHERE id = $3) THEN 'ring' END
"""
"""What speaks against $3 having been referred by $2 at $4, of what the database can see."""

CONTACTS = """
    SELECT k.customer_id, k.kind, k.value FROM (
        SELECT id AS customer_id, 'phone' AS kind, encode(phone_index, 'hex') AS value
        FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])
        UNION
        SELECT id, 'email', encode(email_index, 'hex')
        FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])
        UNION
        SELECT customer_id, kind, value FROM customer_identities
        WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[]) AND kind IN ('phone', 'email')
    ) k WHERE k.value IS NOT NULL
"""

NEWEST_RECEIVERS = """
    SELECT c.id AS customer_id, o.id, o.receiver_sealed
    FROM unnest($2::bigint[]) c (id)
    CROSS JOIN LATERAL (
        SELECT id, receiver_sealed FROM orders
        WHERE merchant_id = $1 AND customer_id = c.id AND receiver_sealed IS NOT NULL
        ORDER BY id DESC LIMIT $3) o
"""

Trait = tuple[str, str]
"""("phone", its blind index), ("email", ...) or ("address", folded)."""


async def why_not(
    session: Session, referrer_id: int, customer_id: int, entered_at: datetime
) -> RefusalReason | None:
    """What speaks against the referral, or None."""
    found = await session.sql.fetchval(
        KNOWN, session.merchant_id, referrer_id, customer_id, entered_at
    )
    if found is not None:
        return RefusalReason(found)
    traits = await _traits(session, [referrer_id, customer_id])
    shared = {kind for kind, _ in traits[referrer_id] & traits[customer_id]}
    for kind in ("phone", "email", "address"):
        if kind in shared:
            return RefusalReason(f"same_{kind}")
    return None


async def _traits(session: Session, customer_ids: Sequence[int]) -> dict[int, set[Trait]]:
    """What the customers, and the receivers of their orders, can be known by."""
    traits: dict[int, set[Trait]] = {pk: set() for pk in customer_ids}
    merchant_id = session.merchant_id
    for row in await session.sql.fetch(CONTACTS, merchant_id, list(customer_ids)):
        traits[row["customer_id"]].add((row["kind"], row["value"]))
    for row in await session.sql.fetch(
        NEWEST_RECEIVERS, merchant_id, list(customer_ids), RECEIVERS
    ):
        place = f"orders.receiver|{merchant_id}|{row['id']}"
        receiver = orjson.loads(session.keyring.open_bytes(row["receiver_sealed"], place))
        phone = normalise_phone(receiver.get("phone") or "")
        if phone is not None:
            index = session.keyring.blind_index("phone", merchant_id, phone)
            traits[row["customer_id"]].add(("phone", index.hex()))
        address = fold_address(receiver.get("address") or "")
        if address is not None:
            traits[row["customer_id"]].add(("address", address))
    return traits


def fold_address(text: str) -> str | None:
    """An address without what two writings of it differ in; None if it says too little."""
    if is_masked(text):
        return None
    folded = letters_of(text)
    return folded if len(folded) >= ADDRESS_LENGTH else None
