"""The outbox: every event to every subscriber, in order, however often somebody fails."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import asyncpg
import httpx2
import orjson
import pytest

from core import doctor
from core.app import create_app
from core.sdk.errors import NotFound
from core.sdk.events import Event, SegmentLeft
from core.storage import outbox
from core.storage.database import credentials
from core.storage.telling import payload

TYPES = frozenset({"test.happened"})


@dataclass(frozen=True)
class Happened(Event):
    type: ClassVar[str] = "test.happened"
    number: int


class Subscriber:
    """Notes the numbers it got; fails while `failing` holds the number."""

    def __init__(self, *failing):
        self.failing = set(failing)
        self.got = []

    async def __call__(self, db, occurrence):
        number = occurrence.payload["number"]
        if number in self.failing:
            raise ConnectionError("the outside is away, and 13800138000 must not be stored")
        self.got.append(number)


@pytest.fixture
def db(merchant):
    return merchant.installation.db


async def emit(merchant, *numbers):
    async with merchant.work() as w:
        for number in numbers:
            w.emit(Happened(number))


async def rows(merchant):
    async with merchant.read() as session:
        return await session.sql.fetch(
            "SELECT * FROM outbox_events WHERE merchant_id = $1 ORDER BY id", merchant.id
        )


async def test_events_come_in_order_and_once(db, merchant):
    await emit(merchant, *range(250))
    one, other = Subscriber(), Subscriber()
    handlers = {"one": (TYPES, one), "other": (frozenset({"test.else"}), other)}
    assert merchant.id in await outbox.merchants_with_open_events(db)
    assert await outbox.drain(db, merchant.id, handlers) == 250
    assert await outbox.drain(db, merchant.id, handlers) == 0
    assert one.got == list(range(250))
    assert other.got == []
    assert merchant.id not in await outbox.merchants_with_open_events(db)


async def test_a_failure_holds_the_later_events_up_and_is_tried_again_alone(db, merchant):
    await emit(merchant, 1, 2, 3)
    fine, flaky = Subscriber(), Subscriber(2)
    last = Subscriber()  # it is told, though the one before it failed
    handlers = {"fine": (TYPES, fine), "flaky": (TYPES, flaky), "last": (TYPES, last)}
    assert await outbox.drain(db, merchant.id, handlers) == 1
    assert (fine.got, flaky.got, last.got) == ([1, 2], [1], [1, 2])
    _, waiting, _ = await rows(merchant)
    assert waiting["error"] == "flaky: ConnectionError"
    assert orjson.loads(waiting["handled_by"]) == ["fine", "last"]
    assert waiting["next_at"] == merchant.clock() + timedelta(seconds=1)
    flaky.failing.clear()
    assert await outbox.drain(db, merchant.id, handlers) == 0
    assert merchant.id not in await outbox.merchants_with_open_events(db)
    merchant.clock.move(timedelta(seconds=1))
    assert await outbox.drain(db, merchant.id, handlers) == 2
    assert (fine.got, flaky.got, last.got) == ([1, 2, 3], [1, 2, 3], [1, 2, 3])


async def test_an_event_that_never_succeeds_is_set_aside_with_its_error(db, merchant):
    await emit(merchant, 1, 2)
    broken = Subscriber(1)
    pauses = []
    for _ in range(outbox.MAX_ATTEMPTS):
        assert broken.got == []
        await outbox.drain(db, merchant.id, {"broken": (TYPES, broken)})
        first = (await rows(merchant))[0]
        pauses.append((first["next_at"] - merchant.clock()).total_seconds())
        merchant.clock.move(first["next_at"] - merchant.clock())
    assert pauses == [*(2**n for n in range(outbox.MAX_ATTEMPTS - 1)), 3600]
    assert broken.got == [2]
    first, second = await rows(merchant)
    assert (first["done_at"] is not None, first["error"]) == (True, "broken: ConnectionError")
    assert (second["done_at"] is not None, second["error"]) == (True, None)


async def set_aside(db, merchant, *numbers):
    """Have events fail until they are set aside; what fails on them."""
    await emit(merchant, *numbers)
    broken = Subscriber(*numbers)
    while any(row["done_at"] is None for row in await rows(merchant)):
        await outbox.drain(db, merchant.id, {"broken": (TYPES, broken)})
        merchant.clock.move(timedelta(minutes=2))
    return broken


async def test_what_was_set_aside_is_tried_again_for_days(db, merchant):
    broken = await set_aside(db, merchant, 1)
    merchant.clock.move(-timedelta(minutes=2))
    pauses, handlers = [], {"broken": (TYPES, broken)}
    while True:
        (row,) = await rows(merchant)
        if row["attempts"] == outbox.LAST_ATTEMPTS:
            break
        pauses.append((row["next_at"] - merchant.clock()).total_seconds() / 3600)
        merchant.clock.move(row["next_at"] - merchant.clock() - timedelta(seconds=1))
        assert merchant.id not in await outbox.merchants_with_open_events(db)
        merchant.clock.move(timedelta(seconds=1))
        assert merchant.id in await outbox.merchants_with_open_events(db)
        await outbox.drain(db, merchant.id, handlers)
    assert pauses == [1, 2, 4, 8, 16, 24, 24, 24]
    merchant.clock.move(timedelta(days=3))
    broken.failing.clear()
    assert merchant.id not in await outbox.merchants_with_open_events(db)
    await outbox.drain(db, merchant.id, handlers)
    assert broken.got == []
    async with merchant.work() as w:
        assert await outbox.try_again(w) == 1
    assert merchant.id in await outbox.merchants_with_open_events(db)
    await outbox.drain(db, merchant.id, handlers)
    assert broken.got == [1]
    (row,) = await rows(merchant)
    assert (row["aside_at"], row["error"]) == (None, None)
    async with merchant.work() as w:
        assert await outbox.try_again(w) == 0
        with pytest.raises(NotFound):
            await outbox.try_again(w, [row["id"]])


async def test_new_events_go_before_those_that_were_set_aside(db, merchant):
    told = []
    broken = await set_aside(db, merchant, 1, 2)
    broken.failing.clear()
    merchant.clock.move(timedelta(hours=1))
    await emit(merchant, 3)

    async def watched(db, occurrence):
        told.append(occurrence.payload["number"])
        if told == [3, 1]:
            await emit(merchant, 4)

    await outbox.drain(db, merchant.id, {"broken": (TYPES, watched)})
    assert told == [3, 1, 4, 2]


async def test_the_operator_is_told_of_what_was_set_aside(db, merchant):
    await set_aside(db, merchant, 1)
    count = await outbox.count_aside(db)
    finding = await doctor._events(merchant.installation)
    assert not finding.ok
    assert finding.detail.startswith(f"{count} could not be handled")
    transport = httpx2.ASGITransport(create_app(merchant.installation))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        assert f"\nhuike_events_set_aside {count}.0\n" in (await client.get("/metrics")).text


async def test_nobody_retries_another_merchants_events(db, merchant, installation):
    await set_aside(db, merchant, 1)
    ids = [row["id"] for row in await rows(merchant)]
    before = await outbox.count_aside(db)
    async with db.work(merchant.id + 1_000_000) as w:
        assert await outbox.try_again(w) == 0
        with pytest.raises(NotFound):
            await outbox.try_again(w, ids)
    assert before >= 1
    assert [row["attempts"] for row in await rows(merchant)] == [outbox.MAX_ATTEMPTS]


async def test_a_crash_between_the_handler_and_the_note_calls_the_handler_again(db, merchant):
    await emit(merchant, 1)

    class Crash(BaseException):
        """The process dies: no handler of errors gets to see it."""

    class Dying(Subscriber):
        async def __call__(self, db, occurrence):
            await super().__call__(db, occurrence)
            if len(self.got) == 1:
                raise Crash

    dying = Dying()
    with pytest.raises(Crash):
        await outbox.drain(db, merchant.id, {"dying": (TYPES, dying)})
    assert await outbox.drain(db, merchant.id, {"dying": (TYPES, dying)}) == 1
    assert dying.got == [1, 1]


async def test_one_process_at_a_time_drains_a_merchant(db, merchant):
    await emit(merchant, 1)
    subscriber = Subscriber()
    url = credentials(merchant.installation.database_url)
    elsewhere = await asyncpg.connect(**url)
    await elsewhere.execute(
        "SELECT pg_advisory_lock($1, $2)", outbox.LOCK_SPACE, merchant.id % 2**31
    )
    assert await outbox.drain(db, merchant.id, {"a": (TYPES, subscriber)}) == 0
    await elsewhere.close()
    for _ in range(200):
        if await outbox.drain(db, merchant.id, {"a": (TYPES, subscriber)}):
            break
        await asyncio.sleep(0.01)
    assert subscriber.got == [1]


async def test_the_lock_is_given_back(db, merchant):
    for number in range(30):
        await emit(merchant, number)
        drained = await asyncio.gather(
            *(outbox.drain(db, merchant.id, {"a": (TYPES, Subscriber())}) for _ in range(3))
        )
        assert sum(drained) == 1


def test_a_payload_by_sql_has_the_fields_of_its_event():
    assert payload(SegmentLeft, cause="$2") == (
        "jsonb_build_object('segment_id', segment_id, 'customer_ids', customer_ids, 'cause', $2)"
    )
    with pytest.raises(TypeError, match="SegmentLeft has no reason"):
        payload(SegmentLeft, reason="$2")
