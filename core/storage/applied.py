"""What a database was made with: its migrations, and the keyring of its sealed values."""

import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module

import asyncpg

from core.storage.connections import Pool
from core.storage.database import DatabaseError, migrations_of
from core.storage.keyring import Keyring


async def pending(pool: Pool, apps: Mapping[str, Sequence[str]]) -> list[str]:
    """Names of migrations that the database lacks, for instance "core.0001_initial".

    They are not loaded for it. Raises DatabaseError when the database holds migrations that this
    version does not know.
    """
    known = {
        (app, module.name)
        for app, modules in apps.items()
        for module in pkgutil.iter_modules(import_module(migrations_of(app, modules)).__path__)
        if not module.ispkg and module.name[0] not in "_~"  # as the ORM chooses them
    }
    done = await _applied(pool)
    newer = sorted(f"{app}.{name}" for app, name in done - known if app in apps)
    if newer:
        raise DatabaseError(
            f"the database is newer than this version of huike (it holds {', '.join(newer)}): "
            "install the newer version, or restore a backup made with this one"
        )
    return sorted(f"{app}.{name}" for app, name in known - done)


async def _applied(pool: Pool) -> set[tuple[str, str]]:
    async with pool.acquire() as sql:
        try:
            rows = await sql.fetch("SELECT app, name FROM tortoise_migrations")
        except asyncpg.UndefinedTableError:
            return set()
    return {(row["app"], row["name"]) for row in rows}


async def check_keyring(pool: Pool, keyring: Keyring) -> None:
    """Refuse a keyring that is not the one this database was written with."""
    async with pool.acquire() as sql:
        stored = await sql.fetchval(
            """INSERT INTO system (key, value) VALUES ('keyring', $1)
               ON CONFLICT (key) DO UPDATE SET value = system.value RETURNING value""",
            keyring.fingerprint(),
        )
    if stored != keyring.fingerprint():
        raise DatabaseError(
            "the keyring is not the one that this database was written with: restore keyring.json "
            "(or HUIKE_KEYRING) from the backup made together with the database"
        )
