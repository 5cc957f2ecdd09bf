"""Subscriptions as server-sent events and what they say: timelines, sizes, limits, slow readers."""

import asyncio
import contextlib
import json
import socket
from datetime import timedelta

import httpx2
import orjson
import pytest
import websockets

from core.domain.customers.log import log_event
from core.domain.customers.notes import add_note
from core.domain.customers.timeline_news import MOST, WINDOW
from core.domain.segments.lists import add_to_list
from core.domain.segments.segments import create_kept_segment, delete_segment
from core.schema import live, timeline_news
from core.schema.scalars import global_id, split_id
from core.sdk.events import ConsentGranted
from core.storage import jobs, outbox
from tests.schema import operations
from tests.schema.test_live import JOB, message, subscribed

EVENTS = {"accept": "text/event-stream"}
TIMELINE = """subscription ($id: ID!, $after: String, $kinds: [String!]) {
    customerTimeline(customerId: $id, after: $after, kinds: $kinds) {
        nodes { kind title } cursor complete } }"""
SIZE = "subscription ($id: ID!) { segmentSize(id: $id) { size } }"
LOGS = ["tag_added", "note_added"]


@contextlib.asynccontextmanager
async def streamed(address, token, query, method="POST", **variables):
    """The events of a stream, as an iterator of (name, data)."""
    url = address.replace("ws://", "http://")
    headers = {**EVENTS, "authorization": f"Bearer {token}"}
    if method == "POST":
        given = {"json": {"query": query, "variables": variables}}
    else:
        given = {"params": {"query": query, "variables": json.dumps(variables)}}
    async with (
        asyncio.timeout(60),
        httpx2.AsyncClient(timeout=60) as client,
        client.stream(method, url, headers=headers, **given) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-request-id"]
        yield read_events(answer)


async def read_events(answer):
    name = None
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data:"):
            text = line.removeprefix("data:").strip()
            yield name, json.loads(text) if text else None


async def data(events, field):
    name, found = await anext(events)
    assert name == "next", found
    assert "errors" not in found, found
    return found["data"][field]


# -- server-sent events --------------------------------------------------------------------------


async def test_events_follow_a_job_to_its_end(address, world):
    merchant, job = world.merchant, world.ids["Job"]
    async with streamed(address, merchant.token, JOB, id=job) as events:
        assert (await data(events, "jobProgress"))["state"] == "QUEUED"
        async with merchant.work() as w:
            await jobs.cancel(w, split_id(job)[1])
        assert (await data(events, "jobProgress"))["state"] == "CANCELLED"
        assert await anext(events) == ("complete", None)
        with pytest.raises(StopAsyncIteration):
            await anext(events)


@pytest.mark.parametrize("name", sorted(operations.SUBSCRIPTIONS))
async def test_every_subscription_is_streamed(address, kept, name):
    query, variables = operations.text(name), operations.variables(name, kept.ids)
    for method in ("POST", "GET"):
        async with streamed(address, kept.token, query, method, **variables) as events:
            name, first = await anext(events)
            assert name == "next"
            assert "errors" not in first
            assert all(first["data"].values())


async def test_other_operations_are_one_event(address, world):
    async with streamed(address, world.token, "{ merchant { name } }") as events:
        assert (await data(events, "merchant"))["name"] == "Test"
        assert (await anext(events))[0] == "complete"
    mutation = 'mutation { pluginDisable(name: "email") { errors { code } } }'
    async with streamed(address, world.token, mutation, "GET") as events:
        name, answer = await anext(events)
        assert name == "next"
        assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
        assert (await anext(events))[0] == "complete"


@pytest.mark.parametrize(
    ("query", "code"), [("{", "BAD_REQUEST"), ("{ none }", "BAD_REQUEST"), (JOB, "FORBIDDEN")]
)
async def test_what_is_refused_is_an_event_too(address, world, query, code):
    reader = await world.limited("SHOPS_READ")
    async with streamed(address, reader, query, id=world.ids["Job"]) as events:
        name, answer = await anext(events)
        assert (name, answer["errors"][0]["extensions"]["code"]) == ("next", code)
        assert (await anext(events))[0] == "complete"


async def test_what_is_no_request_is_refused_in_json(api):
    answer = await api.client.post(
        "/graphql", content=b"[", headers={**EVENTS, "content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


async def test_a_subscription_without_a_stream_is_refused(api, world):
    answer = await api.raw({"query": JOB, "variables": {"id": world.ids["Job"]}}, world.token)
    assert answer.status_code == 406
    assert "text/event-stream" in answer.json()["errors"][0]["message"]


async def test_a_slow_query_is_ended_on_a_stream_too(address, world, monkeypatch):
    async def slow(info):
        await asyncio.sleep(30)

    monkeypatch.setattr("core.schema.shops.merchant_of", slow)
    monkeypatch.setattr(
        "core.schema.build.in_time", lambda results, _, name: live.in_time(results, 0.05, name)
    )
    async with subscribed(address, world.token, "{ merchant { name } }") as connection:
        answer = await message(connection)
    assert answer["payload"]["errors"][0]["extensions"]["code"] == "TIMEOUT"


async def test_streams_end_with_the_process(address, app, world):
    async with streamed(address, world.token, JOB, id=world.ids["Job"]) as events:
        await anext(events)
        app.state.live.close()
        # no `complete`: the client comes again
        assert [one async for one in events] == []
    app.state.live._closing.clear()


# -- timelines -----------------------------------------------------------------------------------


async def log(world, kind, ago=0, count=1):
    merchant = world.merchant
    async with merchant.work() as w:
        w.now -= timedelta(hours=ago)
        for _ in range(count):
            await log_event(w, [split_id(world.ids["Customer"])[1]], kind, {"tags": ["tea"]})


async def test_a_timeline_goes_on_from_its_cursor(address, world, monkeypatch):
    monkeypatch.setattr(timeline_news, "LOOK_SECONDS", 0.02)
    given = {"id": world.ids["Customer"], "kinds": LOGS}
    await log(world, "tag_added", ago=1)
    async with streamed(address, world.token, TIMELINE, **given) as events:
        first = await data(events, "customerTimeline")
        assert {"kind": "tag_added", "title": "Tagged tea"} in first["nodes"]
        assert first["complete"] is True
        async with world.merchant.work() as w:
            await add_note(w, split_id(given["id"])[1], "called")
        second = await data(events, "customerTimeline")
        assert [one["kind"] for one in second["nodes"]] == ["note_added"]
    # while nobody looks: one now, and one that is older than what was seen
    await log(world, "note_added")
    await log(world, "tag_added", ago=2)
    given["after"] = second["cursor"]
    async with streamed(address, world.token, TIMELINE, **given) as events:
        third = await data(events, "customerTimeline")
        assert [one["kind"] for one in third["nodes"]] == ["note_added", "tag_added"]
    given["after"] = third["cursor"]
    async with streamed(address, world.token, TIMELINE, **given) as events:
        assert (await data(events, "customerTimeline"))["nodes"] == []


async def test_a_timeline_says_when_too_much_came(address, world):
    given = {"id": world.ids["Customer"], "kinds": LOGS}
    await log(world, "tag_added", count=60)
    async with streamed(address, world.token, TIMELINE, **given) as events:
        first = await data(events, "customerTimeline")
        assert len(first["nodes"]) == WINDOW
    world.merchant.clock.move(timedelta(minutes=1))
    await log(world, "note_added", count=MOST + 5)
    async with streamed(address, world.token, TIMELINE, after=first["cursor"], **given) as events:
        second = await data(events, "customerTimeline")
    assert (len(second["nodes"]), second["complete"]) == (MOST, False)
    assert {one["kind"] for one in second["nodes"]} == {"note_added"}
    async with streamed(address, world.token, TIMELINE, after=second["cursor"], **given) as events:
        third = await data(events, "customerTimeline")
    assert (third["nodes"], third["complete"]) == ([], True)


async def test_an_event_wakes_the_timeline(address, world, monkeypatch):
    monkeypatch.setattr(timeline_news, "LOOK_SECONDS", 600)
    given = {"id": world.ids["Customer"], "kinds": LOGS}
    async with streamed(address, world.token, TIMELINE, **given) as events:
        await anext(events)
        await log(world, "note_added")
        async with world.merchant.work() as w:
            w.emit(ConsentGranted(split_id(given["id"])[1], 0, "sms", "marketing", "page"))
        await outbox.drain(world.merchant.installation.db, world.merchant.id, {})
        found = await data(events, "customerTimeline")
        assert [one["kind"] for one in found["nodes"]] == ["note_added"]


async def test_a_cursor_belongs_to_its_timeline(address, world):
    given = {"id": world.ids["Customer"], "kinds": LOGS}
    async with streamed(address, world.token, TIMELINE, **given) as events:
        cursor = (await data(events, "customerTimeline"))["cursor"]
    for wrong in ({"id": world.ids["Second"]}, {"kinds": None}, {"after": "nonsense"}):
        variables = {**given, "after": cursor, **wrong}
        async with streamed(address, world.token, TIMELINE, **variables) as events:
            _, answer = await anext(events)
            assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST", wrong


async def test_another_merchants_customer_and_segment_are_empty(address, world, stranger):
    for query, kind in ((TIMELINE, "Customer"), (SIZE, "Segment")):
        async with streamed(address, world.token, query, id=stranger.ids[kind]) as events:
            assert (await anext(events))[0] == "complete"


# -- sizes of segments ---------------------------------------------------------------------------


async def test_a_segments_size_is_told_until_it_is_deleted(address, world):
    merchant = world.merchant
    async with merchant.work() as w:
        segment = await create_kept_segment(w, "guests", "list")
    async with subscribed(
        address, world.token, SIZE, id=global_id("Segment", segment)
    ) as connection:
        assert (await message(connection))["payload"]["data"]["segmentSize"] == {"size": 0}
        async with merchant.work() as w:
            await add_to_list(w, segment, [split_id(world.ids["Customer"])[1]])
        assert (await message(connection))["payload"]["data"]["segmentSize"] == {"size": 1}
        async with merchant.work() as w:
            await delete_segment(w, segment)
        assert (await message(connection))["type"] == "complete"


# -- limits and slow readers ---------------------------------------------------------------------


async def ended(app):
    """The server notices by itself that nobody is there."""
    async with asyncio.timeout(60):
        while app.state.live._open:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_token_has_so_many_subscriptions(address, app, world, monkeypatch):
    monkeypatch.setattr(live, "MAX_OPEN", 1)
    job = world.ids["Job"]
    async with subscribed(address, world.token, JOB, id=job) as connection:
        await message(connection)
        async with streamed(address, world.token, JOB, id=job) as events:
            _, answer = await anext(events)
            assert answer["errors"][0]["extensions"]["code"] == "THROTTLED"
        # another token has its own
        async with streamed(address, world.person, JOB, id=job) as events:
            await data(events, "jobProgress")
    await ended(app)
    async with streamed(address, world.token, JOB, id=job) as events:
        await data(events, "jobProgress")


async def large(world):
    """A job whose progress does not fit into what the system keeps for a reader."""
    pk = split_id(world.ids["Job"])[1]
    async with world.merchant.work() as w:
        await w.sql.execute(
            "UPDATE jobs SET result = $3 WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, pk, orjson.dumps("x" * 12_000_000).decode(),
        )  # fmt: skip
    return pk


async def told_until_cut_off(world, pk, caplog):
    async with asyncio.timeout(60):
        while live.TOO_SLOW not in caplog.text:
            async with world.merchant.work() as w:
                await w.notify("job", pk)
            await asyncio.sleep(0.05)


LARGE = "subscription ($id: ID!) { jobProgress(id: $id) { state result } }"


async def test_who_does_not_read_is_cut_off_with_a_reason(address, world, monkeypatch, caplog):
    monkeypatch.setattr(live, "SEND_SECONDS", 0.2)
    pk = await large(world)
    options = {"max_size": None, "max_queue": 1, "compression": None}
    given = {"options": options, "id": world.ids["Job"]}
    async with subscribed(address, world.token, LARGE, **given) as connection:
        await told_until_cut_off(world, pk, caplog)
        with pytest.raises(websockets.ConnectionClosedError):
            async for _ in connection:
                pass
    assert (connection.close_code, connection.close_reason) == (1008, live.TOO_SLOW)


async def test_who_does_not_read_a_stream_is_cut_off(address, app, world, monkeypatch, caplog):
    monkeypatch.setattr(live, "SEND_SECONDS", 0.2)
    pk = await large(world)
    port = int(address.rpartition(":")[2].partition("/")[0])
    body = orjson.dumps({"query": LARGE, "variables": {"id": world.ids["Job"]}})
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(
            client,
            b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"accept: text/event-stream\r\nauthorization: Bearer %b\r\n"
            b"content-length: %d\r\n\r\n%b" % (world.token.encode(), len(body), body),
        )
        await told_until_cut_off(world, pk, caplog)
        await ended(app)
