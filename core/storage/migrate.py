"""Migrations of core and of every plugin, run as one transaction under an advisory lock."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tortoise import Tortoise
from tortoise.connection import get_connection
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor
from tortoise.transactions import in_transaction

from core.storage.database import credentials, migrations_of
from core.storage.migration_state import Executor

LOCK = 0x6875696B65  # "huike"


async def migrate(url: str, apps: Mapping[str, Sequence[str]]) -> list[str]:
    """Apply what is missing and return its names, for instance "core.0001_initial".

    Safe to run from many processes at once: one works, the others wait and find nothing to do.
    Either all of it is applied or nothing.
    """
    config = orm_config(url, apps, 2)
    applied: list[str] = []
    async with orm(config), in_transaction("default") as transaction:
        await transaction.execute_query(f"SELECT pg_advisory_xact_lock({LOCK})")
        client = get_connection("default")
        executor = Executor(client, config["apps"])
        # the executor reads its table before it makes it, which would end this transaction
        await executor.recorder.ensure_schema(AsyncpgSchemaEditor(client, atomic=False))
        await executor.migrate(
            progress=lambda stage, app, name: (
                applied.append(f"{app}.{name}") if stage == "apply_done" else None
            )
        )
    return applied


async def make_migrations(
    url: str, apps: Mapping[str, Sequence[str]], only: str | None = None
) -> list[str]:
    """Write migrations for changed models, of one app or of all, and return their paths."""
    config = orm_config(url, apps, 2)
    await Tortoise.init(config=config, init_connections=False, _enable_global_fallback=True)
    assert Tortoise.apps is not None
    changes = await MigrationAutodetector(Tortoise.apps, config["apps"]).changes()
    return [str(one.write()) for one in changes if only in (None, one.app_label)]


@asynccontextmanager
async def orm(config: dict[str, Any]) -> AsyncIterator[None]:
    """Let the ORM be connected, which is for migrations only."""
    await Tortoise.init(config=config, _enable_global_fallback=True)
    try:
        yield
    finally:
        await Tortoise.close_connections()


def orm_config(url: str, apps: Mapping[str, Sequence[str]], pool_size: int) -> dict[str, Any]:
    """The ORM's configuration for a database URL.

    `apps` gives the modules with tables of each app: core's and one of each plugin that has any.
    """
    return {
        "connections": {"default": {"engine": "tortoise.backends.asyncpg", "credentials": {
            **credentials(url), "minsize": 1, "maxsize": pool_size,
        }}},
        "apps": {
            name: {
                "models": list(modules),
                "default_connection": "default",
                "migrations": migrations_of(name, modules),
            }
            for name, modules in apps.items()
        },
        "use_tz": True,
        "timezone": "UTC",
    }  # fmt: skip
