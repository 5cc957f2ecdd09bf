"""One record that leads to two customers: merged where that is certain, suggested where not."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.customers.suggestions import add_suggestions
from core.storage.database import Work
from core.storage.jobs import enqueue

Key = tuple[str, int, str, str]
"""An identity: its scope, the scope's id, its kind and value."""

MERGE_JOB = "customers.merge"


@dataclass(frozen=True, slots=True)
class Conflict:
    """The id that decided whose record it is, and a weaker one that leads to somebody else.

    It is `certain` that both are one person if each is an id of the record, or a contact that the
    customer gave to the merchant himself, both times.
    """

    strong: Key
    weak: Key
    customer_id: int
    other_id: int
    certain: bool


async def record_conflicts(
    w: Work, shop_id: int, identity_kind: str, conflicts: Sequence[Conflict]
) -> None:
    """Hand the certain ones to the job that merges, and suggest the others.

    The identities are stored by now. Merging is not done here: a set of records may need thousands.
    """
    certain = [one for one in conflicts if one.certain]
    if certain:
        ids = await _identity_ids(w, [key for one in certain for key in (one.strong, one.weak)])
        pairs = dict.fromkeys((ids[one.strong], ids[one.weak]) for one in certain)
        await enqueue(w, MERGE_JOB, {"pairs": list(pairs)}, total=len(pairs))
    possible = {(one.customer_id, one.other_id) for one in conflicts if not one.certain}
    if possible:
        customer_ids = [customer_id for pair in possible for customer_id in pair]
        buyers = await _with_identity(w, shop_id, identity_kind, customer_ids)
        # two buyers of one shop who share an address are a household, as often as not
        apart = {pair for pair in possible if buyers.issuperset(pair)}
        await add_suggestions(
            w, [(one, other, "order_contact") for one, other in sorted(possible - apart)]
        )


async def _identity_ids(w: Work, keys: Sequence[Key]) -> dict[Key, int]:
    scopes, scope_ids, kinds, values = zip(*keys, strict=True)
    rows = await w.sql.fetch(
        """SELECT i.scope, i.scope_id, i.kind, i.value, i.id
           FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[])
                AS k (scope, scope_id, kind, value)
           JOIN customer_identities i ON i.merchant_id = $1 AND i.scope = k.scope
                AND i.scope_id = k.scope_id AND i.kind = k.kind AND i.value = k.value""",
        w.merchant_id, scopes, scope_ids, kinds, values,
    )  # fmt: skip
    return {(row[0], row[1], row[2], row[3]): row[4] for row in rows}


async def _with_identity(
    w: Work, shop_id: int, identity_kind: str, customer_ids: Sequence[int]
) -> set[int]:
    rows = await w.sql.fetch(
        """SELECT DISTINCT customer_id FROM customer_identities
           WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[]) AND scope = 'shop'
             AND scope_id = $3 AND kind = $4""",
        w.merchant_id, list(customer_ids), shop_id, identity_kind,
    )  # fmt: skip
    return {row[0] for row in rows}
