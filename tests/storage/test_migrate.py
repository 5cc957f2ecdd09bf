"""Migrations: at once from several processes, against newer databases and foreign keyrings."""

import asyncio
import shutil

import asyncpg
import pytest

from core.storage.database import credentials
from core.storage.engines import Engines
from core.storage.keyring import Keyring
from tests import processes


@pytest.fixture
async def empty(installation, tmp_path):
    """The URL of an empty database on the tests' server, and a home for its processes."""
    sql = await asyncpg.connect(**credentials(installation.database_url))
    name = f"empty_{tmp_path.name[-30:].lower()}"
    await sql.execute(f'CREATE DATABASE "{name}"')
    yield {
        "DATABASE_URL": installation.database_url.replace("/postgres?", f"/{name}?"),
        "HUIKE_HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
    }
    await sql.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await sql.close()


def huike(env, *args):
    return processes.huike(*args, env=env)


def finish(process):
    ended = process.end()
    return ended.returncode, ended.stdout, ended.stderr


async def ask(env, statement):
    sql = await asyncpg.connect(**credentials(env["DATABASE_URL"]))
    try:
        return await sql.fetch(statement)
    finally:
        await sql.close()


async def test_many_processes_at_once_on_an_empty_database(empty):
    results = await asyncio.gather(
        *(asyncio.to_thread(finish, huike(empty, "migrate")) for _ in range(3))
    )
    assert [code for code, _, _ in results] == [0, 0, 0], results
    counts = sorted(out.count("applied ") for _, out, _ in results)
    assert counts[:2] == [0, 0]
    assert counts[2] >= 2
    rows = await ask(empty, "SELECT app, name FROM tortoise_migrations")
    assert len(rows) == len({tuple(row) for row in rows}) == counts[2]


async def test_a_server_named_by_url_is_never_migrated_unasked(empty):
    code, _, said = finish(huike(empty, "init"))
    assert code == 1
    assert "run `huike migrate`" in said
    assert await ask(empty, "SELECT 1 FROM pg_tables WHERE tablename = 'merchants'") == []


async def test_a_database_newer_than_the_code_is_refused(empty):
    assert finish(huike(empty, "migrate"))[0] == 0
    await ask(
        empty,
        """INSERT INTO tortoise_migrations (app, name, applied_at)
           VALUES ('core', '9999_future', now())""",
    )
    for command in ("init", "migrate"):
        code, _, said = finish(huike(empty, command))
        assert code == 1
        assert "newer than this version of huike (it holds core.9999_future)" in said
        assert len(said.splitlines()) == 1


async def test_a_foreign_keyring_is_refused(empty):
    assert finish(huike(empty, "migrate"))[0] == 0
    foreign = empty | {"HUIKE_KEYRING": Keyring.generate().to_text()}
    code, _, said = finish(huike(foreign, "init"))
    assert code == 1
    assert "not the one that this database was written with" in said
    assert finish(huike(empty, "init"))[0] == 0


def test_two_first_starts_at_once_share_one_new_home(tmp_path):
    env = {"HUIKE_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    started = [huike(env, "init", "--name", name) for name in ("a", "b")]
    results = [finish(process) for process in started]
    assert [code for code, _, _ in results] == [0, 0], results
    assert sorted(out.split()[1] for _, out, _ in results) == ["1", "2"]
    assert not Engines(tmp_path / "home").stop()
    shutil.rmtree(tmp_path / "home")
