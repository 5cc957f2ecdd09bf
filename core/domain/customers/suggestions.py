"""Pairs of customers that may be one person: found by rules, decided by a person."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.sdk.errors import NotFound, WrongState
from core.storage.database import Session, Work

REASONS = {
    "same_phone": "Both have the same phone number.",
    "same_email": "Both have the same email address.",
    "same_name_place_parcel": "Both have the same name and place, and orders in one parcel.",
    "told_together": "An imported row, or a call of the API, gives ids or contacts of both.",
    "order_contact": "An order of one names a phone or email that leads to the other.",
}
"""Why two customers may be one; none of them quotes what is the same."""


async def add_suggestions(w: Work, pairs: Sequence[tuple[int, int, str]]) -> int:
    """Suggest pairs: one customer, the other, the reason. Returns how many are new, or for more.

    A pair that was decided stays decided.
    """
    if not pairs:
        return 0
    firsts, seconds, reasons = zip(*pairs, strict=True)
    added: int = await w.sql.fetchval(
        """WITH added AS (
               INSERT INTO merge_suggestions AS s
                   (merchant_id, first_id, second_id, reasons, state, created_at)
               SELECT $1, least(u.a, u.b), greatest(u.a, u.b),
                      to_jsonb(array_agg(DISTINCT u.reason ORDER BY u.reason)), 'open', $5
               FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS u (a, b, reason)
               WHERE u.a <> u.b GROUP BY 2, 3 ORDER BY 2, 3
               ON CONFLICT (merchant_id, first_id, second_id) DO UPDATE SET reasons = (
                       SELECT jsonb_agg(DISTINCT one ORDER BY one)
                       FROM jsonb_array_elements(s.reasons || excluded.reasons) AS one)
                   WHERE s.state = 'open' AND NOT s.reasons @> excluded.reasons
               RETURNING id)
           SELECT count(*) FROM added""",
        w.merchant_id, firsts, seconds, reasons, w.now,
    )  # fmt: skip
    return added


async def decide_pair(w: Work, one: int, other: int, state: str) -> None:
    """Record what a merge or its undoing says about a pair: a rejected one is left alone for good.

    An accepted merge closes a suggestion that is open, and makes none.
    """
    first, second = sorted((one, other))
    if state == "rejected":
        await w.sql.execute(
            """INSERT INTO merge_suggestions (merchant_id, first_id, second_id, reasons, state,
                                              created_at, decided_at, decided_by)
               VALUES ($1, $2, $3, '[]', 'rejected', $4, $4, $5)
               ON CONFLICT (merchant_id, first_id, second_id) DO UPDATE
                   SET state = 'rejected', decided_at = $4, decided_by = $5""",
            w.merchant_id, first, second, w.now, w.actor,
        )  # fmt: skip
    else:
        await w.sql.execute(
            """UPDATE merge_suggestions SET state = 'accepted', decided_at = $4, decided_by = $5
               WHERE merchant_id = $1 AND first_id = $2 AND second_id = $3
                 AND state <> 'accepted'""",
            w.merchant_id, first, second, w.now, w.actor,
        )  # fmt: skip


async def open_suggestion(w: Work, suggestion_id: int) -> Mapping[str, Any]:
    """A suggestion that waits for a decision, kept from changing. Raises NotFound, WrongState."""
    row = await w.sql.fetchrow(
        "SELECT * FROM merge_suggestions WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, suggestion_id,
    )  # fmt: skip
    if row is None:
        raise NotFound(f"there is no suggestion {suggestion_id}", ("id",))
    if row["state"] != "open":
        raise WrongState(f"the suggestion was {row['state']} already", ("id",))
    return dict(row)


async def reject_suggestion(w: Work, suggestion_id: int) -> None:
    """These two are not one person: never suggest them again. Raises NotFound, WrongState."""
    row = await open_suggestion(w, suggestion_id)
    await decide_pair(w, row["first_id"], row["second_id"], "rejected")


async def rejected_pairs(w: Session, customer_ids: Sequence[int]) -> set[tuple[int, int]]:
    """Rejected pairs of these customers, as (lower id, higher id).

    A customer stands for those that were merged into it: who was told apart from one of them is
    told apart from it.
    """
    rows = await w.sql.fetch(
        """WITH held AS (
               SELECT from_id AS id, into_id AS holder FROM customer_merges
               WHERE merchant_id = $1 AND undone_at IS NULL AND into_id = ANY($2::bigint[])
               UNION ALL SELECT id, id FROM unnest($2::bigint[]) AS id),
           apart AS (
               SELECT a.holder AS one, s.second_id AS other FROM held a
               JOIN merge_suggestions s ON s.merchant_id = $1 AND s.first_id = a.id
               WHERE s.state = 'rejected')
           SELECT DISTINCT least(a.one, b.holder), greatest(a.one, b.holder)
           FROM apart a JOIN held b ON b.id = a.other WHERE a.one <> b.holder""",
        w.merchant_id, list(set(customer_ids)),
    )  # fmt: skip
    return {(row[0], row[1]) for row in rows}
