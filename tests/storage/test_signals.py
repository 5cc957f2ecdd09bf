"""Live signals: what a listener learns, also after its connection was cut."""

# ruff: noqa: ASYNC110

import asyncio

import asyncpg
import pytest

from core.storage import signals
from core.storage.database import credentials


@pytest.fixture
async def listening(installation, monkeypatch):
    monkeypatch.setattr(signals, "RECONNECT_SECONDS", 0.05)
    connections = []

    async def connect():
        connection = await asyncpg.connect(**credentials(installation.database_url))
        connections.append(connection)
        return connection

    made = signals.Signals(connect)
    made.connections = connections
    made.start()
    yield made
    await made.stop()
    assert all(connection.is_closed() for connection in connections)


async def settled(listening, count=1):
    """Wait until the listener stands."""
    while len(listening.connections) < count or not listening.connections[-1]._listeners:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)


async def test_a_listener_gets_its_own_changes_only(listening, merchant):
    await settled(listening)
    changes = listening.changes("job", merchant.id, 5)
    async with asyncio.timeout(60):
        await anext(changes)
        waiting = asyncio.ensure_future(anext(changes))
        async with merchant.work() as w:
            await w.notify("job", 6)
            await w.notify("campaign", 5)
        await asyncio.sleep(0.1)
        assert not waiting.done()
        async with merchant.work() as w:
            await w.notify("job", 5)
            await asyncio.sleep(0.05)
            assert not waiting.done()
        await waiting
    await changes.aclose()
    assert listening._waiting == {}


async def test_a_burst_is_folded_into_one(listening, merchant):
    await settled(listening)
    changes = listening.changes("job", merchant.id, 7)
    later = listening.changes("job", merchant.id, 8)
    async with asyncio.timeout(60):
        await anext(changes)
        await anext(later)
        for key in (7, 7, 7, 7, 7, 8):
            async with merchant.work() as w:
                await w.notify("job", key)
        await anext(later)  # they come in order: so did the burst
        await later.aclose()
        await anext(changes)
        again = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0.1)
        assert not again.done()
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


async def test_a_cut_connection_is_replaced_and_nothing_is_missed(listening, merchant):
    await settled(listening)
    changes = listening.changes("job", merchant.id, 9)
    async with asyncio.timeout(60):
        await anext(changes)
        pid = listening.connections[0].get_server_pid()
        async with merchant.read() as session:
            await session.sql.execute("SELECT pg_terminate_backend($1)", pid)
        await anext(changes)  # woken, since something may have changed meanwhile
        await settled(listening, 2)
        async with merchant.work() as w:
            await w.notify("job", 9)
        await anext(changes)
    await changes.aclose()
