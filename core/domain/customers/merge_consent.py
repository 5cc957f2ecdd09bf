"""Consent of merged customers: what two customers said, folded so that nothing is widened.

For each shop, channel and purpose: a refusal of either is a refusal; where both said something,
the stricter word counts; where only one did, its word counts only if its own address is the one
that is kept. Undoing a merge folds anew from the log, with the merges that still stand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson

from core.domain.customers.consent import STRICTNESS
from core.storage.database import Work

Key = tuple[int, str, str]
"""Shop (0 for all), channel and purpose."""

Words = dict[Key, str]
"""granted, denied or unproven by key; an absent key is no word."""

Kept = Literal["into", "from", "both", "none"]
"""Whose address the merged customer has: the kept customer's, the other's, both had the same."""

KeptOf = Callable[[str], Kept]
"""By channel."""

SOURCE = "merge"
LOGGED_AS: dict[str | None, str] = {None: "unproven"}
"""The log has no word for "nothing is known any more"."""


def fold(into: Mapping[Key, str], from_: Mapping[Key, str], kept: KeptOf) -> Words:
    """What is left of both customers' words. A shop without a word of its own has that of all."""
    folded: Words = {}
    for key in {*into, *from_}:
        _, channel, purpose = key
        everywhere = (0, channel, purpose)
        word = _fold_one(
            into.get(key, into.get(everywhere)), from_.get(key, from_.get(everywhere)),
            kept(channel),
        )  # fmt: skip
        if word is not None:
            folded[key] = word
    return folded


def _fold_one(into: str | None, from_: str | None, kept: Kept) -> str | None:
    if "denied" in (into, from_):
        return "denied"
    if into is not None and from_ is not None:
        return into if into == from_ else "unproven"
    if into is not None:
        return into if kept in ("into", "both") else None
    return from_ if kept in ("from", "both") else None


async def merge_consents(w: Work, merge_id: int, into: int, from_: int, kept: KeptOf) -> None:
    """Fold the consents of `from_` into those of `into`; the log says where that changed a word.

    The rows of `from_` are taken out and kept with the merge.
    """
    words = await consents_of(w, [into, from_])
    after = fold(words[into], words[from_], kept)
    await _write(w, into, words[into], {key: (word, w.now) for key, word in after.items()})
    await _log_fold(w, merge_id, into, words[into], words[from_], after)
    await w.sql.execute(
        """WITH taken AS (
               DELETE FROM consents c WHERE c.merchant_id = $1 AND c.customer_id = $3
               RETURNING c.id, to_jsonb(c) AS content)
           INSERT INTO customer_merge_moves (merchant_id, merge_id, table_name, row_id, content)
           SELECT $1, $2, 'consents', id, content FROM taken""",
        w.merchant_id, merge_id, from_,
    )  # fmt: skip


async def consents_of(w: Any, customer_ids: Sequence[int]) -> dict[int, Words]:
    """The present words of each customer."""
    words: dict[int, Words] = {customer_id: {} for customer_id in customer_ids}
    for row in await w.sql.fetch(
        """SELECT customer_id, shop_id, channel, purpose, status FROM consents
           WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])""",
        w.merchant_id, list(customer_ids),
    ):  # fmt: skip
        words[row[0]][row[1], row[2], row[3]] = row[4]
    return words


async def _log_fold(
    w: Work, merge_id: int, into: int, said: Words, other: Words, after: Words
) -> None:
    """One entry for each word that differs from what one of the two said before."""
    changed = [
        key for key in sorted({*said, *other})
        if after.get(key) != said.get(key) or (key in other and other[key] != after.get(key))
    ]  # fmt: skip
    await _log(w, into, [(key, after.get(key)) for key in changed], SOURCE, {"merge": merge_id})


async def _log(
    w: Work,
    customer_id: int,
    words: Sequence[tuple[Key, str | None]],
    source: str,
    evidence: Mapping[str, Any],
) -> None:
    if words:
        await w.sql.execute(
            """INSERT INTO consent_events (merchant_id, customer_id, shop_id, channel, purpose,
                                           status, source, evidence, actor, at)
               SELECT $1, $2, u.*, $7, $8, $9, $10
               FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[]) AS u""",
            w.merchant_id, customer_id, *_columns([key for key, _ in words]),
            [LOGGED_AS.get(word, word) for _, word in words], source,
            orjson.dumps(evidence).decode(), w.actor, w.now,
        )  # fmt: skip


def _columns(keys: Sequence[Key]) -> tuple[list[int], list[str], list[str]]:
    return [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys]


async def _write(
    w: Work, customer_id: int, before: Words, after: Mapping[Key, tuple[str, datetime]]
) -> None:
    """Make `after` the customer's consents, touching only those that differ from `before`."""
    gone = [key for key in before if key not in after]
    if gone:
        await w.sql.execute(
            """DELETE FROM consents c
               USING unnest($3::bigint[], $4::text[], $5::text[]) AS u (shop_id, channel, purpose)
               WHERE c.merchant_id = $1 AND c.customer_id = $2 AND c.shop_id = u.shop_id
                 AND c.channel = u.channel AND c.purpose = u.purpose""",
            w.merchant_id, customer_id, *_columns(gone),
        )  # fmt: skip
    changed = [key for key, (word, _) in after.items() if before.get(key) != word]
    if changed:
        await w.sql.execute(
            """INSERT INTO consents (merchant_id, customer_id, shop_id, channel, purpose, status,
                                     at)
               SELECT $1, $2, u.* FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[],
                                              $7::timestamptz[]) AS u
               ON CONFLICT (merchant_id, customer_id, shop_id, channel, purpose)
                   DO UPDATE SET status = excluded.status, at = excluded.at""",
            w.merchant_id, customer_id, *_columns(changed),
            [after[key][0] for key in changed], [after[key][1] for key in changed],
        )  # fmt: skip


# -- undoing -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """A customer's word in the log, by whoever it was: one of the customers merged since."""

    id: int
    key: Key
    status: str
    at: datetime


@dataclass(frozen=True)
class Merge:
    """A merge that stands: `newest` is the last word in the log before it."""

    id: int
    from_: int
    at: datetime
    newest: int
    kept: KeptOf


@dataclass
class Line:
    """What one customer said, and who was merged into it."""

    events: list[Event] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)


Said = dict[Key, tuple[str, datetime]]


def replay(
    lines: Mapping[int, Line], customer_id: int, folds: dict[int, tuple[Said, Said, Said]]
) -> Said:
    """The words of a customer, from its own line and those merged into it, in their order.

    `folds` gets for each merge on the way the words of both and what was left of them.
    """
    line = lines.get(customer_id, Line())
    said: Said = {}
    # a merge comes after the word that was the newest then
    for _, _, step in sorted(
        [(event.id, 0, event) for event in line.events]
        + [(merge.newest, merge.id, merge) for merge in line.merges],
        key=lambda item: item[:2],
    ):
        if isinstance(step, Event):
            if _counts(step, said.get(step.key)):
                said = said | {step.key: (step.status, step.at)}
        else:
            other = replay(lines, step.from_, folds)
            after = _folded(said, other, step)
            folds[step.id] = (said, other, after)
            said = after
    return said


def _counts(event: Event, before: tuple[str, datetime] | None) -> bool:
    """Whether a word replaces the one before: the latest does, at one instant the stricter."""
    if before is None or event.at != before[1]:
        return before is None or event.at > before[1]
    return STRICTNESS[event.status] >= STRICTNESS[before[0]]


def _folded(said: Said, other: Said, merge: Merge) -> Said:
    words = fold(_statuses(said), _statuses(other), merge.kept)
    return {
        key: said[key] if key in said and said[key][0] == word else (word, merge.at)
        for key, word in words.items()
    }


def _statuses(said: Said) -> Words:
    return {key: status for key, (status, _) in said.items()}


async def restore_consents(
    w: Work,
    chain: Sequence[Mapping[str, Any]],
    back: int,
    holder: int,
    kept_of: Callable[[Mapping[str, Any]], KeptOf],
) -> None:
    """Give both customers the consents that they have without the merge.

    `chain` is the merge, and those by which its kept customer came to `holder`. The log's rows are
    back with whom they belong to already, and the merge is marked as undone. A refusal since the
    merge counts for both: nobody knows which of the two said it. `kept_of` makes the function of
    a merge's `marks`.
    """
    merge = chain[0]
    await w.sql.execute(
        """DELETE FROM consent_events WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[])
              AND source = $3 AND evidence->'merge' = to_jsonb($4::bigint)""",
        w.merchant_id, [back, holder], SOURCE, merge["id"],
    )  # fmt: skip
    before = await consents_of(w, [back, holder])
    lines = await _lines(w, [back, holder], kept_of)
    folds: dict[int, tuple[Said, Said, Said]] = {}
    kept = replay(lines, holder, folds)
    lost = await _unlogged(w, merge["id"], back) | replay(lines, back, folds)
    since = _refused_since(chain, holder, lines)
    refused = [
        key for key in sorted(since)
        if kept.get(key, ("",))[0] == "denied" and lost.get(key, ("",))[0] != "denied"
    ]  # fmt: skip
    await _log(w, back, [(key, "denied") for key in refused], "unmerge", {"merge": merge["id"]})
    lost |= dict.fromkeys(refused, ("denied", w.now))
    touched = {*kept, *lost} | {key for fold in folds.values() for words in fold for key in words}
    touched |= _logged_keys(lines)
    await _write(w, holder, _only(before[holder], touched), kept)
    await _write(w, back, before[back], lost)
    await _correct_log(w, [back, holder], folds)


def _refused_since(
    chain: Sequence[Mapping[str, Any]], holder: int, lines: Mapping[int, Line]
) -> set[Key]:
    """What the merged person refused, in each customer that it became, one after the other."""
    became = [merge["from_id"] for merge in chain[1:]] + [holder]
    return {
        event.key
        for merge, customer_id in zip(chain, became, strict=True)
        for event in lines.get(customer_id, Line()).events
        if event.id > marks_of(merge).get("consent_events", 0) and event.status == "denied"
    }


def marks_of(merge: Mapping[str, Any]) -> dict[str, Any]:
    """Where things stood when a merge was made."""
    marks: dict[str, Any] = orjson.loads(merge["marks"] or "{}")
    return marks


def _only(words: Words, keys: set[Key]) -> Words:
    return {key: word for key, word in words.items() if key in keys}


def _logged_keys(lines: Mapping[int, Line]) -> set[Key]:
    return {event.key for line in lines.values() for event in line.events}


async def _unlogged(w: Work, merge_id: int, back: int) -> Said:
    """Consents that the merge took out and the log knows nothing of."""
    rows = await w.sql.fetch(
        """SELECT r.shop_id, r.channel, r.purpose, r.status, r.at
           FROM customer_merge_moves m, jsonb_populate_record(NULL::consents, m.content) r
           WHERE m.merchant_id = $1 AND m.merge_id = $2 AND m.table_name = 'consents'
             AND NOT EXISTS (
                 SELECT 1 FROM consent_events e WHERE e.merchant_id = $1 AND e.customer_id = $3
                    AND e.shop_id = r.shop_id AND e.channel = r.channel
                    AND e.purpose = r.purpose)""",
        w.merchant_id, merge_id, back,
    )  # fmt: skip
    return {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}


async def _lines(
    w: Work, customer_ids: Sequence[int], kept_of: Callable[[Mapping[str, Any]], KeptOf]
) -> dict[int, Line]:
    """The log of customers, told apart by who said it before the merges that stand."""
    merges = await w.sql.fetch(
        """SELECT id, from_id, into_id, marks, at FROM customer_merges
           WHERE merchant_id = $1 AND into_id = ANY($2::bigint[]) AND undone_at IS NULL
           ORDER BY id""",
        w.merchant_id, list(customer_ids),
    )  # fmt: skip
    from_of = {row["id"]: row["from_id"] for row in merges}
    first = {
        (row["table_name"], row["row_id"]): from_of[row["merge_id"]]
        for row in await w.sql.fetch(
            """SELECT table_name, row_id, min(merge_id) AS merge_id FROM customer_merge_moves
               WHERE merchant_id = $1 AND merge_id = ANY($2::bigint[])
                 AND table_name IN ('consent_events', 'customer_merges')
               GROUP BY table_name, row_id""",
            w.merchant_id,
            list(from_of),
        )
    }
    lines: dict[int, Line] = {}
    for row in merges:
        marks = marks_of(row)
        owner = first.get(("customer_merges", row["id"]), row["into_id"])
        lines.setdefault(owner, Line()).merges.append(
            Merge(
                row["id"],
                row["from_id"],
                row["at"],
                marks.get("consent_events", 0),
                kept_of(marks),
            )
        )
    for row in await w.sql.fetch(
        """SELECT id, customer_id, shop_id, channel, purpose, status, at FROM consent_events
           WHERE merchant_id = $1 AND customer_id = ANY($2::bigint[]) AND source <> $3
           ORDER BY id""",
        w.merchant_id, list(customer_ids), SOURCE,
    ):  # fmt: skip
        owner = first.get(("consent_events", row["id"]), row["customer_id"])
        key = (row["shop_id"], row["channel"], row["purpose"])
        lines.setdefault(owner, Line()).events.append(
            Event(row["id"], key, row["status"], row["at"])
        )
    return lines


async def _correct_log(
    w: Work, customer_ids: Sequence[int], folds: Mapping[int, tuple[Said, Said, Said]]
) -> None:
    """Let the entries of merges that still stand say what is left of both customers' words now."""
    words = [
        (merge_id, key, LOGGED_AS[None] if key not in after else after[key][0])
        for merge_id, (said, other, after) in folds.items()
        for key in {*said, *other}
    ]
    if words:
        await w.sql.execute(
            """UPDATE consent_events e SET status = u.status
               FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[])
                   AS u (merge_id, shop_id, channel, purpose, status)
               WHERE e.merchant_id = $1 AND e.customer_id = ANY($2::bigint[])
                 AND e.source = 'merge' AND e.evidence->'merge' = to_jsonb(u.merge_id)
                 AND e.shop_id = u.shop_id AND e.channel = u.channel AND e.purpose = u.purpose
                 AND e.status <> u.status""",
            w.merchant_id, list(customer_ids), [word[0] for word in words],
            *_columns([word[1] for word in words]), [word[2] for word in words],
        )  # fmt: skip
