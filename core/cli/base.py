"""What all commands of `huike` stand on: the group, how one is run and how it fails."""

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from functools import cached_property
from typing import Any, NoReturn, TypeVar

import click

from core import __version__
from core.installation import Installation, load_registry
from core.registry import RegistryError
from core.sdk.errors import HuikeError, Several
from core.settings import Settings, SettingsError, from_environment
from core.storage.database import SYSTEM, DatabaseError
from core.storage.doorbell import RedisUnavailable
from core.storage.engines import EngineError

T = TypeVar("T")


EXPECTED = (SettingsError, EngineError, DatabaseError, RedisUnavailable, RegistryError)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine; expected errors become one line and exit code 1."""
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work)
    except EXPECTED as error:
        fail(str(error))
    except Several as error:
        fail("\n".join(f"{'.'.join(e.path)}: {e.message}" for e in error.errors))
    except HuikeError as error:
        fail(error.message)


def fail(message: str) -> NoReturn:
    """End the command with a message for the operator."""
    click.echo(f"huike: {message}", err=True)
    sys.exit(1)


def settings_or_fail() -> Settings:
    """The process's settings; malformed ones end the command."""
    try:
        return from_environment()
    except SettingsError as error:
        fail(str(error))


def _loop_factory() -> Any:
    with contextlib.suppress(ImportError):
        import uvloop  # not on every platform

        return uvloop.new_event_loop
    return None


async def merchant_id_of(installation: Installation, given: int | None) -> int:
    """The merchant that a command means: the one given, or the only one there is."""
    async with installation.db.read(SYSTEM) as session:
        rows = await session.sql.fetch("SELECT id, name FROM merchants ORDER BY id")
    ids = [row["id"] for row in rows]
    if given is not None:
        if given not in ids:
            fail(f"there is no merchant {given}")
        return given
    if not ids:
        fail("there is no merchant yet: make one with `huike init`")
    if len(ids) > 1:
        names = ", ".join(f"{row['id']} ({row['name']})" for row in rows)
        fail(f"there are several merchants, name one with --merchant: {names}")
    return int(ids[0])


merchant_option = click.option("--merchant", type=int, help="The merchant's number, if several.")


class _WithPlugins(click.Group):
    """Core's commands, and those of the installed plugins, which are loaded when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._of_plugins})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or self._of_plugins.get(cmd_name)

    @cached_property
    def _of_plugins(self) -> dict[str, click.Command]:
        try:
            registry = load_registry(settings_or_fail())
        except RegistryError as error:
            fail(str(error))
        return {name: owned.value for name, owned in registry.commands.items()}


@click.group(cls=_WithPlugins, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="huike")
def main() -> None:
    """Huike (回客): a CRM server that turns buyers into returning customers."""
