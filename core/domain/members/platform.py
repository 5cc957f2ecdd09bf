"""Members of the platforms' own programmes: guarded snapshots, and their times as members.

A snapshot that tells nothing of something leaves it as it is. What a platform's members mean to the
merchant's own programme is said in platform_joining.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import orjson

from core.domain.customers.contacts import is_masked
from core.domain.customers.identify import Person, identify, lock_customers, save
from core.domain.members.platform_joining import follow_platform
from core.domain.orders.refunds import CREATED, UNCHANGED, UPDATED
from core.sdk.events import PlatformGradeChanged, PlatformMemberJoined, PlatformMemberLeft
from core.sdk.members import PlatformMember
from core.storage.database import Work

INDEX = "platform_members.buyer"

COLUMNS = (
    "buyer_index", "buyer_id", "customer_id", "member", "grade", "grade_name", "points",
    "joined_at", "left_at", "join_source", "blacklisted", "trade_count", "trade_amount",
    "last_trade_at", "modified_at", "content_hash",
)  # fmt: skip
REFUSED = "refused"
AT_LAST = datetime.max.replace(tzinfo=UTC)
"""What a programme knows of an address fills gaps only: orders know better."""
ALWAYS = ("buyer_id", "customer_id", "left_at", "content_hash")
"""Columns that are written even if they are empty."""


@dataclass(slots=True)
class _Stored:
    id: int
    customer_id: int | None
    member: bool | None
    grade: int | None
    joined_at: datetime | None
    left_at: datetime | None
    modified_at: datetime | None
    content_hash: bytes
    erased_at: datetime | None


@dataclass(slots=True)
class _Taken:
    """A record that is written, with what will be stored then."""

    record: PlatformMember
    index: bytes
    content_hash: bytes
    before: _Stored | None
    member: bool | None
    joined_at: datetime | None
    left_at: datetime | None
    customer_id: int | None = None

    @property
    def joins(self) -> bool:
        return bool(self.member) and not (self.before and self.before.member)

    @property
    def leaves(self) -> bool:
        return self.member is False and self.before is not None and bool(self.before.member)


async def ingest_platform_members(
    w: Work,
    shop_id: int,
    platform: str,
    records: Sequence[PlatformMember],
    identity_kind: str = "buyer_id",
    events: bool = True,
) -> list[str]:
    """Take in what a platform tells of a shop's members; returns the outcome of each, in order.

    "created", "updated", "unchanged" (the same content, an older snapshot, or somebody who was
    erased), or "refused" for a masked buyer id, which stands for many people. The customer is found
    by the ids, or made; `identity_kind` names what `buyer_id` is, as for the shop's orders. With
    `events` the changes of what is stored are emitted; history is taken in without, and brings
    nobody a welcome.
    """
    if not records:
        return []
    await lock_customers(w)
    newest: dict[str, PlatformMember] = {}
    for record in records:
        if is_masked(record.buyer_id):
            continue
        before = newest.get(record.buyer_id)
        if before is None or not _is_older(record, before.modified_at):
            newest[record.buyer_id] = record
    indexes = {
        buyer: w.keyring.blind_index(INDEX, w.merchant_id, f"{shop_id}|{buyer}") for buyer in newest
    }
    stored = await _stored(w, shop_id, list(indexes.values()))
    outcomes, taken = {}, []
    for buyer, record in newest.items():
        index = indexes[buyer]
        item = _read(w, record, index, stored.get(index))
        outcomes[buyer] = UNCHANGED if item is None else CREATED if item.before is None else UPDATED
        if item is not None:
            taken.append(item)
    if taken:
        await _find_customers(w, shop_id, taken, identity_kind)
        ids = await _write(w, shop_id, taken)
        await _write_times(w, taken, ids)
        if events:
            _emit(w, shop_id, platform, taken, ids)
    customers = {item.customer_id for item in taken} | {
        one.customer_id for one in stored.values() if one.member
    }
    left = [item.customer_id for item in taken if item.leaves]
    await follow_platform(w, [pk for pk in customers if pk], [pk for pk in left if pk], told=events)
    return [outcomes.get(record.buyer_id, REFUSED) for record in records]


def _is_older(record: PlatformMember, modified_at: datetime | None) -> bool:
    if record.modified_at is None or modified_at is None:
        return False
    return record.modified_at < modified_at


def _read(w: Work, record: PlatformMember, index: bytes, before: _Stored | None) -> _Taken | None:
    """What is to be written; None for what changes nothing."""
    digest = blake2b(orjson.dumps(record), digest_size=16).digest()
    if before is not None and before.erased_at is not None:
        if record.joined_at is None or record.joined_at <= before.erased_at:
            return None  # gone for good, unless he joins anew
    elif before is not None and (
        digest == before.content_hash or _is_older(record, before.modified_at)
    ):
        return None
    member = _is_member(record)
    if member is None and before is not None:
        member = before.member
    item = _Taken(record, index, digest, before, member, record.joined_at, record.left_at)
    told_at = min(record.modified_at or w.now, w.now)
    if item.joins:
        item.joined_at, item.left_at = record.joined_at or told_at, None
    elif item.leaves:
        item.left_at = record.left_at or told_at
    elif before is not None:
        item.joined_at = item.joined_at or before.joined_at
        item.left_at = None if member else item.left_at or before.left_at
    return item


def _is_member(record: PlatformMember) -> bool | None:
    """Whether he is a member, as far as the snapshot tells."""
    if record.member is not None:
        return record.member
    if record.left_at is not None:
        return record.joined_at is not None and record.joined_at > record.left_at
    if record.joined_at is not None:
        return True
    return None if record.grade is None else record.grade > 0


async def _stored(w: Work, shop_id: int, indexes: list[bytes]) -> dict[bytes, _Stored]:
    rows = await w.sql.fetch(
        """SELECT buyer_index, id, customer_id, member, grade, joined_at, left_at, modified_at,
                  content_hash, erased_at
           FROM platform_members
           WHERE merchant_id = $1 AND shop_id = $2 AND buyer_index = ANY($3::bytea[])
           FOR UPDATE""",
        w.merchant_id, shop_id, indexes,
    )  # fmt: skip
    return {row[0]: _Stored(*tuple(row)[1:]) for row in rows}


async def _find_customers(
    w: Work, shop_id: int, taken: Sequence[_Taken], identity_kind: str
) -> None:
    people = [
        Person(
            item.record.last_trade_at or item.record.modified_at or w.now,
            item.record.buyer_id,
            province=item.record.province,
            city=item.record.city,
            identities=item.record.identities,
        )
        for item in taken
    ]
    found = await identify(w, shop_id, identity_kind, people)
    known = {pk: AT_LAST for pk in found.ids if pk is not None and pk not in found.new}
    await save(w, found, people, known, "platform")
    for item, customer_id in zip(taken, found.ids, strict=True):
        item.customer_id = customer_id


async def _write(w: Work, shop_id: int, taken: Sequence[_Taken]) -> dict[bytes, int]:
    sets = [
        f"{name} = excluded.{name}" if name in ALWAYS
        else f"{name} = COALESCE(excluded.{name}, platform_members.{name})"
        for name in COLUMNS if name != "buyer_index"
    ]  # fmt: skip
    rows = await w.sql.fetch(
        f"""INSERT INTO platform_members (merchant_id, shop_id, taken_at, {", ".join(COLUMNS)})
            SELECT $1, $2, $3, u.* FROM unnest(
                $4::bytea[], $5::text[], $6::bigint[], $7::boolean[], $8::smallint[], $9::text[],
                $10::bigint[], $11::timestamptz[], $12::timestamptz[], $13::text[],
                $14::boolean[], $15::int[], $16::bigint[], $17::timestamptz[],
                $18::timestamptz[], $19::bytea[]) AS u
            ON CONFLICT (merchant_id, shop_id, buyer_index)
                DO UPDATE SET taken_at = excluded.taken_at, erased_at = NULL, {", ".join(sets)}
            RETURNING buyer_index, id""",
        w.merchant_id, shop_id, w.now, *zip(*map(_row, taken), strict=True),
    )  # fmt: skip
    return {row["buyer_index"]: row["id"] for row in rows}


def _row(item: _Taken) -> tuple[Any, ...]:
    r = item.record
    return (
        item.index, r.buyer_id, item.customer_id, item.member, r.grade, r.grade_name, r.points,
        item.joined_at, item.left_at, r.join_source, r.blacklisted, r.trade_count, r.trade_amount,
        r.last_trade_at, r.modified_at, item.content_hash,
    )  # fmt: skip


async def _write_times(w: Work, taken: Sequence[_Taken], ids: Mapping[bytes, int]) -> None:
    """A time as a member begins, or ends."""
    gone = [(ids[item.index], item.left_at) for item in taken if item.leaves]
    if gone:
        await w.sql.execute(
            """UPDATE platform_memberships p SET left_at = GREATEST(u.at, p.joined_at)
               FROM unnest($2::bigint[], $3::timestamptz[]) AS u (id, at)
               WHERE p.merchant_id = $1 AND p.platform_member_id = u.id AND p.left_at IS NULL""",
            w.merchant_id, *zip(*gone, strict=True),
        )  # fmt: skip
    new = [(ids[item.index], item.joined_at) for item in taken if item.joins]
    if new:
        await w.sql.execute(
            """INSERT INTO platform_memberships (merchant_id, platform_member_id, joined_at)
               SELECT $1, u.id, u.at FROM unnest($2::bigint[], $3::timestamptz[]) AS u (id, at)
               ON CONFLICT (merchant_id, platform_member_id) WHERE left_at IS NULL DO NOTHING""",
            w.merchant_id, *zip(*new, strict=True),
        )  # fmt: skip


def _emit(
    w: Work, shop_id: int, platform: str, taken: Sequence[_Taken], ids: Mapping[bytes, int]
) -> None:
    for item in taken:
        about = (ids[item.index], shop_id, item.customer_id, platform)
        grade, old = item.record.grade, item.before.grade if item.before else None
        if item.joins:
            w.emit(PlatformMemberJoined(*about, grade, item.record.join_source))
        elif item.leaves:
            w.emit(PlatformMemberLeft(*about))
        elif item.before is not None and grade not in (None, old):
            w.emit(PlatformGradeChanged(*about, old, grade))
