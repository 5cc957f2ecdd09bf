"""Webhooks out, with a receiver on loopback that checks signatures as the standard says."""

import asyncio
import base64
import hashlib
import hmac
from contextlib import asynccontextmanager
from datetime import timedelta

import orjson
import pytest
import pytest_asyncio

from core.domain.privacy.sealed import sealed_values
from core.domain.shops.outbound import MAX_ATTEMPTS, retry_pause
from core.domain.shops.webhooks import delivering, redelivery
from core.domain.shops.webhooks import webhooks as domain
from core.domain.shops.webhooks.delivering import DocumentFailed, deliver_due, webhooks_due
from core.domain.shops.webhooks.signing import secrets_of, signature
from core.domain.shops.webhooks.topics import shown
from core.sdk import outbound
from core.sdk.errors import AlreadyExists, HuikeError, InvalidInput, NotFound, Several
from core.sdk.events import OrderCreated
from core.sdk.ids import join_id
from core.storage import outbox
from worker.duties import handlers


class Receiver:
    """A server that takes the next of `answers`; None hangs up, "hang" never answers."""

    def __init__(self):
        self.answers, self.heard = [], []

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(": ") for line in head.splitlines()[1:] if line]
        headers = {name.lower(): value for name, _, value in lines}
        self.heard.append((headers, await reader.readexactly(int(headers["content-length"]))))
        answer = self.answers.pop(0) if self.answers else 204
        if answer == "hang":
            await reader.read()  # until the client has had enough
        elif answer is not None:
            writer.write(
                f"HTTP/1.1 {answer} X\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".encode()
            )
        writer.close()


@asynccontextmanager
async def serving(receiver):
    running = await asyncio.start_server(receiver.serve, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/hook"
    finally:
        running.close()


def verified(secret, headers, body):
    """Whether one of the signatures is right, written from the standard and not from our code."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return right in headers["webhook-signature"].split(" ")


def test_the_signature_is_that_of_the_standards_own_example():
    assert signature(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
        b'{"test": 2432232314}',
    ) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session")
async def receiver():
    made = Receiver()
    async with serving(made) as url:
        made.url = url
        yield made


def anybody(permission):
    pass


async def create(merchant, url="https://example.com/", **given):
    settings = domain.Settings(
        **{"name": "erp", "url": url, "topics": ["order.created"], "filter": {}, "document": None,
           "permissions": [], **given}
    )  # fmt: skip
    async with merchant.work() as w:
        return await domain.create_webhook(
            w, merchant.installation.registry, settings, anybody, lambda settings: None
        )


async def happen(merchant, *states):
    """Orders come, and the outbox hands their events on."""
    async with merchant.work() as w:
        for number, state in enumerate(states, 1):
            w.emit(OrderCreated(number, merchant.shop_id, None, state))
    await outbox.drain(merchant.installation.db, merchant.id, handlers(merchant.installation))


async def no_document(*given):
    raise DocumentFailed("out of order")


async def deliver(merchant, pk, render=no_document):
    return await deliver_due(merchant.installation.db, merchant.id, pk, render)


async def messages(merchant):
    async with merchant.read() as session:
        rows = await session.sql.fetch(
            """SELECT state, attempts, status FROM webhook_messages
               WHERE merchant_id = $1 ORDER BY id""",
            merchant.id,
        )
    return [tuple(row) for row in rows]


async def hook(merchant, pk):
    async with merchant.read() as session:
        return await domain.find_webhook(session, pk)


async def test_an_event_is_told_signed_and_filtered(merchant, receiver):
    pk, secret = await create(merchant, receiver.url, filter={"state": ["paid", "shipped"]})
    await happen(merchant, "paid", "created", "shipped")
    assert (merchant.id, pk) in await webhooks_due(merchant.installation.db)
    assert await deliver(merchant, pk) is False
    assert (merchant.id, pk) not in await webhooks_due(merchant.installation.db)
    bodies = sorted(
        (orjson.loads(body) for _, body in receiver.heard), key=lambda b: str(b["data"])
    )
    assert all(verified(secret, *heard) for heard in receiver.heard)
    assert not verified("whsec_AAAA", *receiver.heard[0])
    assert {body["data"]["state"] for body in bodies} == {"paid", "shipped"}
    assert next(body for body in bodies if body["data"]["state"] == "paid") == {
        "type": "order.created",
        "timestamp": merchant.clock().isoformat(),
        "data": {"orderId": join_id("Order", 1), "shopId": join_id("Shop", merchant.shop_id),
                 "customerId": None, "state": "paid"},
    }  # fmt: skip
    assert await messages(merchant) == [("done", 1, 204)] * 2


async def test_an_event_that_the_outbox_hands_over_twice_is_told_once(merchant, receiver):
    pk, _ = await create(merchant, receiver.url)
    await happen(merchant, "paid")
    async with merchant.work() as w:
        await w.sql.execute(
            """UPDATE outbox_events SET done_at = NULL, handled_by = '[]' WHERE merchant_id = $1""",
            merchant.id,
        )
    await happen(merchant)
    await deliver(merchant, pk)
    assert len(receiver.heard) == 1


async def test_two_secrets_sign_while_one_is_rotated(merchant, receiver):
    pk, old = await create(merchant, receiver.url)
    async with merchant.work() as w:
        new = await domain.rotate_secret(w, pk, timedelta(hours=1))
        with pytest.raises(InvalidInput):
            await domain.rotate_secret(w, pk, timedelta(days=31))
    await happen(merchant, "paid")
    await deliver(merchant, pk)
    assert verified(old, *receiver.heard[0])
    assert verified(new, *receiver.heard[0])
    merchant.clock.move(timedelta(hours=1))
    async with merchant.read() as session:
        assert secrets_of(session, await domain.find_webhook(session, pk)) == [new]


async def test_secrets_stand_where_a_renewal_of_the_keys_finds_them(merchant):
    pk, old = await create(merchant)
    async with merchant.work() as w:
        new = await domain.rotate_secret(w, pk, timedelta(hours=1))
    found = []
    async with merchant.read() as session:
        for one in sealed_values(merchant.installation.registry):
            if one.table == "webhooks":
                row = await session.sql.fetchrow(
                    f"SELECT {one.value} AS value, {one.place} AS place FROM webhooks t "
                    "WHERE t.merchant_id = $1", merchant.id,
                )  # fmt: skip
                found.append(session.keyring.open(row["value"], row["place"]))
    assert found == [new, old]


@pytest.mark.parametrize("fault", [500, 302, None])
async def test_what_fails_is_tried_again_under_the_same_id(merchant, receiver, fault):
    pk, _ = await create(merchant, receiver.url)
    receiver.answers = [fault]
    await happen(merchant, "paid")
    await deliver(merchant, pk)
    assert await messages(merchant) == [("pending", 1, fault)]
    await deliver(merchant, pk)
    assert len(receiver.heard) == 1
    merchant.clock.move(retry_pause(1))
    await deliver(merchant, pk)
    first, second = (headers["webhook-id"] for headers, _ in receiver.heard)
    assert first == second
    assert await messages(merchant) == [("done", 2, 204)]
    assert (await hook(merchant, pk))["failures"] == 0


async def test_a_webhook_that_keeps_failing_is_paused_and_waits(merchant, receiver):
    pk, _ = await create(merchant, receiver.url)
    receiver.answers = [503] * MAX_ATTEMPTS
    await happen(merchant, "paid")
    for attempt in range(1, delivering.PAUSE_FAILURES + 1):
        assert (await hook(merchant, pk))["paused_at"] is None
        await deliver(merchant, pk)
        merchant.clock.move(retry_pause(attempt))
    assert (await hook(merchant, pk))["pause_reason"] == "failures"
    async with merchant.read() as session:
        assert await session.sql.fetchval(
            """SELECT payload ->> 'webhook_id' FROM outbox_events
               WHERE merchant_id = $1 AND type = 'webhook.paused'""",
            merchant.id,
        ) == str(pk)
    await happen(merchant, "shipped")
    assert (merchant.id, pk) not in await webhooks_due(merchant.installation.db)
    heard = len(receiver.heard)
    await deliver(merchant, pk)
    assert len(receiver.heard) == heard
    async with merchant.work() as w:  # a test goes out all the same, and counts for nothing
        await redelivery.send_test(w, pk)
    assert (merchant.id, pk) in await webhooks_due(merchant.installation.db)
    await deliver(merchant, pk)
    assert (await messages(merchant))[-1] == ("failed", 1, 503)
    receiver.answers = []
    async with merchant.work() as w:
        await domain.resume_webhook(w, pk)
    await deliver(merchant, pk)
    assert [state for state, *_ in await messages(merchant)] == ["done", "done", "failed"]


async def test_a_server_that_is_gone_pauses_at_once(merchant, receiver):
    pk, _ = await create(merchant, receiver.url)
    receiver.answers = [410]
    await happen(merchant, "paid")
    await deliver(merchant, pk)
    assert (await hook(merchant, pk))["pause_reason"] == "gone"


async def test_a_slow_receiver_holds_up_nobody(merchant, receiver, monkeypatch):
    monkeypatch.setattr("core.domain.shops.outbound.ANSWER_SECONDS", 0.3)
    slow = Receiver()
    slow.answers = ["hang"]
    async with serving(slow) as url:
        first, _ = await create(merchant, url, name="slow")
        second, _ = await create(merchant, receiver.url)
        await happen(merchant, "paid")
        waiting = asyncio.create_task(deliver(merchant, first))
        await deliver(merchant, second)
        assert len(receiver.heard) == 1
        await waiting
    assert sorted(await messages(merchant)) == [("done", 1, 204), ("pending", 1, None)]


async def test_a_worker_that_dies_while_it_calls_leaves_the_message_to_another(merchant, receiver):
    pk, _ = await create(merchant, receiver.url)
    await happen(merchant, "paid")
    async with merchant.work() as w:  # as one that took it and died
        await delivering._take(w, pk, False)
    await deliver(merchant, pk)
    assert receiver.heard == []
    merchant.clock.move(delivering.TAKEN)
    await deliver(merchant, pk)
    assert await messages(merchant) == [("done", 2, 204)]


async def test_messages_are_sent_again_one_or_many(merchant, receiver):
    pk, _ = await create(merchant, receiver.url)
    await happen(merchant, "paid", "shipped")
    await deliver(merchant, pk)
    begin, end = merchant.clock(), merchant.clock() + timedelta(seconds=1)
    async with merchant.work() as w:
        message = await w.sql.fetchval(
            "SELECT min(id) FROM webhook_messages WHERE merchant_id = $1", merchant.id
        )
        await redelivery.redeliver(w, message)
    await deliver(merchant, pk)
    assert len(receiver.heard) == 3
    async with merchant.work() as w:
        assert await redelivery.redeliver_range(w, pk, begin, end, ["failed"]) == 0
        assert await redelivery.redeliver_range(w, pk, begin, end, ["done"]) == 2
        with pytest.raises(InvalidInput):
            await redelivery.redeliver_range(w, pk, end, begin, ["done"])
        with pytest.raises(NotFound):
            await redelivery.redeliver(w, message + 1_000_000)
    await deliver(merchant, pk)
    assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 2
    assert len(receiver.heard) == 5


async def test_nobody_inside_is_called(merchant, receiver):
    pk, _ = await create(merchant, receiver.url)
    await happen(merchant, "paid")
    with outbound.allowed(()):
        await deliver(merchant, pk)
    assert receiver.heard == []
    assert await messages(merchant) == [("pending", 1, None)]


async def test_a_body_that_is_too_large_or_fails_is_not_sent(merchant, receiver):
    pk, _ = await create(merchant, receiver.url, document="{ x }", permissions=["SHOPS_READ"])
    await happen(merchant, "paid")

    async def huge(*given):
        return "x" * delivering.BODY_BYTES

    await deliver(merchant, pk, huge)
    merchant.clock.move(retry_pause(1))
    await deliver(merchant, pk)
    assert receiver.heard == []
    async with merchant.read() as session:
        tries = await session.sql.fetch(
            "SELECT detail FROM webhook_attempts WHERE merchant_id = $1 ORDER BY id", merchant.id
        )
    assert [row["detail"] for row in tries] == [
        "the body is larger than 262144 bytes: ask for less", "the document failed: out of order",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"url": "http://example.com/"}, "url"), ({"url": "https://u:p@example.com/"}, "url"),
        ({"url": "ftp://example.com"}, "url"), ({"url": "nonsense"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"), ({"url": "https://[::ffff:10.0.0.1]/"}, "url"),
        ({"topics": []}, "topics"), ({"topics": ["order.flown"]}, "topics"),
        ({"topics": ["custom."]}, "topics"), ({"filter": {"colour": "red"}}, "filter"),
        ({"filter": {"state": []}}, "filter"), ({"filter": {"state": {}}}, "filter"),
        ({"name": " "}, "name"), ({"permissions": ["FLY"]}, "permissions"),
        ({"document": "{ viewer { merchant { id } } }"}, "permissions"),
    ],
)  # fmt: skip
async def test_bad_settings_are_refused(merchant, given, path):
    with pytest.raises((HuikeError, Several)) as refused:
        await create(merchant, **given)
    error = refused.value
    first = error.errors[0] if isinstance(error, Several) else error
    assert first.path == ("input", path)


async def test_all_faults_of_the_settings_are_told_at_once(merchant):
    with pytest.raises((HuikeError, Several)) as refused:
        await create(merchant, name=" ", url="x", topics=["order.flown", "order.sunk"],
                     permissions=["FLY"])  # fmt: skip
    found = [error.path[1] for error in refused.value.errors]
    assert found == ["name", "url", "topics", "topics", "permissions"]


async def test_names_are_unique_and_others_webhooks_unknown(merchant):
    pk, _ = await create(merchant)
    with pytest.raises(AlreadyExists):
        await create(merchant)
    async with merchant.installation.db.work(merchant.id + 1) as w:
        for call in (domain.delete_webhook, domain.pause_webhook, redelivery.send_test):
            with pytest.raises(NotFound):
                await call(w, pk)


async def test_a_deleted_webhook_leaves_nothing(merchant, receiver):
    pk, _ = await create(merchant, receiver.url)
    await happen(merchant, "paid")
    await deliver(merchant, pk)
    async with merchant.work() as w:
        await domain.delete_webhook(w, pk)
    async with merchant.read() as session:
        for table in ("webhooks", "webhook_messages", "webhook_attempts"):
            assert not await session.sql.fetchval(
                f"SELECT count(*) FROM {table} WHERE merchant_id = $1", merchant.id
            )


def test_events_of_ones_own_keep_their_fields():
    assert shown("custom.visit", {"my_page": "x", "customer_id": 4, "order_id": None}) == {
        "my_page": "x", "customerId": join_id("Customer", 4), "orderId": None,
    }  # fmt: skip
