"""Chance that stays: customers are spread evenly by a hash, and always fall in the same place.

A customer's share is the first 60 bits of the SHA-256 of "<salt>:<customer's id>", modulo 10,000.
It stays the same over restarts, versions and machines, and anybody can compute it again. Another
salt shuffles anew: a campaign's id with the key of a step for its split or its variants, with
"holdout" for who gets nothing.
"""

import hashlib
from collections.abc import Sequence
from itertools import accumulate

PARTS = 10_000
HEX_DIGITS = 15


def salt(campaign_id: int, use: str) -> str:
    """The salt of one use in a campaign: the key of a step, or "holdout"."""
    return f"{campaign_id}:{use}"


def share(customer_id: int, salt: str) -> int:
    """The customer's place from 0 to 9,999."""
    digest = hashlib.sha256(f"{salt}:{customer_id}".encode()).hexdigest()
    return int(digest[:HEX_DIGITS], 16) % PARTS


def share_sql(customer: str, salt: str) -> str:
    """`share` as SQL of an expression with a customer's id and one with the salt (text)."""
    digest = f"encode(sha256(convert_to({salt} || ':' || ({customer})::text, 'UTF8')), 'hex')"
    return f"(('x' || left({digest}, {HEX_DIGITS}))::bit({4 * HEX_DIGITS})::bigint % {PARTS})"


def bounds(weights: Sequence[int]) -> list[int]:
    """Where the part of each weight ends among the 10,000 places; the last at 10,000."""
    total = sum(weights)
    return [reached * PARTS // total for reached in accumulate(weights)]


def choice(customer_id: int, salt: str, weights: Sequence[int]) -> int:
    """Which of several weighted choices, from 0, the customer falls to."""
    place = share(customer_id, salt)
    return next(n for n, bound in enumerate(bounds(weights)) if place < bound)


def choice_sql(customer: str, salt: str, weights: Sequence[int]) -> str:
    """`choice` as SQL, a smallint."""
    ends = ", ".join(map(str, bounds(weights)[:-1]))
    place = share_sql(customer, salt)
    return f"width_bucket({place}, ARRAY[{ends}]::bigint[])::smallint"
