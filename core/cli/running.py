"""Setting up, serving and looking at an installation."""

import asyncio
import importlib.metadata
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import orjson

from core.cli.base import fail, main, run, settings_or_fail
from core.cli.logs import configure_logging
from core.installation import load_registry, model_apps, open_installation
from core.registry import RegistryError
from core.settings import Settings
from core.storage import applied
from core.storage.engines import EngineError, Engines


@main.command()
@click.option("--name", default="My shop", show_default=True, help="The merchant's name.")
@click.option("--time-zone", default="Asia/Shanghai", show_default=True)
@click.option("--currency", default="CNY", show_default=True)
@click.option("--shop", help="Also add a shop of this name.")
@click.option("--platform", default="taobao", show_default=True, help="The shop's platform.")
def init(name: str, time_zone: str, currency: str, shop: str | None, platform: str) -> None:
    """Make a merchant and print its owner token, once."""
    run(_init(name, time_zone, currency, shop, platform))


async def _init(name: str, time_zone: str, currency: str, shop: str | None, platform: str) -> None:
    from core.domain.shops.setup import set_up_merchant

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        made = await set_up_merchant(
            installation.db, installation.registry, name, time_zone, currency, shop, platform
        )
    click.echo(f"merchant {made.merchant_id} ({name}) is ready")
    if made.shop_id is not None:
        click.echo(f"shop {made.shop_id} ({shop}) is ready")
    click.echo("owner token, shown only now; keep it as you keep a password:")
    click.echo(made.token)


@main.command("migrate")
def migrate_command() -> None:
    """Bring the database's schema up to date; safe to run from many machines at once."""
    run(_migrate())


async def _migrate() -> None:
    from core.storage import migrate  # large, as below

    settings = settings_or_fail()
    async with open_installation(settings, with_redis=False, check_schema=False) as installation:
        apps = model_apps(installation.registry)
        await applied.pending(installation.db.pool, apps)
        made = await migrate.migrate(installation.database_url, apps)
        await applied.check_keyring(installation.db.pool, installation.db.keyring)
    for name in made:
        click.echo(f"applied {name}")
    click.echo(f"the schema is up to date ({len(made)} migrations applied)")


@main.command("makemigrations", hidden=True)
@click.argument("app", required=False)
def makemigrations(app: str | None) -> None:
    """Write migrations for changed models of APP, a plugin, or of all (for developers)."""
    from core.storage import migrate

    apps = model_apps(load_registry(settings_or_fail()))
    if app is not None and app not in apps:
        fail(f"{app} has no tables; these have: {', '.join(apps)}")
    for path in run(migrate.make_migrations("postgresql://localhost/none", apps, app)):
        click.echo(path)


@main.command()
@click.option("--force", is_flag=True, help="Also when other huike processes use them.")
def stop(force: bool) -> None:
    """Stop the embedded PostgreSQL and Redis."""
    try:
        stopped = Engines(settings_or_fail().home).stop(force)
    except EngineError as error:
        fail(str(error))
    click.echo("stopped" if stopped else "nothing was running")


@main.command()
@click.option("--host", help="Address to listen on.  [HUIKE_HOST, else 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port.  [HUIKE_PORT, else 8000]")
@click.option("--worker/--no-worker", default=True, help="Also do background work in this process.")
def serve(host: str | None, port: int | None, worker: bool) -> None:
    """Serve the GraphQL API, and do the background work unless told not to."""
    from core.app import serve_forever  # only this command needs the web stack

    settings = settings_or_fail()
    settings = replace(settings, host=host or settings.host)
    settings = replace(settings, port=settings.port if port is None else port)
    configure_logging(settings)
    run(serve_forever(settings, runner_class() if worker else None))


@main.command("schema")
@click.option(
    "--since", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Print instead what changed since the schema in this file; fails on what breaks clients.",
)  # fmt: skip
@click.option("--changelog", is_flag=True, help="With --since: as a section of a changelog.")
def schema_command(since: Path | None, changelog: bool) -> None:
    """Print the GraphQL schema of the installed plugins."""
    from core.schema.build import build_schema  # only this command and `serve` need it

    try:
        present = build_schema(load_registry(settings_or_fail())).as_str()
    except RegistryError as error:
        fail(str(error))
    if since is None:
        click.echo(present)
    else:
        _show_changes(since, present, changelog)


def _show_changes(since: Path, present: str, as_changelog: bool) -> None:
    from graphql import GraphQLError

    from core.schema.evolution import changelog, changes_between

    try:
        changes = changes_between(since.read_text(encoding="utf-8"), present)
    except (OSError, UnicodeDecodeError, GraphQLError) as error:
        fail(f"{since} is no schema: {error}")
    if as_changelog:
        click.echo(changelog(changes), nl=False)
        return
    for kind, lines in (
        ("safe", changes.safe),
        ("deprecated", changes.deprecated),
        ("dangerous", changes.dangerous),
        ("removed after a deprecation", changes.removed),
        ("BREAKING", changes.breaking),
    ):
        for line in lines:
            click.echo(f"{kind}: {line}")
    if changes.breaking:
        fail("this breaks clients: deprecate it for one minor version first")


@main.command("error-codes")
def error_codes() -> None:
    """Print the page of error codes, with those of the installed plugins."""
    from core.schema.error_page import error_page

    try:
        click.echo(error_page(load_registry(settings_or_fail())), nl=False)
    except RegistryError as error:
        fail(str(error))


@main.command("worker")
def worker_command() -> None:
    """Do the background work in a process of its own."""
    settings = settings_or_fail()
    configure_logging(settings)
    run(_work(settings))


async def _work(settings: Settings) -> None:
    async with open_installation(settings) as installation:
        if not installation.shared_redis:
            fail(
                "a worker of its own needs a Redis server: install redis-server, or name one with "
                "REDIS_URL; without it `huike serve` does the background work itself"
            )
        await runner_class()(installation).run_until_signalled()


def runner_class() -> Any:
    """The background runner, looked up by its entry point since core does not import worker."""
    (point,) = importlib.metadata.entry_points(group="huike.runner")
    return point.load()


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def plugins(as_json: bool) -> None:
    """List the installed plugins, broken ones with the reason."""
    try:
        registry = load_registry(settings_or_fail())
    except RegistryError as error:
        fail(str(error))
    rows = [
        {"name": m.name, "version": m.version, "title": m.title, "core": m.core,
         "state": "; ".join(["ok", *registry.deprecated.get(m.name, ())])}
        for m in registry.manifests.values()
    ] + [{"name": name, "state": reason} for name, reason in registry.broken.items()]  # fmt: skip
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    for row in rows:
        version, title = row.get("version", "-"), row.get("title", "")
        click.echo(f"{row['name']:<16}{version:<10}{title:<36}{row['state']}")


@main.command()
def doctor() -> None:
    """Check the installation; the exit code is 0 when nothing is wrong."""
    from core.doctor import examine

    findings = asyncio.run(examine(settings_or_fail()))
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}: {finding.detail}")
    if not all(finding.ok for finding in findings):
        sys.exit(1)
