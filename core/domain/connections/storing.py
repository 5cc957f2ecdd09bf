"""Storing what a platform told: each kind of record by its own use case, bad ones set aside."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from core.domain.connections.answering import answer
from core.domain.connections.dead_letters import bury, settle
from core.domain.connections.opening import Access
from core.domain.members.platform import ingest_platform_members
from core.domain.orders.ingest import INCOMPLETE, ingest_orders
from core.domain.orders.parcels import ingest_traces
from core.domain.orders.refunds import WAITING, ingest_refunds
from core.domain.orders.reviews import ingest_reviews
from core.sdk.connectors import Broken, Record, Resource
from core.sdk.errors import HuikeError, Several
from core.sdk.members import PlatformMember
from core.sdk.orders import OrderRecord, ParcelTrace, RefundRecord
from core.sdk.reviews import ReviewRecord
from core.storage.database import Work

POISON = (
    HuikeError, Several, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError,
    TypeError, ValueError, AttributeError, AssertionError, KeyError,
)  # fmt: skip
"""How a record can be wrong in itself, so that another try is no better."""

Hold = Callable[[Work, int], Awaitable[None]]
"""Called in each transaction with the number of records that it stores."""


@dataclass(frozen=True)
class _Place:
    """Where records go: the shop's row, what its buyer ids are, and from when on they are news."""

    shop: Mapping[str, Any]
    identity_kind: str
    since: datetime


async def _orders(w: Work, place: _Place, records: Sequence[Any]) -> list[str]:
    outcomes = await ingest_orders(
        w, place.shop, records, place.identity_kind, events=True, since=place.since
    )
    pairs = zip(records, outcomes, strict=True)
    return [record.external_id for record, outcome in pairs if outcome == INCOMPLETE]


async def _refunds(w: Work, place: _Place, records: Sequence[Any]) -> list[str]:
    outcomes = await ingest_refunds(w, place.shop, records, events=True, since=place.since)
    return _waited_for(records, outcomes)


async def _traces(w: Work, place: _Place, records: Sequence[Any]) -> list[str]:
    outcomes = await ingest_traces(w, place.shop, records, events=True, since=place.since)
    return _waited_for(records, outcomes)


async def _reviews(w: Work, place: _Place, records: Sequence[Any]) -> list[str]:
    outcomes = await ingest_reviews(w, place.shop["id"], records, since=place.since)
    return _waited_for(records, outcomes)


async def _members(w: Work, place: _Place, records: Sequence[Any]) -> list[str]:
    shop = place.shop
    for news in (False, True):
        chosen = [r for r in records if (_told_at(r, place.since) >= place.since) == news]
        await ingest_platform_members(
            w, shop["id"], shop["platform"], chosen, place.identity_kind, events=news
        )
    return []


def _told_at(record: PlatformMember, since: datetime) -> datetime:
    """When what the record tells became so; without a date it is taken for history."""
    moments = (record.modified_at, record.left_at, record.joined_at)
    return next((at for at in moments if at is not None), since - timedelta.resolution)


def _waited_for(records: Sequence[Any], outcomes: Sequence[str]) -> list[str]:
    pairs = zip(records, outcomes, strict=True)
    return [record.order_external_id for record, outcome in pairs if outcome == WAITING]


Ingest = Callable[[Work, _Place, Sequence[Any]], Awaitable[list[str]]]

INGEST: Mapping[type[Any], tuple[Resource, Ingest]] = {
    OrderRecord: (Resource.ORDERS, _orders),
    RefundRecord: (Resource.REFUNDS, _refunds),
    ParcelTrace: (Resource.PARCELS, _traces),
    ReviewRecord: (Resource.REVIEWS, _reviews),
    PlatformMember: (Resource.MEMBERS, _members),
}
"""Who takes in which type of record, in the order in which they are taken in.

Each returns the numbers of orders that are not known, or not whole.
"""


async def store(access: Access, records: Sequence[Record], hold: Hold) -> list[str]:
    """Store records in one transaction; if some are wrong in themselves, without those.

    `hold` is part of each transaction. A record that cannot be stored becomes a dead letter, and
    one that can is none any more. Returns the numbers of orders that are not known, or not whole.
    """
    if not records:
        return []
    try:
        async with access.storing, access.db.work(access.merchant_id) as w:
            # what a crash of the database forgets is read again: the cursor's move waits for all
            await w.sql.execute("SET LOCAL synchronous_commit TO off")
            await hold(w, len(records))
            return await _ingest(access, w, records)
    except POISON as error:
        if len(records) > 1:
            middle = len(records) // 2
            missing = await store(access, records[:middle], hold)
            return missing + await store(access, records[middle:], hold)
        await _bury(access, records[0], error, hold)
        return []


async def _ingest(access: Access, w: Work, records: Sequence[Record]) -> list[str]:
    place = _Place(access.shop, access.platform.connector.identity_kind, access.since)
    missing = []
    for kind, (resource, take) in INGEST.items():
        if chosen := [record for record in records if isinstance(record, kind)]:
            lacking = await take(w, place, chosen)
            missing += lacking
            numbers = [_number(record) for record in chosen]
            await settle(w, access.shop["id"], resource, numbers)
            told = list(zip(numbers, chosen, strict=True))
            await answer(w, access.shop["id"], resource, told, set(lacking))
    return missing


async def _bury(access: Access, record: Record, error: Exception, hold: Hold) -> None:
    letter = Broken(_number(record), str(error), json.dumps(asdict(record), default=str))
    async with access.db.work(access.merchant_id) as w:
        await hold(w, 0)
        await bury(w, access.shop["id"], INGEST[type(record)][0], [letter])


def _number(record: Record) -> str:
    """The platform's number of what the record is about."""
    names = ("external_id", "order_external_id", "buyer_id")
    return str(next(filter(None, (getattr(record, name, None) for name in names)), ""))
