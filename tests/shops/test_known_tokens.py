"""A token is remembered for a moment, and forgotten as soon as anybody ends it."""

# ruff: noqa: ASYNC110

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from core.domain.shops import known_tokens
from core.domain.shops.known_tokens import KnownTokens
from core.domain.shops.tokens import create_token, revoke_token, rotate_token
from core.storage.database import Database, credentials
from core.storage.signals import Signals

REVOKE = "UPDATE api_tokens SET revoked_at = now() WHERE merchant_id = $1 AND id = $2"


@pytest.fixture
async def signals(installation):
    made = Signals(lambda: asyncpg.connect(**credentials(installation.database_url)))
    made.start()
    async with asyncio.timeout(60):
        while not made.listening:
            await asyncio.sleep(0.01)
    yield made
    await made.stop()


@pytest.fixture
def db(installation, signals):
    db = installation.db
    return Database(db.pool, db.keyring, db.clock, db.doorbell, signals.changed_here)


@pytest.fixture
def known(db, signals, monkeypatch):
    monkeypatch.setattr(known_tokens, "SECONDS", 600.0)
    return KnownTokens(db, signals)


@pytest.fixture
async def made(merchant):
    async with merchant.work() as w:
        return await create_token(w, merchant.installation.registry, "a", ["SHOPS_READ"])


async def revoke_in_silence(merchant, token_id):
    async with merchant.read() as session:
        await session.sql.execute(REVOKE, merchant.id, token_id)


async def test_it_is_looked_at_once_in_a_while(merchant, known, made, monkeypatch):
    token_id, token = made
    first = await known.authenticate(token)
    await revoke_in_silence(merchant, token_id)
    assert await known.authenticate(token) is first
    assert await known.authenticate(f"{token}x") is None
    monkeypatch.setattr(known_tokens, "monotonic", lambda: 10.0**9)
    assert await known.authenticate(token) is None


async def test_who_revokes_it_here_is_obeyed_at_once(merchant, db, known, made):
    token_id, token = made
    assert await known.authenticate(token) is not None
    async with db.work(merchant.id) as w:
        await revoke_token(w, token_id)
    assert known._known == {}
    assert await known.authenticate(token) is None


async def test_who_revokes_it_elsewhere_is_heard(merchant, known, made):
    token_id, token = made
    assert await known.authenticate(token) is not None
    async with merchant.work() as w:  # of a database that tells these signals nothing
        await revoke_token(w, token_id)
    async with asyncio.timeout(60):
        while known._known:
            await asyncio.sleep(0.01)
    assert await known.authenticate(token) is None


async def test_an_answer_from_before_the_end_is_not_kept(merchant, db, known, made, monkeypatch):
    token_id, token = made
    look = known_tokens.token_caller

    async def overtaken(*args):
        caller = await look(*args)
        async with db.work(merchant.id) as w:
            await revoke_token(w, token_id)
        return caller

    monkeypatch.setattr(known_tokens, "token_caller", overtaken)
    assert await known.authenticate(token) is not None
    monkeypatch.undo()
    assert await known.authenticate(token) is None


async def test_an_old_secret_ends_in_its_time(merchant, db, known, made):
    token_id, old = made
    async with db.work(merchant.id) as w:
        new = await rotate_token(w, token_id, timedelta(hours=1), lambda _: None)
    for _ in range(2):
        assert await known.authenticate(old) is not None
        assert await known.authenticate(new) is not None
    assert await known.authenticate(old) is not None
    merchant.clock.move(timedelta(hours=2))
    assert await known.authenticate(old) is None
    assert await known.authenticate(new) is not None


async def test_nothing_is_remembered_while_nobody_listens(merchant, known, signals, made):
    token_id, token = made
    assert await known.authenticate(token) is not None
    async with merchant.read() as session:
        await session.sql.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE query ILIKE 'LISTEN%' AND pid <> pg_backend_pid()"""
        )
    async with asyncio.timeout(60):
        while signals.listening:
            await asyncio.sleep(0.01)
    await revoke_in_silence(merchant, token_id)
    assert await known.authenticate(token) is None
    async with asyncio.timeout(60):
        while not signals.listening:
            await asyncio.sleep(0.05)
    assert known._known == {}


async def test_so_many_are_remembered_at_most(merchant, known, monkeypatch):
    monkeypatch.setattr(known_tokens, "MOST", 2)
    tokens = []
    async with merchant.work() as w:
        for name in "abc":
            _, token = await create_token(w, merchant.installation.registry, name, ["SHOPS_READ"])
            tokens.append(token)
    for token in tokens:
        assert await known.authenticate(token) is not None
    assert len(known._known) == 2
