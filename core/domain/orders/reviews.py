"""Reviews that buyers gave: guarded snapshots, and which of them somebody has to answer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal

import orjson

from core.domain.customers.identify import Person, identify, lock_customers, save
from core.domain.orders.parcels import order_ids
from core.domain.orders.refunds import CREATED, UNCHANGED, UPDATED, WAITING
from core.domain.orders.review_words import found_in, review_words
from core.domain.orders.waiting import hold
from core.sdk.events import ReviewChanged, ReviewGiven, ReviewNegative
from core.sdk.reviews import ReviewRecord
from core.storage.database import Work

Cause = Literal["bad", "neutral", "keyword"]

COLUMNS = (
    "external_id", "order_external_id", "order_id", "customer_id", "line_id", "at", "sign",
    "stars", "text", "later_text", "reply", "tags", "negative", "modified_at", "content_hash",
)  # fmt: skip
KEPT = (
    "order_id", "customer_id", "line_id", "sign", "stars", "text", "later_text", "reply", "tags",
    "modified_at",
)  # fmt: skip
"""Columns that a newer snapshot keeps where it tells nothing."""

TEXT_LIMIT = 5000
STARS = 5


@dataclass(slots=True)
class _Stored:
    id: int
    order_id: int | None
    customer_id: int | None
    sign: int | None
    stars: int | None
    text: str | None
    later_text: str | None
    negative: Cause | None
    modified_at: datetime | None
    content_hash: bytes
    erased: bool


@dataclass(slots=True)
class _Taken:
    """A record that is written, with what will be stored then."""

    record: ReviewRecord
    content_hash: bytes
    before: _Stored | None
    order_id: int | None
    customer_id: int | None = None
    sign: int | None = None
    stars: int | None = None
    text: str | None = None
    later_text: str | None = None
    negative: Cause | None = None


async def ingest_reviews(
    w: Work,
    shop_id: int,
    records: Sequence[ReviewRecord],
    events: bool = True,
    since: datetime | None = None,
) -> list[str]:
    """Take in snapshots of a shop's reviews; returns the outcome of each, in order.

    "created", "updated", "unchanged" (the same content, or an older snapshot), or "waiting" where
    neither the order nor the buyer is known. Whatever came before its order is kept, and taken in
    with it. The customer is the order's, or without the order the one whom the identities lead to.
    With `events` the changes of what is stored are emitted; history is taken in without, and what
    its platform dates before `since` is history.
    """
    if not records:
        return []
    await lock_customers(w)
    newest: dict[str, ReviewRecord] = {}
    for record in records:
        before = newest.get(record.external_id)
        if before is None or not is_older(record, before.modified_at):
            newest[record.external_id] = record
    orders = await order_ids(w, shop_id, [r.order_external_id for r in newest.values()])
    early = [record for record in newest.values() if record.order_external_id not in orders]
    await hold(w, shop_id, "review", early)
    known = [
        record for record in newest.values()
        if record.order_external_id in orders or record.identities
    ]  # fmt: skip
    stored = await _stored(w, shop_id, [record.external_id for record in known])
    outcomes = {record.external_id: WAITING for record in newest.values()}
    taken = []
    for record in known:
        digest = blake2b(orjson.dumps(record), digest_size=16).digest()
        order_id = orders.get(record.order_external_id)
        outcome = _judge(record, digest, order_id, stored.get(record.external_id))
        outcomes[record.external_id] = outcome
        if outcome != UNCHANGED:
            taken.append(_Taken(record, digest, stored.get(record.external_id), order_id))
    if taken:
        await _find_customers(w, shop_id, taken)
        words = await review_words(w)
        for item in taken:
            _fill(item, words)
        ids = await _write(w, shop_id, taken)
        if events:
            for item in taken:
                if since is None or (item.record.modified_at or item.record.at) >= since:
                    _emit(w, shop_id, item, ids[item.record.external_id])
    return [outcomes[record.external_id] for record in records]


async def follow_orders(w: Work, order_ids: Collection[int]) -> None:
    """Give the reviews of orders, whose customers are others now, to those customers."""
    await w.sql.execute(
        """UPDATE reviews r SET customer_id = o.customer_id FROM orders o
           WHERE r.merchant_id = $1 AND r.order_id = ANY($2::bigint[]) AND r.erased_at IS NULL
             AND o.merchant_id = $1 AND o.id = r.order_id
             AND r.customer_id IS DISTINCT FROM o.customer_id""",
        w.merchant_id, list(order_ids),
    )  # fmt: skip


def is_older(record: ReviewRecord, modified_at: datetime | None) -> bool:
    """Whether a snapshot is older than what is known, by the platform's time."""
    if record.modified_at is None or modified_at is None:
        return False
    return record.modified_at < modified_at


def _judge(
    record: ReviewRecord, digest: bytes, order_id: int | None, before: _Stored | None
) -> str:
    if before is None:
        return CREATED
    if before.order_id is None and order_id is not None:
        return UPDATED  # its order has come
    if digest == before.content_hash or is_older(record, before.modified_at):
        return UNCHANGED
    return UPDATED


async def _stored(w: Work, shop_id: int, external_ids: list[str]) -> dict[str, _Stored]:
    rows = await w.sql.fetch(
        """SELECT external_id, id, order_id, customer_id, sign, stars, text, later_text, negative,
                  modified_at, content_hash, erased_at IS NOT NULL
           FROM reviews WHERE merchant_id = $1 AND shop_id = $2 AND external_id = ANY($3::text[])
           FOR UPDATE""",
        w.merchant_id, shop_id, external_ids,
    )  # fmt: skip
    return {row[0]: _Stored(*tuple(row)[1:]) for row in rows}


async def _find_customers(w: Work, shop_id: int, taken: Sequence[_Taken]) -> None:
    """The orders' customers, or else those whom the identities lead to, who are made if new."""
    rows = await w.sql.fetch(
        "SELECT id, customer_id FROM orders WHERE merchant_id = $1 AND id = ANY($2::bigint[])",
        w.merchant_id, [item.order_id for item in taken if item.order_id is not None],
    )  # fmt: skip
    owners = {row["id"]: row["customer_id"] for row in rows}
    alone = []
    for item in taken:
        if item.before is not None and item.before.erased:
            continue  # nobody's, and it stays so
        item.customer_id = None if item.order_id is None else owners[item.order_id]
        if item.customer_id is None and item.record.identities:
            alone.append(item)
    if alone:
        people = [Person(item.record.at, identities=item.record.identities) for item in alone]
        found = await identify(w, shop_id, "", people)
        await save(w, found, people, {}, "reviews")
        for item, customer_id in zip(alone, found.ids, strict=True):
            item.customer_id = customer_id


def _fill(item: _Taken, words: Sequence[str]) -> None:
    """What is stored of a review: the record, and where it tells nothing what was there."""
    record, before = item.record, item.before
    item.stars = record.stars
    item.sign = record.sign
    if item.sign is None and item.stars is not None:
        item.sign = (item.stars > 3) - (item.stars < 3)
    if before is not None and before.erased:
        item.text = item.later_text = None
    else:
        item.text, item.later_text = _clean(record.text), _clean(record.later_text)
    if before is not None:
        item.sign = before.sign if item.sign is None else item.sign
        item.stars = item.stars or before.stars
        item.text = item.text or before.text
        item.later_text = item.later_text or before.later_text
    if item.sign is not None and item.sign <= 0:
        item.negative = "bad" if item.sign < 0 else "neutral"
    elif found_in(words, item.text, item.later_text):
        item.negative = "keyword"


def _clean(text: str | None) -> str | None:
    """The text as it can be stored; None for an empty one."""
    return (text or "").replace("\x00", "").strip()[:TEXT_LIMIT] or None


async def _write(w: Work, shop_id: int, taken: Sequence[_Taken]) -> dict[str, int]:
    lines = await _line_ids(w, taken)
    rows = [_row(item, lines) for item in taken]
    sets = [
        f"{name} = COALESCE(excluded.{name}, reviews.{name})" if name in KEPT
        else f"{name} = excluded.{name}"
        for name in COLUMNS if name not in ("external_id", "order_external_id")
    ]  # fmt: skip
    ids = await w.sql.fetch(
        f"""INSERT INTO reviews (merchant_id, shop_id, taken_at, {", ".join(COLUMNS)})
            SELECT $1, $2, $3, u.* FROM unnest(
                $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
                $9::timestamptz[], $10::smallint[], $11::smallint[], $12::text[], $13::text[],
                $14::text[], $15::jsonb[], $16::text[], $17::timestamptz[], $18::bytea[]) AS u
            ON CONFLICT (merchant_id, shop_id, external_id)
                DO UPDATE SET taken_at = excluded.taken_at, {", ".join(sets)}
            RETURNING external_id, id""",
        w.merchant_id, shop_id, w.now, *zip(*rows, strict=True),
    )  # fmt: skip
    return {row["external_id"]: row["id"] for row in ids}


async def _line_ids(w: Work, taken: Sequence[_Taken]) -> dict[tuple[int | None, str | None], int]:
    rows = await w.sql.fetch(
        """SELECT order_id, external_id, id FROM order_lines
           WHERE merchant_id = $1 AND order_id = ANY($2::bigint[])""",
        w.merchant_id, [item.order_id for item in taken if item.order_id is not None],
    )  # fmt: skip
    return {(row[0], row[1]): row[2] for row in rows}


def _row(item: _Taken, lines: Mapping[tuple[int | None, str | None], int]) -> tuple[Any, ...]:
    record = item.record
    erased = item.before is not None and item.before.erased
    return (
        record.external_id, record.order_external_id, item.order_id, item.customer_id,
        lines.get((item.order_id, record.line_external_id)), record.at, item.sign, item.stars,
        item.text, item.later_text, None if erased else _clean(record.reply),
        orjson.dumps(record.tags).decode() if record.tags and not erased else None,
        item.negative, record.modified_at, item.content_hash,
    )  # fmt: skip


def _emit(w: Work, shop_id: int, item: _Taken, review_id: int) -> None:
    about = (review_id, item.order_id, shop_id, item.customer_id)
    before, written = item.before, item.text is not None or item.later_text is not None
    if before is None:
        w.emit(ReviewGiven(*about, item.sign, item.stars, written))
    elif (before.sign, before.stars, before.text, before.later_text) != (
        item.sign, item.stars, item.text, item.later_text,
    ):  # fmt: skip
        w.emit(ReviewChanged(*about, before.sign, item.sign, item.stars, written))
    if item.negative is not None and (before is None or before.negative is None):
        w.emit(ReviewNegative(*about, item.sign, item.stars, item.negative))
