"""The unit of work, and a database that cannot be used."""

# ruff: noqa: PT012

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from core.sdk.events import Event
from core.storage import database
from core.storage.database import Database
from core.storage.engines import Engines
from core.storage.outbox import drain


@dataclass(frozen=True)
class Happened(Event):
    type: ClassVar[str] = "test.happened"
    number: int


class Bells:
    """A doorbell that looks, at each ring, whether the caller's transaction is there to see."""

    def __init__(self, db):
        self.db = db
        self.rung = []

    async def ring(self, job, *args):
        async with self.db.read(args[0]) as session:
            count = await session.sql.fetchval(
                "SELECT count(*) FROM outbox_events WHERE merchant_id = $1", args[0]
            )
        self.rung.append((job, args, count))


@pytest.fixture
def db(merchant):
    given = merchant.installation.db
    made = Database(given.pool, given.keyring, given.clock, given.doorbell)
    made.doorbell = Bells(made)
    return made


async def events(merchant):
    async with merchant.read() as session:
        return await session.sql.fetch(
            "SELECT * FROM outbox_events WHERE merchant_id = $1 ORDER BY id", merchant.id
        )


async def test_events_are_written_in_order_and_the_bell_rings_once_after_the_commit(db, merchant):
    async with db.work(merchant.id) as w:
        w.emit(Happened(1))
        w.emit(Happened(2))
        w.ring("job.run", merchant.id, 5)
        w.ring("job.run", merchant.id, 5)
        assert db.doorbell.rung == []
    assert [json.loads(row["payload"])["number"] for row in await events(merchant)] == [1, 2]
    assert db.doorbell.rung == [
        ("job.run", (merchant.id, 5), 2),
        ("outbox.drain", (merchant.id,), 2),
        ("segments.follow", (merchant.id,), 2),
    ]


async def test_nothing_remains_of_work_that_failed(db, merchant):
    with pytest.raises(LookupError):
        async with db.work(merchant.id) as w:
            await w.sql.execute("UPDATE merchants SET name = 'x' WHERE id = $1", merchant.id)
            w.emit(Happened(1))
            w.ring("job.run", merchant.id, 5)
            await w.flush()
            raise LookupError
    assert await events(merchant) == []
    assert db.doorbell.rung == []
    async with merchant.read() as session:
        name = await session.sql.fetchval("SELECT name FROM merchants WHERE id = $1", merchant.id)
    assert name == "Test"


async def test_a_sessions_lock_goes_with_the_session(merchant):
    async with merchant.read() as one, merchant.read() as other:
        assert await one.try_lock(7, merchant.id)
        assert not await other.try_lock(7, merchant.id)
        assert await other.try_lock(8, merchant.id)
    await drain(merchant.installation.db, merchant.id, {})
    async with merchant.read() as session:
        assert not await session.sql.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid::int = $1::int",
            merchant.id,
        )


async def test_work_inside_work_is_refused_and_the_outer_one_rolls_back(db, merchant):
    with pytest.raises(RuntimeError, match="pass the outer one"):
        async with db.work(merchant.id) as w:
            w.emit(Happened(1))
            async with db.work(merchant.id):
                pass
    assert await events(merchant) == []
    async with db.work(merchant.id) as w:
        w.emit(Happened(2))
    assert len(await events(merchant)) == 1


async def test_units_of_work_of_several_tasks_stand_side_by_side(db, merchant):
    async def one(number):
        async with db.work(merchant.id) as w:
            w.emit(Happened(number))
            await asyncio.sleep(0.01)

    await asyncio.gather(*map(one, range(20)))
    assert len(await events(merchant)) == 20


async def test_a_terminated_connection_is_replaced(db, merchant):
    async with db.read(merchant.id) as session:
        await session.sql.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"""
        )
    for number in range(15):
        async with db.work(merchant.id) as w:
            w.emit(Happened(number))
    assert len(await events(merchant)) == 15


RESTART = """
import asyncio, pathlib, signal, sys, time
import psutil
from core.installation import open_installation
from core.settings import Settings
from core.storage.engines import Engines
from core.storage.outbox import drain

async def main():
    home = pathlib.Path(sys.argv[1])
    async with open_installation(Settings(home=home), with_redis=False) as installation:
        db = installation.db
        async with db.work(0) as w:
            await w.sql.execute("INSERT INTO system VALUES ('a', '1')")
        server = psutil.Process(int((home / "postgres/postmaster.pid").read_text().split()[0]))
        server.send_signal(signal.SIGINT)  # ends the connections and shuts down
        while server.is_running() and server.status() != "zombie":
            time.sleep(0.02)  # the pool has no chance to notice that its connections are dead
        Engines(home)._start_postgres()
        async with db.work(0) as w:
            await w.sql.execute("INSERT INTO system VALUES ('b', '2')")
        async with db.read(0) as session:
            print(await session.sql.fetchval(
                "SELECT count(*) FROM system WHERE key IN ('a', 'b')"))
asyncio.run(main())
"""


def test_work_goes_on_after_the_server_was_restarted(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", RESTART, tmp_path], capture_output=True, text=True, timeout=300
    )
    assert (done.stdout.strip(), done.returncode) == ("2", 0), done.stderr
    assert not Engines(tmp_path).stop()


CONNECT = """
import asyncio, sys
from core.storage import database
async def main():
    try:
        pool = await database.connect(sys.argv[1], 2)
        print("connected")
        await database.disconnect(pool)
    except database.DatabaseError as error:
        print(error)
asyncio.run(main())
"""


def connect(url):
    """Try a URL in a process of its own, which warns of what it leaves open."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CONNECT, url],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_wrong_port_is_said():
    said = connect("postgresql://u:hunter2@127.0.0.1:1/shop")
    assert said.startswith("cannot use the database at 127.0.0.1:1/shop: ")
    assert "Check that the server runs" in said
    assert "hunter2" not in said


def test_a_wrong_host_is_said():
    assert "no-such-host.invalid:5432/shop" in connect("postgresql://no-such-host.invalid/shop")


def test_a_wrong_database_is_said(installation):
    said = connect(installation.database_url.replace("/postgres?", "/nothing?"))
    assert 'database "nothing" does not exist' in said
    assert "correct the name in DATABASE_URL" in said


def test_a_wrong_user_is_said(installation):
    said = connect(installation.database_url.replace("postgres@", "nobody@"))
    assert 'role "nobody" does not exist' in said
    assert "Check user and password" in said


def test_settings_of_the_server_may_stand_in_the_url(installation):
    assert connect(installation.database_url + "&application_name=crm") == "connected"
    assert "cannot use the database" in connect(installation.database_url + "&nonsense=1")


def test_a_url_is_taken_apart():
    given = database.credentials(
        "postgresql://u%40x:p%2Fw@db.example:6000/my%20shop?sslmode=require"
    )
    assert given == {
        "host": "db.example", "port": 6000, "user": "u@x", "password": "p/w",
        "database": "my shop", "ssl": "require",
    }  # fmt: skip


async def test_a_wrong_password_is_said(installation):
    async with installation.db.read(0) as session:
        rules = Path(await session.sql.fetchval("SHOW hba_file"))
        before = rules.read_text()
        rules.write_text(f"local all locked scram-sha-256\n{before}")
        await session.sql.execute("SELECT pg_reload_conf()")
        await session.sql.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
        try:
            url = installation.database_url.replace("postgres@", "locked:hunter2@")
            said = connect(url)
            assert connect(url.replace("hunter2", "right")) == "connected"
        finally:
            rules.write_text(before)
            await session.sql.execute("SELECT pg_reload_conf()")
            await session.sql.execute("DROP ROLE locked")
    assert "password authentication failed" in said
    assert "Check user and password in DATABASE_URL" in said
    assert "hunter2" not in said


async def test_readers_inside_work_share_its_transaction(db, merchant):
    async with asyncio.timeout(60), db.work(merchant.id) as w:
        await w.sql.execute(
            "UPDATE shops SET name = 'new' WHERE merchant_id = $1 AND id = $2",
            merchant.id, merchant.shop_id,
        )  # fmt: skip
        async with db.read(merchant.id) as session:
            name = await session.sql.fetchval(
                "SELECT name FROM shops WHERE merchant_id = $1 AND id = $2",
                merchant.id, merchant.shop_id,
            )  # fmt: skip
        assert name == "new"
