"""Two customers become one, and how that is taken back.

The kept customer gets the other's rows and what its own row lacks; the other's row is taken out
and kept with the merge. Undoing brings everything back to where it was, whichever merges came
before or after: each row goes to whoever holds that side now.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from core.domain.customers.customers import CustomerMerged, merged_into
from core.domain.customers.identify import lock_customers
from core.domain.customers.log import log_event
from core.domain.customers.merge_consent import (
    Kept,
    KeptOf,
    marks_of,
    merge_consents,
    restore_consents,
)
from core.domain.customers.merge_profile import (
    fill,
    keep_anew,
    kept_addresses,
    refill,
    take_back,
)
from core.domain.customers.merge_rows import move_back_rows, move_rows, tables_to_move
from core.domain.customers.suggestions import decide_pair
from core.registry import Registry
from core.sdk.errors import Faults, InvalidInput, NotFound, WrongState
from core.sdk.events import CustomersMerged, CustomersUnmerged
from core.storage.database import Work

REASON_LIMIT = 200
EVIDENCE_LIMIT = 20_000

Row = Mapping[str, Any]


async def merge_customers(
    w: Work,
    registry: Registry,
    into: int,
    from_: int,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    marks: Mapping[str, Any] | None = None,
) -> int:
    """Make `from_` part of `into`; returns the merge's id. Figures are refreshed by the caller.

    `reason` is a short word or sentence, `evidence` an object that says how it is known. `marks`
    are what the caller wants to find again when the merge is undone.
    Raises NotFound, CustomerMerged, InvalidInput.
    """
    faults = Faults()
    with faults:
        check_reason(reason, evidence)
    await lock_customers(w)
    with faults:
        kept, lost = await lock_pair(w, into, from_)
    faults.tell()
    marks = {**(marks or {}), **await _marks(w, kept, lost)}
    merge_id = await _record(w, into, from_, reason, evidence, marks)
    await _take_out_customer(w, merge_id, from_)
    await move_rows(w, tables_to_move(registry), merge_id, into, from_)
    await _move_merges(w, merge_id, into, from_)
    await merge_consents(w, merge_id, into, from_, kept_by(registry)(marks))
    filled = await fill(w, kept, lost)
    await w.sql.execute(
        "UPDATE customer_merges SET filled = $3 WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, merge_id, orjson.dumps(filled).decode(),
    )  # fmt: skip
    await decide_pair(w, into, from_, "accepted")
    await log_event(w, [into], "merged", {"merge": merge_id, "from": from_})
    # under its own id, for when it comes back
    await log_event(w, [from_], "merged", {"merge": merge_id, "into": into})
    w.emit(CustomersMerged(merge_id, into, from_))
    w.audit("customers.merged", {"merge": merge_id, "into": into, "from": from_})
    return merge_id


def check_reason(reason: str, evidence: Mapping[str, Any] | None) -> None:
    """Raises InvalidInput for a reason or evidence that cannot be kept."""
    faults = Faults()
    if not 1 <= len(reason.strip()) <= REASON_LIMIT or "\x00" in reason:
        faults.wrong(f"a reason has 1 to {REASON_LIMIT} characters", "reason")
    with faults:
        _check_evidence(evidence)
    faults.tell()


def _check_evidence(evidence: Mapping[str, Any] | None) -> None:
    if not isinstance(evidence, Mapping | None):
        raise InvalidInput("evidence is an object", ("input", "evidence"))
    text = orjson.dumps(evidence or {})
    if len(text) > EVIDENCE_LIMIT or b"\\u0000" in text:
        raise InvalidInput(
            f"evidence has at most {EVIDENCE_LIMIT} bytes, and no character NUL",
            ("input", "evidence"),
        )


async def lock_pair(w: Work, into: int, from_: int) -> tuple[Row, Row]:
    """Both customers' rows, kept from changing. Raises NotFound, CustomerMerged, InvalidInput."""
    if into == from_:
        raise InvalidInput("a customer cannot be merged into itself", ("input", "from"))
    rows = await w.sql.fetch(
        """SELECT * FROM customers WHERE merchant_id = $1 AND id = ANY($2::bigint[])
           ORDER BY id FOR UPDATE""",
        w.merchant_id, [into, from_],
    )  # fmt: skip
    found = {row["id"]: row for row in rows}
    for customer_id, path in ((into, ("id",)), (from_, ("input", "from"))):
        if customer_id not in found:
            held_by = (await merged_into(w, [customer_id])).get(customer_id)
            if held_by is not None:
                raise CustomerMerged(customer_id, held_by, path)
            raise NotFound("there is no customer with this id", path)
    return found[into], found[from_]


async def _marks(w: Work, kept: Row, lost: Row) -> dict[str, Any]:
    newest = await w.sql.fetchval(
        """SELECT COALESCE(max(id), 0) FROM consent_events
           WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])""",
        w.merchant_id, [kept["id"], lost["id"]],
    )  # fmt: skip
    return {"consent_events": newest, **kept_addresses(kept, lost)}


async def _record(
    w: Work,
    into: int,
    from_: int,
    reason: str,
    evidence: Mapping[str, Any] | None,
    marks: Mapping[str, Any],
) -> int:
    merge_id: int = await w.sql.fetchval(
        """INSERT INTO customer_merges (merchant_id, from_id, into_id, reason, evidence, filled,
                                        marks, actor, at)
           VALUES ($1, $2, $3, $4, $5, '{}', $6, $7, $8) RETURNING id""",
        w.merchant_id, from_, into, reason.strip(), orjson.dumps(evidence or {}).decode(),
        orjson.dumps(marks).decode(), w.actor, w.now,
    )  # fmt: skip
    return merge_id


async def _take_out_customer(w: Work, merge_id: int, customer_id: int) -> None:
    await w.sql.execute(
        """WITH taken AS (
               DELETE FROM customers c WHERE c.merchant_id = $1 AND c.id = $3
               RETURNING c.id, to_jsonb(c) AS content)
           INSERT INTO customer_merge_moves (merchant_id, merge_id, table_name, row_id, content)
           SELECT $1, $2, 'customers', id, content FROM taken""",
        w.merchant_id, merge_id, customer_id,
    )  # fmt: skip


async def _move_merges(w: Work, merge_id: int, into: int, from_: int) -> None:
    """Whoever was merged into the lost customer is held by the kept one from now on."""
    await w.sql.execute(
        """WITH moved AS (
               UPDATE customer_merges SET into_id = $3
               WHERE merchant_id = $1 AND into_id = $4 AND undone_at IS NULL AND id <> $2
               RETURNING id)
           INSERT INTO customer_merge_moves (merchant_id, merge_id, table_name, row_id)
           SELECT $1, $2, 'customer_merges', id FROM moved""",
        w.merchant_id, merge_id, into, from_,
    )  # fmt: skip


def kept_by(registry: Registry) -> Callable[[Mapping[str, Any]], KeptOf]:
    """From a merge's marks: whose address of a channel's kind was kept."""

    def of_marks(marks: Mapping[str, Any]) -> KeptOf:
        def of_channel(channel: str) -> Kept:
            owned = registry.channels.get(channel)
            if owned is not None and owned.value.contact == "identity":
                return "both"  # both customers' ids stay
            kept: Kept = marks.get(owned.value.contact, "none") if owned else "none"
            return kept

        return of_channel

    return of_marks


@dataclass(frozen=True)
class Unmerged:
    """A merge that was undone: who is there again, and who held its rows until now.

    `later` are the merges that had taken these rows further; `marks` those of the merge.
    """

    back: int
    holder: int
    later: Sequence[int]
    marks: Mapping[str, Any]


async def unmerge(w: Work, registry: Registry, merge_id: int) -> Unmerged:
    """Undo a merge. What happened since stays with the holder. Raises NotFound, WrongState.

    The caller moves on what came since through an id that goes back, and refreshes figures.
    """
    await lock_customers(w)
    merge = await hold_merge(w, merge_id)
    back, holder_id = merge["from_id"], merge["into_id"]
    holder = await w.sql.fetchrow(
        "SELECT * FROM customers WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, holder_id,
    )  # fmt: skip
    if holder is None:
        raise WrongState("the customer that this one was merged into is gone", ("id",))
    chain = [merge, *await _merges_above(w, merge_id)]
    later = [row["id"] for row in chain[1:]]
    await w.sql.execute(
        """UPDATE customer_merges SET undone_at = $3, undone_by = $4
           WHERE merchant_id = $1 AND id = $2""",
        w.merchant_id, merge_id, w.now, w.actor,
    )  # fmt: skip
    await take_back(w, chain, holder)
    await _restore_customer(w, merge_id)
    await _move_back_merges(w, merge_id, later, back)
    await move_back_rows(w, tables_to_move(registry), merge_id, later, back, holder_id)
    await refill(w, holder_id)
    await keep_anew(w, merge, holder_id)
    await restore_consents(w, chain, back, holder_id, kept_by(registry))
    await decide_pair(w, holder_id, back, "rejected")
    await log_event(w, [holder_id, back], "unmerged", {"merge": merge_id, "customer": back})
    w.emit(CustomersUnmerged(merge_id, holder_id, back))
    w.audit("customers.unmerged", {"merge": merge_id, "from": holder_id, "back": back})
    await _forget_moves(w, merge_id)
    return Unmerged(back, holder_id, later, marks_of(merge))


async def _forget_moves(w: Work, merge_id: int) -> None:
    """Drop what an undone merge kept: everything is back in its place."""
    await w.sql.execute(
        "DELETE FROM customer_merge_moves WHERE merchant_id = $1 AND merge_id = $2",
        w.merchant_id, merge_id,
    )  # fmt: skip
    await w.sql.execute(
        "UPDATE customer_merges SET filled = '{}' WHERE merchant_id = $1 AND id = $2",
        w.merchant_id, merge_id,
    )  # fmt: skip


async def hold_merge(w: Work, merge_id: int) -> Row:
    """A merge that stands, kept from changing. Raises NotFound, WrongState."""
    merge = await w.sql.fetchrow(
        "SELECT * FROM customer_merges WHERE merchant_id = $1 AND id = $2 FOR UPDATE",
        w.merchant_id, merge_id,
    )  # fmt: skip
    if merge is None:
        raise NotFound("there is no merge with this id", ("id",))
    if merge["undone_at"] is not None:
        raise WrongState("this merge was taken back already", ("id",))
    return dict(merge)


async def _merges_above(w: Work, merge_id: int) -> list[Row]:
    """The merges that took the kept customer of this one further, in their order."""
    rows: list[Row] = await w.sql.fetch(
        """SELECT above.* FROM customer_merges below
           JOIN customer_merges above ON above.merchant_id = $1
                AND above.into_id = below.into_id AND above.undone_at IS NULL
           JOIN customer_merge_moves m ON m.merchant_id = $1 AND m.merge_id = above.id
                AND m.table_name = 'customer_merges' AND m.row_id = below.id
           WHERE below.merchant_id = $1 AND below.id = $2 ORDER BY above.id""",
        w.merchant_id, merge_id,
    )  # fmt: skip
    return rows


async def _restore_customer(w: Work, merge_id: int) -> None:
    await w.sql.execute(
        """INSERT INTO customers
           SELECT r.* FROM customer_merge_moves m,
               jsonb_populate_record(NULL::customers, m.content) r
           WHERE m.merchant_id = $1 AND m.merge_id = $2 AND m.table_name = 'customers'""",
        w.merchant_id, merge_id,
    )  # fmt: skip


async def _move_back_merges(w: Work, merge_id: int, later: Sequence[int], back: int) -> None:
    await w.sql.execute(
        """WITH mine AS MATERIALIZED (
               SELECT row_id FROM customer_merge_moves
               WHERE merchant_id = $1 AND merge_id = $2 AND table_name = 'customer_merges'),
           forgotten AS (
               DELETE FROM customer_merge_moves l USING mine
               WHERE l.merchant_id = $1 AND l.merge_id = ANY($4::bigint[])
                 AND l.table_name = 'customer_merges' AND l.row_id = mine.row_id),
           own AS (
               DELETE FROM customer_merge_moves
               WHERE merchant_id = $1 AND merge_id = ANY($4::bigint[])
                 AND table_name = 'customer_merges' AND row_id = $2)
           UPDATE customer_merges g SET into_id = $3 FROM mine
           WHERE g.merchant_id = $1 AND g.id = mine.row_id AND g.undone_at IS NULL""",
        w.merchant_id, merge_id, back, list(later),
    )  # fmt: skip
