"""`huike import`: files of orders, and taking an import back."""

import asyncio
import contextlib
import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click
import orjson

from core.cli.base import fail, main, merchant_id_of, merchant_option, run, settings_or_fail
from core.installation import open_installation

if TYPE_CHECKING:
    from core.tabular.bulk import Account, Finished, RejectedRow


Progress = Callable[[int, int], None]
"""Is told the position in a file and its size."""


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
        ended = None
        with reading(file, facts.size) as (rejects, progress):
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
    tell_account(account, rejects, ended)


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


@contextlib.contextmanager
def reading(file: Path, size: int) -> Iterator[tuple["RejectsFile", Progress]]:
    """A file for the rows that are rejected, and a function that shows how far it is read."""
    with (
        contextlib.closing(RejectsFile(file)) as rejects,
        click.progressbar(length=size, label=file.name, file=sys.stderr) as bar,
    ):

        def progress(position: int, size: int) -> None:
            bar.update(min(position, size) - bar.pos)

        yield rejects, progress


def tell_account(
    account: "Account", rejects: "RejectsFile", ended: "Finished[Account] | None"
) -> None:
    """What became of the rows; `ended` is None of a dry run. Exits where the import failed."""
    if ended is not None:
        if ended.resumed_at:
            click.echo(f"went on behind row {ended.resumed_at}, where an earlier run stopped")
        if ended.error is not None:
            fail(ended.error)
    click.echo(
        f"{'would be: ' if ended is None else ''}read {account.read} = created {account.created}"
        f" + updated {account.updated} + unchanged {account.unchanged}"
        f" + rejected {account.rejected}"
    )
    if account.rejected:
        click.echo(f"the rejected rows, and why: {rejects.path}")


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
