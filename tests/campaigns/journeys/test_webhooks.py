import asyncio
import hashlib
import hmac
from contextlib import asynccontextmanager
from datetime import timedelta

import orjson
import pytest

from core.domain.campaigns.journeys.posting import (
    call_again,
    merchants_due,
    post_due,
    webhook_secret,
)
from core.domain.shops.outbound import MAX_ATTEMPTS, retry_pause
from core.sdk import outbound
from core.sdk.errors import NotFound, WrongState
from core.sdk.ids import join_id
from tests.journey_kit import CREATED, enrolments, order, start_journey, take_orders


class Server:
    """A merchant's server, that answers with the next of `answers`; None hangs up."""

    def __init__(self):
        self.answers, self.heard = [], []

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(": ") for line in head.splitlines()[1:] if line]
        headers = {name.lower(): value for name, _, value in lines}
        body = await reader.readexactly(int(headers["content-length"]))
        self.heard.append((headers, body))
        answer = self.answers.pop(0) if self.answers else 200
        if answer is not None:
            writer.write(f"HTTP/1.1 {answer} X\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()


@asynccontextmanager
async def serving(server):
    running = await asyncio.start_server(server.serve, "127.0.0.1")
    async with running:
        yield running.sockets[0].getsockname()[1]


async def post(merchant):
    while await post_due(merchant.installation.db, merchant.id):
        pass


async def calls(merchant):
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            "SELECT state, attempts, answer FROM webhook_calls WHERE merchant_id = $1 ORDER BY id",
            merchant.id,
        )
    return [tuple(row) for row in rows]


async def start(merchant, port):
    steps = [{"kind": "webhook", "key": "tell", "url": f"http://127.0.0.1:{port}/hook"}]
    return await start_journey(merchant, CREATED, steps)


async def test_a_call_says_who_and_is_signed(merchant):
    server = Server()
    async with serving(server) as port:
        campaign_id, _ = await start(merchant, port)
        await take_orders(merchant, order("1", at=merchant.clock()))
        assert merchant.id in await merchants_due(merchant.installation.db)
        await post(merchant)
    ((headers, body),) = server.heard
    (row,) = await enrolments(merchant)
    assert orjson.loads(body) == {
        "campaign": join_id("Campaign", campaign_id),
        "customer": join_id("Customer", row["customer_id"]),
        "order": join_id("Order", row["order_id"]), "parcel": None, "step": "tell",
        "at": merchant.clock().isoformat(),
    }  # fmt: skip
    seconds, _, mark = headers["huike-signature"].partition(",v1=")
    secret = webhook_secret(merchant.installation.db.keyring, merchant.id)
    text = seconds.removeprefix("t=").encode() + b"." + body
    assert mark == hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    assert await calls(merchant) == [("done", 1, 200)]
    assert merchant.id not in await merchants_due(merchant.installation.db)


@pytest.mark.parametrize("fault", [500, 302, None])
async def test_a_call_that_fails_is_made_again_with_the_same_key(merchant, fault):
    server = Server()
    server.answers = [fault]
    async with serving(server) as port:
        await start(merchant, port)
        await take_orders(merchant, order("1", at=merchant.clock()))
        await post(merchant)
        assert await calls(merchant) == [("pending", 1, fault)]
        await post(merchant)
        assert len(server.heard) == 1
        merchant.clock.move(retry_pause(1))
        await post(merchant)
    first, second = (headers["idempotency-key"] for headers, _ in server.heard)
    assert first == second
    assert await calls(merchant) == [("done", 2, 200)]


async def test_one_that_failed_or_waits_is_made_again_when_asked(merchant):
    server = Server()
    server.answers = [503, 503]
    async with serving(server) as port:
        await start(merchant, port)
        await take_orders(merchant, order("1", at=merchant.clock()))
        await post(merchant)
        async with merchant.work() as w:
            (call_id,) = await w.sql.fetchrow(
                """UPDATE webhook_calls SET attempts = $2, next_at = $3 WHERE merchant_id = $1
                   RETURNING id""",
                merchant.id, MAX_ATTEMPTS - 1, w.now + timedelta(hours=4),
            )  # fmt: skip
            await call_again(w, call_id)
        await post(merchant)
        assert await calls(merchant) == [("failed", MAX_ATTEMPTS, 503)]
        async with merchant.work() as w:
            await call_again(w, call_id)
        await post(merchant)
    assert await calls(merchant) == [("done", 1, 200)]
    assert len({headers["idempotency-key"] for headers, _ in server.heard}) == 1
    for wrong, error in ((call_id, WrongState), (call_id + 10**6, NotFound)):
        with pytest.raises(error):
            async with merchant.work() as w:
                await call_again(w, wrong)


async def test_it_is_given_up_after_about_a_day(merchant):
    server = Server()
    server.answers = [503] * MAX_ATTEMPTS
    began = merchant.clock()
    async with serving(server) as port:
        await start(merchant, port)
        await take_orders(merchant, order("1", at=merchant.clock()))
        for attempt in range(1, MAX_ATTEMPTS + 1):
            await post(merchant)
            merchant.clock.move(retry_pause(attempt))
        await post(merchant)
    assert await calls(merchant) == [("failed", MAX_ATTEMPTS, 503)]
    assert timedelta(hours=20) < merchant.clock() - began < timedelta(hours=36)


async def test_a_worker_that_dies_while_it_calls_leaves_the_call_to_another(merchant):
    server = Server()
    async with serving(server) as port:
        await start(merchant, port)
        await take_orders(merchant, order("1", at=merchant.clock()))
        async with merchant.work() as w:  # as one that took it and died
            await w.sql.execute(
                """UPDATE webhook_calls SET attempts = 1, next_at = $2 WHERE merchant_id = $1""",
                merchant.id, w.now + timedelta(seconds=60),
            )  # fmt: skip
        await post(merchant)
        assert server.heard == []
        merchant.clock.move(timedelta(seconds=60))
        await post(merchant)
    assert await calls(merchant) == [("done", 2, 200)]


async def test_nobody_inside_is_called(merchant):
    server = Server()
    async with serving(server) as port:
        await start(merchant, port)
        await take_orders(merchant, order("1", at=merchant.clock()))
        with outbound.allowed(()):
            await post(merchant)
    assert server.heard == []
    assert await calls(merchant) == [("pending", 1, None)]
