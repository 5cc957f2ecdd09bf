"""A request's first line and headers are taken up to a bound, and all of it within a time."""

import asyncio
import contextlib
import json
from urllib.parse import urlsplit

import httpx2
import pytest

from core import protocol
from core.protocol import HEAD_BYTES
from tests.schema.conftest import served

CHUNK = b"x" * 16 * 1024


async def sent_until_closed(address, start):
    """Bytes of a head that the server took before it refused, and its answer."""
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(start)
    answer = asyncio.create_task(reader.read())
    sent = 0
    while not answer.done() and sent < 100 * HEAD_BYTES:
        writer.write(CHUNK)
        sent += len(CHUNK)
        await asyncio.sleep(0.001)
    found = await asyncio.wait_for(answer, 10)
    writer.close()
    return sent, found


def told(answer):
    """The extensions of the one error in a raw answer, whose body is JSON as all of ours."""
    head, _, body = answer.rpartition(b"\r\n\r\n")
    assert b"content-type: application/json; charset=utf-8" in head.lower()
    (error,) = json.loads(body)["errors"]
    assert error["message"]
    assert f"x-request-id: {error['extensions']['requestId']}".encode() in head
    return error["extensions"]


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED = {
    "no HTTP": (b"hello\r\n\r\n", 400),
    "another version": (b"GET / HTTP/9.9\r\n\r\n", 400),
    "a method that nobody knows": (b"FOO /graphql HTTP/1.1\r\n\r\n", 400),
    "a header without a colon": (b"GET /healthz HTTP/1.1\r\nno\r\n\r\n", 400),
    "a length that is none": (b"POST /graphql HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
    "broken chunks": (b"POST /graphql HTTP/1.1\r\n" + CHUNKED + b"zz\r\n{}\r\n", 400),
    "chunks that break off": (
        b"POST /graphql HTTP/1.1\r\nContent-Type: application/json\r\n" + CHUNKED
        + b"2\r\n{}XX\r\n", 400,
    ),
    "length and chunks": (b"POST /graphql HTTP/1.1\r\nContent-Length: 5\r\n" + CHUNKED, 400),
    "a long path": (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "an unknown path": (b"GET /nowhere HTTP/1.1\r\nConnection: close\r\n\r\n", 404),
    "a method of other paths": (b"PUT /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 405),
    "a method for no query": (b"PUT /graphql HTTP/1.1\r\nConnection: close\r\n\r\n", 405),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_whatever_is_refused_is_told_in_json(address, name, caplog):
    sent, status = REFUSED[name]
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(sent)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert told(answer)["code"] == "BAD_REQUEST"
    assert (b"\r\nallow: " in answer.lower()) is (status == 405)
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


@pytest.mark.parametrize("path", ["/graphql", "/unsubscribe/x"])
async def test_unexpected_failures_say_nothing(address, path, monkeypatch, caplog):
    async def broken(*_):
        raise RuntimeError("the password is 1234")

    monkeypatch.setattr("core.schema.http.authenticate_bearer", broken)
    monkeypatch.setattr("core.schema.public.unsubscribe.answer", broken)
    url = address.replace("ws://", "http://").replace("/graphql", path)
    async with httpx2.AsyncClient() as client:
        answer = await client.get(url, headers={"authorization": "Bearer x"})
    assert answer.status_code == 500
    extensions = answer.json()["errors"][0]["extensions"]
    assert extensions == {"code": "INTERNAL", "requestId": answer.headers["x-request-id"]}
    assert "1234" not in answer.text
    assert "the password is 1234" in caplog.text


async def test_headers_without_an_end_are_refused(address):
    for start in (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ",
        b"GET /",
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\nX: ",
    ):
        sent, answer = await sent_until_closed(address, start)
        assert sent < 10 * HEAD_BYTES
        assert b" 431 " in answer
        assert told(answer)["code"] == "BAD_REQUEST"


async def test_large_headers_within_the_bound_are_taken(address):
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Long: "
    writer.write(head + b"y" * (HEAD_BYTES // 2))
    await writer.drain()
    writer.write(b"\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_pipelined_requests_are_answered_in_their_order(address):
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    paths = ["/healthz", "/readyz", "/nowhere"] * 5
    lines = [f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n" for path in paths]
    writer.write("".join(lines).encode() + b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    statuses = [int(one.split()[0]) for one in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 200, 404] * 5 + [200]
    assert answer.endswith(b"ok")


async def test_a_client_that_goes_in_the_middle_of_its_body_is_no_failure(address, caplog):
    parts = urlsplit(address)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                 b"Content-Length: 1000\r\n\r\n{")  # fmt: skip
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    counted = 'method="POST",route="/graphql",status="499"'
    async with httpx2.AsyncClient(base_url=f"http://{parts.netloc}") as client:
        for _ in range(100):
            metrics = (await client.get("/metrics")).text
            if counted in metrics:
                break
    assert counted in metrics
    assert "Exception" not in caplog.text


POST = b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
BODY = b'{"query": "{ __typename }"}'
LENGTH = b"Content-Length: %d\r\n\r\n" % len(BODY)


async def trickled(address, start, piece, times=100):
    """What a server answers who gets a piece now and then."""
    with contextlib.suppress(ConnectionResetError):
        return await _trickled(address, start, piece, times)
    # a piece that came just after the end took the answer with it
    return await trickled(address, start, piece, times)


async def _trickled(address, start, piece, times):
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(start)
    answer = asyncio.create_task(reader.read())
    while times and not answer.done():
        writer.write(piece)
        await asyncio.sleep(0.02)
        times -= 1
    try:
        return await asyncio.wait_for(answer, 10)
    finally:
        writer.close()


async def test_who_hardly_sends_is_hung_up_on(address, monkeypatch, caplog):
    monkeypatch.setattr(protocol, "PATIENCE_SECONDS", 0.2)
    padded = b"Connection: close\r\nContent-Length: %d\r\n\r\n" % (len(BODY) + 600)
    silent, head, body, whole = await asyncio.gather(
        trickled(address, b"", b""),
        trickled(address, POST, b"A: b\r\n"),
        trickled(address, POST + b"Content-Length: 5000\r\n\r\n", b" "),
        trickled(address, POST + padded + BODY, b" " * 20, times=30),
    )
    assert silent == b""
    for answer in (head, body):
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert told(answer)["code"] == "TIMEOUT"
    assert b'{"data":{"__typename":"Query"}' in whole  # slow, but it came on
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


async def test_a_connection_may_be_used_for_longer_than_a_request(address, monkeypatch):
    monkeypatch.setattr(protocol, "PATIENCE_SECONDS", 0.1)
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for _ in range(3):
        writer.write(POST + LENGTH + BODY)
        await reader.readuntil(b'"Query"')
        await asyncio.sleep(0.15)
    writer.close()


async def test_a_long_answer_waits_for_its_reader():
    made = 0

    async def app(scope, receive, send):
        nonlocal made
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(300):
            made += 1
            await send({"type": "http.response.body", "body": b"x" * 2**20, "more_body": True})
        await send({"type": "http.response.body"})

    async with served(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(0.3)
        assert 0 < made < 30
        taken = 0
        while piece := await reader.read(2**20):
            taken += len(piece)
        assert taken > 300 * 2**20
        writer.close()
