"""Messages that something changed: kept, then answered by fetching the entity.

A message is a hint: it may come twice, late, in disorder, or before the platform itself shows the
new state.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.domain.connections.answering import LONG_AGO, SLACK, fetches_lag, shown_at
from core.domain.connections.calls import Priority
from core.domain.connections.dead_letters import bury
from core.domain.connections.leases import LEASE
from core.domain.connections.opening import FAILURES, Access, connection_of, open_shop
from core.domain.connections.storing import store
from core.domain.connections.trouble import needs_seller, pause_after, problem_of
from core.registry import Registry
from core.sdk.connectors import Broken, Changed, Record, Resource
from core.sdk.errors import ReconnectNeeded, Refused, WrongState
from core.storage.database import Database, Work

PAUSES = (timedelta(seconds=5), timedelta(seconds=30), timedelta(seconds=120))
"""When to look again for a change that is not to be seen yet; then the windows find it."""
ENTITIES = 100
MESSAGES = 1000
"""So many are looked at for each claim."""
AT_ONCE = 10


@dataclass(frozen=True)
class Entity:
    """What is to be fetched: the messages about it, and when the last of them was sent."""

    resource: Resource
    external_id: str
    messages: list[int]
    sent_at: datetime
    tries: int
    failures: int


async def take_in(w: Work, connector: str, changes: Sequence[Changed]) -> None:
    """Keep what a platform told. Of shops that are not connected nothing is kept.

    Raises Refused for what no platform sends.
    """
    if any("\x00" in one.key + one.external_id + one.shop for one in changes):
        raise Refused("the message holds the character NUL")
    rows = await w.sql.fetch(
        """SELECT s.external_id, s.id FROM shop_connections c
           JOIN shops s ON s.merchant_id = c.merchant_id AND s.id = c.shop_id
           WHERE c.merchant_id = $1 AND c.connector = $2 AND s.external_id = ANY($3::text[])""",
        w.merchant_id, connector, list({one.shop for one in changes}),
    )  # fmt: skip
    shops = {row["external_id"]: row["id"] for row in rows}
    hints = [one for one in changes if one.resource is not None and one.shop in shops]
    await _keep(w, connector, hints, shops)
    for one in changes:
        if one.resource is None and one.shop in shops:
            await _withdraw(w, shops[one.shop], one.at)


async def ask_for(w: Work, access: Access, resource: Resource, external_ids: Sequence[str]) -> None:
    """Have entities fetched whole, as though the platform had told of a change."""
    if external_ids:
        shop = access.shop
        await _keep(
            w,
            access.platform.connector.name,
            [
                Changed(f"ask {shop['id']} {resource} {number}", "", resource, number, LONG_AGO)
                for number in dict.fromkeys(external_ids)
            ],
            {"": shop["id"]},
        )


async def ask_again(w: Work, letter: Mapping[str, Any]) -> None:
    """Have a dead letter's entity fetched once more; its row is settled if that goes well.

    Raises NotFound, WrongState when the shop is not connected.
    """
    connection = await connection_of(w, letter["shop_id"])
    if connection["state"] != "connected":
        raise WrongState("the shop is not connected: connect it first", ("id",))
    hint = Changed(
        f"again {letter['id']} {w.now.timestamp()}",
        "",
        Resource(letter["resource"]),
        letter["external_id"],
        LONG_AGO,
    )
    await _keep(w, connection["connector"], [hint], {"": letter["shop_id"]})
    w.audit("dead_letter.retried", {"letter": letter["id"]})


async def _keep(w: Work, connector: str, changes: Sequence[Changed], shops: dict[str, int]) -> None:
    latest = {one.key: one for one in changes}
    if not latest:
        return
    told = list(latest.values())
    await w.sql.execute(
        """INSERT INTO push_inbox (merchant_id, connector, received_at, next_at, tries, shop_id,
                                   key, resource, external_id, sent_at)
           SELECT $1, $2, $3, $3, 0, u.* FROM unnest(
               $4::bigint[], $5::text[], $6::text[], $7::text[], $8::timestamptz[]) AS u
           ON CONFLICT (merchant_id, connector, key) DO NOTHING""",
        w.merchant_id, connector, w.now, [shops[one.shop] for one in told], list(latest),
        [str(one.resource) for one in told], [one.external_id for one in told],
        [one.at for one in told],
    )  # fmt: skip
    for shop_id in {shops[one.shop] for one in told}:
        w.ring("shops.fetch", w.merchant_id, shop_id)


async def _withdraw(w: Work, shop_id: int, at: datetime) -> None:
    """The seller has withdrawn his authorisation; one that he gave since holds."""
    ended = await w.sql.fetchval(
        """UPDATE shop_connections SET state = 'revoked', token_sealed = NULL, refresh_at = NULL,
               problem = 'the seller has withdrawn the authorisation', problem_at = $3
           WHERE merchant_id = $1 AND shop_id = $2 AND authorised_at <= $4
             AND state <> 'disconnected' RETURNING id""",
        w.merchant_id, shop_id, w.now, at,
    )  # fmt: skip
    if ended is not None:
        w.audit("shop.authorisation_withdrawn", {"shop": shop_id})
        await w.notify("connection", shop_id)


async def fetch_due(db: Database, registry: Registry, merchant_id: int, shop_id: int) -> bool:
    """Fetch what messages have told of, each entity once; returns whether there may be more."""
    entities, more = await _claim(db, merchant_id, shop_id)
    if not entities:
        return False
    if len(entities) == ENTITIES:
        await _call_windows(db, merchant_id, shop_id, {one.resource for one in entities})
    try:
        async with open_shop(db, registry, merchant_id, shop_id, Priority.PUSH) as access:
            await _fetch_all(access, entities)
    except FAILURES as error:
        await _put_back(db, merchant_id, shop_id, [(one, error) for one in entities])
        return False
    return more


async def _claim(db: Database, merchant_id: int, shop_id: int) -> tuple[list[Entity], bool]:
    """Entities of the newest messages that are due, with all their messages; whether more may be.

    The newest, since windows bring the older. Each part is found by an index, so that a claim does
    not read the backlog behind it; the sum keeps the second from being looked for by the time that
    all of the backlog has in common.
    """
    async with db.work(merchant_id) as w:
        rows = await w.sql.fetch(
            """WITH newest AS MATERIALIZED (
                   SELECT id, resource, external_id, next_at FROM push_inbox
                   WHERE merchant_id = $1 AND shop_id = $2 AND done_at IS NULL AND next_at <= $3
                   ORDER BY next_at DESC, id DESC LIMIT $5),
               due AS MATERIALIZED (
                   SELECT resource, external_id FROM newest
                   GROUP BY resource, external_id ORDER BY max(next_at) DESC, max(id) DESC
                   LIMIT $4),
               same AS MATERIALIZED (
                   SELECT found.id FROM due, LATERAL (
                       SELECT id FROM push_inbox p
                       WHERE p.merchant_id = $1 AND p.shop_id = $2 AND p.done_at IS NULL
                         AND p.external_id = due.external_id AND p.resource = due.resource
                         AND p.next_at + INTERVAL '0' <= $3
                       FOR UPDATE SKIP LOCKED) AS found),
               claimed AS (
                   UPDATE push_inbox p SET next_at = $6 FROM same
                   WHERE p.merchant_id = $1 AND p.id = same.id RETURNING p.*)
               SELECT resource, external_id, array_agg(id) AS messages, max(sent_at) AS sent_at,
                      min(tries) AS tries, max(failures) AS failures
               FROM claimed GROUP BY resource, external_id ORDER BY min(id)""",
            merchant_id, shop_id, w.now, ENTITIES, MESSAGES, w.now + LEASE,
        )  # fmt: skip
    entities = [Entity(Resource(row["resource"]), *tuple(row)[1:]) for row in rows]
    told = sum(len(one.messages) for one in entities)
    return entities, len(entities) == ENTITIES or told >= MESSAGES


async def _call_windows(
    db: Database, merchant_id: int, shop_id: int, resources: Collection[Resource]
) -> None:
    """If messages come faster than they are fetched, have the windows read now.

    A list brings many changes by one call.
    """
    async with db.work(merchant_id) as w:
        for resource in resources:
            if await fetches_lag(w, shop_id, resource):
                await w.sql.execute(
                    """UPDATE sync_cursors SET next_at = $4
                       WHERE merchant_id = $1 AND shop_id = $2 AND resource = $3
                         AND next_at > $4 AND failures = 0 AND lease_owner IS NULL""",
                    merchant_id, shop_id, resource.value, w.now,
                )  # fmt: skip
                w.ring("shops.sync", merchant_id, shop_id)


async def _fetch_all(access: Access, entities: Sequence[Entity]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def fetch(entity: Entity) -> Sequence[Record] | Exception:
        async with room:
            try:
                return await access.platform.call(
                    access.session.fetch(entity.resource, entity.external_id)
                )
            except FAILURES as error:
                return error

    answers = await asyncio.gather(*(fetch(entity) for entity in entities))
    found: dict[int, Sequence[Record]] = {}
    failed: list[tuple[Entity, Exception]] = []
    for place, (entity, answer) in enumerate(zip(entities, answers, strict=True)):
        if isinstance(answer, Exception):
            failed.append((entity, answer))
        else:
            found[place] = answer
    records = [record for answer in found.values() for record in answer]
    missing = await store(access, records, _nothing)
    shown = [entities[place] for place in found if not _is_late(entities[place], found[place])]
    late = [entities[place] for place in found if _is_late(entities[place], found[place])]
    async with access.db.work(access.merchant_id) as w:
        await _finish(w, access, shown, missing)
        await _look_again(w, late)
    if failed:
        await _put_back(access.db, access.merchant_id, access.shop["id"], failed)


async def _nothing(w: Work, count: int) -> None:
    """A fetch has no cursor to hold."""


def _is_late(entity: Entity, records: Sequence[Record]) -> bool:
    """Whether the platform does not show yet what the message told of."""
    moments = [moment for record in records if (moment := shown_at(record)) is not None]
    if not records or not moments:
        return not records
    return max(moments) < entity.sent_at - SLACK


async def _finish(w: Work, access: Access, shown: Sequence[Entity], missing: Sequence[str]) -> None:
    await _mark_done(w, [number for one in shown for number in one.messages])
    fetched = {one.external_id for one in shown if one.resource is Resource.ORDERS}
    halves = [number for number in missing if number in fetched]
    reason = "the platform does not tell all that an order needs"
    letters = [Broken(number, reason, "") for number in halves]
    await bury(w, access.shop["id"], Resource.ORDERS, letters)
    await ask_for(w, access, Resource.ORDERS, [n for n in missing if n not in fetched])


async def _look_again(w: Work, late: Sequence[Entity]) -> None:
    """Look again a while later, or leave the change to the windows."""
    await _mark_done(w, [n for one in late if one.tries >= len(PAUSES) for n in one.messages])
    again = [(n, PAUSES[one.tries]) for one in late if one.tries < len(PAUSES)
             for n in one.messages]  # fmt: skip
    if again:
        await w.sql.execute(
            """UPDATE push_inbox p SET tries = tries + 1, next_at = $2::timestamptz + u.pause
               FROM unnest($3::bigint[], $4::interval[]) AS u (id, pause)
               WHERE p.merchant_id = $1 AND p.id = u.id""",
            w.merchant_id, w.now, *zip(*again, strict=True),
        )  # fmt: skip


async def _mark_done(w: Work, messages: Sequence[int]) -> None:
    if messages:
        await w.sql.execute(
            """UPDATE push_inbox SET done_at = $2
               WHERE merchant_id = $1 AND id = ANY($3::bigint[])""",
            w.merchant_id, w.now, list(messages),
        )  # fmt: skip


async def _put_back(
    db: Database, merchant_id: int, shop_id: int, failed: Sequence[tuple[Entity, Exception]]
) -> None:
    """Try again later what failed; what is refused becomes a dead letter."""
    async with db.work(merchant_id) as w:
        for resource in Resource:
            refused = [
                (one, Broken(one.external_id, problem_of(error), ""))
                for one, error in failed
                if isinstance(error, Refused) and one.resource is resource
            ]
            await bury(w, shop_id, resource, [letter for _, letter in refused])
            await _mark_done(w, [number for one, _ in refused for number in one.messages])
        again = [
            (number, pause_after(error, one.failures))
            for one, error in failed
            if not isinstance(error, Refused)
            for number in one.messages
        ]
        if again:
            await w.sql.execute(
                """UPDATE push_inbox p SET failures = LEAST(failures + 1, 1000),
                       next_at = $2::timestamptz + u.pause
                   FROM unnest($3::bigint[], $4::interval[]) AS u (id, pause)
                   WHERE p.merchant_id = $1 AND p.id = u.id""",
                merchant_id, w.now, *zip(*again, strict=True),
            )  # fmt: skip
        for _, error in failed:
            if isinstance(error, ReconnectNeeded):
                await needs_seller(w, shop_id, error)
                break
