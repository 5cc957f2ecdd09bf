"""One box that finds customers: by name, phone, email, order, parcel, platform id and tag.

Each way is a range of an index with a limit, so that a million customers cost what a thousand do.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from core.domain.customers.contacts import normalise_email, normalise_phone
from core.domain.customers.references import SCOPES
from core.sdk.errors import InvalidInput
from core.storage.database import Session

QUERY_LIMIT = 200
MAX_HITS = 50
MAX_SCOPES = 500
"""So many combinations of shop and kind of id are looked into; merchants have a few."""

FOLDED = "lower(normalize({}, NFKC))"
"""How names and tags are compared, in the index and in the question alike."""


@dataclass(frozen=True)
class Hit:
    """A customer that was found, by what, and the order through which if it was one."""

    customer_id: int
    matched_by: list[str]
    order_id: int | None


ALL_KINDS = frozenset({"name", "phone", "email"})
"""The kinds of contact data by which customers are found."""


async def search_customers(
    session: Session,
    query: str,
    first: int = 20,
    orders: bool = True,
    kinds: Collection[str] = ALL_KINDS,
) -> list[Hit]:
    """Up to `first` (1 to 50) customers, exact matches before those of a beginning.

    `matched_by` names "phone", "email", "platform_id", "order_number", "tracking_number", "name"
    and "tag", the best first. With `orders` False orders and parcels are not looked at. Of contact
    data only `kinds` are: who may not see them must not find them by guessing, and a masked number
    leaves ten thousand guesses. What cannot be stored is found nowhere. Raises InvalidInput for a
    query of more than 200 characters.
    """
    if not 1 <= first <= MAX_HITS:
        raise InvalidInput(f"first must be from 1 to {MAX_HITS}", ("first",))
    text = query.strip()
    if len(text) > QUERY_LIMIT:
        raise InvalidInput(f"a query has at most {QUERY_LIMIT} characters", ("query",))
    if not text or "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        return []
    phone, email = _indexes(session, text)
    rows = await session.sql.fetch(
        SEARCH, session.merchant_id, text,
        phone if "phone" in kinds else None, email if "email" in kinds else None,
        first, orders, "name" in kinds,
    )  # fmt: skip
    return [Hit(row["customer_id"], row["matched_by"], row["order_id"]) for row in rows]


def _indexes(session: Session, text: str) -> tuple[bytes | None, bytes | None]:
    """The blind indexes under which the query would be stored as a phone or an email."""
    phone = normalise_phone(text) if re.search(r"\d", text) else None
    email = normalise_email(text)
    keyring, merchant_id = session.keyring, session.merchant_id
    return (
        keyring.blind_index("phone", merchant_id, phone) if phone else None,
        keyring.blind_index("email", merchant_id, email) if email else None,
    )


# $1 merchant, $2 query, $3 and $4 its blind indexes as phone and email, $5 limit, $6 orders too,
# $7 names too.
# The ranges of names and tags are written as comparisons, so that % and _ are plain characters and
# the plan does not depend on the text.
SEARCH = f"""
WITH RECURSIVE
asked AS MATERIALIZED (
    SELECT {FOLDED.format("$2::text")} AS folded,
           {FOLDED.format("$2::text")} || chr(1114111) AS beyond),
{SCOPES},
hits AS (
    (SELECT id AS customer_id, 'phone' AS matched, 1 AS rank, NULL::bigint AS order_id
     FROM customers WHERE merchant_id = $1 AND phone_index = $3 LIMIT $5)
    UNION ALL
    (SELECT id, 'email', 1, NULL FROM customers
     WHERE merchant_id = $1 AND email_index = $4 LIMIT $5)
    UNION ALL
    (SELECT found.customer_id,
            CASE WHEN s.kind IN ('phone', 'email') THEN s.kind ELSE 'platform_id' END, 1, NULL
     FROM (SELECT * FROM scopes LIMIT {MAX_SCOPES}) s, LATERAL (
        SELECT i.customer_id FROM customer_identities i
        WHERE i.merchant_id = $1 AND i.scope = s.scope AND i.scope_id = s.scope_id
          AND i.kind = s.kind
          AND i.value = CASE s.kind WHEN 'phone' THEN encode($3, 'hex')
                                    WHEN 'email' THEN encode($4, 'hex') ELSE $2 END
        LIMIT 1) found
     LIMIT $5)
    UNION ALL
    (SELECT found.customer_id, 'order_number', 1, found.id FROM shops s, LATERAL (
        SELECT o.customer_id, o.id FROM orders o
        WHERE o.merchant_id = $1 AND o.shop_id = s.id AND o.external_id = $2
          AND o.customer_id IS NOT NULL LIMIT 1) found
     WHERE s.merchant_id = $1 AND $6::boolean LIMIT $5)
    UNION ALL
    (SELECT o.customer_id, 'tracking_number', 1, o.id FROM parcels p
     JOIN orders o ON o.merchant_id = $1 AND o.id = p.order_id
     WHERE p.merchant_id = $1 AND p.tracking_number = $2 AND o.customer_id IS NOT NULL
       AND $6::boolean LIMIT $5)
    UNION ALL
    (SELECT found.id, 'name', CASE WHEN found.folded = asked.folded THEN 2 ELSE 4 END, NULL
     FROM asked, LATERAL (
        SELECT c.id, {FOLDED.format("c.name")} AS folded FROM customers c
        WHERE c.merchant_id = $1 AND c.name IS NOT NULL AND $7::boolean
          AND {FOLDED.format("c.name")} ~>=~ asked.folded
          AND {FOLDED.format("c.name")} ~<~ asked.beyond
        ORDER BY {FOLDED.format("c.name")} USING ~<~ LIMIT $5) found)
    UNION ALL
    (SELECT found.customer_id, 'tag', CASE WHEN found.folded = asked.folded THEN 3 ELSE 5 END, NULL
     FROM asked, LATERAL (
        SELECT t.customer_id, {FOLDED.format("t.tag")} AS folded FROM customer_tags t
        WHERE t.merchant_id = $1 AND {FOLDED.format("t.tag")} ~>=~ asked.folded
          AND {FOLDED.format("t.tag")} ~<~ asked.beyond
        ORDER BY {FOLDED.format("t.tag")} USING ~<~, t.customer_id LIMIT $5) found))
SELECT customer_id, array_agg(matched ORDER BY rank, matched) AS matched_by,
       max(order_id) AS order_id
FROM (SELECT customer_id, matched, min(rank) AS rank, max(order_id) AS order_id
      FROM hits GROUP BY customer_id, matched) best
GROUP BY customer_id
ORDER BY min(rank), customer_id DESC
LIMIT $5
"""
