"""What docs/plugins/tables.md tells works as it stands there, for a plugin outside of the tree."""

import os
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path

import asyncpg
import pytest

from core.builtin import CorePlugin
from core.installation import model_apps
from core.registry import GROUP, load
from core.storage.applied import pending
from core.storage.database import credentials
from core.storage.migrate import migrate
from tests.registry.test_plugin_docs import DOCS, FILE

POINT = EntryPoint("visits", "huike_visits.plugin:plugin", GROUP)
WRITE = """
import asyncio
from core.storage.migrate import make_migrations
apps = {"core": ["core.storage.models"], "visits": ["huike_visits.models"]}
print(*asyncio.run(make_migrations("postgresql://localhost/none", apps, "visits")))
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The page's files, with an empty package for the migrations; its folder."""
    for path, code in FILE.findall((DOCS / "tables.md").read_text()):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(code)
    folder = tmp_path / "src/huike_visits"
    for package in (folder, folder / "migrations"):
        (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "src")
    yield folder
    for name in [one for one in sys.modules if one.startswith("huike_visits")]:
        del sys.modules[name]


def write_migrations(folder):
    """The paths; by a process of its own, as the ORM is set up once in each."""
    return subprocess.run(
        [sys.executable, "-c", WRITE], check=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(folder)},
    ).stdout.split()  # fmt: skip


@asynccontextmanager
async def database(installation):
    sql = await asyncpg.connect(**credentials(installation.database_url))
    try:
        yield sql
    finally:
        await sql.close()


async def test_tables_of_a_plugin_are_made_by_the_migrations_beside_its_models(
    package, installation
):
    loaded = load(CorePlugin(), found=[POINT])
    assert loaded.broken == {}
    apps = model_apps(loaded)
    keys = package / "migrations/0002_keys.py"
    by_hand = keys.read_text()
    keys.unlink()
    try:
        written = write_migrations(package.parent)
        assert [Path(one) for one in written] == [package / "migrations/0001_initial.py"]
        keys.write_text(by_hand)
        assert await pending(installation.db.pool, apps) == [
            "visits.0001_initial", "visits.0002_keys",
        ]  # fmt: skip
        made = await migrate(installation.database_url, apps)
        assert made == ["visits.0001_initial", "visits.0002_keys"]
        async with database(installation) as sql:
            key = await sql.fetchval(
                """SELECT pg_get_constraintdef(oid) FROM pg_constraint
                   WHERE conrelid = 'visits_visits'::regclass AND contype = 'p'"""
            )
        assert key == "PRIMARY KEY (merchant_id, id)"
    finally:
        async with database(installation) as sql:
            await sql.execute("DROP TABLE IF EXISTS visits_visits")
            await sql.execute("DELETE FROM tortoise_migrations WHERE app = 'visits'")


def test_a_plugin_whose_tables_nothing_makes_is_left_out(package):
    for one in (package / "migrations").iterdir():
        one.unlink()
    (package / "migrations").rmdir()
    loaded = load(CorePlugin(), found=[POINT])
    assert "visits" not in loaded.manifests
    assert re.search(r"no package huike_visits.migrations", loaded.broken["visits"])
