"""Subscriptions over a real socket, and the server as a process."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from types import MappingProxyType

import httpx2
import pytest
import websockets

from core.app import listen
from core.domain.campaigns.control import pause_campaign
from core.schema.scalars import split_id
from core.settings import SettingsError
from core.storage import jobs

PROTOCOL = "graphql-transport-ws"
JOB = "subscription ($id: ID!) { jobProgress(id: $id) { state progress { done } } }"
CAMPAIGN = "subscription ($id: ID!) { campaignProgress(id: $id) { state runs { state } } }"


@contextlib.asynccontextmanager
async def subscribed(address, token, query, options=MappingProxyType({}), **variables):
    async with websockets.connect(address, subprotocols=[PROTOCOL], **options) as socket:
        payload = {"Authorization": f"Bearer {token}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        body = {"query": query, "variables": variables}
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": body}))
        yield socket


async def message(socket):
    async with asyncio.timeout(60):
        return json.loads(await socket.recv())


async def test_job_progress_follows_the_job(address, world):
    merchant = world.merchant
    job_id = world.ids["Job"]
    async with subscribed(address, merchant.token, JOB, id=job_id) as socket:
        first = await message(socket)
        assert first["payload"]["data"]["jobProgress"] == {
            "state": "QUEUED",
            "progress": {"done": 0},
        }
        await asyncio.sleep(0.3)  # the listening connection may still be on its way
        async with merchant.work() as w:
            await jobs.cancel(w, split_id(job_id)[1])
        second = await message(socket)
        assert second["payload"]["data"]["jobProgress"]["state"] == "CANCELLED"
        assert (await message(socket))["type"] == "complete"


async def test_campaign_progress_sees_fresh_children(address, world):
    merchant, campaign = world.merchant, world.ids["Sent"]
    async with subscribed(address, merchant.token, CAMPAIGN, id=campaign) as socket:
        first = (await message(socket))["payload"]["data"]["campaignProgress"]
        assert first == {"state": "RUNNING", "runs": [{"state": "FINISHED"}, {"state": "RUNNING"}]}
        await asyncio.sleep(0.3)
        async with merchant.work() as w:
            await pause_campaign(w, split_id(campaign)[1])
        second = (await message(socket))["payload"]["data"]["campaignProgress"]
        assert second == {"state": "PAUSED", "runs": [{"state": "FINISHED"}, {"state": "PAUSED"}]}


@pytest.mark.parametrize("query", [JOB, CAMPAIGN])
async def test_subscriptions_need_token_and_permission(address, world, query):
    reader = await world.limited("SHOPS_READ")
    for token, code in ((reader, "FORBIDDEN"), ("none", "UNAUTHENTICATED")):
        async with subscribed(address, token, query, id=world.ids["Job"]) as socket:
            answer = await message(socket)
            errors = answer["payload"] if answer["type"] == "error" else answer["payload"]["errors"]
            assert errors[0]["extensions"]["code"] == code, answer


async def test_subscription_to_another_merchants_job_is_empty(address, world, stranger):
    async with subscribed(address, world.token, JOB, id=stranger.ids["Job"]) as socket:
        assert (await message(socket))["type"] == "complete"
    async with subscribed(address, world.token, CAMPAIGN, id=stranger.ids["Sent"]) as socket:
        assert (await message(socket))["type"] == "complete"


async def test_pages_of_other_sites_cannot_connect(address):
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(address, subprotocols=[PROTOCOL], origin="https://evil.example")


def test_taken_port_is_a_clear_error():
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    try:
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}.*--port"):
            listen("127.0.0.1", port)
    finally:
        listener.close()
    with pytest.raises(SettingsError, match="no-such-host"):
        listen("no-such-host.invalid", 1)


async def test_serve_starts_answers_and_ends_cleanly(tmp_path):
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    listener.close()
    environment = {**os.environ, "HUIKE_HOME": str(tmp_path / "home")}
    environment.pop("DATABASE_URL", None)
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("huike")), "serve", "--no-worker", "--port", str(port),
        env=environment, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with httpx2.AsyncClient() as client:
            for _ in range(1200):
                with contextlib.suppress(httpx2.TransportError):
                    answer = await client.get(f"http://127.0.0.1:{port}/readyz")
                    break
                await asyncio.sleep(0.1)
            assert answer.json()["ready"] is True
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            _, log = await process.communicate()
    assert process.returncode == 0, log.decode()
    assert f"listening on http://127.0.0.1:{port}" in log.decode()


@pytest.mark.parametrize(
    "message",
    ["{", "[]", "5", "null", '{"id": "1"}', '{"type": "start"}', b"\x00",
     '{"type": ["ping"]}', '{"type": "complete", "id": [1]}', "[" * 9000 + "]" * 9000,
     '{"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}}'],
    ids=str,
)  # fmt: skip
async def test_a_message_of_another_shape_ends_the_socket(address, message, caplog):
    async with websockets.connect(address, subprotocols=["graphql-transport-ws"]) as socket:
        await socket.send(message)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 10)
    assert closed.value.rcvd.code == 4400
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []
